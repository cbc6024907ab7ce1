"""Models in float64 whose weights are widened a few at a time: the numbers of a copy in float64, and no trace left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

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
        self.kernel = nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.conv1d(self.other(x).unsqueeze(1), self.kernel.weight, self.kernel.bias, padding=1)
        return nn.functional.linear(y.squeeze(1), self.part.weight)


def exported(module: nn.Module) -> torch.export.ExportedProgram:
    return torch.export.export(module, (torch.randn(3, 6),), dynamic_shapes=({0: torch.export.Dim("batch")},))


OPEN: dict[str, Callable[[nn.Module], TorchModel]] = {
    "module": lambda module: open_model(module, inputs=["x:batch,6"]),
    "program": lambda module: open_model(exported(module)),
    "script": lambda module: open_model(torch.jit.script(module), inputs=["x:batch,6"]),
}


@pytest.mark.parametrize("kind", OPEN)
@pytest.mark.parametrize("make", [Nested, Reaching])
def test_numbers_are_those_of_a_copy(make: type[nn.Module], kind: str) -> None:
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
    monkeypatch.setattr("translate.models.torch_flat.FlatModule.doubled", lambda self: pytest.fail("copied"))
    x = {"x": np.ones((2, 6), np.float32)}
    for kind in ("module", "program"):
        assert OPEN[kind](Nested().eval()).run_double(x) is not None


class NamesFloat32(nn.Module):
    """Brings what it has to float32, in all the ways that there are."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Linear(6, 6)
        self.register_buffer("seen", torch.zeros(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        angles = torch.arange(6, dtype=torch.float32) * torch.tensor([0.25])
        y = self.part(x.float()) * torch.cos(angles).to(torch.float32) + torch.linspace(0, 1, 6)
        self.seen[:3] = y.mean(0)[:3] / 3
        return y + torch.full((6,), 0.125, dtype=torch.float32)


@pytest.mark.parametrize("kind", ["module", "program"])
def test_a_model_that_names_float32_is_computed_in_float64(kind: str) -> None:
    torch.manual_seed(0)
    module = NamesFloat32().eval()
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    found = OPEN[kind](module).run_double({"x": x})
    assert found is not None
    weight, bias = module.part.weight.detach().double().numpy(), module.part.bias.detach().double().numpy()
    scale = np.cos(np.arange(6) * 0.25)
    expected = (x.astype(np.float64) @ weight.T + bias) * scale + np.linspace(0, 1, 6) + 0.125
    np.testing.assert_allclose(found["output"], expected, rtol=1e-13)
    assert {tensor.dtype for tensor in module.state_dict().values()} == {torch.float32}
    assert torch.get_default_dtype() is torch.float32


def test_branches_and_loops_are_computed_in_float64() -> None:
    class Controlled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.rand(6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.cond(x.sum() > 0, lambda x: x * self.weight, lambda x: x.sin() / self.weight, (x,))
            return torch.while_loop(lambda i, z: i < 3, lambda i, z: (i + 1, z * self.weight), (torch.tensor(0), y))[1]

    module = Controlled().eval()
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    weight = module.weight.detach().double().numpy()
    for feed in (x, -x):
        found = open_model(exported(module)).run_double({"x": feed})
        wide = feed.astype(np.float64)
        expected = (wide * weight if wide.sum() > 0 else np.sin(wide) / weight) * weight**3
        assert found is not None
        np.testing.assert_allclose(found["output"], expected, rtol=1e-13)


def test_the_bits_of_a_number_have_no_float64() -> None:
    class Bits(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * (x.view(torch.int32) > 0)

    assert open_model(Bits(), inputs=["x:batch,6"]).run_double({"x": np.ones((2, 6), np.float32)}) is None


def test_perturbed_weights_go_back() -> None:
    module = Nested().eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    x = {"x": np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)}
    model = OPEN["module"](module)
    first, other, again = (model.run_perturbed(x, seed)["output"] for seed in (0, 1, 0))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
