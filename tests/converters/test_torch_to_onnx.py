"""PyTorch → ONNX: the same numbers at every size, and the source's names, dimensions and structure."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests import zoo_modules
from translate.converters.passes import prepare
from translate.converters.torch_to_onnx import KIND, NAME, STRUCTURE, export
from translate.errors import ExportError, UsageError
from translate.models import open_model
from translate.models.inputs import default_sizes, example_feeds
from translate.models.onnx_model import OnnxModel
from translate.models.torch_model import TorchModel


def module(function: Any) -> nn.Module:
    """Make a module of a function of tensors."""

    class Module(nn.Module):
        def forward(self, *tensors: Tensor) -> Any:
            return function(*tensors)

    return Module().eval()


def check(
    source: Any, *inputs: str, notes: list[str] | None = None, rtol: float = 1e-4, atol: float = 1e-5
) -> ir.Model:
    """Export, and compare with onnxruntime at all default sizes; return the ONNX model."""
    torch.manual_seed(0)
    model = open_model(source, inputs=inputs)
    assert isinstance(model, TorchModel)
    exported = export(model, notes=notes)
    onnx = OnnxModel(exported)
    assert [spec.name for spec in onnx.inputs] == [spec.name for spec in model.inputs]
    assert [spec.name for spec in onnx.outputs] == [spec.name for spec in model.outputs]
    for seed, sizes in enumerate(default_sizes(model.inputs, model.ranges)):
        feeds = example_feeds(model.inputs, sizes, seed)
        expected, actual = model.run(feeds), onnx.run(feeds)
        for name, array in expected.items():
            assert actual[name].dtype == array.dtype
            np.testing.assert_allclose(actual[name], array, rtol=rtol, atol=atol, err_msg=name)
    return exported


def shapes(values: Any) -> list[str]:
    return [f"{value.name}{[str(dim) for dim in value.shape]}".replace("'", "") for value in values]


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def test_names_and_dimensions() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.norm = nn.BatchNorm2d(4)
            self.register_buffer("shift", torch.ones(1, 4, 1, 1))

        def forward(self, image: Tensor, gain: Tensor) -> dict[str, Any]:
            y = self.norm(self.conv(image)) + self.shift
            return {"y": y * gain[:, None, None, None], "twice": (torch.cat([gain, gain]), gain.sum())}

    model = check(Net().eval(), "image:batch,3,height,9", "gain:batch")
    assert shapes(model.graph.inputs) == ["image[batch, 3, height, 9]", "gain[batch]"]
    assert shapes(model.graph.outputs) == ["y[batch, 4, height - 2, 7]", "twice_0[2*batch]", "twice_1[]"]
    kinds = {name: value.metadata_props[KIND] for name, value in model.graph.initializers.items()}
    assert kinds["conv.weight"] == kinds["norm.bias"] == "parameter"
    assert kinds["shift"] == kinds["norm.running_var"] == "buffer"
    assert model.metadata_props[STRUCTURE] == "dict"
    assert any("pkg.torch.onnx.stack_trace" in node.metadata_props for node in model.graph)
    symbols = {
        str(dim) for node in model.graph for v in node.outputs for dim in v.shape or () if not isinstance(dim, int)
    }
    assert symbols == {"batch", "height - 2", "2*batch"}


def test_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.root.manager.disable
    with warnings.catch_warnings(action="error"):
        check(zoo_modules.BidirectionalLSTM().eval(), "x:batch,time,6")
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == before


def test_tied_parameters_are_kept_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(7, 3)
            self.head = nn.Linear(3, 7, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids: Tensor) -> Tensor:
            return self.head(self.embed(ids))

    assert list(check(Tied().eval(), "ids:batch,seq:int64").graph.initializers) == ["embed.weight"]


def test_outputs_that_are_inputs_or_the_same() -> None:
    model = check(module(lambda x: {"input_0": x, "y": x * 2, "z": x}), "batch,3")
    assert [value.metadata_props[NAME] for value in model.graph.outputs] == ["input_0", "y", "z"]
    assert len({value.name for value in (*model.graph.inputs, *model.graph.outputs)}) == 4
    y = torch.ones(2)
    check(module(lambda x: (lambda y: (y, y, None, x))(x + 1)), "batch")
    check(module(lambda x: (x.sum(), y)), "batch")


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize(("bidirectional", "bias", "batch_first"), [(True, False, True), (False, True, False)])
def test_recurrent_layers_keep_the_sequence_dynamic(
    layer: str, bidirectional: bool, bias: bool, batch_first: bool
) -> None:
    options = {"num_layers": 2, "bidirectional": bidirectional, "bias": bias, "batch_first": batch_first}
    net = getattr(nn, layer)(4, 3, **options).eval()
    model = check(net, "input:a,b,4")
    assert operators(model).count(layer) == 2
    assert "a" in str(model.graph.outputs[0].shape) and "b" in str(model.graph.outputs[0].shape)
    assert {value.metadata_props[KIND] for value in model.graph.initializers.values()} == {"parameter"}


def test_recurrent_layers_with_states() -> None:
    check(nn.RNN(4, 3, nonlinearity="relu").eval(), "input:time,batch,4", "hx:1,batch,3")
    check(nn.LSTM(4, 3).eval(), "input:time,batch,4", "hx_0:1,batch,3", "hx_1:1,batch,3")
    check(nn.LSTM(4, 3).eval(), "input:time,4")
    with pytest.raises(ExportError, match="proj_size"):
        check(nn.LSTM(4, 5, proj_size=2).eval(), "input:6,batch,4")


def test_linspace_and_long_einsum_stay_dynamic() -> None:
    check(module(lambda x: x * torch.linspace(-1, 1, x.shape[1])), "batch,time")
    check(module(lambda x: torch.linspace(0.5, 3, steps=x.shape[0], dtype=torch.float64)), "n")
    check(module(lambda a, b, c: torch.einsum("ij,jk,kl->il", a, b, c)), "i,j", "j,k", "k,l")


@pytest.mark.parametrize("mask", ["none", "causal", "bool", "float", "grouped", "scale"])
def test_attention(mask: str) -> None:
    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        options: dict[str, Any] = {"none": {}, "causal": {"is_causal": True}, "scale": {"scale": 0.3}}.get(mask, {})
        if mask == "grouped":
            return F.scaled_dot_product_attention(q, k[:, :2], v[:, :2], enable_gqa=True)
        if mask in ("bool", "float"):
            # The first query may see nothing: PyTorch's result is zero there.
            seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(-1)
            blind = torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))
            options = {"attn_mask": seen if mask == "bool" else blind}
        return F.scaled_dot_product_attention(q, k, v, **options)

    shape = "batch,4,time,8"
    model = check(module(attend), f"q:{shape}", f"k:{shape}", f"v:{shape}")
    assert operators(model).count("MatMul") == 2


def test_mixture_of_experts_keeps_rows_dynamic() -> None:
    pytest.importorskip("transformers.integrations.moe")

    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 4, 8))

        def forward(self, x: Tensor, expert: Tensor) -> Tensor:
            order = expert.argsort()
            ends = F.one_hot(expert, 3).sum(0).cumsum(0).to(torch.int32)
            return torch.ops.transformers.grouped_mm_fallback(x[order], self.weight, ends)

    model = check(Experts().eval(), "x:rows,4", "expert:rows:int64")
    assert shapes(model.graph.outputs) == ["output[rows, 8]"]


def test_control_flow() -> None:
    assert "If" in operators(check(zoo_modules.Cond().eval(), "x:batch,6"))
    assert "Loop" in operators(check(zoo_modules.WhileLoop().eval(), "x:batch,4"))


def test_related_dimensions() -> None:
    join = module(lambda x, y: torch.cat([x, y[:, 1:]]))
    model = check(join, "x:a,n", "y:b,n+1")
    assert shapes(model.graph.inputs) == ["x[a, n]", "y[b, n + 1]"]
    with pytest.raises(UsageError, match=r"the model itself fails on x \[5, 11\], y"):
        check(join, "x:a,n", "y:b,m")
    halves = check(module(lambda x: F.avg_pool2d(x, 2)), "x:batch,3,4*height,width")
    assert shapes(halves.graph.outputs) == ["output[batch, 3, ((4*height)//2), (width//2)]"]


def test_refusal_in_pytorchs_words() -> None:
    def specialised(x: Tensor) -> Tensor:
        return x * sum(range(int(x.shape[1])))

    with pytest.raises(ExportError) as error:
        check(module(specialised), "x:batch,seq")
    assert "You marked seq as dynamic but your code specialized it to be a constant" in str(error.value)
    assert "a number for that dimension in --input" in str(error.value)
    assert shapes(check(module(specialised), "x:batch,7").graph.inputs) == ["x[batch, 7]"]


def test_trace_where_torch_export_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ramp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x) * torch.linspace(0, 1, x.shape[0] + 1)[1:, None]

    # Without its help torch.export fixes the steps of linspace.
    monkeypatch.setattr("translate.converters.torch_to_onnx.symbolic_sizes", contextlib.nullcontext)
    notes: list[str] = []
    model = check(Ramp().eval(), "x:batch,3", notes=notes)
    assert "torch.jit.trace" in notes[0]
    assert shapes(model.graph.outputs) == ["output[batch, 2]"]
    kinds = {name: value.metadata_props[KIND] for name, value in model.graph.initializers.items()}
    assert kinds == {"linear.weight": "parameter", "linear.bias": "parameter"}


def test_branches_on_data_are_not_traced() -> None:
    with pytest.raises(ExportError, match="data-dependent") as error:
        check(module(lambda x: x if x.sum() > -1e9 else -x), "batch,3")
    assert "TORCHDYNAMO" not in str(error.value)
    assert "test_torch_to_onnx.py" in str(error.value)


def test_quantized_layers_are_refused_clearly() -> None:
    quantized = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)).eval(), {nn.Linear})
    with pytest.raises(ExportError, match=r"quantized by torch.ao.quantization.*\n.*before convert"):
        check(quantized, "input:batch,4")


def test_distributions_do_not_check_their_parameters() -> None:
    torch.distributions.Distribution.set_default_validate_args(True)
    check(module(lambda x: torch.distributions.Normal(x, x.exp()).log_prob(x + 1)), "batch,3")
    assert torch.distributions.Distribution._validate_args


def test_a_failing_trace_prints_nothing(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ExportError("torch.export refused the model: because")

    monkeypatch.setattr("translate.converters.torch_to_onnx._export_program", refuse)
    with pytest.raises(ExportError, match="because"):
        check(module(lambda x: torch.linalg.eigvals(x)), "batch,3,3")
    assert capfd.readouterr() == ("", "")


def test_torchscript() -> None:
    notes: list[str] = []
    net = nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.ReLU()).eval()
    model = check(torch.jit.script(net), "input:batch,2,time", notes=notes)
    assert "TS2EPConverter" in notes[0]
    assert shapes(model.graph.outputs) == ["output[batch, 3, time - 2]"]
    kinds = {name: value.metadata_props[KIND] for name, value in model.graph.initializers.items()}
    assert kinds["0.weight"] == "parameter"
    assert kinds["1.running_mean"] == "buffer"


def test_torchscript_keeps_fixed_sizes() -> None:
    model = check(torch.jit.script(nn.Sequential(nn.ReLU()).eval()), "input:batch,3,time")
    assert shapes((*model.graph.inputs, *model.graph.outputs)) == ["input[batch, 3, time]", "output[batch, 3, time]"]


def test_torchscript_with_control_flow() -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            if bool(x.sum() > 0):
                x = self.linear(x)
            return x, state + 1

    notes: list[str] = []
    model = check(torch.jit.script(Branch().eval()), "x:batch,3", "state:batch", notes=notes)
    assert shapes(model.graph.outputs) == ["output_0[batch, 3]", "output_1[batch]"]
    assert "linear.weight" in model.graph.initializers
    assert notes


def test_torchscript_that_fills_a_list() -> None:
    class Cells(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTMCell(4, 3)

        def forward(this, x: Tensor) -> Tensor:  # Any name will do.
            h, c = torch.zeros(x.size(0), 3), torch.zeros(x.size(0), 3)
            steps: list[Tensor] = []
            for time in range(x.size(1)):
                h, c = this.cell(x[:, time], (h, c))
                steps.append(h)
            return torch.stack(steps, 1)

    model = check(torch.jit.script(Cells().eval()), "x:batch,time,4")
    assert "SequenceInsert" in {node.op_type for node in model.graph.all_nodes()}
    prepare(model)
    assert "SequenceInsert" not in {node.op_type for node in model.graph.all_nodes()}


def test_exported_program() -> None:
    batch = torch.export.Dim("batch")
    source = torch.export.export(zoo_modules.MLP().eval(), (torch.ones(3, 12),), dynamic_shapes=({0: batch},))
    model = check(source, "x:rows,12")
    assert shapes((*model.graph.inputs, *model.graph.outputs)) == ["x[rows, 12]", "output[rows, 5]"]
    assert list(model.graph.initializers) == ["hidden.weight", "hidden.bias", "head.weight", "head.bias"]
    fixed = check(source, "x:7,12")
    assert shapes((*fixed.graph.inputs, *fixed.graph.outputs)) == ["x[7, 12]", "output[7, 5]"]


def test_static_export() -> None:
    model = check(zoo_modules.MLP().eval(), "x:1,12")
    assert shapes(model.graph.outputs) == ["output[1, 5]"]
