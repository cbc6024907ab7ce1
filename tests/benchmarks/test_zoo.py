"""The zoo of `tf2torch`: what is in it, and whether its measures notice what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from torch import nn

from benchmarks.zoo import layers
from benchmarks.zoo.catalogue import ZOO
from benchmarks.zoo.made import L, Made, Row
from benchmarks.zoo.reloading import Reloader
from benchmarks.zoo.run import result_file
from benchmarks.zoo.scoreboard import write_scoreboard
from benchmarks.zoo.training import GRADIENT_TOLERANCE, LOSS_TOLERANCE, gradient_error, steps_error
from translate.converters.keras_to_torch import convert


def kinds(made: Made | None) -> Iterator[str]:
    """Yield what layers a layer of the catalogue is made of."""
    if made is not None:
        yield getattr(keras.layers, made.kind).__name__
        for value in (*made.arguments, *made.options.values()):
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, Made):
                    yield from kinds(each)


def test_every_layer_of_keras_is_in_the_zoo_xor_left_out():
    known = {value.__name__ for name in dir(keras.layers) if isinstance(value := getattr(keras.layers, name), type)}
    found = {kind for row in layers.ROWS for made in (row.layer, row.before) for kind in kinds(made)}
    assert known == found | set(layers.LEFT_OUT)
    assert not found & set(layers.LEFT_OUT)


def test_every_model_has_a_file_of_its_own():
    files = [result_file(name) for name in ZOO]
    assert len(set(files)) == len(files)
    assert all(len(file.name) < 200 for file in files)


def test_a_row_reads_like_the_code_that_makes_it():
    layer = L.Bidirectional(L.LSTM(4, activation="relu"))
    row = Row(layer, ((None, 6),), before=L.Masking(), call={"training": False})
    assert str(row) == "Bidirectional(LSTM(4, activation='relu')) training=False after Masking()"
    model = row.build()
    (bidirectional,) = (one for one in model.layers if isinstance(one, keras.layers.Bidirectional))
    assert bidirectional.forward_layer.activation is keras.activations.relu
    # Every weight is random: none is left at zeros or ones.
    assert all(np.asarray(weight).std() > 0.1 for weight in model.weights)


def model_and_module() -> tuple[Any, Any]:
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(2)(keras.layers.Dense(5, activation="tanh")(x)))
    return model, convert(model)


X = np.random.default_rng(0).standard_normal((6, 4)).astype("float32")


def test_the_measures_of_training_notice_what_is_wrong():
    model, module = model_and_module()
    error, path = gradient_error(model, module, [X]), steps_error(model, module, [X])
    assert error is not None and error < GRADIENT_TOLERANCE
    assert path is not None and path < LOSS_TOLERANCE
    model, module = model_and_module()
    with torch.no_grad():
        next(module.parameters()).mul_(1.1)
    error, path = gradient_error(model, module, [X]), steps_error(model, module, [X])
    assert error is not None and error > GRADIENT_TOLERANCE
    assert path is not None and path > LOSS_TOLERANCE


def test_what_is_random_in_training_has_no_steps_to_compare():
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dropout(0.5)(keras.layers.Dense(5)(x)))
    assert steps_error(model, convert(model), [X]) is None


class Dead(nn.Module):
    """Has a parameter that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("constant", torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.constant


def test_a_program_is_reloaded_and_its_parameters_are_live_or_not(tmp_path):
    x = torch.randn(2, 3)
    live = nn.Linear(3, 3)
    for name, module in (("live", live), ("dead", Dead()), ("none", nn.ReLU())):
        torch.export.save(torch.export.export(module, (x,)), tmp_path / f"{name}.pt2")
    np.savez(tmp_path / "live.npz", input0=x, output0=live(x).detach())
    np.savez(tmp_path / "same.npz", input0=x, output0=x)
    with Reloader() as reloader:

        def check(program: str, values: str) -> Any:
            return reloader.check(Path(tmp_path / f"{program}.pt2"), Path(tmp_path / f"{values}.npz"))

        assert check("live", "live") == {"live": True, "reason": None}
        assert check("dead", "same") == {"live": False, "reason": None}
        assert "AssertionError" in check("live", "same")["reason"]
        assert "AssertionError" in check("none", "same")["reason"]


def test_the_scoreboard_counts_what_can_be_asked(tmp_path):
    first, second = [name for name in ZOO if name.startswith("keras/")][:2]
    good = {"right": True, "dynamic": True, "reloadable": True, "live": True, "reason": "", "total": 1.0}
    results = {
        first: {**good, "gradients": 1e-6, "steps": None, "by_graph": ["one"]},
        second: {"right": False, "reason": "because", "total": 2.0},
    }
    write_scoreboard(tmp_path / "zoo.md", results)
    text = (tmp_path / "zoo.md").read_text()
    assert "| keras.applications | 2 | 1 | 1 | 1 | 1 of 1 | 1 of 1 | - |" in text
    assert f"| {first.partition('/')[2]} | yes | yes | yes | yes | yes | - | 1 | - | 1.0 |  |" in text
    assert "because" in text
