"""Torch models behind flat, named arrays."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from translate.errors import UsageError
from translate.models import Spec
from translate.models.inputs import parse_input
from translate.models.torch_arrays import to_array, to_tensor
from translate.models.torch_model import TorchModel, from_module
from translate.models.torch_programs import from_program
from translate.models.torch_results import flatten


def wrap(function: Any, *inputs: str) -> TorchModel:
    """Make a model of a function of tensors."""

    class Module(nn.Module):
        forward = staticmethod(function)

    return from_module(Module().eval(), [parse_input(text) for text in inputs])


@dataclass
class Pair:
    first: Tensor
    second: Tensor | None = None


def test_outputs_are_named_after_their_place() -> None:
    a, b, c = torch.ones(1), torch.ones(2), torch.ones(3)
    point = namedtuple("point", "x y")
    assert list(flatten(a)) == ["output"]
    assert list(flatten((a, None, [b, c]))) == ["output_0", "output_2_0", "output_2_1"]
    assert list(flatten({"a": a, "past": ((a, b), {"key": c}), "none": None})) == [
        "a",
        "past_0_0",
        "past_0_1",
        "past_1_key",
    ]
    assert list(flatten(Pair(a))) == ["first"]
    assert list(flatten(point(a, b))) == ["x", "y"]
    assert list(flatten({"a": 2.0, "b": 3})) == ["a", "b"]
    assert list(flatten({"a_b": a, "a": {"b": b}})) == ["a_b", "a_b_"]
    with pytest.raises(UsageError, match="forward returns a object"):
        flatten({"a": object()})


def test_nested_inputs() -> None:
    def forward(x: Tensor, state: tuple[Tensor, Tensor], batch: dict[str, Tensor], *, scale: Any = None) -> Any:
        y = x + state[0] - state[1] + batch["left"] * batch["right_side"]
        return y if scale is None else y * scale

    names = ("batch_left", "batch_right_side", "state_1", "state_0", "x")
    model = wrap(forward, *(f"{name}:n,3" for name in names), "scale::float32")
    assert [spec.name for spec in model.inputs] == [
        "x",
        "state_0",
        "state_1",
        "batch_left",
        "batch_right_side",
        "scale",
    ]
    values = {spec.name: np.full((2, 3), 2.0 + i, "float32") for i, spec in enumerate(model.inputs[:-1])}
    result = model.run(values | {"scale": np.float32(10.0)})
    np.testing.assert_array_equal(result["output"], np.full((2, 3), 10 * (2 + 3 - 4 + 5 * 6.0)))


def test_optional_arguments_are_given_by_name() -> None:
    def forward(x: Tensor, unused: Any = None, shift: Any = None) -> Tensor:
        assert unused is None
        return x + shift

    model = wrap(forward, "shift:3", "x:n,3")
    assert [spec.name for spec in model.inputs] == ["x", "shift"]
    assert model.run({"x": np.ones((1, 3)), "shift": np.ones(3)})["output"].sum() == 6
    with pytest.raises(UsageError, match="no --input for x; forward takes x, and may take unused, shift"):
        wrap(forward, "shift:3")


def test_variadic_forward() -> None:
    model = wrap(lambda *tensors: sum(tensors), "n,3", "bias:3")
    assert [spec.name for spec in model.inputs] == ["input_0", "bias"]


def test_no_inputs() -> None:
    model = wrap(lambda: torch.arange(3.0))
    assert model.inputs == ()
    np.testing.assert_array_equal(model.run({})["output"], [0, 1, 2])


def test_outputs_have_symbolic_dimensions() -> None:
    model = wrap(lambda x: {"double": torch.cat([x, x]), "same": x.sum(2), "fixed": torch.ones(2, 2)}, "x:batch,3,seq")
    assert model.outputs == (
        Spec("double", "float32", (None, 3, "seq")),
        Spec("same", "float32", ("batch", 3)),
        Spec("fixed", "float32", (2, 2)),
    )
    assert model.structure == "dict"


def test_a_caches_bookkeeping_is_no_output() -> None:
    layer = SimpleNamespace(keys=torch.ones(2), values=torch.ones(3), _window_tensor=torch.ones(()), length=2)
    cache = SimpleNamespace(layers=[layer])
    assert list(flatten({"cache": cache})) == ["cache_0_key", "cache_0_value"]
    both = SimpleNamespace(own=cache, cross=cache, is_updated={})
    assert list(flatten(both)) == ["own_0_key", "own_0_value", "cross_0_key", "cross_0_value"]


def test_train_mode_is_left_and_said() -> None:
    notes: list[str] = []
    module = nn.Sequential(nn.Dropout(), nn.Linear(2, 2))
    model = from_module(module, [parse_input("n,2")], notes=notes)
    assert not any(part.training for part in module.modules())
    assert "train mode" in notes[0]
    x = np.ones((3, 2), "float32")
    np.testing.assert_array_equal(model.run({"input": x})["output"], model.run({"input": x})["output"])


def test_errors_of_the_model_itself() -> None:
    model = wrap(lambda x, y: x @ y, "x:n,3", "y:m,2")
    with pytest.raises(UsageError, match=r"the model itself fails on x \[1, 3\], y \[4, 2\]"):
        model.run({"x": np.ones((1, 3), "float32"), "y": np.ones((4, 2), "float32")})
    with pytest.raises(UsageError, match="missing y"):
        model.run({"x": np.ones((1, 3), "float32")})


def test_exported_program_with_nests_and_constants() -> None:
    class Module(nn.Module):
        def forward(self, x: Tensor, state: tuple[Tensor, Tensor], power: int, mask: Any = None) -> dict[str, Any]:
            return {"y": x**power, "none": None, "state": (state[0] + 1, state[1])}

    batch = torch.export.Dim("batch", min=2, max=9)
    shapes = {"x": {0: batch}, "state": ({0: batch}, None), "power": None}
    example = (torch.ones(3, 2), (torch.ones(3), torch.ones(4)), 2)
    model = from_program(torch.export.export(Module(), example, dynamic_shapes=shapes))
    assert [str(spec) for spec in model.inputs] == [
        "x float32[batch, 2]",
        "state_0 float32[batch]",
        "state_1 float32[4]",
    ]
    assert [str(spec) for spec in model.outputs] == [
        "y float32[batch, 2]",
        "state_0 float32[batch]",
        "state_1 float32[4]",
    ]
    assert model.ranges == {"batch": (2, 9)}
    x = np.full((5, 2), 3.0, "float32")
    np.testing.assert_array_equal(model.run({"x": x, "state_0": x[:, 0], "state_1": x[:4, 0]})["y"], x * x)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int64", "bool", "uint8", "complex64"])
def test_arrays_and_tensors(dtype: str) -> None:
    tensor = torch.tensor([[0, 1, 1]]).to(getattr(torch, dtype))
    array = to_array(tensor)
    assert (array.dtype.name, array.shape) == (dtype, (1, 3))
    assert torch.equal(to_tensor(array), tensor)
    assert to_tensor(np.float32(2)).shape == ()
