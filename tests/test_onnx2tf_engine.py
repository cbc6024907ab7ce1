"""`--engine onnx2tf`: what onnx2tf makes, with the source's interface restored."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch

from translate import routes
from translate.converters import onnx2tf_engine
from translate.converters.onnx2tf_engine import output_order
from translate.errors import UnsupportedError, UsageError
from translate.models.saved_model import SavedModel

needs_onnx2tf = pytest.mark.skipif(not onnx2tf_engine.is_installed(), reason="onnx2tf is not installed")


class Backbone(torch.nn.Module):
    """Two outputs, one of them an image that onnx2tf returns channels-last; a name that it cannot take."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 5, 3)
        self.head = torch.nn.Linear(5, 4)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        features = torch.relu(self.convolution(image))
        return {"features": features, "class": self.head(features.mean((2, 3)))}


@needs_onnx2tf
def test_names_and_layout_are_restored_and_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    result = routes.torch2tf(Backbone().eval(), "out", inputs=["image:batch,3,10,8"], engine="onnx2tf")
    assert result.verdict is not None and result.verdict.passed
    model = SavedModel(tmp_path / "out")
    assert [str(spec) for spec in model.inputs] == ["image float32[?, 3, 10, 8]"]
    outputs = model.run({"image": np.zeros((2, 3, 10, 8), np.float32)})
    assert {name: value.shape for name, value in outputs.items()} == {"features": (2, 5, 8, 6), "class": (2, 4)}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@needs_onnx2tf
def test_its_failure_shows_the_end_of_its_log(tmp_path: Path) -> None:
    value = ir.Value(name="x", shape=ir.Shape([2]), type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.node("Frobnicate", [value], domain="own")
    node.outputs[0].name, node.outputs[0].shape, node.outputs[0].type = "y", value.shape, value.type
    graph = ir.Graph([value], node.outputs, nodes=[node], opset_imports={"": 18, "own": 1}, name="graph")
    with pytest.raises(UnsupportedError, match=r"onnx2tf (ended with status|wrote no SavedModel)") as caught:
        onnx2tf_engine.save(ir.Model(graph, ir_version=10), tmp_path / "out")
    assert "Frobnicate" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_it_is_asked_for_when_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx2tf", None)
    monkeypatch.setattr(onnx2tf_engine, "is_installed", lambda: False)
    with pytest.raises(UsageError, match=r"pip install 'model-translate\[onnx2tf\]'"):
        routes.torch2tf("missing.pt2", tmp_path / "out", engine="onnx2tf")


@pytest.mark.parametrize(
    ("wanted", "found", "order"),
    [
        ([None, 10], [None, 10], None),
        ([None, 5, 8, 6], [None, 8, 6, 5], [0, 3, 1, 2]),
        ([None, 5, 8, 6], [None, 5, 8, 6], None),
        ([None, 5, None, None], [None, None, None, 5], [0, 3, 1, 2]),
        ([None, 5, None, None], [None, 5, None, None], None),
        ([None, None, 64], [None, None, 64], None),
        ([2, 5, 9], [2, 9, 5], [0, 2, 1]),
        ([None, 5, 2, 8, 6], [None, 2, 8, 6, 5], [0, 4, 1, 2, 3]),
        ([None, 5, 8, 6], [None, None, None, 5], [0, 3, 1, 2]),
    ],
)
def test_the_order_of_an_output_follows_from_its_shape(
    wanted: list[int | None], found: list[int | None], order: list[int] | None
) -> None:
    assert output_order("y", wanted, found) == order


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        ([None, 7, 7, 7], [None, 7, 7, 7], "may or may not"),
        ([None, None, None], [None, None, None], "may or may not"),
        ([None, 5, 8, 6], [None, None, None, None], "may or may not"),
        ([None, 5, 8, 6], [None, 6, 8, 5], "neither"),
        ([None, 5, 8], [None, 40], "the model has"),
        ([None, 5], None, "unknown rank"),
    ],
)
def test_an_order_that_is_in_doubt_is_refused(wanted: list[int | None], found: list[int | None], said: str) -> None:
    with pytest.raises(UnsupportedError, match=said):
        output_order("y", wanted, found)
