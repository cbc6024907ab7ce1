"""Gradients of PyTorch models and their SavedModels: by name, in the source's order of axes, nothing left changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch import nn

from translate.errors import UnsupportedError
from translate.manifest import PLACE
from translate.models import Model, open_model
from translate.models.base import Array, Gradients
from translate.models.inputs import example_feeds
from translate.models.renamed import RenamedInputs
from translate.routes import torch2tf
from translate.verify.cases import Case
from translate.verify.gradients import GradientVerdict, compare_gradients


class Net(nn.Module):
    """A grouped convolution, an embedding with padding that is also the head, and a parameter that is not used."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(4, 6, 3, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(6)
        self.embed = nn.Embedding(7, 6, padding_idx=1)
        self.head = nn.Linear(6, 7, bias=False)
        self.head.weight = self.embed.weight
        self.unused = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        y = torch.relu(self.norm(self.conv(x))).mean((2, 3))
        scores = self.head(y + self.embed(ids))
        return {"scores": scores, "best": scores.argmax(-1)}


INPUTS = ["x:batch,4,5,6", "ids:batch:int64"]
FEEDS = {
    **example_feeds(open_model(Net(), inputs=INPUTS).inputs, {"batch": 5}),
    "ids": np.array([1, 0, 1, 6, 3]),
}
CASE = Case("random", {"batch": 5}, 0, FEEDS)


def total(outputs: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
    """The sum of the scores, each times its place."""
    weights = np.arange(outputs["scores"].size).reshape(outputs["scores"].shape)
    return float((outputs["scores"] * weights).sum()), {"scores": weights.astype(outputs["scores"].dtype)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gradients") / "net"
    torch2tf(Net(), path, inputs=INPUTS, verify=False)
    return path


def gradients(model: Model) -> Gradients:
    found = model.gradients(FEEDS, total)
    assert found is not None
    return found


@pytest.mark.parametrize("form", ["module", "program"])
def test_torch(form: str) -> None:
    net = Net().eval()
    x, ids = torch.from_numpy(FEEDS["x"]), torch.from_numpy(FEEDS["ids"])
    model = open_model(net, inputs=INPUTS) if form == "module" else open_model(torch.export.export(net, (x, ids)))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = gradients(model)
    assert not any(parameter.grad is not None for parameter in net.parameters())
    # PyTorch's own, by the usual way.
    x.requires_grad_()
    scores = net(x, ids)["scores"]
    (scores * torch.arange(scores.numel()).reshape(scores.shape)).sum().backward()
    assert set(found.inputs) == {"x"}
    assert x.grad is not None
    np.testing.assert_allclose(found.inputs["x"], x.grad.numpy(), rtol=1e-5)
    own = {name: p.grad for name, p in net.named_parameters() if not name.startswith("unused")}
    for name, gradient in own.items():
        np.testing.assert_allclose(found.parameters[name], gradient.numpy(), rtol=1e-4, atol=1e-5)
    assert found.parameters.get("unused.weight") is None
    assert found.tied["head.weight"] == "embed.weight"
    curve = model.descend(FEEDS, total, ["conv.weight"], 1e-4, 2)
    assert curve is not None
    assert curve[0] > curve[1] > curve[2]
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_torch_in_double_precision_and_perturbed() -> None:
    model = open_model(Net(), inputs=INPUTS)
    exact = model.gradients(FEEDS, total, double=True)
    near = model.gradients(FEEDS, total, seed=1)
    assert exact is not None
    assert near is not None
    ours, wide, moved = (np.asarray(g.parameters["conv.weight"]) for g in (gradients(model), exact, near))
    assert wide.dtype == np.float64
    assert 0 < np.abs(ours - wide).max() < 1e-5 * np.abs(wide).max()
    assert 0 < np.abs(ours - moved).max() < 1e-4 * np.abs(wide).max()


def test_a_saved_model_has_the_sources_names_and_axes(folder: Path) -> None:
    ours, theirs = gradients(open_model(Net(), inputs=INPUTS)), gradients(open_model(folder))
    assert set(theirs.parameters) == {"conv.weight", "conv.bias", "norm.weight", "norm.bias", "embed.weight"}
    for name, gradient in theirs.parameters.items():
        np.testing.assert_allclose(gradient, ours.parameters[name], rtol=1e-3, atol=1e-4)


def test_training_leaves_the_variables_as_they_were(folder: Path) -> None:
    model = open_model(folder)
    first = model.run(FEEDS)["scores"]
    curve = model.descend(FEEDS, total, ["conv.weight", "embed.weight"], 1e-4, 2)
    assert curve is not None
    assert curve[0] > curve[1] > curve[2]
    model.gradients(FEEDS, total, seed=1)
    np.testing.assert_array_equal(model.run(FEEDS)["scores"], first)


def verdict(source: Model, target: Model) -> GradientVerdict:
    return compare_gradients(source, target, CASE)


def test_the_translation_learns_as_the_source_does(folder: Path) -> None:
    found = verdict(open_model(Net(), inputs=INPUTS), open_model(folder))
    assert found.passed, [gradient for gradient in found.gradients if not gradient.passed]
    assert found.curve is not None
    assert found.curve.target[-1] < found.curve.target[0]
    assert found.notes[0] == 'output "best" is int64: it has no gradient'
    assert "unused.weight" in found.notes[1]
    # And the other way round, where the source cannot be run in float64.
    assert verdict(open_model(folder), open_model(Net(), inputs=INPUTS)).passed


def test_double_precision_is_trained_in_double_precision(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(8, 5), nn.Tanh()).double()
    source = open_model(module, inputs=["input:batch,8:float64"])
    torch2tf(source, tmp_path / "model", verify=False)
    case = Case("random", {"batch": 2}, 0, example_feeds(source.inputs, {"batch": 2}))
    curve = compare_gradients(source, open_model(tmp_path / "model"), case).curve
    # A learning rate that was a float32 in between would leave 1e-9.
    assert curve is not None and curve.max_abs < 1e-14


def test_renamed_inputs_have_gradients(folder: Path) -> None:
    renamed = RenamedInputs(open_model(Net(), inputs=INPUTS), {"x": "image", "ids": "ids"})
    found = renamed.gradients({"image": FEEDS["x"], "ids": FEEDS["ids"]}, total)
    assert found is not None
    assert set(found.inputs) == {"image"}


def test_swapped_names_in_the_manifest_are_found(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "net"
    other.mkdir()
    for file in folder.rglob("*"):
        if file.is_file():
            place = other / file.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
    path = other / PLACE
    swapped = path.read_text().replace("norm.weight", "?").replace("conv.bias", "norm.weight").replace("?", "conv.bias")
    path.write_text(swapped)
    found = verdict(open_model(Net(), inputs=INPUTS), open_model(other))
    wrong = {gradient.name for gradient in found.gradients if not gradient.passed}
    assert wrong == {"conv.bias", "norm.weight"}, found


def saved(path: Path, function: Callable[[tf.Tensor], tf.Tensor]) -> Model:
    root = tf.Module()
    root.w = tf.Variable([1.0, 2.0], name="part/kernel")
    root.serve = tf.function(
        lambda x: {"y": function(x * root.w)}, input_signature=[tf.TensorSpec([None, 2], name="x")]
    )
    tf.saved_model.save(root, str(path), signatures={"serving_default": root.serve})
    return open_model(path)


def ones(outputs: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
    """The plain sum of y."""
    return float(outputs["y"].sum()), {"y": np.ones_like(outputs["y"])}


def test_without_a_manifest_variables_speak_for_themselves(tmp_path: Path) -> None:
    x = np.array([[1, 2], [3, 4]], np.float32)
    found = saved(tmp_path / "model", tf.identity).gradients({"x": x}, ones)
    assert found is not None
    np.testing.assert_array_equal(np.asarray(found.parameters["part.kernel"]), [4, 6])


def test_an_operator_without_gradient_is_named(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", lambda x: tf.truncatemod(x, tf.constant(0.7)))
    with pytest.raises(UnsupportedError, match=r"the operator TruncateMod \(\S+\) has no gradient"):
        model.gradients({"x": np.ones((1, 2), np.float32)}, ones)
