"""Every operation of `keras.ops` has a row, or a reason why it has none."""

from __future__ import annotations

from keras.src.ops import core, einops, image, linalg, math, nn, numpy
from keras.src.ops.operation import Operation

from translate.converters.keras_to_torch.lowerings import TABLE


def test_every_operation_of_keras_has_a_row_xor_a_reason():
    kinds = {
        kind.__name__
        for module in (core, einops, image, linalg, math, nn, numpy)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Operation) and kind.__module__ == module.__name__
    }
    rows = {row.name for row in TABLE if row.part == "ops"}
    assert len(kinds) > 300
    assert rows | set(TABLE.not_done_operations) == kinds
    assert not rows & set(TABLE.not_done_operations)


def test_every_reason_is_given():
    assert all(len(reason) > 10 for reason in TABLE.not_done_operations.values())
