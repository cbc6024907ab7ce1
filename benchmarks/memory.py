"""How much memory a translation takes: the peak of each stage, beside the bytes of the model's weights.

    python -m benchmarks.memory [--gigabytes 0.5] [--table 0] [--route torch2tf] [--route tf2torch] [--no-verify]
    python -m benchmarks.memory --source FILE --route ROUTE

makes a network of that many float32 weights for each route, a `.pt2` and a SavedModel, and translates it in a process
of its own; or translates a file. The network has a convolution, and layers of 64 MB each; one tensor of `--table`
gigabytes is added.

Linux only: peaks are the kernel's own, `VmHWM`, begun again at each stage.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_WIDTH = 4096
_LAYER_BYTES = 4 * _WIDTH * _WIDTH
_GIGA = 1e9
ROUTES = ("torch2tf", "tf2torch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=0.5)
    parser.add_argument("--table", type=float, default=0.0)
    parser.add_argument("--route", choices=ROUTES, action="append")
    parser.add_argument("--source")
    parser.add_argument("--no-verify", action="store_true")
    parser.add_argument("--step", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step is not None:
        _step(*arguments.step, arguments)
        return
    for route in arguments.route or ROUTES:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            made = f"{folder}/{'model.pt2' if route == 'torch2tf' else 'saved'}"
            for step in ("translate",) if arguments.source else ("make", "translate"):
                given = [step, route, arguments.source or made, f"{folder}/translated"]
                command = [sys.executable, "-m", "benchmarks.memory", *sys.argv[1:], "--step", *given]
                subprocess.run(command, check=True)


def _step(step: str, route: str, source: str, target: str, arguments: argparse.Namespace) -> None:
    if step == "make":
        layers = max(1, round((arguments.gigabytes - arguments.table) * _GIGA / _LAYER_BYTES))
        (_make_torch if route == "torch2tf" else _make_tensorflow)(source, layers, round(arguments.table * _GIGA))
    else:
        print(_table(_translate(route, source, target, verify=not arguments.no_verify)))


def _make_torch(path: str, layers: int, table_bytes: int) -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.image = nn.Conv2d(3, 16, 3, stride=2, padding=1)
            self.table = nn.Embedding(table_bytes // (4 * _WIDTH), _WIDTH) if table_bytes else None
            self.layers = nn.ModuleList(nn.Linear(_WIDTH, _WIDTH) for _ in range(layers))

        def forward(self, x: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
            x = self.image(x).flatten(1)
            x = x if self.table is None else x + self.table(which)
            for layer in self.layers:
                x = torch.relu(layer(x))
            return x

    torch.manual_seed(0)
    net = Net().eval()
    with torch.no_grad():
        for layer in net.layers:
            layer.weight.normal_(std=(2 / _WIDTH) ** 0.5)
    batch = torch.export.Dim("batch")
    example = (torch.randn(3, 3, 32, 32), torch.zeros(3, dtype=torch.int64))
    torch.export.save(torch.export.export(net, example, dynamic_shapes=({0: batch}, {0: batch})), path)


def _make_tensorflow(path: str, layers: int, table_bytes: int) -> None:
    import tensorflow as tf

    tf.random.set_seed(0)

    class Net(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.image = tf.Variable(tf.random.normal([3, 3, 3, 16], stddev=0.2), name="image")
            self.table = None
            if table_bytes:
                self.table = tf.Variable(tf.random.normal([table_bytes // (4 * _WIDTH), _WIDTH]), name="table")
            self.layers = [
                tf.Variable(tf.random.normal([_WIDTH, _WIDTH], stddev=(2 / _WIDTH) ** 0.5), name=f"layer_{index}")
                for index in range(layers)
            ]

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 32, 32, 3], tf.float32, name="x"),
                tf.TensorSpec([None], tf.int64, name="which"),
            ]
        )
        def serve(self, x: tf.Tensor, which: tf.Tensor) -> dict[str, tf.Tensor]:
            y = tf.reshape(tf.nn.conv2d(x, self.image, strides=2, padding="SAME"), [-1, _WIDTH])
            y = y + (tf.cast(which, tf.float32)[:, None] if self.table is None else tf.gather(self.table, which))
            for layer in self.layers:
                y = tf.nn.relu(y @ layer)
            return {"y": y}

    net = Net()
    tf.saved_model.save(net, path, signatures={"serving_default": net.serve})


def _translate(route: str, source: str, target: str, *, verify: bool) -> dict[str, Any]:
    """Translate in this process; return the weights' bytes, and for each stage its greatest resident memory."""
    import tensorflow
    import torch

    from translate import routes

    assert tensorflow.__version__ and torch.__version__
    # The first call of each framework takes what is no matter of the model's size.
    torch.ones(2) @ torch.ones(2)
    tensorflow.ones([2, 2]) @ tensorflow.ones([2, 2])
    peaks = {"frameworks": _peak()}
    stage = "open"

    def progress(following: str) -> None:
        nonlocal stage
        peaks[stage] = max(peaks.get(stage, 0), _peak())
        stage = following
        Path("/proc/self/clear_refs").write_text("5")

    translate = routes.torch2tf if route == "torch2tf" else routes.tf2torch
    result = translate(source, target, verify=verify, progress=progress)
    peaks[stage] = _peak()
    return {
        "route": route,
        "weights": 4 * (result.trainable + result.frozen),
        "peaks": peaks,
        "seconds": round(sum(result.seconds.values())),
    }


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _table(found: dict[str, Any]) -> str:
    weights, frameworks = found["weights"], found["peaks"]["frameworks"]
    lines = [f"{found['route']}: {weights / _GIGA:.2f} GB of weights, {found['seconds']} s"]
    for stage, peak in found["peaks"].items():
        beyond = f"{(peak - frameworks) / weights:5.2f} x the weights beyond the frameworks"
        lines.append(f"  {stage:<10} {peak / _GIGA:6.2f} GB" + ("" if stage == "frameworks" else f"  {beyond}"))
    most = max(found["peaks"].values())
    # The source's own copy is one.
    beyond, goal = (most - weights) / _GIGA, 1.5 * weights / _GIGA + 2
    lines.append(f"  beyond the source's own copy {beyond:.2f} GB; 1.5 times the weights and 2 GB are {goal:.2f} GB")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
