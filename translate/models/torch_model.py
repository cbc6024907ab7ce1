"""PyTorch models: modules, ExportedPrograms and TorchScript, with flat, named inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

from translate.errors import UsageError
from translate.models import torch_device
from translate.models.base import Array, Dim, Gradients, Loss, Model, Spec, check_feeds
from translate.models.inputs import default_sizes, example_feeds, long_sizes, merge_specs, open_dims, size_of, symbols
from translate.models.kept import FirstState
from translate.models.perturb import neighbouring_feeds
from translate.models.torch_arguments import Arguments, bind, leaves
from translate.models.torch_arrays import to_array, to_tensor
from translate.models.torch_double import double_arithmetic
from translate.models.torch_flat import FlatModule
from translate.models.torch_results import flatten, structure_of


class TorchModel(Model):
    """A PyTorch model that takes and returns flat, named arrays.

    Inputs are named after the arguments of `forward`, nested ones after their place (`state_0`, `batch_ids`);
    outputs after their keys (a dict, a dataclass, a Hugging Face output), `output_0`.. in a tuple, and `output` if
    there is only one tensor. `program` is set when the source is an ExportedProgram. `ranges` are the least and
    greatest sizes of symbolic dimensions, as far as they are known.
    """

    differentiable = True

    def __init__(
        self,
        flat: FlatModule,
        inputs: Sequence[Spec],
        kind: str,
        *,
        program: ExportedProgram | None = None,
        ranges: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        self.flat = flat
        self.inputs = tuple(inputs)
        self.kind = kind
        self.program = program
        self.ranges = dict(ranges or {})
        # Where the inputs go when there is no weight to tell.
        self.device = torch.device("cpu")
        # The copy of `flat` that `run_double` made, where it needs one.
        self._double: FlatModule | None = None
        # The program that the ONNX graph was written from, once it was exported: its nodes are called like its values.
        self.exported: ExportedProgram | None = None

    @property
    def module(self) -> Callable[..., Any]:
        """The wrapped callable, with its own nested arguments and results."""
        return self.flat.module

    @cached_property
    def _first_state(self) -> FirstState:
        return FirstState(self.flat.owner)

    @property
    def symbols(self) -> list[str]:
        """The names of the symbolic dimensions."""
        return symbols(self.inputs)

    @cached_property
    def outputs(self) -> tuple[Spec, ...]:  # type: ignore[override]
        """The outputs' specs, found by running at two sizes: a dimension that changes is symbolic.

        Its name is that of the symbolic input dimension with the same sizes, or None.
        """
        choices, runs = self._examples
        return tuple(
            Spec(name, array.dtype.name, _common_shape([run[name].shape for run in runs], choices))
            for name, array in runs[0].items()
        )

    @cached_property
    def _examples(self) -> tuple[list[dict[str, int]], list[dict[str, Array]]]:
        """Two choices of sizes that the model runs at, or one where none is open, and what it returns."""
        refusal: UsageError | None = None
        for sizes in (default_sizes(self.inputs, self.ranges)[:2], long_sizes(self.inputs)[:2]):
            try:
                if sizes:
                    return sizes, [self.run(example_feeds(self.inputs, one)) for one in sizes]
            except UsageError as error:
                refusal = refusal or error
        assert refusal is not None
        raise refusal

    @cached_property
    def result(self) -> Any:
        """What the model returns for example inputs; its structure is of interest, not its numbers."""
        sizes, _ = self._examples
        return self.call(self.upload(example_feeds(self.inputs, sizes[0])))

    @property
    def structure(self) -> str:
        """What `forward` returns: "single", "tuple", "list" or "dict"."""
        return structure_of(self.result)

    def upload(self, feeds: Mapping[str, Array]) -> list[torch.Tensor]:
        """Put the arrays where the weights are, in the order of the inputs."""
        check_feeds(self.inputs, feeds)
        tensors = self._tensors(feeds)
        torch_device.synchronize(self._place)
        return tensors

    def call(self, values: list[torch.Tensor]) -> Any:
        """Run `forward` without gradients. Raises `UsageError` when the model itself fails on these inputs."""
        try:
            with torch.no_grad():
                result = self._first_state.call(lambda: self.flat.call(values))
            torch_device.synchronize(self._place)
            return result
        except Exception as error:
            # A model's own code raises anything.
            given = ", ".join(f"{spec.name} {list(t.shape)}" for spec, t in zip(self.inputs, values, strict=True))
            words = str(error).strip().splitlines() or [type(error).__name__]
            raise UsageError(
                f"the model itself fails on {given}: {words[-1]}\n"
                "  In --input, give equal sizes the same name, a fixed size its number, and a size that\n"
                "  depends on another its form (32*height, seq+1); --range says what whole numbers may be"
            ) from error

    def download(self, results: Any) -> dict[str, Array]:
        """Name the tensors of a result after their places in it, see `flatten`."""
        return {name: to_array(tensor) for name, tensor in flatten(results).items()}

    def settings(self) -> Mapping[str, str | int | bool]:
        """As PyTorch says."""
        return torch_device.settings(self._place)

    def peak_device_bytes(self) -> int | None:
        """As PyTorch's allocator counts, over the whole process."""
        return torch_device.peak_bytes(self._place)

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """Run the model with every weight and floating-point input in float64.

        None where that fails, as it does for operators without a kernel for float64.
        """
        wide = {
            name: a.astype(np.float64) if a.dtype.name in ("float16", "bfloat16", "float32") else a
            for name, a in feeds.items()
        }
        try:
            with torch.no_grad():
                return self.download(self._call_double(self._tensors(wide)))
        except (RuntimeError, TypeError, ValueError, AssertionError):
            return None

    def _call_double(self, tensors: Sequence[Any]) -> Any:
        if not self.flat.needs_copy:
            return self.flat.call_double(tensors)
        self._double = self._double or self.flat.doubled()
        with double_arithmetic(above_autograd=True):
            return self._double.call(tensors)

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """Run with the weights, and inputs, moved by `neighbours`, and restore the weights."""
        with self.flat.moved(seed), torch.no_grad():
            return self.download(self.flat.call(self._tensors(neighbouring_feeds(feeds, seed))))

    def values(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Run the exported program node by node; a model that was not exported as a program knows no values."""
        return self._node_values(feeds, names, double=False)

    def values_double(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Likewise, with everything in float64."""
        return self._node_values(feeds, names, double=True)

    def _node_values(self, feeds: Mapping[str, Array], names: Sequence[str], *, double: bool) -> dict[str, Array]:
        from translate.models.torch_values import node_values

        if self.exported is None:
            return {}
        try:
            return node_values(self.exported, self._tensors(feeds), names, double=double)
        except (RuntimeError, TypeError, ValueError, AssertionError):
            # Some programs cannot be run so: one that insists on float32, say.
            return {}

    def release(self) -> None:
        """Free the copy in float64."""
        self._double = None

    def gradients(
        self, feeds: Mapping[str, Array], loss: Loss, *, double: bool = False, seed: int | None = None
    ) -> Gradients | None:
        """Differentiate a copy of the model. Raises `UsageError` when PyTorch cannot."""
        from translate.models import torch_gradients

        return torch_gradients.gradients(self, feeds, loss, double=double, seed=seed)

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
        """Train a copy of the model. Raises `UsageError` when PyTorch cannot differentiate it."""
        from translate.models import torch_gradients

        return torch_gradients.descend(self, feeds, loss, parameters, learning_rate, steps, double=double, seed=seed)

    def _tensors(self, feeds: Mapping[str, Array]) -> list[torch.Tensor]:
        return [to_tensor(feeds[spec.name]).to(self._place) for spec in self.inputs]

    @cached_property
    def _place(self) -> torch.device:
        return next((tensor.device for tensor in self.flat.tensors()), self.device)


def _common_shape(shapes: Sequence[tuple[int, ...]], choices: Sequence[Mapping[str, int]]) -> tuple[Dim, ...] | None:
    """Find the dimensions behind the shapes that an output had at several choices of sizes."""
    if len({len(shape) for shape in shapes}) != 1:
        return None
    dims: list[Dim] = []
    for sizes in zip(*shapes, strict=True):
        names = [n for n in choices[0] if all(size_of(n, c) == s for c, s in zip(choices, sizes, strict=True))]
        changes = len(set(sizes)) > 1
        dims.append((names[0] if names else None) if changes else sizes[0])
    return tuple(dims)


def from_module(
    module: nn.Module, inputs: Sequence[Spec], *, known: Sequence[Spec] = (), notes: list[str] | None = None
) -> TorchModel:
    """Open a live module, TorchScript included.

    `inputs` are the user's, `known` come from a sample. A module in train mode is set to eval, and a note says so.
    Raises `UsageError` when the inputs do not fit the arguments of `forward`.
    """
    scripted = isinstance(module, torch.jit.ScriptModule)
    if any(part.training for part in module.modules()):
        module.eval()
        if notes is not None:
            notes.append("the module was in train mode; it was set to eval")
    arguments = Arguments(module)
    specs = merge_specs(inputs, known)
    if not specs and (arguments.names or arguments.variadic):
        names = arguments.required or arguments.names or ["x"]
        which = "each of" if arguments.required else "each that you use of"
        dims = "batch,seq:int64" if names[0].endswith(("ids", "mask")) else "batch,3,224,224"
        raise UsageError(
            f"the sizes of the inputs are not known: give one --input for {which} {', '.join(names)}, "
            f"such as --input {names[0]}:{dims}, or --sample FILE"
        )
    call, specs = bind(specs, arguments)
    order = [name for _, nest in call for name in leaves(nest)]
    by_name = {spec.name: spec for spec in specs}
    kind = "TorchScript" if scripted else "PyTorch module"
    return TorchModel(FlatModule(module, order, call), open_dims([by_name[name] for name in order]), kind)
