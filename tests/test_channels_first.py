"""tf2torch --channels-first: images as PyTorch has them, at the edges too, and proven against the source's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import translate.models.permuted
from translate.cli import main
from translate.errors import UsageError
from translate.routes import to_torch
from translate.routes.ways import Route

L = keras.layers


def randomised(inputs: Any, outputs: Any) -> Any:
    model = keras.Model(inputs, outputs)
    generator = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(generator.normal(size=weight.shape) * 0.3)
    return model


def segmenter(channels: int = 3) -> Any:
    image = keras.Input((8, 6, channels), name="image")
    h = L.Conv2D(4, 3, padding="same", activation="relu", name="conv")(L.Rescaling(0.5, offset=0.1)(image))
    label = L.Dense(3, name="label")(L.GlobalAveragePooling2D()(h))
    return randomised(image, [L.Conv2D(2, 1, name="mask")(h), label])


def permutes(module: Any) -> int:
    return sum(node.target in ("permute", "transpose") for node in module.graph.nodes)


@pytest.mark.parametrize("route", ["layers", "graph"])
@pytest.mark.parametrize("channels", [1, 3])
def test_no_permute_is_left_at_the_edges(channels: int, route: Route) -> None:
    model = segmenter(channels)
    module = to_torch(model, route=route, channels_first=True)
    assert module.meta["route"] == route
    assert permutes(module) == 0
    turned = module.meta["channels_first"]
    assert (turned.inputs, turned.outputs) == ({"image": (0, 3, 1, 2)}, {"mask": (0, 3, 1, 2)})
    x = np.random.default_rng(1).normal(size=(2, 8, 6, channels)).astype(np.float32)
    mask, label = module(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    expected = [np.asarray(value) for value in model(x)]
    np.testing.assert_allclose(mask.detach().numpy().transpose(0, 2, 3, 1), expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(label.detach().numpy(), expected[1], rtol=1e-4, atol=1e-5)


def test_only_images_are_turned() -> None:
    image, table = keras.Input((None, None, 3), name="image"), keras.Input((4, 4, 2), name="table")
    h = L.GlobalMaxPooling2D()(L.Conv2D(5, 3, name="conv")(image))
    module = to_torch(randomised([image, table], L.Dense(2)(L.Concatenate()([h, L.Flatten()(table)]))),
                      channels_first=True)  # fmt: skip
    assert list(module.meta["channels_first"].inputs) == ["image"]
    assert module(torch.ones(2, 3, 7, 9), torch.ones(2, 4, 4, 2)).shape == (2, 2)


def test_a_model_that_reads_two_images_has_both_turned() -> None:
    inner = keras.Sequential([keras.Input((8, 6, 3)), L.Conv2D(2, 3, name="conv"), L.ReLU()], name="inner")
    left, right = keras.Input((8, 6, 3), name="left"), keras.Input((8, 6, 3), name="right")
    module = to_torch(randomised([left, right], L.Add(name="sum")([inner(left), inner(right)])), channels_first=True)
    assert module.meta["route"] == "layers"
    assert (*module.meta["channels_first"].inputs, *module.meta["channels_first"].outputs) == ("left", "right", "sum")
    assert module.meta["permutes"] == permutes(module) == 0
    assert module(torch.ones(2, 3, 8, 6), torch.ones(2, 3, 8, 6)).shape == (2, 2, 6, 4)


def test_a_sequence_is_turned_for_its_convolutions() -> None:
    steps = keras.Input((None, 5), name="steps")
    module = to_torch(randomised(steps, L.Conv1D(4, 3, padding="causal", dilation_rate=2)(steps)), channels_first=True)
    assert permutes(module) == 0
    assert module(torch.ones(2, 5, 11)).shape == (2, 4, 11)


def test_without_an_image_it_is_a_mistake() -> None:
    x = keras.Input((4,), name="x")
    with pytest.raises(UsageError, match="no input is an image that is read channels first; the inputs are x"):
        to_torch(randomised(x, L.Dense(2)(x)), channels_first=True)


@pytest.mark.parametrize("file_format", ["pt2", "python", "torchscript"])
def test_the_verdict_is_over_the_sources_own_inputs(tmp_path: Path, file_format: str) -> None:
    segmenter().save(tmp_path / "model.keras")
    arguments = ["tf2torch", str(tmp_path / "model.keras"), "-o", str(tmp_path / "out"), "--format", file_format]
    done = CliRunner().invoke(main, [*arguments, "--channels-first", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert any("channels first" in note and "input image, output mask" in note for note in report["notes"])
    if file_format == "python":
        assert "Channels first, where the source has them last: input image, output mask." in " ".join(
            (tmp_path / "out" / "model.py").read_text().split()
        )


def test_a_wrong_permutation_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = keras.Input((6, 6, 3), name="image")
    model = randomised(image, L.GlobalAveragePooling2D()(L.Conv2D(4, 3, name="conv")(image)))
    # Height and width for each other: of the same sizes, and still not the same.
    own = translate.models.permuted.Permuted
    monkeypatch.setattr(
        "translate.models.permuted.Permuted",
        lambda target, inputs, outputs: own(target, dict.fromkeys(inputs, (0, 3, 2, 1)), outputs),
    )
    from translate import routes

    with pytest.raises(routes.NotEqualError):
        routes.tf2torch(model, tmp_path / "model.pt2", channels_first=True)
    assert not (tmp_path / "model.pt2").exists()
