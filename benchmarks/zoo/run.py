"""Run the zoo: one process for each model, with limits, and a scoreboard in docs/zoo.md.

    make zoo                                  all models that have no result yet
    python -m benchmarks.zoo layer keras/VGG  those whose names begin so
    python -m benchmarks.zoo --again          those that failed, once more
    python -m benchmarks.zoo --scoreboard     write the scoreboard only

Results are kept in build/zoo/, one JSON file for each model, so that a run that was broken off goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
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
        for name in [name for name in ZOO if not asked.names or name.startswith(tuple(asked.names))]:
            file = result_file(name)
            if not file.exists() or (asked.again and not json.loads(file.read_text())["right"]):
                run(name, file, asked.seconds, asked.gigabytes)
    write_scoreboard(SCOREBOARD, read_results())
    return 0


def result_file(name: str) -> Path:
    return FOLDER / f"{name.replace('/', '.')}.json"


def read_results() -> dict[str, dict[str, object]]:
    return {name: json.loads(result_file(name).read_text()) for name in ZOO if result_file(name).exists()}


def run(name: str, file: Path, seconds: float, gigabytes: float) -> None:
    """Run one model in a process of its own; one that is killed gets a result that says so."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=work, args=(name, file.absolute(), int(gigabytes * GIGABYTE)))
    start = time.perf_counter()
    process.start()
    try:
        process.join(seconds)
        reason = f"not done after {seconds:g} s" if process.is_alive() else f"the process ended with {process.exitcode}"
    finally:
        process.kill()
        process.join()
    if not file.exists():
        write_row(file, {"right": False, "reason": reason, "total": round(time.perf_counter() - start, 1)})
    row = json.loads(file.read_text())
    word = "skipped" if row.get("skipped") else "right" if row["right"] else "FAILED"
    print(f"{word:8}{row['total']:7.1f} s  {name}  {row['reason'][:120]}", flush=True)
