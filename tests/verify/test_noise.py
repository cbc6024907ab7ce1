"""How the source's own rounding is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from translate import torch2tf
from translate.converters.torch_to_onnx import export
from translate.models import Model, open_model
from translate.models.base import Array, Spec
from translate.models.inputs import example_feeds
from translate.models.onnx_model import OnnxModel
from translate.models.saved_model import SavedModel
from translate.verify.noise import Measurement, Noise, largest, measure, pool, root_mean_square, widest

SIZES = {"batch": 3}


def layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(50, 40), nn.Tanh(), nn.Linear(40, 7)).eval()


def models(folder: Path) -> dict[str, Model]:
    module = layers()
    source = open_model(module, inputs=["batch,50"])
    program = torch.export.export(module, (torch.randn(3, 50),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch2tf(module, folder / "tf", inputs=["batch,50"], verify=False)
    found = {"module": source, "program": open_model(program), "onnx": OnnxModel(export(source))}
    return found | {"saved_model": SavedModel(folder / "tf")}


def test_moved_weights_move_the_outputs_a_little_and_the_model_stays(tmp_path: Path) -> None:
    noise = {}
    for kind, model in models(tmp_path).items():
        feeds = example_feeds(model.inputs, SIZES) if kind != "saved_model" else {"input": _feed()}
        feeds = {model.inputs[0].name: next(iter(feeds.values()))}
        before = model.run(feeds)
        output = model.outputs[0].name
        moved = [model.run_perturbed(feeds, seed)[output] for seed in (0, 1, 0)]
        assert (moved[0] == moved[2]).all(), kind
        assert (moved[0] != moved[1]).any(), kind
        model.release()
        assert (model.run(feeds)[output] == before[output]).all(), kind
        # Inputs of which no number moves: what moves is the weights'.
        whole = {name: np.round(array) for name, array in feeds.items()}
        assert (model.run_perturbed(whole, 0)[output] != model.run(whole)[output]).any(), kind
        noise[kind] = root_mean_square(moved[0] - before[output]) / largest(before[output])
    assert all(1e-8 < one < 1e-6 for one in noise.values()), noise


def _feed() -> Array:
    return np.random.default_rng(0).standard_normal((3, 50)).astype(np.float32)


def test_perturbed_outputs_are_of_the_order_of_the_rounding() -> None:
    model = open_model(layers(), inputs=["input:batch,50"])
    feeds = example_feeds(model.inputs, {"batch": 64})
    expected = model.run(feeds)
    double = pool(measure(model, feeds, expected).values())
    moved = pool(measure(model, feeds, expected, edge=True).values())
    assert (double.method, moved.method) == ("float64", "one ulp")
    assert 0.2 < double.rms / moved.rms < 2


class Fake(Model):
    """Returns what it is given."""

    kind = "fake"
    inputs = (Spec("x", "float32", (2,)),)
    outputs = (Spec("y", "float32", (2,)),)

    def __init__(self, double: Mapping[str, Array] | None, single: Mapping[str, Array]) -> None:
        self.double, self.single = double, single

    def call(self, values: Mapping[str, Array]) -> Mapping[str, Array]:
        return self.single

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        return None if self.double is None else dict(self.double)


def test_a_float64_run_that_is_none_is_not_taken_for_one() -> None:
    value = {"y": np.float32([1, 2]), "i": np.int64([3])}
    # It returns float32, or another shape.
    for double in (None, value, {"y": np.float64([1])}):
        measured = measure(Fake(double, value), {"x": np.float32([0.1, 0.2])}, value)
        assert {name: one.method for name, one in measured.items()} == {"y": "one ulp"}
    exact = {"y": np.float64([1.5, 2])}
    assert measure(Fake(exact, value), {"x": np.zeros(2)}, value)["y"].distances.tolist() == [0.5, 0]


def test_what_is_not_finite_is_no_noise() -> None:
    value, exact = {"y": np.float32([np.inf, np.nan, 1])}, {"y": np.float64([1, 1, 1.25])}
    assert measure(Fake(exact, value), {"x": np.zeros(2)}, value)["y"].distances.tolist() == [0.25]
    nothing = {"y": np.float32([np.nan])}
    assert measure(Fake({"y": np.float64([0])}, nothing), {"x": np.zeros(2)}, nothing) == {}


def test_pool_and_widest() -> None:
    noise = pool([Measurement("float64", np.array([3.0])), Measurement("float64", np.array([4.0, 0, 0]))])
    assert noise == Noise("float64", 4.0, 2.5)
    assert widest([None, noise, Noise("one ulp", 1.0, 3.0)]) == Noise("one ulp", 4.0, 3.0)
    assert widest([None]) is None


def test_root_mean_square_of_what_cannot_be_squared() -> None:
    assert root_mean_square(np.array([3e300, 4e300])) == pytest.approx(np.sqrt(12.5) * 1e300)
    assert root_mean_square(np.float16([3e4, 3e4])) == pytest.approx(3e4, rel=1e-3)
    assert root_mean_square(np.zeros(3)) == root_mean_square(np.zeros(0)) == 0


def test_a_perturbed_graph_keeps_its_whole_numbers() -> None:
    graph = OnnxModel(export(open_model(nn.Upsample(scale_factor=2).eval(), inputs=["batch,1,3,3"])))
    scales = [v.const_value.numpy() for v in graph.perturbed(0).model.graph.initializers.values() if v.const_value]
    assert all((np.rint(one) == one).all() for one in scales)
    assert isinstance(graph.perturbed(0).model, ir.Model)
