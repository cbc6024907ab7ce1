"""How many of the tests' models become TFLite without TensorFlow's own operators (Flex), and are equal.

    python -m benchmarks.tflite_count               all models that have no result yet, then the table
    python -m benchmarks.tflite_count resnet bert   those whose names begin so
    python -m benchmarks.tflite_count --again       those that failed, once more

Each model runs in a process of its own, with a limit of time. Results are kept in build/tflite/, one JSON file for each
model, so that a run that was broken off goes on where it was. Prints the table of docs/tflite.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.zoo import ZOO, available

FOLDER = Path("build/tflite")
FIXTURES = {path.stem: path for path in sorted(Path("fixtures").glob("*.pt2"))}
PRELOAD = ("tensorflow", "torch", "torch.export", "onnxruntime", "tests.zoo")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tflite_count", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="names of models, or how they begin")
    parser.add_argument("--again", action="store_true", help="run also what failed before")
    parser.add_argument("--seconds", type=float, default=300.0, help="limit for one model")
    asked = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(PRELOAD))
    FOLDER.mkdir(parents=True, exist_ok=True)
    every = [*FIXTURES, *(name for name in ZOO if available(name))]
    for name in every:
        if (not asked.names or name.startswith(tuple(asked.names))) and _is_open(name, asked.again):
            _run(name, asked.seconds)
            row = _row(name)
            print(
                f"{row['word']:14}{row['seconds']:7.1f} s  {name}  {row['reason'][:150]}", file=sys.stderr, flush=True
            )
    print(_table([name for name in every if _file(name).exists()]))
    return 0


def _file(name: str) -> Path:
    return FOLDER / f"{name}.json"


def _row(name: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(_file(name).read_text())
    return row


def _is_open(name: str, again: bool) -> bool:
    return not _file(name).exists() or (again and _row(name)["word"] != "equal")


def _run(name: str, seconds: float) -> None:
    _file(name).unlink(missing_ok=True)
    process = multiprocessing.get_context("forkserver").Process(target=_work, args=(name, _file(name).absolute()))
    start = time.perf_counter()
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    if not _file(name).exists():
        reason = f"the process ended with {process.exitcode}"
        _file(name).write_text(json.dumps({"word": "broken", "seconds": time.perf_counter() - start, "reason": reason}))


def _work(name: str, file: Path) -> None:
    with file.with_suffix(".log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    start = time.perf_counter()
    row: dict[str, Any] = _translate(name)
    row["seconds"] = round(time.perf_counter() - start, 1)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(row, indent=1) + "\n")
    new.replace(file)


def _translate(name: str) -> dict[str, Any]:
    """Translate a model; return the word for what came of it."""
    from translate import torch2tf
    from translate.errors import CannotTranslateError
    from translate.routes import NotEqualError

    with tempfile.TemporaryDirectory() as folder:
        source, inputs = (FIXTURES[name], []) if name in FIXTURES else ZOO[name]()
        try:
            torch2tf(source, Path(folder) / "model.tflite", format="tflite", inputs=inputs)
        except CannotTranslateError as error:
            return {"word": "refused", "reason": str(error)}
        except NotEqualError as error:
            verdict = error.result.verdict
            assert verdict is not None, "it was compared"
            said = [run.failure or "; ".join(p for o in run.outputs for p in o.problems) for run in verdict.runs]
            return {"word": "not equal", "reason": " | ".join([*verdict.interface, *filter(None, said)])}
        except Exception as error:
            # Any failure is a line of the table, those of the libraries below too.
            return {"word": "failed", "reason": f"{type(error).__name__}: {error}"}
        return {"word": "equal", "reason": ""}


def _table(names: Sequence[str]) -> str:
    families: dict[str, list[str]] = defaultdict(list)
    for name in names:
        families["fixtures" if name in FIXTURES else ZOO[name].family].append(name)
    lines = ["| models | of | equal | not |", "|---|---|---|---|"]
    for family, members in families.items():
        bad = [name for name in members if _row(name)["word"] != "equal"]
        lines.append(f"| {family} | {len(members)} | {len(members) - len(bad)} | {', '.join(bad)} |")
    good = sum(_row(name)["word"] == "equal" for name in names)
    return "\n".join([*lines, f"| all | {len(names)} | {good} | |"])


if __name__ == "__main__":
    sys.exit(main())
