"""A PyTorch module in train mode as a model: its outputs, and the buffers that a call leaves changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from translate.errors import UsageError
from translate.manifest import update_name
from translate.models.fixed_draws import fixed_draws
from translate.models.inputs import example_feeds
from translate.models.torch_flat import FlatModule
from translate.models.torch_model import TorchModel
from translate.models.torch_results import flatten, structure_of

# BatchNorm needs several elements of each channel.
_LEAST_BATCH = 2


class TrainingModel(TorchModel):
    """What a module computes after `train()`, with every random draw fixed, see `fixed_draws`.

    Besides the module's outputs there is one for each buffer that it writes to, called `update_name(buffer)`: the
    module itself keeps its buffers, its mode and its weights.
    """

    def __init__(self, model: TorchModel) -> None:
        """Take the module, the inputs and the sizes of `model`. Raises `UsageError` for one that has no train mode."""
        _refuse_frozen(model)
        flat = TrainingFlat(model.flat.module, model.flat.names, model.flat.arguments)
        super().__init__(flat, model.inputs, f"{model.kind} in train mode", ranges=_larger_batches(model))
        self.device = model.device

    @property
    def updates(self) -> tuple[str, ...]:
        """The names of the buffers that a call changes."""
        names = {update_name(name): name for name, _ in self.flat.owner.named_buffers()}
        return tuple(names[spec.name] for spec in self.outputs if spec.name in names)

    @property
    def structure(self) -> str:
        """What `forward` returns in train mode."""
        sizes, _ = self._examples
        assert isinstance(self.flat, TrainingFlat)
        with torch.no_grad(), fixed_draws():
            result, _ = self.flat.outcome(self.upload(example_feeds(self.inputs, sizes[0])))
        return structure_of(result)


class TrainingFlat(FlatModule):
    """A module behind flat tensors, in train mode; what it returns is named, and so are its changed buffers.

    `updates` are the names of the buffers that it writes to, None until it was called for the first time.
    """

    updates: tuple[str, ...] | None = None
    is_trained = True

    def call(self, tensors: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Return the outputs by their names, and the new values of buffers by `update_name`, without chance."""
        with fixed_draws():
            return self._named(*self.outcome(tensors))

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the same, in this order, with chance."""
        return tuple(self._named(*self.outcome(tensors)).values())

    def outcome(self, tensors: Sequence[Any]) -> tuple[Any, dict[str, torch.Tensor]]:
        """Return what the module returns, and its buffers after it; the module itself keeps those that it had."""
        args, kwargs = self.nest(tensors)
        own = dict(self.owner.named_buffers())
        before = {name: buffer.clone() for name, buffer in own.items()}
        after = dict(before)
        versions = {name: buffer._version for name, buffer in before.items()}
        with _in_train_mode(self.owner):
            result = functional_call(self.owner, after, args, kwargs)
        if self.updates is None:
            # BatchNorm's kernel does not count as a write, and what is written may be what stood there already.
            self.updates = tuple(
                name
                for name, value in after.items()
                if value is not before[name] or value._version != versions[name] or not torch.equal(value, own[name])
            )
        return result, {name: after[name] for name in self.updates}

    @staticmethod
    def _named(result: Any, buffers: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {**flatten(result), **{update_name(name): value for name, value in buffers.items()}}

    @property
    def needs_copy(self) -> bool:
        """Yes: buffers are put in from outside, where nobody makes them float64."""
        return True


@contextmanager
def _in_train_mode(module: nn.Module) -> Iterator[None]:
    """Call `train()`, and give each part its own mode back afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.train()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def _refuse_frozen(model: TorchModel) -> None:
    """Raise `UsageError` for a program or a script, which are graphs of one mode."""
    what = "an ExportedProgram" if model.program is not None else "TorchScript"
    if model.program is not None or isinstance(model.module, torch.jit.ScriptModule):
        raise UsageError(
            f"--trainable needs a module that can be put into train mode; {what} is a graph, recorded in one mode.\n"
            "  Name its class or factory: package.module:factory or path/file.py:factory, with --weights FILE"
        )


def _larger_batches(model: TorchModel) -> dict[str, tuple[int, int]]:
    """Return the least and greatest sizes of `model`, the batch having several elements: BatchNorm fails with one."""
    ranges = dict(model.ranges)
    first = {spec.shape[0] for spec in model.inputs if spec.shape}
    for name in first & set(model.symbols):
        low, high = ranges.get(str(name), (1, 2**31))
        ranges[str(name)] = (max(low, _LEAST_BATCH), high)
    return ranges
