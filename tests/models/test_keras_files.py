""".keras and .h5 files: told apart by content, loaded without running code."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from translate.errors import OpenError, UntrustedError
from translate.models import keras_files
from translate.models.archive import identify
from translate.models.open import open_model

X = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,), name="x"), layers.Dense(3, activation="relu", name="y")])


@pytest.mark.parametrize(
    ("saved", "name", "kind"),
    [
        ("model.keras", "model.keras", "keras"),
        ("model.keras", "model.bin", "keras"),
        ("model.h5", "model.h5", "hdf5"),
        ("model.h5", "model.onnx", "hdf5"),
    ],
)
def test_whole_models_open_whatever_they_are_called(
    network: keras.Model, tmp_path: Path, saved: str, name: str, kind: str
) -> None:
    network.save(tmp_path / saved)
    path = Path(shutil.move(tmp_path / saved, tmp_path / name))
    assert identify(path) == kind
    model = open_model(path)
    assert [str(spec) for spec in (*model.inputs, *model.outputs)] == ["x float32[batch, 4]", "y float32[?, 3]"]
    np.testing.assert_allclose(model.run({"x": X})["y"], network(X).numpy(), rtol=1e-6)


def test_a_large_archive_is_unpacked(network: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras would hold all of it in memory, twice."""
    loaded: list[bool] = []
    load = keras.models.load_model

    def recorded(file: str, **options: Any) -> Any:
        loaded.append(Path(file).is_dir())
        return load(file, **options)

    monkeypatch.setattr(keras.models, "load_model", recorded)
    network.save(tmp_path / "model.keras")
    expected = network(X).numpy()
    for limit in (2**30, 0):
        monkeypatch.setattr(keras_files, "_LARGE_BYTES", limit)
        np.testing.assert_array_equal(open_model(tmp_path / "model.keras").run({"x": X})["y"], expected)
    # What is compressed may be anything when it is unpacked.
    with (
        zipfile.ZipFile(tmp_path / "model.keras") as archive,
        zipfile.ZipFile(tmp_path / "small.keras", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for name in archive.namelist():
            small.writestr(name, archive.read(name))
    np.testing.assert_array_equal(open_model(tmp_path / "small.keras").run({"x": X})["y"], expected)
    assert loaded == [False, True, False]


def test_an_unzipped_archive_opens(network: keras.Model, tmp_path: Path) -> None:
    network.save(tmp_path / "model", zipped=False)
    np.testing.assert_allclose(open_model(tmp_path / "model").run({"x": X})["y"], network(X).numpy(), rtol=1e-6)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_lambda_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model.{suffix}"
    keras.Sequential([keras.Input((4,), name="x"), layers.Lambda(lambda x: x * 3, name="thrice")]).save(path)
    with pytest.raises(UntrustedError, match="Lambda 'thrice'") as refused:
        open_model(path)
    assert refused.value.exit_code == 3
    notes: list[str] = []
    model = open_model(path, unsafe_load=True, notes=notes)
    np.testing.assert_array_equal(model.run({"x": X})["thrice"], X * 3)
    assert "--unsafe-load" in notes[0]


def test_weights_alone_are_no_model(network: keras.Model, tmp_path: Path) -> None:
    network.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(OpenError, match=r"holds the weights of a model \(dense\), not the model"):
        open_model(tmp_path / "model.weights.h5")


@keras.saving.register_keras_serializable("tests")
class PlusOne(layers.Layer):
    def call(self, x: object) -> object:
        return x + 1


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_class_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = tmp_path / f"model.{suffix}"
    keras.Sequential([keras.Input((4,), name="x"), PlusOne(name="y")]).save(path)
    np.testing.assert_array_equal(open_model(path).run({"x": X})["y"], X + 1)
    monkeypatch.delitem(keras.saving.get_custom_objects(), "tests>PlusOne")
    with pytest.raises(OpenError, match="uses PlusOne, which Keras does not have"):
        open_model(path)


def test_a_function_in_a_file_may_make_the_model(network: keras.Model, tmp_path: Path) -> None:
    network.save(tmp_path / "model.keras")
    code = f"import keras\ndef load():\n    return keras.models.load_model({str(tmp_path / 'model.keras')!r})\n"
    (tmp_path / "loads_keras.py").write_text(code)
    model = open_model(f"{tmp_path / 'loads_keras.py'}:load")
    np.testing.assert_allclose(model.run({"x": X})["y"], network(X).numpy(), rtol=1e-6)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_truncated_file_is_said_to_be_so(network: keras.Model, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model.{suffix}"
    network.save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(OpenError, match="truncated or damaged"):
        open_model(path)


class TestKeras2:
    """Files that Keras 3 refuses."""

    @pytest.fixture(scope="class")
    def path(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A file of Keras 2 with a layer that Keras 3 no longer has."""
        tf_keras = pytest.importorskip("tf_keras")
        local = tf_keras.layers.LocallyConnected1D(3, 2, name="y", activation="relu")
        path = tmp_path_factory.mktemp("keras2") / "model.h5"
        tf_keras.Sequential([tf_keras.layers.Input((5, 4), name="x"), local]).save(path)
        return path

    def test_tf_keras_reads_it(self, path: Path) -> None:
        import tf_keras

        notes: list[str] = []
        x = np.linspace(-1, 1, 40, dtype=np.float32).reshape(2, 5, 4)
        model = open_model(path, notes=notes)
        expected = tf_keras.models.load_model(path).predict(x, verbose=0)
        np.testing.assert_allclose(model.run({"x": x})["y"], expected, rtol=1e-5, atol=1e-6)
        assert "loaded by tf_keras" in notes[0]

    def test_without_tf_keras_it_says_what_to_install(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tf_keras", None)
        with pytest.raises(OpenError, match="pip install tf_keras"):
            open_model(path)

    def test_code_that_it_names_is_not_imported(self, path: Path, tmp_path: Path) -> None:
        """Keras 2 would import `os` and take `system` for the activation."""
        evil = tmp_path / "evil.h5"
        shutil.copy(path, evil)
        code = {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"}
        with h5py.File(evil, "r+") as file:
            config = file.attrs["model_config"]
            file.attrs["model_config"] = config.replace('"activation": "relu"', f'"activation": {json.dumps(code)}')
            assert file.attrs["model_config"] != config
        with pytest.raises(UntrustedError, match=r"os\.system"):
            open_model(evil)

    def test_so_it_is_in_an_archive(self, tmp_path: Path) -> None:
        tf_keras = pytest.importorskip("tf_keras")
        tf_keras.Sequential([tf_keras.layers.Input((4,)), tf_keras.layers.Dense(2)]).save(tmp_path / "model.keras")
        code = {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"}
        with (
            zipfile.ZipFile(tmp_path / "model.keras") as source,
            zipfile.ZipFile(tmp_path / "evil.keras", "w") as target,
        ):
            for name in source.namelist():
                content = source.read(name)
                if name == "config.json":
                    content = content.replace(b'"activation": "linear"', b'"activation": ' + json.dumps(code).encode())
                target.writestr(name, content)
        assert open_model(tmp_path / "model.keras").outputs[0].shape == (None, 2)
        with pytest.raises(UntrustedError, match=r"builtins\.eval"):
            open_model(tmp_path / "evil.keras")


FACTORY = """
import keras

def make(width=3):
    return keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(width, activation="relu", name="y")])

def wide():
    return make(5)

class Deep(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.last = keras.layers.Dense(3), keras.layers.Dense(2)

    def call(self, x):
        return self.last(self.first(x))

class Deeper(Deep):
    def __init__(self):
        super().__init__()
        self.middle = [keras.layers.Dense(3)]

    def call(self, x):
        return self.last(self.middle[0](self.first(x)))
"""


@pytest.fixture
def factory(tmp_path: Path) -> Path:
    path = tmp_path / "networks.py"
    path.write_text(FACTORY)
    return path


@pytest.mark.parametrize("name", ["model.weights.h5", "model.h5", "model.keras", "legacy.h5", "legacy.weights.h5"])
def test_a_factory_gets_its_weights(network: keras.Model, tmp_path: Path, factory: Path, name: str) -> None:
    path = tmp_path / name
    if name.startswith("legacy"):
        # As Keras 2's save_weights wrote: a group for each layer, their names in attributes.
        layer = network.layers[-1]
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [b"y"]
            group = file.create_group("y")
            group.attrs["weight_names"] = [b"y/kernel:0", b"y/bias:0"]
            for key, array in zip(("y/kernel:0", "y/bias:0"), layer.get_weights(), strict=True):
                group[key] = array
    elif name == "model.weights.h5":
        network.save_weights(path)
    else:
        network.save(path)
    model = open_model(f"{factory}:make", weights=path)
    np.testing.assert_array_equal(model.run({"x": X})["y"], network(X).numpy())


def test_a_subclass_gets_its_weights(tmp_path: Path, factory: Path) -> None:
    spec = importlib.util.spec_from_file_location("networks_of_a_test", factory)
    assert spec is not None and spec.loader is not None
    networks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(networks)
    trained = networks.Deep()
    expected = trained(X).numpy()
    trained.save_weights(tmp_path / "deep.weights.h5")
    model = open_model(f"{factory}:Deep", weights=tmp_path / "deep.weights.h5", inputs=["x:batch,4"])
    (result,) = model.run({"x": X}).values()
    np.testing.assert_array_equal(result, expected)
    # Nothing of this may be left at random.
    with pytest.raises(OpenError, match=r"deep\.weights\.h5 does not fit"):
        open_model(f"{factory}:Deeper", weights=tmp_path / "deep.weights.h5", inputs=["x:batch,4"])


def test_weights_that_do_not_fit_are_refused(network: keras.Model, tmp_path: Path, factory: Path) -> None:
    network.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(OpenError, match=r"model\.weights\.h5 does not fit sequential"):
        open_model(f"{factory}:wide", weights=tmp_path / "model.weights.h5")
    with pytest.raises(OpenError, match="holds no weights for Keras"):
        open_model(f"{factory}:make", weights=factory)
    with pytest.raises(OpenError, match="no such weights file"):
        open_model(f"{factory}:make", weights=tmp_path / "none.weights.h5")
    with pytest.raises(OpenError, match=r"path/file\.py:factory --weights"):
        open_model(tmp_path / "model.weights.h5")
