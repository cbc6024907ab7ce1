"""Write docs/layers.md from the table:  python -m translate.converters.keras_to_torch.document > docs/layers.md"""

from __future__ import annotations

import sys

from translate.converters.keras_to_torch.lowerings import TABLE
from translate.converters.keras_to_torch.table import Row

HEAD = """# Keras layers in PyTorch

Generated from the table by `make docs`; do not edit.

`translate tf2torch` takes a Keras model layer by layer: each becomes a module of PyTorch under the layer's name, or a
few calls of functions. `train()` and `eval()` mean what they mean in PyTorch, `requires_grad` follows `trainable`, and
`translate.update_weights(keras_model, module)` carries weights back that were trained in PyTorch. *What is not covered*
holds the cases that are refused: such a layer, or one that is not listed, becomes a module that is made of its
TensorFlow graph. Where that is not possible either, the whole model goes by its graph. The report says which way it was
(`route`), and why. `--route layers` insists on the layers, `--route graph` on the graph.

A custom layer has no row. If its `call` consists of `keras.ops` and of layers, it is translated like a model.

Where training differs from Keras's:

- In training, PyTorch moves the running variance of a `BatchNorm` by n / (n - 1) times the variance of the batch of n
  values, Keras by the variance itself. The loss of each step is the same, since a batch is normalised by its own
  statistics in both. A model that was trained further differs a little when it is used; for n of 1000 by 0.1 % of the
  variances.
- `nn.LSTM` and `nn.RNN` have two biases where Keras has one. The second one, `bias_hh`, is zero and does not require a
  gradient: trained both, the sum would learn twice as fast.
- A `.pt2` is a program for use: torch.export leaves dropout out of it, and takes the recorded statistics. Train what
  `translate.tf2torch` returns, or a `--format python` package.
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
        f"## Operations: {len(rows['ops'])} are translated",
        "",
        "Those of `keras.ops` that functional models, and the `call` of a custom layer, record:",
        "",
        ", ".join(row.name for row in rows["ops"]) + ".",
        "",
        "| Operation | What is not covered |",
        "|---|---|",
        *(f"| {row.name} | {_one_line(row.limits)} |" for row in rows["ops"] if row.limits),
        "",
        f"## Operations that are not translated: {len(TABLE.not_done_operations)}",
        "",
        "| Operation | Reason |",
        "|---|---|",
        *(f"| {name} | {_one_line(reason)} |" for name, reason in sorted(TABLE.not_done_operations.items())),
    ]
    return "\n".join(lines) + "\n"


def _summary(row: Row) -> str:
    """Return the first paragraph of a row's docstring."""
    return _one_line((row.function.__doc__ or "").partition("\n\n")[0])


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document())
