"""`translate bench`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import click

from translate.commands.options import (
    POSITIVE,
    custom_objects_option,
    device_options,
    graph_options,
    names_in,
    needs_tensorflow,
    source_options,
)
from translate.commands.reporting import check_reports, publish_report, report_options
from translate.errors import ParityError
from translate.startup import quiet_frameworks
from translate.terminal import show_bench, show_progress


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@source_options
@custom_objects_option
@click.option("--signature", default="serving_default", show_default=True, help="Which function of SavedModels.")
@graph_options
@click.option("--batch", metavar="SIZE,...", help="Batch sizes to sweep.  [default: 1,8]")
@click.option("--sizes", metavar="NAME=SIZE,...", multiple=True, help="Sizes of other dimensions, as in seq=128.")
@click.option("--seconds", type=POSITIVE, default=10.0, show_default=True, help="How long to measure in all.")
@click.option("--max-slowdown", type=POSITIVE, help="Fail if any may be slower than this.")
@click.option("--cold", is_flag=True, help="Also load and run each in a fresh process: start-up and peak memory.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the inputs and of the statistics."
)
@device_options
@report_options
def bench(
    models: Sequence[str],
    inputs: Sequence[str],
    weights: str | None,
    sample: str | None,
    unsafe_load: bool,
    custom_objects: str | None,
    signature: str,
    graph_inputs: Sequence[str],
    graph_outputs: Sequence[str],
    batch: str | None,
    sizes: Sequence[str],
    seconds: float,
    max_slowdown: float | None,
    cold: bool,
    seed: int,
    device: str,
    threads: int | None,
    xla: bool,
    reports: Sequence[str],
    baseline: str | None,
    as_json: bool,
) -> int:
    """Time models against each other, in turns, on this device.

    The first MODEL is what the others are measured against; --input, --sample and --weights belong to it,
    --signature, --inputs and --outputs to all.
    """
    from translate.models.device import pin, placement
    from translate.reports.schema import bench_report

    old = check_reports(reports, baseline)
    pin(threads)
    with show_progress() as progress, quiet_frameworks(tensorflow=needs_tensorflow(models)):
        from translate.comparison import Side, cold_starts, cut_graphs, open_rivals, race
        from translate.verify.sizes import parse_batches, parse_sizes

        start = time.perf_counter()
        notes: list[str] = []
        place = placement(device, threads=threads, xla=xla)
        first = Side(models[0], inputs, sample, weights, signature, unsafe_load, custom_objects=custom_objects)
        rivals = [
            Side(model, signature=signature, unsafe_load=unsafe_load, custom_objects=custom_objects)
            for model in models[1:]
        ]
        sides = cut_graphs([first, *rivals], names_in(graph_inputs), names_in(graph_outputs))
        batches = None if batch is None else parse_batches(batch)
        progress("open")
        opened = open_rivals(sides, place, notes)
        progress("timing")
        measured = race(opened, parse_sizes(sizes), seconds, batches=batches, seed=seed)
        if cold:
            progress("cold")
            measured = replace(measured, cold=tuple(cold_starts(sides, opened, place)))
    report = bench_report(measured, tuple(dict.fromkeys(notes)), time.perf_counter() - start, max_slowdown=max_slowdown)
    passed = publish_report(report, reports, as_json, old, show_bench)
    return 0 if passed else ParityError.exit_code
