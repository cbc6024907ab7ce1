"""`translate update-weights` and `translate extract-weights`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from translate.startup import quiet_frameworks

if TYPE_CHECKING:
    from translate.routes import Carried


@click.command("update-weights", short_help="Put new weights into a SavedModel.")
@click.argument("folder", metavar="DIR")
@click.option(
    "--weights",
    required=True,
    metavar="FILE",
    help="A state_dict: .safetensors, the index of several (.json), or .pt (tensors only).",
)
@click.option("-o", "--output", metavar="DIR", help="Where to write.  [default: in place of DIR]")
@click.option("--force", is_flag=True, help="Replace an existing SavedModel at --output.")
def update_weights(folder: str, weights: str, output: str | None, force: bool) -> int:
    """Put the weights of a later PyTorch checkpoint into the SavedModel DIR that torch2tf wrote.

    The graph stays as it is, and nothing is compared: `translate verify` does that.
    """
    with quiet_frameworks():
        from translate import routes

        carried = routes.update_weights(folder, weights, output, force=force)
    return _show(carried)


@click.command("extract-weights", short_help="Give PyTorch a SavedModel's weights.")
@click.argument("folder", metavar="DIR")
@click.option(
    "--checkpoint", metavar="PATH", help="A TensorFlow checkpoint, or a SavedModel, trained since.  [default: DIR]"
)
@click.option("-o", "--output", required=True, metavar="FILE", help="The state_dict to write, as .safetensors.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def extract_weights(folder: str, checkpoint: str | None, output: str, force: bool) -> int:
    """Write the weights of the SavedModel DIR, which torch2tf wrote, as a PyTorch state_dict."""
    with quiet_frameworks():
        from translate import routes

        carried = routes.extract_weights(folder, output, checkpoint, force=force)
    return _show(carried)


def _show(carried: Carried) -> int:
    for note in carried.notes:
        click.echo(f"note: {note}")
    click.echo(f"{len(carried.weights)} weights written to {carried.output}")
    return 0
