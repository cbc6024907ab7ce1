"""Other ways of a Keras model to PyTorch, on some models of the zoo; the scoreboard shows what they make of them.

    python -m benchmarks.zoo.rivals

- Keras on PyTorch: the .keras file, loaded by Keras with its PyTorch backend;
- onnx2torch and onnx2pytorch: the file that tf2onnx writes of the model, with opset 13, which they know.

Each result is compared with TensorFlow, exported by torch.export with an open batch, and loaded again by PyTorch alone.
Results are kept in build/zoo/rivals, one JSON file for each way and model, and are not made twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.zoo.catalogue import ZOO

FOLDER = Path("build/zoo/rivals")
WAYS = ("Keras on PyTorch", "onnx2torch", "onnx2pytorch")
# One variant of each family of keras.applications, and every ninth of the layers.
SAMPLE = [
    *[name for name in ZOO if name.startswith("layer/")][::9],
    *[name for name in ZOO if name.startswith("keras/")][:11],
]
# Of the largest output. All compute in float32 what they compute.
TOLERANCE = 1e-3
BATCHES = (2, 5)


def result_file(way: str, name: str) -> Path:
    return FOLDER / f"{way} {name.replace('/', '.')}.json"


def read_results() -> dict[str, dict[str, Any]]:
    """Return for each model that all ways have tried what came out, by way."""
    files = {name: {way: result_file(way, name) for way in WAYS} for name in SAMPLE}
    return {
        name: {way: json.loads(file.read_text()) for way, file in ways.items()}
        for name, ways in files.items()
        if all(file.exists() for file in ways.values())
    }


def main() -> None:
    """Make what the ways start from, then try each way in a process of its own."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for job in ("sources", *WAYS):
        backend = {"KERAS_BACKEND": "torch" if job == "Keras on PyTorch" else "tensorflow"}
        command = [sys.executable, "-m", "benchmarks.zoo.rivals", job]
        with (FOLDER / f"{job}.log").open("w") as log:
            subprocess.run(command, env={**os.environ, **backend}, stdout=log, stderr=log, check=False)


def make_sources() -> None:
    """Write of each model its file, inputs and outputs at each batch, and its ONNX file where tf2onnx can."""
    import keras
    import tensorflow as tf
    import tf2onnx

    for name in SAMPLE:
        folder = _folder(name)
        if (folder / "done").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        file = Path(ZOO[name].make(folder)).rename(folder / "source.keras")
        model = keras.models.load_model(file)
        for batch in BATCHES:
            feeds = [_feed(tensor, batch, ZOO[name].integers) for tensor in model.inputs]
            outputs = keras.tree.flatten(model(feeds if len(feeds) > 1 else feeds[0], training=False))
            arrays = {f"input{n}": feed for n, feed in enumerate(feeds)}
            np.savez(folder / f"{batch}.npz", **arrays, **{f"output{n}": np.asarray(o) for n, o in enumerate(outputs)})
        signature = [tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in model.inputs]

        @tf.function(input_signature=signature)
        def call(*inputs: Any, model: Any = model) -> Any:
            return keras.tree.flatten(model(list(inputs) if len(inputs) > 1 else inputs[0], training=False))

        try:
            tf2onnx.convert.from_function(call, input_signature=signature, opset=13, output_path=str(folder / "s.onnx"))
        except Exception as error:
            # tf2onnx raises anything; that there is no file is the result.
            print(f"{name}: {type(error).__name__}: {error}")
        (folder / "done").touch()


def try_way(way: str) -> None:
    """Write of each model what one way makes of it."""
    from benchmarks.zoo.reloading import Reloader

    with Reloader() as reloader:
        for name in SAMPLE:
            if (_folder(name) / "done").exists() and not result_file(way, name).exists():
                row: dict[str, Any] = dict.fromkeys(("right", "dynamic", "reloadable"), False)
                row["live"] = False if _has_weights(_folder(name)) else None
                try:
                    _try(way, name, row, reloader)
                except Exception as error:
                    # A converter raises anything; that it does is the result.
                    row["reason"] = f"{type(error).__name__}: {error}"[:300]
                result_file(way, name).write_text(json.dumps(row, indent=1) + "\n")


def _try(way: str, name: str, row: dict[str, Any], reloader: Any) -> None:
    import torch

    folder = _folder(name)
    module = _MAKERS[way](folder)
    inputs, expected = _values(folder / f"{BATCHES[0]}.npz")
    with torch.no_grad():
        row["right"] = _agree(module(*inputs), expected)
    batch = torch.export.Dim("batch", min=1)
    open_sizes: Any = tuple({0: batch} for _ in inputs)
    if way != "onnx2torch":
        # The others take `*args`, which torch.export has as one argument.
        open_sizes = (open_sizes,)
    program = torch.export.export(module, inputs, dynamic_shapes=open_sizes)
    torch.export.save(program, folder / "result.pt2")
    inputs, expected = _values(folder / f"{BATCHES[1]}.npz")
    found = torch.utils._pytree.tree_leaves(program.module()(*inputs))
    row["dynamic"] = row["right"] and _agree(found, expected)
    arrays = {f"input{n}": x.numpy() for n, x in enumerate(inputs)}
    np.savez(folder / "own.npz", **arrays, **{f"output{n}": y.detach().numpy() for n, y in enumerate(found)})
    reply = reloader.check((folder / "result.pt2").absolute(), (folder / "own.npz").absolute())
    row["reloadable"] = row["dynamic"] and reply["reason"] is None
    row["live"] = bool(reply.get("live")) if _has_weights(folder) else None


def _has_weights(folder: Path) -> bool:
    import zipfile

    import h5py

    with zipfile.ZipFile(folder / "source.keras").open("model.weights.h5") as file, h5py.File(file) as weights:
        sizes: list[int] = []
        weights.visititems(lambda _, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None)
        return sum(sizes) > 0


def _agree(found: Any, expected: Sequence[Any]) -> bool:
    import torch

    leaves = torch.utils._pytree.tree_leaves(found)
    return len(leaves) == len(expected) and all(
        tuple(ours.shape) == theirs.shape
        and float(np.abs(ours.detach().numpy() - theirs).max()) <= TOLERANCE * float(np.abs(theirs).max())
        for ours, theirs in zip(leaves, expected, strict=True)
    )


def _values(file: Path) -> tuple[tuple[Any, ...], list[Any]]:
    import torch

    saved = np.load(file)
    inputs = tuple(torch.from_numpy(saved[name]) for name in saved if name.startswith("input"))
    return inputs, [saved[name] for name in saved if name.startswith("output")]


def _feed(tensor: Any, batch: int, integers: int) -> Any:
    shape = [batch if axis == 0 else 7 if dim is None else dim for axis, dim in enumerate(tensor.shape)]
    generator = np.random.default_rng(3)
    if "int" in tensor.dtype:
        return generator.integers(0, integers, shape).astype(tensor.dtype)
    return generator.standard_normal(shape).astype(np.float32)


def _keras_on_pytorch(folder: Path) -> Any:
    import keras
    import torch

    class Flat(torch.nn.Module):
        """Takes the tensors one by one."""

        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: Any) -> Any:
            return self.model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)

    return Flat(keras.models.load_model(folder / "source.keras")).eval()


def _onnx2torch(folder: Path) -> Any:
    from tests import torchvision_ops

    torchvision_ops.declare()
    from onnx2torch import convert

    return convert(folder / "s.onnx").eval()


def _onnx2pytorch(folder: Path) -> Any:
    from tests import torchvision_ops

    torchvision_ops.declare()
    import onnx
    from onnx2pytorch import ConvertModel

    return ConvertModel(onnx.load(folder / "s.onnx")).eval()


_MAKERS: dict[str, Callable[[Path], Any]] = {
    "Keras on PyTorch": _keras_on_pytorch,
    "onnx2torch": _onnx2torch,
    "onnx2pytorch": _onnx2pytorch,
}


def _folder(name: str) -> Path:
    return FOLDER / "models" / name.replace("/", ".")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "sources":
        make_sources()
    else:
        try_way(sys.argv[1])
