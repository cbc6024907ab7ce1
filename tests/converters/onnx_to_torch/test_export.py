"""The translated module: its code, its layers and parameters, its structure, and its ExportedProgram."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from translate.converters import onnx_to_torch
from translate.converters.metadata import STRUCTURE
from translate.converters.onnx_to_torch.export import path_of
from translate.converters.passes import prepare_for_torch
from translate.converters.torch_to_onnx import export
from translate.errors import CannotTranslateError, UnsupportedError
from translate.models import open_model


def parsed(text, **initializers):
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in initializers.items())
    model = ir.from_proto(proto)
    prepare_for_torch(model)
    return model


def there_and_back(net, *inputs):
    """Return the ONNX graph of `net` and the module made of it."""
    model = export(open_model(net.eval(), inputs=inputs))
    prepare_for_torch(model)
    return model, onnx_to_torch.module(model)


def lines(module):
    return [line.strip().partition(";")[0] for line in module.code.strip().splitlines()[1:]]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.norm = nn.LayerNorm(8)
        self.shift = nn.Parameter(torch.randn(1, 8))
        self.head = nn.Linear(8, 2)
        self.block[1].running_mean.normal_()

    def forward(self, x):
        y = self.block(x).flatten(2).transpose(1, 2)
        batch, length, channels = y.shape
        y = (self.norm(y) + self.shift).reshape(batch, length, 2, channels // 2)
        return self.head(y.transpose(1, 2).reshape(batch, -1, channels))


def test_weights_form_the_layers_that_they_come_from():
    net = Net()
    _, module = there_and_back(net, "x:batch,3,height,width")
    assert isinstance(module.block.get_submodule("0"), nn.Conv2d)
    assert isinstance(module.block.get_submodule("1"), nn.BatchNorm2d)
    assert isinstance(module.norm, nn.LayerNorm)
    assert isinstance(module.head, nn.Linear)
    assert {name for name, _ in module.named_parameters()} == {name for name, _ in net.named_parameters()}
    state = module.state_dict()
    for name, tensor in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(state[name], tensor, rtol=0, atol=0)
    assert "block.1.running_mean" in dict(module.named_buffers())
    assert not module.training


def test_shape_arithmetic_is_python_arithmetic_on_sizes():
    _, module = there_and_back(Net(), "x:batch,3,height,width")
    code = lines(module)
    assert "size = x.size(0)" in code
    assert any("size_1 * size_2" in line for line in code)
    assert not any("torch.tensor" in line or "constant" in line for line in code)


@pytest.mark.parametrize("shape", [(1, 3, 8, 10), (4, 3, 5, 7)])
def test_the_numbers_are_the_sources_at_any_size(shape):
    net = Net()
    model, module = there_and_back(net, "x:batch,3,height,width")
    x = torch.randn(shape)
    expected = net(x)
    torch.testing.assert_close(module(x), expected)
    torch.testing.assert_close(onnx_to_torch.exported(module, model).module()(x), expected)


def test_an_exported_program_is_loaded_by_torch_alone(tmp_path):
    net = Net()
    model = export(open_model(net.eval(), inputs=["x:batch,3,8,8"]))
    prepare_for_torch(model)
    onnx_to_torch.save(model, tmp_path / "net.pt2")
    loaded = torch.export.load(tmp_path / "net.pt2")
    assert set(loaded.state_dict) >= {name for name, _ in net.named_parameters()}
    for batch in (1, 5):
        x = torch.randn(batch, 3, 8, 8)
        torch.testing.assert_close(loaded.module()(x), net(x))


def test_the_module_can_be_trained_without_touching_the_source():
    net = Net()
    _, module = there_and_back(net, "x:batch,3,8,8")
    before = net.head.weight.detach().clone()
    module(torch.randn(2, 3, 8, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    with torch.no_grad():
        module.head.weight.zero_()
    torch.testing.assert_close(net.head.weight, before, rtol=0, atol=0)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 4)
        self.out = nn.Linear(4, 11, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, tokens):
        return self.out(self.embed(tokens))


def test_a_tied_weight_stays_one():
    net = Tied()
    _, module = there_and_back(net, "tokens:batch,seq:int64")
    assert [name for name, _ in module.named_parameters()] == ["embed.weight"]
    assert isinstance(module.embed, nn.Embedding)
    tokens = torch.randint(0, 11, (2, 3))
    torch.testing.assert_close(module(tokens), net(tokens))


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(torch.relu(self.layer(x)))


def test_a_layer_that_is_used_twice_is_one_layer():
    net = Shared()
    _, module = there_and_back(net, "x:batch,4")
    assert sum("self.layer(" in line for line in lines(module)) == 2
    x = torch.randn(3, 4)
    torch.testing.assert_close(module(x), net(x))


def test_a_dense_kernel_is_stored_as_a_linear_layer_stores_it():
    kernel, bias = np.random.rand(3, 2).astype(np.float32), np.random.rand(2).astype(np.float32)
    model = parsed(
        '<ir_version: 10, opset_import: ["" : 20]> net (float[batch, 4, 3] x) => (float[batch, 4, 2] y)'
        "{ z = MatMul(x, kernel)  y = Add(z, bias) }",
        kernel=kernel,
        bias=bias,
    )
    for value, name in zip(model.graph.initializers.values(), ("dense/kernel:0", "dense/bias:0"), strict=True):
        value.name = name
    module = onnx_to_torch.module(model)
    assert isinstance(module.dense, nn.Linear)
    assert module.meta["parameters"] == {"dense/kernel:0": "dense.weight", "dense/bias:0": "dense.bias"}
    x = np.random.rand(2, 4, 3).astype(np.float32)
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach(), x @ kernel + bias, rtol=1e-5)


def test_weights_without_a_place_of_their_own_are_used_by_functions():
    model = parsed(
        '<ir_version: 10, opset_import: ["" : 20]> net (float[batch, 3] x) => (float[batch, 2] y)'
        "{ y = Gemm(x, weight) }",
        weight=np.ones((3, 2), np.float32),
    )
    module = onnx_to_torch.module(model)
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    assert module(torch.ones(1, 3)).tolist() == [[3, 3]]


TWO_OUTPUTS = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[batch, 3] x) => (float[batch, 3] total, float[batch, 3] again)
{ total = Add(x, weight)  again = Neg(x) }
"""


@pytest.mark.parametrize(
    ("structure", "expected"), [(None, (2, -1)), ("tuple", (2, -1)), ("dict", {"total": 2, "again": -1})]
)
def test_a_call_returns_what_the_source_returned(structure, expected):
    model = parsed(TWO_OUTPUTS, weight=np.arange(3, dtype=np.float32))
    if structure:
        model.metadata_props[STRUCTURE] = structure
    results = onnx_to_torch.module(model)(x=torch.ones(1, 3))
    assert torch.utils._pytree.tree_map(lambda y: float(y[0, 1]), results) == expected


def test_all_that_is_missing_is_named_at_once():
    model = parsed(
        '<ir_version: 10, opset_import: ["" : 20, "odd" : 1]> net (float[n] x) => (float[n] y)'
        "{ a = odd.One(x)  b = odd.Two(a)  y = Einsum<equation: string = 'i,i->i'>(b, x) }".replace("'", '"')
    )
    assert [problem.operator for problem in onnx_to_torch.preflight(model)] == ["odd::One", "odd::Two"]
    with pytest.raises(CannotTranslateError, match="2 operators"):
        onnx_to_torch.module(model)


def test_an_input_of_unknown_rank_is_refused():
    model = parsed('<ir_version: 10, opset_import: ["" : 20]> net (float x) => (float y) { y = Relu(x) }')
    model.graph.inputs[0].shape = None
    with pytest.raises(UnsupportedError, match="number of axes of input x"):
        onnx_to_torch.module(model)


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        (["dense/kernel:0", "dense/bias:0"], ["dense.kernel", "dense.bias"]),
        (["forward.weight"], ["forward_.weight"]),
        (["a", "a.b"], ["a", "a_b"]),
        (["a.b", "a"], ["a.b", "a_"]),
    ],
)
def test_every_tensor_has_a_path(names, paths):
    taken: set[str] = set()
    assert [path_of(name, taken) for name in names] == paths


BRANCHES = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[n, 3] x, bool c) => (float[n, 3] y) {
  z = Mul(x, w)
  y = If(c) <
    then_branch = yes () => (float[n, 3] a) { a = Add(z, w) },
    else_branch = no () => (float[n, 3] b) { q = Shape(x)  o = Expand(w, q)  b = Sub(x, o) }
  >
}
"""


@pytest.mark.parametrize(("condition", "expected"), [(True, [2, 4, 6]), (False, [0, -1, -2])])
def test_a_computed_condition_becomes_cond(condition, expected):
    model = parsed(BRANCHES, w=np.arange(1, 4, dtype=np.float32))
    module = onnx_to_torch.module(model)
    assert any("torch.ops.higher_order.cond(" in line for line in lines(module))
    feeds = torch.ones(2, 3), torch.tensor(condition)
    with torch.no_grad():
        assert module(*feeds)[1].tolist() == expected
        assert onnx_to_torch.exported(module, model).module()(*feeds)[1].tolist() == expected
