"""Race one whole `translate torch2tf` process against one whole onnx2tf process on timm's ResNet-18.

`make bench`, or `python -m benchmarks.race_onnx2tf [--rounds 2]` in the pinned environment. `translate` runs twice:
from the .pt2 file, so that PyTorch's import and export to ONNX are in its time, and from the ONNX file that onnx2tf is
given. Both times have the verification in them; onnx2tf verifies nothing. On the other hand onnx2tf always writes two
TFLite files as well, which nobody asked for and which it cannot be told to leave out; they take a good part of its
time. All run in turn, on the same machine, and the fastest run of each counts. Returns 1 when translate takes over a
tenth of onnx2tf's time from the .pt2 file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

BAR = 0.1
BIN = Path(sys.executable).parent


def make_models(folder: Path) -> tuple[Path, Path]:
    """Write ResNet-18, its weights random and its batch dynamic, as .pt2 and as .onnx; return both paths."""
    import torch

    from tests.zoo import ZOO

    model, _ = ZOO["resnet18"]()
    example = (torch.randn(2, 3, 224, 224),)
    dynamic = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model, example, dynamic_shapes=dynamic)
    torch.export.save(program, folder / "resnet18.pt2")
    torch.onnx.export(
        program, example, folder / "resnet18.onnx", dynamic_shapes=dynamic, external_data=False, verbose=False
    )
    return folder / "resnet18.pt2", folder / "resnet18.onnx"


def seconds(command: Sequence[str | Path], log: Path) -> float:
    """Run a command to its end and return its wall-clock seconds; `RuntimeError` with its last lines if it fails."""
    # onnx2tf looks for onnxsim on PATH and silently does without when it is not there.
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": ""}
    start = time.perf_counter()
    with log.open("w") as output:
        done = subprocess.run([str(part) for part in command], stdout=output, stderr=output, env=environment)
    elapsed = time.perf_counter() - start
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise RuntimeError(f"{command[0]} failed with exit code {done.returncode}:\n{tail}")
    return elapsed


def megabytes(files: Sequence[Path]) -> float:
    return sum(file.stat().st_size for file in files) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="how often each of the two runs (default 2)")
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {"translate .pt2": [], "translate .onnx": [], "onnx2tf": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        program, graph = make_models(folder)
        made = folder / "onnx2tf"
        for turn in range(1, rounds + 1):
            # A copy, because onnx2tf overwrites the file that it is given.
            copy = Path(shutil.copy(graph, folder / "copy.onnx"))
            commands = (
                [BIN / "translate", "torch2tf", program, "-o", folder / "from_pt2", "--force"],
                [BIN / "translate", "torch2tf", graph, "-o", folder / "from_onnx", "--force"],
                [BIN / "onnx2tf", "-i", copy, "-o", made, "-osd"],
            )
            for name, command in zip(times, commands, strict=True):
                times[name].append(seconds(command, folder / "log"))
                print(f"round {turn}: {name:<16}{times[name][-1]:6.1f} s", flush=True)
        unasked = sorted(made.glob("*.tflite"))
        print(f"onnx2tf also wrote {len(unasked)} TFLite files that nobody asked for, {megabytes(unasked):.0f} MB")
    best = {name: min(runs) for name, runs in times.items()}
    for name in list(best)[:2]:
        ratio = best[name] / best["onnx2tf"]
        print(f"{name} takes {ratio:.3f} of onnx2tf's time, that is 1/{1 / ratio:.1f}; the bar is {BAR}")
    return int(best["translate .pt2"] > BAR * best["onnx2tf"])


if __name__ == "__main__":
    sys.exit(main())
