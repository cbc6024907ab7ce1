"""What `torch2tf` writes compiles with XLA, where sizes are known and none depends on data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorflow as tf
import torch
from onnx import TensorProto, helper
from torch import nn

import translate
from translate.compilation import compile_with_xla
from translate.errors import UsageError
from translate.inspection import inspect
from translate.models import open_model
from translate.models.device import placement
from translate.models.inputs import default_sizes, example_feeds
from translate.verify import cold_start

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.mark.parametrize("name", ["digits_cnn", "neural_net", "text_classifier", "char_lm"])
def test_the_fixtures_compile_and_are_equal(name, tmp_path):
    source, target = FIXTURES / f"{name}.pt2", tmp_path / "model"
    translate.torch2tf(source, target, verify=False)
    opened, compiled = open_model(source), open_model(target, placement=placement(xla=True))
    # Each choice of sizes is compiled for itself.
    for sizes in default_sizes(opened.inputs)[:2]:
        feeds = example_feeds(opened.inputs, sizes)
        expected, found = opened.run(feeds), compiled.run(feeds)
        for output, array in expected.items():
            scale = max(1.0, np.abs(array).max())
            np.testing.assert_allclose(found[output], array, rtol=1e-4, atol=1e-5 * scale)


class Distinct(nn.Module):
    def forward(self, x):
        return torch.unique(x)


class Repeated(nn.Module):
    def forward(self, x):
        return torch.repeat_interleave(x, (x[:, 0] > 0).long() + 1, dim=0)


class Positive(nn.Module):
    def forward(self, x):
        return torch.flip(x[x > 0], [0])


class Length(nn.Module):
    def forward(self, x):
        return torch.linalg.vector_norm(x, dim=1)


def compilation(source, **options):
    found = inspect(open_model(source, **options), [], xla=True).xla
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("module", "operator", "reason"),
    [
        (Distinct(), "Unique", "XLA has no UniqueWithCountsV2"),
        (Repeated(), "Range", "a size that Range needs depends on data"),
    ],
)
def test_inspect_names_the_node_that_xla_cannot_compile(module, operator, reason):
    found = compilation(module, inputs=["x:batch,8"])
    assert not found.runs
    (problem,) = found.problems
    assert (problem.operator, problem.reason) == (operator, reason)
    assert "test_xla.py" in problem.source
    assert str(found).startswith(f'cannot compile it:\n{operator} "{problem.node}"')


def test_what_depends_on_data_is_tried_in_a_process_of_its_own(monkeypatch):
    tried = []
    monkeypatch.setattr(cold_start, "cold_start", lambda *arguments, **options: tried.append(options))
    assert compilation(Positive(), inputs=["x:batch,8"]).runs
    assert tried[0]["placement"].xla

    def crashes(*arguments, **options):
        raise UsageError("it ended by signal 11")

    monkeypatch.setattr(cold_start, "cold_start", crashes)
    found = compilation(Positive(), inputs=["x:batch,8"])
    assert found.refusal == "it ended by signal 11"
    assert [(problem.operator, problem.reason) for problem in found.problems] == [
        ("NonZero", "the size of its result depends on data")
    ]


def test_in_a_process_of_its_own_xla_says_what_it_lacks():
    found = compilation(Positive(), inputs=["x:batch,8"])
    assert "XLA cannot run" in found.refusal and "slice" in found.refusal
    assert [problem.operator for problem in found.problems] == ["NonZero"]


def test_inspect_says_that_xla_compiles(tmp_path):
    source, target = FIXTURES / "neural_net.pt2", tmp_path / "model"
    translate.torch2tf(source, target, verify=False)
    for path in (source, target):
        assert str(compilation(path)) == "compiles it, and it runs, at batch=2"
    assert inspect(open_model(source), []).xla is None


def test_integers_of_four_bits_are_not_compiled_into_wrong_numbers(tmp_path):
    """TensorFlow hands XLA such variables with a byte for each number, and XLA reads two numbers of each byte."""
    nodes = [helper.make_node("DequantizeLinear", ["w", "s"], ["d"]), helper.make_node("MatMul", ["x", "d"], ["y"])]
    interface = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 128]) for name in ("x", "y")]
    weights = np.random.default_rng(0).integers(-8, 8, 128 * 128).tolist()
    initializers = [
        helper.make_tensor("w", TensorProto.INT4, [128, 128], weights),
        helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]),
    ]
    graph = helper.make_graph(nodes, "int4", interface[:1], interface[1:], initializers)
    opset = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "int4.onnx")
    assert "integers of 4 bits" in compilation(tmp_path / "int4.onnx").refusal


def test_a_norm_compiles():
    assert compilation(Length(), inputs=["x:batch,8"]).runs


@pytest.mark.parametrize("name", ["digits_cnn", "char_lm"])
def test_gradients_compile(name, tmp_path):
    translate.torch2tf(FIXTURES / f"{name}.pt2", tmp_path / "model", verify=False)
    opened, loaded = open_model(tmp_path / "model"), tf.saved_model.load(str(tmp_path / "model"))
    feeds = example_feeds(opened.inputs, default_sizes(opened.inputs)[0])

    def gradients():
        with tf.GradientTape() as tape:
            outputs = loaded.signatures["serving_default"](**{key: tf.constant(value) for key, value in feeds.items()})
            loss = tf.add_n([tf.reduce_sum(tf.sin(output)) for output in outputs.values()])
        return tape.gradient(loss, loaded.trainable_variables)

    plain, compiled = gradients(), tf.function(gradients, jit_compile=True, autograph=False)()
    assert len(plain) == len(loaded.trainable_variables)
    for one, other in zip(plain, compiled, strict=True):
        expected, found = tf.convert_to_tensor(one).numpy(), tf.convert_to_tensor(other).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(expected).max()))


def test_a_tflite_file_is_no_function():
    model = open_model(Distinct(), inputs=["x:batch,8"])
    model.kind = "TFLite"
    with pytest.raises(UsageError, match="XLA compiles functions of TensorFlow, and this is a TFLite"):
        compile_with_xla(model, None)
