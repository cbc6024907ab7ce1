"""`translate verify`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from translate.commands.options import (
    POSITIVE,
    custom_objects_option,
    device_options,
    graph_options,
    input_options,
    judge_options,
    names_in,
    needs_tensorflow,
    plan_of,
    source_options,
)
from translate.commands.reporting import check_reports, publish_report, report_options
from translate.errors import ParityError, UsageError
from translate.startup import quiet_frameworks
from translate.terminal import show_progress, show_verify

# Options that say what both models are run on, and the names that click gives them.
_DRAWN = {"sizes": "sizes", "range": "ranges", "normal": "normal", "uniform": "uniform", "data": "data"}


@click.command()
@click.argument("source", required=False)
@click.argument("target", required=False)
@click.option(
    "--manifest",
    metavar="DIR",
    help="Check what torch2tf wrote again: with SOURCE, or what DIR says that it came from.",
)
@source_options
@custom_objects_option
@click.option("--rename", "renames", metavar="SOURCE=TARGET", multiple=True, help="Two names for one input or output.")
@click.option("--signature", help="Which function of SavedModels.  [default: serving_default, or with --manifest all]")
@graph_options
@click.option("--via", metavar="RUNTIME", help="Run TARGET by c-api, openvino, or TF Serving at http://...:8501/v1/...")
@input_options
@click.option(
    "--edges", default="zeros,ones", show_default=True, help="Of zeros,ones,large,tiny,masked,nan,inf; or none."
)
@judge_options
@click.option(
    "--least-snr",
    metavar="DB",
    type=click.FloatRange(min=0),
    help="For a quantised TARGET: near by this signal-to-noise ratio is enough.",
)
@click.option("--bisect", is_flag=True, help="When they differ, find the first value that does.")
@click.option("--bisect-dir", metavar="DIR", help="Write what reproduces it there; implies --bisect.")
@click.option("--grad", is_flag=True, help="Compare gradients and a few optimiser steps too.")
@click.option("--max-slowdown", type=POSITIVE, help="Fail if TARGET may be slower.")
@click.option(
    "--seconds", type=POSITIVE, default=10.0, show_default=True, help="How long to measure for --max-slowdown."
)
@click.option("--save-inputs", metavar="DIR", help="Keep the inputs there; --data DIR runs them again.")
@device_options
@report_options
def verify(
    source: str | None,
    target: str | None,
    manifest: str | None,
    inputs: Sequence[str],
    weights: str | None,
    sample: str | None,
    unsafe_load: bool,
    custom_objects: str | None,
    renames: Sequence[str],
    signature: str | None,
    graph_inputs: Sequence[str],
    graph_outputs: Sequence[str],
    via: str | None,
    edges: str,
    rtol: Sequence[str],
    atol: Sequence[str],
    least_snr: float | None,
    bisect: bool,
    bisect_dir: str | None,
    grad: bool,
    max_slowdown: float | None,
    seconds: float,
    save_inputs: str | None,
    device: str,
    threads: int | None,
    xla: bool,
    reports: Sequence[str],
    baseline: str | None,
    as_json: bool,
    **asked: Any,
) -> int:
    """Compare two models on the same inputs.

    With --manifest, compare what torch2tf wrote with what it came from, once more and with the same options. Where
    methods became signatures, each is compared.

    SOURCE and TARGET are any two of: what torch2tf takes, a SavedModel folder, .keras, .h5, .pb, .tflite. --input,
    --sample and --weights belong to SOURCE, --signature, --inputs and --outputs to both. Each output may differ by what
    the source's own rounding explains.
    """
    from translate.models.device import pin, placement
    from translate.publish import check_folder
    from translate.reports.schema import verify_report

    recalled = None
    methods: Sequence[str] = ()
    chosen: Sequence[str] = ()
    if manifest is not None:
        from translate.provenance import recall

        if target is not None:
            raise UsageError(f"--manifest {manifest} is the target; give no other")
        files = {"weights": weights, "sample": sample, "data": asked["data"]}
        recalled = recall(Path(manifest), source, [name for name, given in files.items() if given])
        source, target = recalled.source, manifest
        inputs = inputs or recalled.options["input"]
        weights = weights or next(iter(recalled.options["weights"]), None)
        sample = sample or next(iter(recalled.options["sample"]), None)
        rtol, atol = rtol or recalled.options["rtol"], atol or recalled.options["atol"]
        for option, name in _DRAWN.items():
            asked[name] = asked[name] or recalled.options[option]
        methods = recalled.options["method"]
    if methods:
        from translate.signatures import chosen_methods

        for_one = {"--bisect": bisect or bisect_dir, "--grad": grad, "--max-slowdown": max_slowdown}
        chosen = chosen_methods(methods, signature, {**for_one, "--save-inputs": save_inputs})
    if source is None or target is None:
        raise UsageError("give SOURCE and TARGET, or --manifest DIR")
    old = check_reports(reports, baseline)
    for folder in filter(None, (save_inputs, bisect_dir)):
        check_folder(Path(folder))
    pin(threads)
    with show_progress() as progress, quiet_frameworks(tensorflow=needs_tensorflow([source, target])):
        from translate.comparison import Side, Wanted, cut_graphs, open_pair
        from translate.models.align import parse_renames
        from translate.signatures import compare_pairs, open_method_pairs
        from translate.verify.tolerance import parse_tolerance

        start = time.perf_counter()
        wanted = Wanted(
            bisect=bisect or bisect_dir is not None,
            bisect_folder=None if bisect_dir is None else Path(bisect_dir),
            gradients=grad,
            max_slowdown=max_slowdown,
            seconds=seconds,
            save_inputs=None if save_inputs is None else Path(save_inputs),
        )
        plan = plan_of(asked, edges, sample)
        progress("open")
        function = signature or Side.signature
        sides = [
            Side(source, inputs, sample, weights, function, unsafe_load, custom_objects=custom_objects),
            Side(target, signature=function, unsafe_load=unsafe_load, via=via, custom_objects=custom_objects),
        ]
        notes: list[str] = []
        how: dict[str, Any] = {
            "renames": parse_renames(renames),
            "placement": placement(device, threads=threads, xla=xla),
            "notes": notes,
        }
        if methods:
            pairs = open_method_pairs(sides[0], sides[1], methods, chosen, plan, **how)
        else:
            sides = cut_graphs(sides, names_in(graph_inputs), names_in(graph_outputs))
            pairs = {"": (open_pair(*sides, **how), plan)}
        if recalled is not None:
            from translate.provenance import source_notes

            notes[:0] = [*recalled.notes, *source_notes(recalled.provenance, source, weights)]
        found = compare_pairs(
            pairs,
            rtol=parse_tolerance("--rtol", rtol),
            atol=parse_tolerance("--atol", atol),
            near=least_snr,
            wanted=wanted,
            progress=progress,
        )
    report = verify_report(
        source,
        target,
        found.verdict,
        tuple(dict.fromkeys(notes)),
        time.perf_counter() - start,
        finding=found.finding,
        gradients=found.gradients,
        timing=found.timing,
        max_slowdown=max_slowdown,
        replay=save_inputs,
    )
    passed = publish_report(report, reports, as_json, old, show_verify)
    if not found.verdict.passed:
        word = "do not compute the same" if least_snr is None else "are not near"
        raise ParityError(f"{source} and {target} {word}")
    return 0 if passed else ParityError.exit_code
