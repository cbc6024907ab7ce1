"""New weights for a SavedModel without a new translation, and a SavedModel's weights back in PyTorch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import nn

import translate
from fixtures import data
from fixtures.digits_cnn import DigitsCNN
from translate.cli import main
from translate.errors import OpenError, UsageError
from translate.manifest import PLACE
from translate.routes import extract_weights, state_dict, update_weights

pytestmark = pytest.mark.xdist_group("weights")

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "fixtures" / "digits_cnn.safetensors"


class Tied(nn.Module):
    """A table of words that is read on the way in and on the way out, and a buffer that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.mix = nn.Conv1d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.words.weight
        self.register_buffer("unread", torch.zeros(2))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.mix(self.words(ids).mT).mT)


class Ordered(nn.Module):
    """Buffers that TensorFlow's graph is built on, and some that PyTorch does not save."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(3, 3)
        self.order = nn.Buffer(torch.tensor([2, 0, 1]))
        self.mask = nn.Buffer(torch.tensor([True, False, True]))
        self.count = nn.Buffer(torch.tensor(0))
        self.scale = nn.Buffer(torch.rand(3), persistent=False)
        self.table = torch.rand(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mix(x)[:, self.order] * self.mask * self.scale + self.table


@pytest.fixture(scope="module")
def ordered(tmp_path_factory):
    """A module with constants, and its SavedModel."""
    torch.manual_seed(0)
    module = Ordered().eval()
    folder = tmp_path_factory.mktemp("weights") / "ordered_tf"
    translate.torch2tf(module, folder, inputs=["x:batch,3"], verify=False)
    return module, folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The fixture digits_cnn as a SavedModel."""
    folder = tmp_path_factory.mktemp("weights") / "digits_tf"
    translate.torch2tf(ROOT / "fixtures" / "digits_cnn.pt2", folder, verify=False)
    return folder


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    """A module with tied weights, and its SavedModel."""
    torch.manual_seed(0)
    module = Tied().eval()
    folder = tmp_path_factory.mktemp("weights") / "tied_tf"
    translate.torch2tf(module, folder, inputs=["ids:batch,time:int64"], verify=False)
    return module, folder


def copy(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "model"))


def copy_of(module, state):
    twin = deepcopy(module)
    twin.load_state_dict(state)
    return twin


def serve(folder, array):
    (output,) = tf.saved_model.load(str(folder)).signatures["serving_default"](tf.constant(array)).values()
    return output.numpy()


def predict(module, array):
    with torch.no_grad():
        return module(torch.from_numpy(array)).numpy()


def files(folder):
    """The content of every file but the variables."""
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.parent.name != "variables"}


def moved(state, seed=1):
    """A state_dict with other numbers."""
    torch.manual_seed(seed)
    return {name: v + 0.1 * torch.rand_like(v) if v.is_floating_point() else v for name, v in state.items()}


def test_the_weights_come_back_bit_by_bit(digits):
    own = load_file(DIGITS)
    found = state_dict(digits)
    assert set(own) - set(found) == {name for name in own if name.endswith("num_batches_tracked")}
    for name, array in found.items():
        np.testing.assert_array_equal(array, own[name].numpy(), err_msg=name)


def test_an_extracted_file_is_a_state_dict(digits, tmp_path):
    extract_weights(digits, tmp_path / "weights.safetensors")
    model = DigitsCNN().eval()
    model.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    pictures = data.digits().test_x[:8]
    np.testing.assert_allclose(predict(model, pictures), serve(digits, pictures), rtol=1e-5, atol=1e-5)


def test_a_tied_weight_has_all_its_names(tied):
    module, folder = tied
    found = state_dict(folder)
    assert set(found) == set(module.state_dict()) - {"unread"}
    np.testing.assert_array_equal(found["head.weight"], module.words.weight.detach().numpy())


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_new_weights_take_the_place_of_the_old(digits, tmp_path, ending):
    folder = copy(digits, tmp_path)
    model = DigitsCNN().eval()
    model.load_state_dict(moved(load_file(DIGITS)))
    file = tmp_path / f"new{ending}"
    save_file(model.state_dict(), file) if ending == ".safetensors" else torch.save(model.state_dict(), file)
    before = files(folder)

    carried = update_weights(folder, file)

    assert carried.output == folder
    assert len(carried.weights) == 14
    pictures = data.digits().test_x[:8]
    np.testing.assert_allclose(serve(folder, pictures), predict(model, pictures), rtol=1e-5, atol=1e-5)
    assert np.abs(serve(folder, pictures) - serve(digits, pictures)).max() > 0.1
    before.pop("fingerprint.pb")
    # Its proof was of the old weights; the rest of the manifest stays.
    after = files(folder)
    old, new = (json.loads(content.pop("translation.json")) for content in (before, after))
    assert old.pop("provenance") is not None
    assert new.pop("provenance") is None
    assert (after, new) == (before, old)
    assert set(tmp_path.iterdir()) == {folder, file}


def test_new_weights_can_go_to_another_folder(tied, tmp_path):
    module, folder = tied
    state = moved(module.state_dict())
    state["head.weight"] = state["words.weight"]
    torch.save(state, tmp_path / "new.pt")
    old = state_dict(folder)
    carried = update_weights(folder, tmp_path / "new.pt", tmp_path / "other")
    assert carried.notes == ("not part of the SavedModel's graph, and left out: unread",)
    other = Tied().eval()
    other.load_state_dict(state)
    ids = np.array([[1, 6, 2], [0, 3, 3]])
    np.testing.assert_allclose(serve(tmp_path / "other", ids), predict(other, ids), rtol=1e-5, atol=1e-6)
    for name, array in state_dict(folder).items():
        np.testing.assert_array_equal(array, old[name])
    with pytest.raises(UsageError, match="already exists"):
        update_weights(folder, tmp_path / "new.pt", tmp_path / "other")


def test_a_tied_weight_may_come_once_and_from_data_parallel(tied, tmp_path):
    module, folder = tied
    state = {f"module.{name}": v for name, v in module.state_dict().items() if name != "words.weight"}
    save_file(state, tmp_path / "new.safetensors")
    carried = update_weights(folder, tmp_path / "new.safetensors", tmp_path / "other")
    assert any("DataParallel" in note for note in carried.notes)
    np.testing.assert_array_equal(state_dict(tmp_path / "other")["words.weight"], module.words.weight.detach().numpy())


def _missing(state):
    del state["conv1.bias"]


def _misshapen(state):
    state["head.bias"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("change", "said"), [(_missing, "1 missing: conv1.bias"), (_misshapen, r"head.bias is \[3\], not \[10\]")]
)
def test_weights_that_do_not_fit_change_nothing(digits, tmp_path, change, said):
    folder = copy(digits, tmp_path)
    state = load_file(DIGITS)
    change(state)
    save_file(state, tmp_path / "new.safetensors")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(OpenError, match=said):
        update_weights(folder, tmp_path / "new.safetensors")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_tied_weights_that_differ_are_refused(tied, tmp_path):
    module, folder = tied
    state = module.state_dict() | {"head.weight": torch.zeros(7, 4)}
    torch.save(state, tmp_path / "new.pt")
    with pytest.raises(OpenError, match=r"words\.weight and head\.weight are one weight"):
        update_weights(folder, tmp_path / "new.pt", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_what_pytorch_does_not_save_stays_as_it_is(ordered, tmp_path):
    module, folder = ordered
    state = moved(module.state_dict())
    state["count"] += 1
    save_file(state, tmp_path / "new.safetensors")
    carried = update_weights(folder, tmp_path / "new.safetensors", tmp_path / "other")
    assert set(carried.weights) == {"mix.weight", "mix.bias"}
    assert carried.notes == ("not part of the SavedModel's graph, and left out: count",)
    module = copy_of(module, state)
    x = np.random.default_rng(0).standard_normal((4, 3), np.float32)
    np.testing.assert_allclose(serve(tmp_path / "other", x), predict(module, x), rtol=1e-5, atol=1e-6)
    # And a file of weights is a state_dict.
    extract_weights(tmp_path / "other", tmp_path / "back.safetensors")
    assert set(load_file(tmp_path / "back.safetensors")) == {"mix.weight", "mix.bias"}


@pytest.mark.parametrize("known", [True, False])
def test_other_constants_are_refused(known, ordered, tmp_path):
    module, folder = ordered
    folder = copy(folder, tmp_path)
    manifest = folder / PLACE
    content = json.loads(manifest.read_text())
    assert set(content["constants"]) == {"order", "mask"}
    state = moved(module.state_dict()) | {"order": torch.tensor([0, 1, 2])}
    save_file(state, tmp_path / "new.safetensors")
    if known:
        with pytest.raises(OpenError, match=r"differs where the SavedModel has constants, not variables: order\n"):
            update_weights(folder, tmp_path / "new.safetensors")
    else:
        # A manifest of an earlier version knows of none.
        del content["constants"]
        manifest.write_text(json.dumps(content))
        carried = update_weights(folder, tmp_path / "new.safetensors")
        assert carried.notes == ("not part of the SavedModel's graph, and left out: count, mask, order",)


def test_a_foreign_saved_model_is_refused(tmp_path):
    module = tf.Module()
    module.weight = tf.Variable(1.0)
    tf.saved_model.save(module, str(tmp_path / "foreign"))
    with pytest.raises(OpenError, match="no SavedModel that torch2tf wrote"):
        state_dict(tmp_path / "foreign")


def test_a_checkpoint_of_another_model_is_refused(digits, tied):
    with pytest.raises(OpenError, match="lacks 14 variables"):
        state_dict(digits, tied[1])


def test_the_command_line(digits, tmp_path):
    run = CliRunner().invoke(main, ["extract-weights", str(digits), "-o", str(tmp_path / "w.safetensors")])
    assert run.exit_code == 0, run.output
    assert "14 weights written" in run.output
    again = ["update-weights", str(digits), "--weights", str(tmp_path / "w.safetensors"), "-o", str(tmp_path / "new")]
    assert CliRunner().invoke(main, again).exit_code == 0
    assert CliRunner().invoke(main, again).exit_code == UsageError.exit_code
    lost = ["update-weights", str(digits), "--weights", str(tmp_path / "lost.safetensors")]
    assert CliRunner().invoke(main, lost).exit_code == OpenError.exit_code


def test_fine_tuned_in_tensorflow_and_brought_back(digits, tmp_path):
    """The example of docs/: one epoch in TensorFlow, then PyTorch computes what TensorFlow does, as well as before."""
    script = ROOT / "examples" / "fine_tune" / "fine_tune.py"
    command = [sys.executable, str(script), str(digits), str(tmp_path / "tuned" / "digits")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    state = state_dict(digits, tmp_path / "tuned" / "digits")
    old = state_dict(digits)
    changed = {name for name in state if not np.array_equal(state[name], old[name])}
    assert changed == {name for name in state if "running" not in name}

    model = DigitsCNN().eval()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    split = data.digits()
    logits = predict(model, split.test_x)
    tuned = tf.saved_model.load(str(digits))
    tf.train.Checkpoint(model=tuned).read(str(tmp_path / "tuned" / "digits")).assert_existing_objects_matched()
    np.testing.assert_allclose(logits, tuned(split.test_x).numpy(), rtol=1e-4, atol=1e-4)
    accuracy = (logits.argmax(axis=1) == split.test_y).mean()
    before = (serve(digits, split.test_x).argmax(axis=1) == split.test_y).mean()
    assert before > 0.97
    assert accuracy >= before - 0.01
