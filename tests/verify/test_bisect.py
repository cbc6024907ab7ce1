"""Planted bugs are found at their node, and the files that are written reproduce them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from tests.zoo import ZOO
from translate.converters import onnx_to_tf, passes
from translate.manifest import PLACE
from translate.models import Model, open_model
from translate.models.inputs import default_sizes, example_feeds
from translate.models.onnx_model import OnnxModel
from translate.models.saved_model import SavedModel
from translate.origin import module_path
from translate.routes import to_onnx
from translate.verify.bisect import bisect
from translate.verify.cases import Case
from translate.verify.outputs import tolerance_for
from translate.verify.tolerance import Tolerance

pytestmark = pytest.mark.once

SMALL = """
<ir_version: 10, opset_import: ["" : 18]>
net (float[batch, 4] x) => (float[batch, 3] y, float[batch, 4] middle)
<float[4, 3] weight, float[3] bias>
{
  [first] shifted = Sub(x, half)
  [second] middle = LeakyRelu <alpha = 0.1> (shifted)
  [third] y = Gemm(middle, weight, bias)
}
"""


@dataclass
class Pair:
    """A source, its exported graph, and a case to run it on."""

    source: Model
    graph: ir.Model
    case: Case

    def target(self, folder, graph=None) -> SavedModel:
        lowered = (self.graph if graph is None else graph).clone()
        passes.prepare(lowered)
        onnx_to_tf.save(lowered, folder)
        return SavedModel(folder)

    def bisect(self, target, graph=None, **options):
        return bisect(self.source, target, self.graph if graph is None else graph, self.case, **options)


def pair(module, inputs, bounds=None):
    source = open_model(module, inputs=inputs)
    graph = to_onnx(source, [])
    feeds = example_feeds(source.inputs, default_sizes(source.inputs)[0], 0, bounds or {})
    return Pair(source, graph, Case("random", {}, 0, feeds))


@pytest.fixture(scope="module")
def resnet():
    module, _ = ZOO["resnet18"]()
    return pair(module, ["x:batch,3,64,64"])


@pytest.fixture(scope="module")
def resnet_target(resnet, tmp_path_factory):
    return resnet.target(tmp_path_factory.mktemp("resnet") / "model")


@pytest.fixture(scope="module")
def gpt2():
    entry = ZOO["gpt2"]
    module, inputs = entry()
    return pair(module, inputs, entry.bounds)


@pytest.fixture
def small():
    proto = onnx.parser.parse_model(SMALL)
    rng = np.random.default_rng(0)
    arrays = {
        "weight": rng.normal(size=(4, 3)).astype(np.float32),
        "bias": rng.normal(size=3).astype(np.float32),
        "half": np.float32(0.3),
    }
    proto.graph.ClearField("initializer")
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in arrays.items())
    graph = ir.from_proto(proto)
    feeds = {"x": rng.normal(size=(5, 4)).astype(np.float32)}
    return Pair(OnnxModel(graph.clone()), graph, Case("random", {}, 0, feeds))


def only(graph, op_type, module):
    (node,) = [n for n in graph.graph if n.op_type == op_type and module_path(n) == module]
    return node


def test_correct_translations_have_no_finding(resnet, resnet_target, gpt2, small, tmp_path):
    assert resnet.bisect(resnet_target) is None
    assert gpt2.bisect(gpt2.target(tmp_path / "gpt2")) is None
    assert small.bisect(small.target(tmp_path / "small")) is None


def test_one_changed_weight_in_a_resnet_is_found_at_its_layer(resnet, resnet_target, tmp_path):
    (variable,) = [v for v in resnet_target.loaded.variables if v.name == "layer3/0/conv2/weight:0"]
    right = variable.numpy()
    wrong = right.copy()
    wrong[1, 1, 7, 5] += 0.05
    variable.assign(wrong)
    try:
        finding = resnet.bisect(resnet_target, folder=tmp_path / "found")
    finally:
        variable.assign(right)
    assert finding is not None
    assert (finding.stage, finding.operator, finding.module) == ("translation", "Conv", "layer3.0.conv2")
    assert finding.source.startswith("timm/models/resnet.py:")
    # What is between is what prepares the bias.
    assert finding.nodes[-1] == finding.node
    assert all(parity.error < 1 < finding.after.error for parity in finding.before)
    assert finding.after.over_noise > 8 * max(parity.over_noise for parity in finding.before)
    # The files tell the same without this project: the target added 0.05 times one channel of its input.
    assert_reproduces(finding)
    actual, expected = (np.load(tmp_path / "found" / f"{name}.npz")[finding.value] for name in ("actual", "expected"))
    moved = np.abs(actual - expected).max(axis=(0, 2, 3)) > 1e-3
    assert np.flatnonzero(moved).tolist() == [5]
    text = onnx.printer.to_text(onnx.load(finding.reproducer / "node.onnx"))
    assert "stack_trace" not in text
    assert ".py" not in text


def assert_reproduces(finding):
    folder = finding.reproducer
    session = onnxruntime.InferenceSession(str(folder / "node.onnx"), providers=["CPUExecutionProvider"])
    (computed,) = session.run([finding.value], dict(np.load(folder / "inputs.npz")))
    expected, actual = (np.load(folder / f"{name}.npz")[finding.value] for name in ("expected", "actual"))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-6 * scale)
    assert np.abs(actual - expected).max() > 1e-5 * scale


def test_another_epsilon_in_a_resnet_is_found_at_its_layer(resnet, tmp_path):
    wrong = resnet.graph.clone()
    only(wrong, "BatchNormalization", "layer2.1.bn1").attributes["epsilon"] = ir.AttrFloat32("epsilon", 1e-3)
    finding = resnet.bisect(resnet.target(tmp_path / "model", wrong))
    assert finding is not None
    assert (finding.stage, finding.operator, finding.module) == ("translation", "BatchNormalization", "layer2.1.bn1")


def test_another_gelu_in_a_gpt2_is_found_at_its_layer(gpt2, tmp_path):
    wrong = gpt2.graph.clone()
    tanh = only(wrong, "Tanh", "transformer.h.1.mlp.act")
    inside = [node for node in wrong.graph if module_path(node) == "transformer.h.1.mlp.act"]
    x = next(v for node in inside for v in node.inputs if v is not None and module_path(v.producer()).endswith("c_fc"))
    scale = ir.node("Constant", [], {"value": ir.tensor(np.float32(1 / math.sqrt(2)))})
    scaled = ir.node("Mul", [x, scale.outputs[0]])
    wrong.graph.insert_before(tanh, [scale, scaled])
    tanh.op_type = "Erf"
    tanh.replace_input_with(0, scaled.outputs[0])
    finding = gpt2.bisect(gpt2.target(tmp_path / "model", wrong), folder=tmp_path / "found")
    assert finding is not None
    assert (finding.stage, finding.operator, finding.module) == ("translation", "Tanh", "transformer.h.1.mlp.act")
    assert finding.source.startswith("transformers/")
    assert_reproduces(finding)


def test_another_epsilon_in_a_gpt2_is_found_at_its_layer(gpt2, tmp_path):
    wrong = gpt2.graph.clone()
    norm = only(wrong, "LayerNormalization", "transformer.h.1.ln_2")
    norm.attributes["epsilon"] = ir.AttrFloat32("epsilon", 1e-3)
    finding = gpt2.bisect(gpt2.target(tmp_path / "model", wrong))
    assert finding is not None
    assert (finding.stage, finding.operator, finding.module) == (
        "translation",
        "LayerNormalization",
        "transformer.h.1.ln_2",
    )


def test_a_bug_in_the_export_is_told_from_one_in_the_translation(resnet, tmp_path):
    wrong = resnet.graph.clone()
    only(wrong, "BatchNormalization", "layer1.0.bn2").attributes["epsilon"] = ir.AttrFloat32("epsilon", 1e-2)
    finding = resnet.bisect(resnet.target(tmp_path / "model", wrong), wrong, folder=tmp_path / "found")
    assert finding is not None
    assert (finding.stage, finding.operator, finding.module) == ("export", "BatchNormalization", "layer1.0.bn2")
    assert "exporter" in finding.summary


def test_a_node_of_an_onnx_source_goes_by_its_name(small, tmp_path):
    wrong = small.graph.clone()
    wrong.graph.node("second").attributes["alpha"] = ir.AttrFloat32("alpha", 0.11)
    finding = small.bisect(small.target(tmp_path / "model", wrong), folder=tmp_path / "found")
    assert finding is not None
    assert (finding.stage, finding.operator, finding.node, finding.module) == ("translation", "LeakyRelu", "second", "")
    assert finding.value == "middle"
    assert [parity.name for parity in finding.before] == ["shifted"]
    assert_reproduces(finding)


class Patched(Model):
    """A target whose outputs or values are not those of another."""

    kind = "patched"

    def __init__(self, model, *, factor=1.0, inner=1.0, hidden=()):
        self.model, self.factor, self.inner, self.hidden = model, factor, inner, hidden
        self.inputs, self.outputs = model.inputs, model.outputs

    def call(self, values):
        return {name: array * np.float32(self.factor) for name, array in self.model.run(values).items()}

    def values(self, feeds, names):
        found = self.model.values(feeds, [name for name in names if name not in self.hidden])
        return {name: array * np.float32(self.inner) for name, array in found.items()}


def test_values_that_cannot_be_compared_are_spanned(small, tmp_path):
    wrong = small.graph.clone()
    wrong.graph.node("second").attributes["alpha"] = ir.AttrFloat32("alpha", 0.11)
    target = Patched(small.target(tmp_path / "model", wrong), hidden=("middle",))
    finding = small.bisect(target, folder=tmp_path / "found")
    assert finding is not None
    assert (finding.value, finding.nodes) == ("y", ("second", "third"))
    assert_reproduces(finding)


def test_an_output_that_differs_though_all_values_agree_is_said_plainly(small, tmp_path):
    finding = small.bisect(Patched(small.target(tmp_path / "model"), factor=1.001))
    assert finding is not None
    assert (finding.stage, finding.value, finding.compared) == ("whole", "y", 3)
    assert "all 3 values that could be compared agree" in finding.summary


def test_a_target_that_knows_no_values_is_said_plainly(small, tmp_path):
    wrong = small.graph.clone()
    wrong.graph.node("second").attributes["alpha"] = ir.AttrFloat32("alpha", 0.11)
    small.target(tmp_path / "model", wrong)
    Path(tmp_path / "model" / PLACE).unlink()
    finding = small.bisect(SavedModel(tmp_path / "model"))
    assert finding is not None
    assert (finding.stage, finding.compared) == ("unmatched", 0)
    assert "cannot be told" in finding.summary


def test_small_errors_that_add_up_are_nobodys_fault(small, tmp_path, monkeypatch):
    def strict(name, value, noise, rtol, atol):
        """Without a noise floor nothing is allowed, so that every value leaves it at once."""
        return Tolerance("calibrated", 1e-30, 1e-30) if noise is None else tolerance_for(name, value, noise, rtol, atol)

    monkeypatch.setattr("translate.verify.bisect._Bisection._noise", lambda self, values: {})
    monkeypatch.setattr("translate.verify.bisect._Bisection._perturbed_noise", lambda self, names: {})
    monkeypatch.setattr("translate.verify.bisect.tolerance_for", strict)
    rounding = 1 + np.finfo(np.float32).eps
    assert small.bisect(Patched(small.target(tmp_path / "model"), inner=rounding)) is None
    finding = small.bisect(Patched(small.target(tmp_path / "other"), inner=1.0001))
    assert finding is not None
    assert finding.value == "shifted"


def test_a_size_that_rounding_changes(tmp_path):
    # The neighbour of the denormal, zero, is not positive.
    text = """<ir_version: 10, opset_import: ["" : 18]>
    net (float[4] x) => (float[n] y) <float zero = {0.0}, float scale = {1.5}>
    { positive = Greater(x, zero)  scaled = Mul(x, scale)  kept = Compress(scaled, positive)  y = Exp(kept) }"""
    graph = ir.from_proto(onnx.parser.parse_model(text))
    wrong = graph.clone()
    wrong.graph.initializers["scale"].const_value = ir.tensor(np.float32(1.6), name="scale")
    case = Case("random", {}, 0, {"x": np.float32([1.1, -2.2, 1e-40, 3.3])})
    finding = bisect(OnnxModel(graph.clone()), OnnxModel(wrong), graph, case)
    assert finding is not None
    assert (finding.value, finding.operator) == ("scaled", "Mul")
