"""Reports as the commands make them, from made-up measurements, with everything in them that is hard to render."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from translate.models.base import Spec
from translate.reports.schema import bench_report, result_report, verify_report
from translate.routes import Result
from translate.verify.bisect import Finding
from translate.verify.cold_start import ColdStart
from translate.verify.descent import LossCurve
from translate.verify.gradients import GradientParity, GradientVerdict
from translate.verify.noise import Noise
from translate.verify.stopwatch import Latency, ModelTiming
from translate.verify.timing import CaseTiming, Options, Ratio, TimedModel, Timing
from translate.verify.tolerance import Tolerance
from translate.verify.verdict import Agreement, Histogram, OutputParity, RunParity, Side, Verdict

SPEC = Spec("x|y", "float32", ("batch", 3, None))
SIDE = Side("PyTorch module", (SPEC,), (SPEC,))
HOSTILE = '<script>alert("1")</script> | `code` & \x00\x1b[31m \ud800 ' + "long_" * 60


def output(name: str, over_limit: float = 0.2, problems: Sequence[str] = (), **fields: Any) -> OutputParity:
    """Return a judged output whose largest distance is `over_limit` times what is allowed."""
    noise, limit = 4e-7, 4e-6
    bell = [int(1000 * math.exp(-((i - 8) ** 2) / 8)) for i in range(16)]
    shift = max(-4, min(6, round(2 * math.log10(over_limit * 10)))) if 0 < over_limit < math.inf else 0
    wrong = [0] * max(shift, 0) + bell[max(-shift, 0) :] + [0] * max(-shift, 0)
    return OutputParity(
        **{
            "name": name,
            "dtype": "float32",
            "shape": (2, 1000),
            "max_abs": over_limit * limit,
            "max_rel": over_limit * 1e-3,
            "rms": over_limit * limit / 4,
            "scale": 12.5,
            "error": over_limit,
            "cosine": 0.9999991,
            "noise": Noise("float64", noise, noise / 4),
            "tolerance": Tolerance("calibrated", limit, limit / 4),
            "agreement": (Agreement(1, 2, 2, 0), Agreement(5, 2, 1, 1)),
            "histogram": Histogram(-12.0, tuple(wrong), tuple(bell), equal=900, noise_equal=400),
            "problems": tuple(problems)
            or (("4 of 2000 values differ by more than allowed",) if over_limit > 1 else ()),
            **fields,
        }
    )


def verdict(*runs: RunParity, **fields: Any) -> Verdict:
    return Verdict(SIDE, SIDE, runs, **fields)


def runs(*outputs: OutputParity) -> list[RunParity]:
    """Return four runs with these outputs, whose errors vary a little."""
    found = []
    for index, batch in enumerate((2, 2, 7, 7)):
        factor = (1.0, 0.7, 0.9, 0.6)[index]
        varied = [replace(o, error=o.error * factor, max_abs=o.max_abs * factor) for o in outputs]
        found.append(RunParity({"batch": batch}, index % 2, tuple(varied)))
    return found


def finding(trail: int = 40) -> Finding:
    values = [output(f"layer{i // 10}/{i % 10}/conv", 0.05 * (1 + i % 7)) for i in range(trail - 1)]
    after = output("layer3.0.bn1.out", 310.0)
    return Finding(
        "translation",
        'the target first leaves the source at BatchNormalization "bn1" in layer3.0.bn1 (resnet.py:88): its inputs are '
        'within 0.3 of what rounding explains, its result "layer3.0.bn1.out" is 310 times as far off',
        after.name,
        trail,
        122,
        after,
        before=(values[-1],) if values else (),
        alone=output("layer3.0.bn1.out", 305.0),
        operator="BatchNormalization",
        node="bn1",
        nodes=("bn1",),
        module="layer3.0.bn1",
        source="resnet.py:88",
        reproducer=Path("out/repro"),
        trail=(*values, after),
    )


def gradients(*, agree: bool = True) -> GradientVerdict:
    errors = [0.02, 0.3, 0.11, 0.4, 0.25] if agree else [0.02, 0.3, 42.0, 0.4, math.inf]
    names = ["x", "conv1.weight", "bn1.weight", "fc.weight", "fc.bias"]
    found = [
        GradientParity(
            name,
            "parameter" if index else "input",
            "float32",
            (64, 3, 7, 7),
            max_abs=error * 1e-6,
            scale=0.3,
            noise=1e-7,
            allowed=1e-6,
            error=error,
            problems=("differs by more than allowed",) if error > 1 else (),
        )
        for index, (name, error) in enumerate(zip(names, errors, strict=True))
    ]
    source = tuple(2.3 * 0.9**step for step in range(6))
    target = source if agree else tuple(2.3 * 0.96**step for step in range(6))
    curve = LossCurve(
        0.05, source, target, max_abs=1e-7, noise=2e-8, allowed=2e-7, problems=() if agree else ("the losses part",)
    )
    return GradientVerdict(0, {"batch": 2}, tuple(found), curve, notes=("output ids is int64: it has no gradient",))


def latency(p50: float, count: int = 800, seed: int = 0) -> Latency:
    generator = random.Random(seed)
    times = [p50 * (0.92 + generator.gammavariate(2, 0.05)) for _ in range(count)]
    times[7] = 9 * p50
    ordered = sorted(times)
    p90, p99 = ordered[int(0.9 * count)], ordered[int(0.99 * count)]
    return Latency(count, sum(times) / count, ordered[count // 2], p90, p99, tuple(times))


def timing(low: float = 0.78, high: float = 0.84, labels: Sequence[str] = ("model.pt2", "model_tf")) -> Timing:
    cases = []
    for batch, p50 in ((1, 0.004), (8, 0.021), (32, 0.079)):
        models = [
            ModelTiming(
                label=label,
                call=latency(p50 * (1 + (low + high - 2) / 2 * (index > 0)), seed=index),
                upload=latency(1.1e-5),
                download=latency(8e-6),
                rounds=(p50,) * 8,
                calls_per_turn=3,
                throughput=batch / p50,
                first_call=p50 * 9,
                warmup_calls=12,
                warm=True,
                drift=1.01,
            )
            for index, label in enumerate(labels)
        ]
        ratios = [Ratio(label, labels[0], (low + high) / 2, low, high, 0.95, True) for label in labels[1:]]
        cases.append(CaseTiming("random", {"batch": batch}, batch, tuple(models), tuple(ratios)))
    cold = tuple(ColdStart(label, 3.1, 1.9, 0.6, 0.3, 812_000_000, 430_000_000, None) for label in labels)
    models = tuple(TimedModel(label, "SavedModel", {"device": "cpu", "threads": 2}) for label in labels)
    return Timing(models, tuple(cases), Options(), 10.0, cold)


def verified(found: Verdict, **parts: Any) -> dict[str, Any]:
    return verify_report("models/resnet18.pt2", "build/resnet18_tf", found, ["set to eval"], 12.5, **parts)


def translated(found: Verdict | None, **parts: Any) -> dict[str, Any]:
    result = Result(
        command="torch2tf",
        format="saved_model",
        source="m.pt2",
        source_kind="PyTorch module",
        engine="native",
        output=Path("m_tf"),
        bytes=1234,
        inputs=(SPEC,),
        outputs=(SPEC,),
        trainable=7,
        frozen=3,
        transposes=1,
        notes=("set to eval",),
        verdict=found,
        seconds={"open": 1.25, "verify": 0.5},
    )
    return result_report(result, **parts)


def raced(found: Timing, **parts: Any) -> dict[str, Any]:
    return bench_report(found, [], 10.2, **parts)


def everything() -> dict[str, Any]:
    """Return a report that has every part, and in them all that is hard: infinities, NaN, markup, long names."""
    outputs = [
        output("logits", 340.0),
        output("features", 0.2),
        output("exact", 0.0, tolerance=Tolerance(), noise=None, histogram=None, dtype="int64", agreement=()),
        output("broken", math.inf, ["NaN in 3 places of the target"], cosine=None, max_abs=math.nan, max_rel=math.inf),
        output(HOSTILE, 2.0, [HOSTILE]),
    ]
    failed = RunParity({"batch": 5, "seq": 7}, None, (), "edge zeros", failure=f"the target fails: {HOSTILE}")
    found = verdict(*runs(*outputs), failed, warnings=(HOSTILE,))
    return verified(
        found, finding=finding(), gradients=gradients(agree=False), timing=timing(1.3, 1.4), max_slowdown=1.2
    )
