"""Checkpoints in several safetensors files: read by their index, and nothing of them before it is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from translate.errors import OpenError
from translate.models import torch_files
from translate.models.shards import weight_files
from translate.routes.weights import update_weights

MAGIC = torch.tensor([12345.5, -2.25, 7.0])


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The index of two files with a state_dict of `net()`."""
    torch.manual_seed(1)
    state = {key: tensor.clone() for key, tensor in net().state_dict().items()}
    state["0.bias"] = MAGIC.clone()
    files = {"a.safetensors": ["0.weight", "1.bias"], "b.safetensors": ["0.bias", "1.weight"]}
    for name, keys in files.items():
        save_file({key: state[key] for key in keys}, tmp_path / name)
    weight_map = {key: name for name, keys in files.items() for key in keys}
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map}))
    return path


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))


def test_all_files_are_loaded(index: Path) -> None:
    module = net()
    torch_files.load_weights(module, index)
    assert torch.equal(module.state_dict()["0.bias"], MAGIC)
    state = torch_files.read_state(index, ())
    assert set(state) == set(module.state_dict())
    assert all(torch.equal(tensor, state[key]) for key, tensor in module.state_dict().items())
    assert [file.name for file in weight_files(index)] == [index.name, "a.safetensors", "b.safetensors"]


@pytest.mark.parametrize("save", [save_file, torch.save], ids=["safetensors", "pt"])
def test_nothing_is_read_before_it_is_used(save: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / ("net.safetensors" if save is save_file else "net.pt")
    save({"bias": MAGIC.clone(), "other": torch.zeros(3)}, path)
    content = path.read_bytes()
    place = content.index(MAGIC.numpy().tobytes())
    state = torch_files.read_state(path, ())
    # A state_dict that had been read would not show what is written into its file afterwards.
    with path.open("r+b") as file:
        file.seek(place)
        file.write((MAGIC + 1).numpy().tobytes())
    assert torch.equal(state["bias"], MAGIC + 1)


def test_an_index_that_is_none(index: Path) -> None:
    weight_map = json.loads(index.read_text())["weight_map"]

    def refusal(changed: object) -> str:
        index.write_text(json.dumps(changed))
        with pytest.raises(OpenError) as error:
            torch_files.read_state(index, ())
        return str(error.value)

    assert "no index of safetensors files" in refusal({"format": "json"})
    assert "no index of safetensors files" in refusal([])
    assert "names ../a.safetensors" in refusal({"weight_map": {"0.weight": "../a.safetensors"}})
    assert "names a.bin" in refusal({"weight_map": {"0.weight": "a.bin"}})
    assert "lack 1 of its tensors: 2.weight" in refusal({"weight_map": {**weight_map, "2.weight": "a.safetensors"}})
    (index.parent / "b.safetensors").unlink()
    assert "b.safetensors is no readable safetensors file" in refusal({"weight_map": weight_map})


def test_a_saved_model_takes_them(index: Path, tmp_path: Path) -> None:
    from translate import routes
    from translate.routes.weights import state_dict

    routes.torch2tf(net(), tmp_path / "net_tf", inputs=["input:batch,2"], verify=False)
    carried = update_weights(tmp_path / "net_tf", index)
    assert set(carried.weights) == set(net().state_dict())
    assert state_dict(tmp_path / "net_tf")["0.bias"].tolist() == MAGIC.tolist()
