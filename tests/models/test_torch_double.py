"""Models in float64 whose weights are widened a few at a time: the numbers of a copy in float64, and no trace left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from translate.models import torch_double
from translate.models.open import open_model
from translate.models.torch_model import TorchModel


class Nested(nn.Module):
    """Parts in a list, a weight of its own, one that two parts share, statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(6))
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.BatchNorm1d(6)) for _ in range(3))
        self.last = nn.Linear(6, 6)
        self.last.weight = self.blocks[0][0].weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + block(x * self.scale)
        return self.last(x)


class Reaching(nn.Module):
    """Reads the weight of a part that it does not call."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Linear(6, 6)
        self.other = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(self.other(x), self.part.weight)


class Fixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.part(x.float())


def exported(module: nn.Module) -> torch.export.ExportedProgram:
    return torch.export.export(module, (torch.randn(3, 6),), dynamic_shapes=({0: torch.export.Dim("batch")},))


OPEN: dict[str, Callable[[nn.Module], TorchModel]] = {
    "module": lambda module: open_model(module, inputs=["x:batch,6"]),
    "program": lambda module: open_model(exported(module)),
    "script": lambda module: open_model(torch.jit.script(module), inputs=["x:batch,6"]),
}


@pytest.mark.parametrize("whole_bytes", [0, 300, 2**28])
@pytest.mark.parametrize("kind", OPEN)
@pytest.mark.parametrize("make", [Nested, Reaching])
def test_numbers_are_those_of_a_copy(
    make: type[nn.Module], kind: str, whole_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_double, "_WHOLE_BYTES", whole_bytes)
    torch.manual_seed(0)
    module = make().eval()
    model = OPEN[kind](module)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    found = model.run_double({"x": x})
    assert found is not None and found["output"].dtype == np.float64
    with torch.no_grad():
        exact = make().double().eval()
        exact.load_state_dict(before)
        expected = exact(torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(found["output"], expected, rtol=1e-13, atol=1e-13)
    assert not np.array_equal(found["output"], model.run({"x": x})["output"])
    for name, tensor in module.state_dict().items():
        assert tensor.dtype == before[name].dtype and torch.equal(tensor, before[name])
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_no_copy_is_made_of_what_can_be_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_double, "_WHOLE_BYTES", 0)
    monkeypatch.setattr("translate.models.torch_flat.FlatModule.doubled", lambda self: pytest.fail("copied"))
    x = {"x": np.ones((2, 6), np.float32)}
    for kind in ("module", "program"):
        assert OPEN[kind](Nested().eval()).run_double(x) is not None


def test_what_names_its_dtype_is_left_as_it_was() -> None:
    module = Fixed().eval()
    assert open_model(module, inputs=["x:batch,6"]).run_double({"x": np.ones((2, 6), np.float32)}) is None
    assert {tensor.dtype for tensor in module.parameters()} == {torch.float32}


def test_perturbed_weights_go_back() -> None:
    module = Nested().eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    x = {"x": np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)}
    model = OPEN["module"](module)
    first, other, again = (model.run_perturbed(x, seed)["output"] for seed in (0, 1, 0))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
