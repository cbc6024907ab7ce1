"""Write docs/operators.md from the table:  python -m translate.converters.onnx_to_tf.document > docs/operators.md"""

from __future__ import annotations

import sys
from collections import defaultdict

from translate.converters.lowering import Lowering
from translate.converters.onnx_to_tf.lowerings import TABLE
from translate.converters.onnx_to_tf.table import CHANNELS_LAST, FUSED

HEAD = """# ONNX operators in TensorFlow

Generated from the table of lowerings by `make docs`; do not edit.

*From opset* is where a row begins: models older than opset 18 are raised to it first, so most operators need only one.
*Limits* are the cases that are refused, with a report, before anything is written.
"""


def document() -> str:
    """Return the Markdown text of docs/operators.md."""
    rows: dict[tuple[str, str], list[Lowering]] = defaultdict(list)
    for row in TABLE:
        # A channels-last row is how the ONNX operator of that name is done; operators of our own are not ONNX's.
        if row.domain != FUSED:
            rows["" if row.domain == CHANNELS_LAST else row.domain, row.op_type].append(row)
    lines = [
        HEAD,
        f"## {len(rows)} operators are translated",
        "",
        "| Operator | From opset | Limits |",
        "|---|---|---|",
    ]
    for (domain, op_type), versions in sorted(rows.items()):
        limits = "; ".join(_one_line(row.limits) for row in versions if row.limits)
        since = ", ".join(str(row.since) for row in versions)
        lines.append(f"| {_name(domain, op_type)} | {since} | {limits} |")
    lines += ["", f"## {len(TABLE.not_done)} operators are not", "", "| Operator | Reason |", "|---|---|"]
    for (domain, op_type), reason in sorted(TABLE.not_done.items()):
        lines.append(f"| {_name(domain, op_type)} | {_one_line(reason)} |")
    return "\n".join(lines) + "\n"


def _name(domain: str, op_type: str) -> str:
    return op_type if not domain else f"{domain}.{op_type}"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document())
