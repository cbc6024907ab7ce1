"""Write docs/operators.md from the tables:  python -m translate.converters.document > docs/operators.md"""

from __future__ import annotations

import sys
from collections import defaultdict

from translate.converters.lowering import Lowering, Table
from translate.converters.onnx_to_keras.lowerings import TABLE as KERAS
from translate.converters.onnx_to_tf.lowerings import TABLE as TENSORFLOW
from translate.converters.onnx_to_tf.table import CHANNELS_LAST
from translate.converters.onnx_to_torch.lowerings import TABLE as PYTORCH
from translate.converters.operators.functions import FUNCTIONS
from translate.converters.tf_to_onnx.lowerings import TABLE as FROM_TENSORFLOW
from translate.converters.tflite_to_onnx.lowerings import TABLE as FROM_TFLITE

HEAD = """# Operators

Generated from the tables of lowerings by `make docs`; do not edit.

## ONNX operators in TensorFlow and PyTorch

*From opset* is where a row of a table begins: models older than opset 18 are raised to it first, so most operators need
only one. The other columns hold what a target does not cover: the cases that are refused, with a report, before
anything is written. An empty field means that there is no such case.
"""

_OWN = """TensorFlow's graphs hold these, and PyTorch has them: they are translated from the one to the other, and
refused in a file of ONNX:"""

Operator = tuple[str, str]


def document() -> str:
    """Return the Markdown text of docs/operators.md."""
    tables = {table.target: _rows(table) for table in (TENSORFLOW, PYTORCH)}
    operators = sorted({*TENSORFLOW.not_done, *PYTORCH.not_done, *(name for rows in tables.values() for name in rows)})
    counts = " and ".join(f"{len(rows)} to {target}" for target, rows in tables.items())
    lines = [
        HEAD,
        f"Of {len(operators)} operators {counts} are translated.",
        "",
        f"| Operator | From opset | {' | '.join(tables)} |",
        f"|---|---|{'---|' * len(tables)}",
    ]
    for operator in operators:
        since = sorted({row.since for rows in tables.values() for row in rows[operator]})
        cells = [_cell(table, tables[table.target][operator], operator) for table in (TENSORFLOW, PYTORCH)]
        lines.append(f"| {_name(*operator)} | {', '.join(map(str, since))} | {' | '.join(cells)} |")
    own = ", ".join(sorted(row.op_type for row in PYTORCH if row.domain == FUNCTIONS))
    lines += ["", "## Functions that ONNX has not", "", f"{_OWN} {own}."]
    lines += _keras()
    lines += _sources("TensorFlow", FROM_TENSORFLOW) + _sources("TFLite", FROM_TFLITE)
    return "\n".join(lines) + "\n"


def _keras() -> list[str]:
    """Return the section of the table for `--format keras`, which has what Keras's own layers and operations say."""
    rows = sorted(_rows(KERAS).items())
    return [
        *("", "## ONNX operators in Keras", ""),
        f"`torch2tf --format keras` translates {len(rows)} operators, and LSTM, GRU and RNN where torch.nn has them.",
        *("", "| Operator | What is not covered |", "|---|---|"),
        *(f"| {_name(*operator)} | {_cell(KERAS, own, operator)} |" for operator, own in rows),
    ]


def _sources(name: str, table: Table) -> list[str]:
    """Return the section of a table that reads the operators of another format."""
    rows = sorted((row.op_type, row.limits) for row in table)
    done = [f"| {operator} | {_one_line(limits)} |" for operator, limits in rows]
    left = [f"| {operator} | {_one_line(reason)} |" for (_, operator), reason in sorted(table.not_done.items())]
    return [
        *("", f"## {name} operators in ONNX", "", f"{len(done)} are translated.", ""),
        *("| Operator | What is not covered |", "|---|---|", *done, ""),
        *(f"{len(left)} are not, as far as there is more to say than that:", ""),
        *("| Operator | Reason |", "|---|---|", *left),
    ]


def _rows(table: Table) -> dict[Operator, list[Lowering]]:
    """Return the rows of each ONNX operator."""
    rows: dict[Operator, list[Lowering]] = defaultdict(list)
    for row in table:
        # A channels-last row is how the ONNX operator of that name is done; operators of our own are not ONNX's.
        domain = "" if row.domain == CHANNELS_LAST else row.domain
        if domain.partition(".")[0] != "translate":
            rows[domain, row.op_type].append(row)
    return rows


def _cell(table: Table, rows: list[Lowering], operator: Operator) -> str:
    if not rows:
        return f"not translated: {_one_line(table.not_done[operator])}"
    return "; ".join(_one_line(row.limits) for row in rows if row.limits)


def _name(domain: str, op_type: str) -> str:
    return op_type if not domain else f"{domain}.{op_type}"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document())
