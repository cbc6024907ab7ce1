"""Write docs/layers.md from the table:  python -m translate.converters.keras_to_torch.document > docs/layers.md"""

from __future__ import annotations

import sys

from translate.converters.keras_to_torch.lowerings import TABLE
from translate.converters.keras_to_torch.table import Row

HEAD = """# Keras layers in PyTorch

Generated from the table by `make docs`; do not edit.

A Keras model is translated layer by layer: each becomes a module of PyTorch under the layer's name, or a few
calls of functions. *What is not covered* holds the cases that are refused.
"""


def document() -> str:
    """Return the Markdown text of docs/layers.md."""
    rows = {part: [row for row in TABLE if row.part == part] for part in ("layers", "ops", "activations")}
    lines = [
        HEAD,
        f"## Layers: {len(rows['layers'])} are translated",
        "",
        "| Layer | What it does | What is not covered |",
        "|---|---|---|",
        *(f"| {row.name} | {_summary(row)} | {_one_line(row.limits)} |" for row in rows["layers"]),
        "",
        f"## Layers that are not translated: {len(TABLE.not_done)}",
        "",
        "| Layer | Reason |",
        "|---|---|",
        *(f"| {name} | {_one_line(reason)} |" for name, reason in sorted(TABLE.not_done.items())),
        "",
        f"## Operations of functional models: {len(rows['ops'])} are translated",
        "",
        ", ".join(row.name for row in rows["ops"]) + ".",
    ]
    return "\n".join(lines) + "\n"


def _summary(row: Row) -> str:
    """Return the first paragraph of a row's docstring."""
    return _one_line((row.function.__doc__ or "").partition("\n\n")[0])


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document())
