"""`translate inspect`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from translate.commands.options import custom_objects_option, graph_options, names_in, source_options
from translate.startup import quiet_frameworks
from translate.terminal import print_inspection, show_progress


@click.command(short_help="Show what a model is made of.")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--signature", default="serving_default", show_default=True, help="Which function of a SavedModel.")
@click.option("--xla", is_flag=True, help="Find out whether XLA compiles it, or what it becomes in TensorFlow.")
@graph_options
@source_options
@custom_objects_option
def inspect(
    model: str,
    signature: str,
    graph_inputs: Sequence[str],
    graph_outputs: Sequence[str],
    inputs: Sequence[str],
    weights: str | None,
    sample: str | None,
    unsafe_load: bool,
    custom_objects: str | None,
    xla: bool,
    as_json: bool,
) -> int:
    """Show what a model takes, returns and is made of, and whether it translates."""
    with show_progress() as progress, quiet_frameworks():
        from translate.inspection import inspect as look
        from translate.models.open import open_model

        progress("open")
        notes: list[str] = []
        opened = open_model(
            model,
            inputs=inputs,
            sample=sample,
            weights=weights,
            signature=signature,
            graph_inputs=names_in(graph_inputs),
            graph_outputs=names_in(graph_outputs),
            unsafe_load=unsafe_load,
            custom_objects=custom_objects,
            notes=notes,
        )
        progress("inspect")
        found = look(opened, notes, xla=xla)
    if as_json:
        from translate.reports.schema import inspection_report, render_json

        click.echo(render_json(inspection_report(model, found)), nl=False)
    else:
        print_inspection(model, found)
    return 0
