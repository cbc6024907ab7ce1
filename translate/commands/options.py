"""Options that several commands share, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from translate.verify.cases import InputPlan

POSITIVE = click.FloatRange(min=0, min_open=True)

_Command = TypeVar("_Command", bound=Callable[..., Any])


def source_options(command: _Command) -> _Command:
    """Say what the source is made of: inputs, weights, sample, trust."""
    for option in (
        click.option("--unsafe-load", is_flag=True, help="Load pickled models; runs the code that they contain."),
        click.option("--sample", metavar="FILE", help="Example inputs: .npz, .npy, .pt (tensors only)."),
        click.option(
            "--weights",
            metavar="FILE",
            help="Weights for a factory: .safetensors, the index of several (.json), .pt (tensors only), .weights.h5.",
        ),
        click.option(
            "--input",
            "inputs",
            metavar="NAME:DIMS[:DTYPE]",
            multiple=True,
            help="An input, as in x:batch,3,224,224 or ids:batch,seq:int64. A name in DIMS is a symbolic dimension; "
            "NAME may be left out (forward's own order); DTYPE defaults to float32. Repeatable.",
        ),
    ):
        command = option(command)
    return command


def custom_objects_option(command: _Command) -> _Command:
    """Say where the user's own layers are."""
    text = "A .py file of yours with the layers and functions that Keras models name."
    return click.option("--custom-objects", metavar="FILE", help=text)(command)


def graph_options(command: _Command) -> _Command:
    """Say what a frozen graph takes and returns."""
    for option in (
        click.option(
            "--outputs",
            "graph_outputs",
            metavar="NAME,...",
            multiple=True,
            help="Tensors that a frozen graph returns, as in y or y:0.  [default: what nothing in it reads]",
        ),
        click.option(
            "--inputs",
            "graph_inputs",
            metavar="NAME,...",
            multiple=True,
            help="Tensors that a frozen graph takes, as in x or x:0.  [default: its placeholders]",
        ),
    ):
        command = option(command)
    return command


def names_in(lists: Sequence[str]) -> list[str]:
    """Return the names in lists that are separated by commas."""
    return [name.strip() for text in lists for name in text.split(",") if name.strip()]


def input_options(command: _Command) -> _Command:
    """Say what both models are run on."""
    for option in (
        click.option(
            "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the first random inputs."
        ),
        click.option("--seeds", type=click.IntRange(min=1), default=2, show_default=True, help="How many seeds."),
        click.option(
            "--data", metavar="PATH", multiple=True, help="Real inputs: .npz, .npy, .pt, or a folder of them."
        ),
        click.option("--normal", metavar="NAME[:MEAN,STD]", multiple=True, help="Draw an input from a normal."),
        click.option("--uniform", metavar="NAME[:LOW,HIGH]", multiple=True, help="Draw an input evenly."),
        click.option("--range", "ranges", metavar="NAME:LOW,HIGH", multiple=True, help="Draw numbers, ends included."),
        click.option("--sizes", metavar="NAME=SIZE,...", multiple=True, help="Sizes to run at, as in batch=1,2,7."),
    ):
        command = option(command)
    return command


def judge_options(command: _Command) -> _Command:
    """Judge by tolerances instead of by the rounding of the source."""
    classic = "Classic |a-b| <= atol + rtol*|a| instead, for all outputs or one. Repeatable."
    for option in (
        click.option("--atol", metavar="[OUTPUT=]NUMBER", multiple=True, help=classic),
        click.option("--rtol", metavar="[OUTPUT=]NUMBER", multiple=True, help=classic),
    ):
        command = option(command)
    return command


def device_options(command: _Command) -> _Command:
    """Say where models run, and how."""
    for option in (
        click.option("--xla", is_flag=True, help="Compile TensorFlow models with XLA."),
        click.option("--threads", type=click.IntRange(min=1), help="Threads, the same on both sides."),
        click.option("--device", default="cpu", show_default=True, help="Where both run: cpu, gpu:0 (or cuda:0)."),
    ):
        command = option(command)
    return command


def plan_of(asked: Mapping[str, Any], edges: str = "none", sample: str | None = None) -> InputPlan:
    """Read the options of `input_options`."""
    from translate.models.distributions import parse_distributions
    from translate.verify.cases import InputPlan
    from translate.verify.edges import parse_edges
    from translate.verify.sizes import parse_sizes

    return InputPlan(
        sizes=parse_sizes(asked["sizes"]),
        seeds=range(asked["seed"], asked["seed"] + asked["seeds"]),
        distributions=parse_distributions(asked["ranges"], asked["normal"], asked["uniform"]),
        edges=() if edges == "none" else parse_edges([edges]),
        data=tuple(Path(path) for path in (*asked["data"], *([] if sample is None else [sample]))),
    )


def needs_tensorflow(models: Sequence[str]) -> bool:
    """Whether TensorFlow will be loaded for these models; it is then loaded quietly, and before anything else."""
    return any(
        Path(model).is_dir() or Path(model).suffix in (".keras", ".h5", ".hdf5", ".tflite", ".pb") for model in models
    )
