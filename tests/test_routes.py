"""torch2tf as a function: stages, results, and what is left when something goes wrong."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import translate
from translate import routes
from translate.converters import onnx_to_tf
from translate.errors import CannotTranslateError, ParityError, UsageError
from translate.models.saved_model import SavedModel

FIXTURES = Path(__file__).parents[1] / "fixtures"
NEURAL_NET = FIXTURES / "neural_net.pt2"


class Scale(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor([2.0, 3.0, 4.0]))
        self.register_buffer("offset", torch.tensor([0.5, 0.25, 0.125]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x) * self.factor + self.offset


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_live_module_is_translated_and_proven() -> None:
    stages: list[str] = []
    result = translate.torch2tf(Scale(), "out/scale", inputs=["x:batch,3"], progress=stages.append)
    assert result.output == Path("out/scale")
    assert stages == ["open", "export", "passes", "lower", "reload", "verify", "publish"]
    assert list(result.seconds) == stages
    assert result.trainable == 3
    assert result.bytes == sum(file.stat().st_size for file in result.output.rglob("*") if file.is_file())
    assert [str(spec) for spec in result.inputs] == ["x float32[batch, 3]"]
    assert result.verdict is not None and result.verdict.passed
    assert any("eval" in note for note in result.notes)
    x = np.float32([[0.1, -0.2, 0.3]])
    expected = np.tanh(x) * [2, 3, 4] + [0.5, 0.25, 0.125]
    np.testing.assert_allclose(SavedModel(result.output).run({"x": x})["output"], expected, rtol=1e-6)


def test_a_sample_is_compared_too() -> None:
    np.savez("sample.npz", x=np.ones((4, 3), np.float32))
    result = routes.torch2tf(Scale(), "out", inputs=["x:batch,3"], sample="sample.npz")
    assert result.verdict is not None
    assert [run.outputs[0].shape for run in result.verdict.runs if run.inputs == "data sample.npz"] == [(4, 3)]


def test_the_destination_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch, working_directory: Path) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("work began")

    monkeypatch.setattr("translate.models.open.open_model", work)
    (working_directory / "there").mkdir()
    with pytest.raises(UsageError, match="already exists"):
        routes.torch2tf(Scale(), "there")
    (working_directory / "file").touch()
    with pytest.raises(UsageError, match="is not a folder"):
        routes.torch2tf(Scale(), "file/out")


def test_without_output_the_result_lies_in_the_working_directory(working_directory: Path) -> None:
    for source, expected in (
        ("/elsewhere/model.pt2", "model_tf"),
        ("model.onnx", "model_tf"),
        ("package.module:factory", "factory_tf"),
        ("a/b/file.py:Model", "Model_tf"),
        (Scale(), "Scale_tf"),
        (working_directory, f"{working_directory.name}_tf"),
    ):
        assert routes.default_output(source) == Path(expected)


def wrong(model: object, directory: Path) -> None:
    """Write a SavedModel of the right interface that computes something else."""
    import tensorflow as tf

    class Wrong(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
        def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"output": x * 2.0001}

    module = Wrong()
    tf.saved_model.save(module, str(directory), signatures=module.__call__)


def test_a_result_that_differs_replaces_nothing(monkeypatch: pytest.MonkeyPatch, working_directory: Path) -> None:
    routes.torch2tf(Scale(), "out", inputs=["x:batch,3"])
    before = SavedModel(Path("out")).run({"x": np.ones((1, 3), np.float32)})["output"]
    monkeypatch.setattr(onnx_to_tf, "save", wrong)
    with pytest.raises(ParityError, match="does not compute the same as Scale; nothing was written") as caught:
        routes.torch2tf(Scale(), "out", inputs=["x:batch,3"], force=True)
    assert isinstance(caught.value, routes.NotEqualError)
    assert caught.value.result.output is None
    assert not caught.value.result.passed
    assert os.listdir(working_directory) == ["out"]
    after = SavedModel(Path("out")).run({"x": np.ones((1, 3), np.float32)})["output"]
    np.testing.assert_array_equal(before, after)


def test_without_verify_the_result_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_to_tf, "save", wrong)
    result = routes.torch2tf(Scale(), "out", inputs=["x:batch,3"], verify=False)
    assert result.verdict is None
    assert result.passed
    assert "verify" not in result.seconds


def test_every_missing_operator_is_named_at_once(working_directory: Path) -> None:
    import onnx_ir as ir

    value = ir.Value(name="x", shape=ir.Shape([2]), type=ir.TensorType(ir.DataType.FLOAT))
    first = ir.node("Frobnicate", [value], domain="own")
    second = ir.node("Defrobnicate", first.outputs, domain="own")
    second.outputs[0].name, second.outputs[0].shape, second.outputs[0].type = "y", value.shape, value.type
    graph = ir.Graph([value], second.outputs, nodes=[first, second], opset_imports={"": 18, "own": 1}, name="graph")
    with pytest.raises(CannotTranslateError, match="2 operators") as caught:
        routes.torch2tf(ir.Model(graph, ir_version=10), "out")
    assert {problem.operator for problem in caught.value.problems} == {"own::Frobnicate", "own::Defrobnicate"}
    assert os.listdir(working_directory) == []


def test_the_source_is_not_changed() -> None:
    import onnx_ir as ir

    from translate.converters.torch_to_onnx import export
    from translate.models.open import open_model

    model = export(open_model(Scale(), inputs=["x:batch,3"]))
    nodes = [node.op_type for node in model.graph]
    routes.torch2tf(model, "out")
    assert [node.op_type for node in model.graph] == nodes
    assert isinstance(model, ir.Model)


def test_weights_of_an_old_onnx_file_are_no_inputs() -> None:
    x, w, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", ["batch", 4]), ("w", [4, 5]), ("y", ["batch", 5]))
    )
    weight = numpy_helper.from_array(np.arange(20, dtype=np.float32).reshape(4, 5), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "graph", [x, w], [y], [weight])
    onnx.save(helper.make_model(graph, ir_version=3, opset_imports=[helper.make_opsetid("", 9)]), "old.onnx")
    result = routes.torch2tf("old.onnx")
    assert [spec.name for spec in result.inputs] == ["x"]
    assert result.passed


def test_a_saved_model_is_no_source() -> None:
    routes.torch2tf(Scale(), "out", inputs=["x:batch,3"])
    with pytest.raises(UsageError, match="translates PyTorch and ONNX models; this is a TensorFlow SavedModel"):
        routes.torch2tf("out", "again")
