"""What the counts over all models share: each model that the tests know goes through one function.

Each runs in a process of its own, with a limit of time. What came of it is kept in a folder, one JSON file for each
model, so that a run that was broken off goes on where it was. All of them make a table.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tests.zoo import ZOO, available

FIXTURES = {path.stem: path for path in sorted(Path("fixtures").glob("*.pt2"))}
PRELOAD = ("tensorflow", "torch", "torch.export", "onnxruntime", "tests.zoo")

# What came of a model: under "word" "equal" or what else, under "reason" why, and what else the table does not show.
Row: TypeAlias = dict[str, Any]


def source_of(name: str) -> tuple[Any, list[str]]:
    """Return the file of a fixture or a model of the zoo, made anew, and its inputs as `--input` options."""
    return (FIXTURES[name], []) if name in FIXTURES else ZOO[name]()


@dataclass(frozen=True)
class Count:
    """A benchmark of every model: `work` is called with the name of each, its row is kept in `folder`."""

    folder: Path
    work: Callable[[str], Row]

    def main(self, program: str, purpose: str) -> int:
        """Run the models that the command line asks for, and print the table of all that have a result."""
        parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{program}", description=purpose)
        parser.add_argument("names", nargs="*", help="names of models, or how they begin")
        parser.add_argument("--again", action="store_true", help="run also what failed before")
        parser.add_argument("--seconds", type=float, default=300.0, help="limit for one model")
        asked = parser.parse_args()
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        multiprocessing.get_context("forkserver").set_forkserver_preload(list(PRELOAD))
        self.folder.mkdir(parents=True, exist_ok=True)
        every = [*FIXTURES, *(name for name in ZOO if available(name))]
        for name in every:
            if (not asked.names or name.startswith(tuple(asked.names))) and self._is_open(name, asked.again):
                self._run(name, asked.seconds)
                row = self.row(name)
                line = f"{row['word']:18}{row['seconds']:7.1f} s  {name}  {row['reason'][:150]}"
                print(line, file=sys.stderr, flush=True)
        print(self._table([name for name in every if self._file(name).exists()]))
        return 0

    def row(self, name: str) -> Row:
        """Return what came of a model."""
        row: Row = json.loads(self._file(name).read_text())
        return row

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _is_open(self, name: str, again: bool) -> bool:
        return not self._file(name).exists() or (again and self.row(name)["word"] != "equal")

    def _run(self, name: str, seconds: float) -> None:
        file = self._file(name)
        file.unlink(missing_ok=True)
        context = multiprocessing.get_context("forkserver")
        process = context.Process(target=_record, args=(self.work, name, file.absolute()))
        start = time.perf_counter()
        process.start()
        process.join(seconds)
        process.kill()
        process.join()
        if not file.exists():
            reason = f"the process ended with {process.exitcode}"
            file.write_text(json.dumps({"word": "broken", "seconds": time.perf_counter() - start, "reason": reason}))

    def _table(self, names: Sequence[str]) -> str:
        families: dict[str, list[str]] = defaultdict(list)
        for name in names:
            families["fixtures" if name in FIXTURES else ZOO[name].family].append(name)
        lines = ["| models | of | equal | not |", "|---|---|---|---|"]
        for family, members in families.items():
            bad = [name for name in members if self.row(name)["word"] != "equal"]
            lines.append(f"| {family} | {len(members)} | {len(members) - len(bad)} | {', '.join(bad)} |")
        good = sum(self.row(name)["word"] == "equal" for name in names)
        return "\n".join([*lines, f"| all | {len(names)} | {good} | |"])


def _record(work: Callable[[str], Row], name: str, file: Path) -> None:
    with file.with_suffix(".log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    start = time.perf_counter()
    try:
        row = work(name)
    except Exception as error:
        # Any failure is a line of the table, those of the libraries below too.
        row = {"word": "failed", "reason": f"{type(error).__name__}: {error}"}
    row["seconds"] = round(time.perf_counter() - start, 1)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(row, indent=1) + "\n")
    new.replace(file)


def differences(verdict: Any) -> str:
    """Return in a line what two models differ by; empty where they are equal."""
    said = [run.failure or "; ".join(p for output in run.outputs for p in output.problems) for run in verdict.runs]
    return " | ".join([*verdict.interface, *filter(None, said)])
