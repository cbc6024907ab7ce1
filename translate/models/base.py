"""What every model is to the rest of the project: named inputs, named outputs, and a way to run it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from translate.errors import UsageError

Array = np.ndarray[Any, np.dtype[Any]]
# One dimension: its size, the name of a symbolic size, or None where the size is open and nameless.
Dim = int | str | None
# A loss as a function of the outputs by name: its value, and its gradient with respect to each output that it needs.
Loss: TypeAlias = Callable[[Mapping[str, Array]], tuple[float, Mapping[str, Array]]]


@dataclass(frozen=True)
class Spec:
    """One input or output of a model.

    `dtype` is numpy's name of it (`float32`, `int64`, `bool`, `bfloat16`, `str` for text); `shape` is None when
    not even the rank is known.
    """

    name: str
    dtype: str
    shape: tuple[Dim, ...] | None

    def __str__(self) -> str:
        dims = "?" if self.shape is None else ", ".join("?" if d is None else str(d) for d in self.shape)
        return f"{self.name} {self.dtype}[{dims}]"


@dataclass(frozen=True)
class Gradients:
    """The gradients of a loss with respect to each floating-point input and each parameter, by name.

    A parameter goes by its name in the source and has the source's order of axes. None stands where the loss does not
    depend on it. `tied` gives for every other name of a shared parameter the one that it is listed under.
    """

    inputs: Mapping[str, Array | None]
    parameters: Mapping[str, Array | None]
    tied: Mapping[str, str] = field(default_factory=dict)


class Model(ABC):
    """Anything that can be run.

    `kind` says what it is for people ("PyTorch ExportedProgram"); `inputs` and `outputs` are in the model's own
    order. `differentiable` says whether it has `gradients`.
    """

    kind: str
    differentiable: bool = False
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]

    def upload(self, feeds: Mapping[str, Array]) -> Any:
        """Put one array for each input name where the model computes, as what `call` takes.

        Raises `UsageError` when a name is missing or unknown.
        """
        check_feeds(self.inputs, feeds)
        return dict(feeds)

    @abstractmethod
    def call(self, values: Any) -> Any:
        """Compute once, and return when the results are there: the whole of what is timed."""

    def download(self, results: Any) -> dict[str, Array]:
        """Return what `call` returned as one array for each output name."""
        return dict(results)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once on `feeds`, one array for each input name, and return one array for each output name.

        Raises `UsageError` when a name is missing or unknown.
        """
        return self.download(self.call(self.upload(feeds)))

    def settings(self) -> Mapping[str, str | int | bool]:
        """Return what it runs with, as its framework says: device, threads, and what else bears on time."""
        return {}

    def peak_device_bytes(self) -> int | None:
        """Return the most memory of an accelerator that the process had in use; None where that is not known."""
        return None

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """Run once in double precision, to measure the model's own rounding; None where it cannot be run so."""
        return None

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """Run once with every floating-point input, and every weight where the model can do that, moved at random to a
        neighbouring number: how far the outputs move is an estimate of the model's own rounding.
        """
        from translate.models.perturb import neighbouring_feeds

        return self.run(neighbouring_feeds(feeds, seed))

    def release(self) -> None:  # noqa: B027 - most keep nothing
        """Free what `run_double` and `run_perturbed` keep from one run to the next."""

    def values(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Run once and return the intermediate values called `names`, those that the model knows, in its own dtype.

        Names are those of the exported ONNX graph, and axes are in its order.
        """
        return {}

    def values_double(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Run once in double precision and return the values called `names`, those that can be had so."""
        return {}

    def gradients(
        self, feeds: Mapping[str, Array], loss: Loss, *, double: bool = False, seed: int | None = None
    ) -> Gradients | None:
        """Differentiate `loss` of the outputs; None for a model that has no gradients, or none in double precision.

        With `double` everything is computed in float64. With a `seed` inputs and parameters are perturbed as in
        `run_perturbed`. The model itself stays as it is.
        """
        return None

    def descend(
        self,
        feeds: Mapping[str, Array],
        loss: Loss,
        parameters: Sequence[str],
        learning_rate: float,
        steps: int,
        *,
        double: bool = False,
        seed: int | None = None,
    ) -> list[float] | None:
        """Take `steps` steps of gradient descent on `parameters` and return the loss before each and after the last.

        None, `double` and `seed` are as in `gradients`. The model itself stays as it is.
        """
        return None


def check_feeds(specs: Sequence[Spec], feeds: Mapping[str, Array]) -> None:
    """Raise `UsageError` unless `feeds` has one array for each input and none besides."""
    names = [spec.name for spec in specs]
    missing = [name for name in names if name not in feeds]
    unknown = [name for name in feeds if name not in names]
    if missing or unknown:
        complaint = [f"missing {', '.join(missing)}"] * bool(missing) + [f"unknown {', '.join(unknown)}"] * bool(
            unknown
        )
        raise UsageError(f"the inputs are {', '.join(names)}: {'; '.join(complaint)}")
