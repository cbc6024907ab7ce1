"""Run the zoo: one process for each model, or for some small ones, with limits, and a scoreboard in docs/zoo.md.

    make zoo                                  all models that have no result yet
    python -m benchmarks.zoo layer keras/VGG  those whose names begin so
    python -m benchmarks.zoo --again          those that failed, once more
    python -m benchmarks.zoo --scoreboard     write the scoreboard only

Results are kept in build/zoo/, one JSON file for each model, so that a run that was broken off goes on where it was.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmarks.zoo.catalogue import ZOO
from benchmarks.zoo.scoreboard import write_scoreboard
from benchmarks.zoo.worker import PRELOAD, work, write_row

FOLDER = Path("build/zoo")
SCOREBOARD = Path("docs/zoo.md")
GIGABYTE = 1 << 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; return 0, whatever the models do."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="names of models, or how they begin")
    parser.add_argument("--again", action="store_true", help="run also what failed before")
    parser.add_argument("--scoreboard", action="store_true", help="run nothing")
    parser.add_argument("--seconds", type=float, default=600.0, help="limit for one model")
    parser.add_argument("--gigabytes", type=float, default=10.0, help="limit of memory for one model")
    asked = parser.parse_args(arguments)
    if not asked.scoreboard:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
        multiprocessing.get_context("forkserver").set_forkserver_preload(list(PRELOAD))
        names = [name for name in ZOO if not asked.names or name.startswith(tuple(asked.names))]
        names = [name for name in names if _is_open(result_file(name), asked.again)]
        for _, group in itertools.groupby(names, lambda name: ZOO[name].group or name):
            run(list(group), asked.seconds, asked.gigabytes)
    write_scoreboard(SCOREBOARD, read_results())
    return 0


def result_file(name: str) -> Path:
    return FOLDER / f"{name.replace('/', '.')}.json"


def read_results() -> dict[str, dict[str, object]]:
    return {name: json.loads(result_file(name).read_text()) for name in ZOO if result_file(name).exists()}


def _is_open(file: Path, again: bool) -> bool:
    return not file.exists() or (again and not json.loads(file.read_text())["right"])


def run(names: Sequence[str], seconds: float, gigabytes: float) -> None:
    """Run models in a process of their own; what ends it gets a result that says so, and the others go on in another.

    `seconds` is the limit from one result to the next.
    """
    files = {name: result_file(name) for name in names}
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file in files.values():
        file.unlink(missing_ok=True)
    left = list(names)
    while left:
        context = multiprocessing.get_context("forkserver")
        arguments = (left, [files[name].absolute() for name in left], int(gigabytes * GIGABYTE))
        process = context.Process(target=work, args=arguments)
        process.start()
        try:
            while left and (reason := _wait(process, files[left[0]], seconds)) is None:
                _say(left.pop(0), files)
        finally:
            process.kill()
            process.join()
        if left:
            write_row(files[left[0]], {"right": False, "reason": reason, "total": seconds})
            _say(left.pop(0), files)


def _wait(process: BaseProcess, file: Path, seconds: float) -> str | None:
    """Return None as soon as the file is there, or why it will not come."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        process.join(0.2)
        if file.exists():
            return None
        if not process.is_alive():
            return f"the process ended with {process.exitcode}"
    return f"not done after {seconds:g} s"


def _say(name: str, files: Mapping[str, Path]) -> None:
    row = json.loads(files[name].read_text())
    word = "skipped" if row.get("skipped") else "right" if row["right"] else "FAILED"
    print(f"{word:8}{row['total']:7.1f} s  {name}  {row['reason'][:120]}", flush=True)
