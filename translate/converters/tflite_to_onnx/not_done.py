"""TFLite's operators without a lowering to ONNX, as far as there is more to say than that, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator

_REASONS = {
    "it keeps a state from one run to the next": "VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE CALL_ONCE SVDF RNN LSTM",
    "it works on complex numbers": "RFFT2D REAL IMAG COMPLEX_ABS",
    "it draws random numbers by TFLite's own generator": "RANDOM_UNIFORM RANDOM_STANDARD_NORMAL MULTINOMIAL",
    "it looks up in a table that is no tensor": (
        "HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE HASHTABLE_LOOKUP"
    ),
    "it works on text, outside the model would be the place for it": "SKIP_GRAM LSH_PROJECTION",
    "its weights are stored sparse": "DENSIFY EMBEDDING_LOOKUP_SPARSE",
    "it is the program of one device": "DELEGATE",
}


def not_done() -> Iterator[tuple[str, str]]:
    """List the operators, each with its reason."""
    for reason, names in _REASONS.items():
        yield from ((name, reason) for name in names.split())
