"""Whether the intervals of `translate bench` can be trusted: a model against itself, and a pair measured twice.

    python -m benchmarks.timing_trust [--seconds S] [--times N] [NAME ...]

For each fixture, and each of PyTorch and TensorFlow, the same model is timed against itself N times, once as one
object and once opened twice, and it is counted how often the 95 % interval of the ratio holds 1. Then PyTorch against
TensorFlow is timed N times, and it is counted how many pairs of measurements give intervals that overlap.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from translate.models.device import pin, placement

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
pin(1)

from translate import torch2tf  # noqa: E402
from translate.models import Model, open_model  # noqa: E402
from translate.models.inputs import example_feeds  # noqa: E402
from translate.verify.cases import Case  # noqa: E402
from translate.verify.sizes import size_choices  # noqa: E402
from translate.verify.timing import Options, Ratio, timing  # noqa: E402

FIXTURES = Path(__file__).parents[1] / "fixtures"
NAMES = ("digits_cnn", "neural_net", "text_classifier", "char_lm")


def ratio(first: Model, second: Model, sizes: Mapping[str, int], seconds: float, seed: int) -> Ratio:
    case = Case("random", sizes, seed, example_feeds(first.inputs, sizes, seed))
    found = timing([("first", first), ("second", second)], [case], Options(seconds=seconds, seed=seed))
    return found.cases[0].ratios[0]


def holds_one(first: Model, second: Model, sizes: Mapping[str, int], seconds: float, times: int) -> str:
    ratios = [ratio(first, second, sizes, seconds, seed) for seed in range(times)]
    held = sum(r.low <= 1 <= r.high for r in ratios)
    furthest = max(max(r.low, 1 / r.high) for r in ratios)
    missed = f", missed by at most {100 * (furthest - 1):.1f} %" if furthest > 1 else ""
    words = ", ".join(sorted({r.word for r in ratios}))
    return f"holds 1 in {held} of {times}{missed} ({words})"


def overlaps(first: Model, second: Model, sizes: Mapping[str, int], seconds: float, times: int) -> str:
    ratios = [ratio(first, second, sizes, seconds, seed) for seed in range(times)]
    pairs = list(itertools.combinations(ratios, 2))
    met = sum(a.low <= b.high and b.low <= a.high for a, b in pairs)
    return f"{met} of {len(pairs)} pairs overlap; {', '.join(map(str, ratios[:3]))} ..."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    on_cpu = placement("cpu", threads=1)
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            source, target = FIXTURES / f"{name}.pt2", Path(folder, name)
            torch2tf(source, target, verify=False)
            torch, again = open_model(source, placement=on_cpu), open_model(source, placement=on_cpu)
            tensorflow, other = open_model(target, placement=on_cpu), open_model(target, placement=on_cpu)
        sizes = size_choices(torch)[0]
        measure = sizes, options.seconds, options.times
        print(f"{name} {sizes}", flush=True)
        print(f"  PyTorch, one object         {holds_one(torch, torch, *measure)}", flush=True)
        print(f"  PyTorch, opened twice       {holds_one(torch, again, *measure)}", flush=True)
        print(f"  TensorFlow, one object      {holds_one(tensorflow, tensorflow, *measure)}", flush=True)
        print(f"  TensorFlow, opened twice    {holds_one(tensorflow, other, *measure)}", flush=True)
        print(f"  PyTorch against TensorFlow  {overlaps(torch, tensorflow, *measure)}", flush=True)


if __name__ == "__main__":
    main()
