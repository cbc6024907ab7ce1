"""Recurrent cells that are one operator, against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, operators, refuses

R = tf.raw_ops
PEEPHOLES = {"wci": np.float32([0.5, -1, 2, 0.1]), "wcf": np.float32([1, 0.3, -2, 0]), "wco": np.float32([0, 1, -1, 2])}
W, B = np.random.default_rng(0).standard_normal([7, 16], np.float32), np.linspace(-1, 1, 16, dtype=np.float32)
STEP, STATE = floats("n", 3), floats("n", 4)


@pytest.mark.parametrize("peephole", [False, True])
def test_one_step_of_an_lstm(peephole: bool) -> None:
    def function(x: Any, c: Any, h: Any) -> Any:
        return tuple(
            R.LSTMBlockCell(x=x, cs_prev=c, h_prev=h, w=W, b=B, cell_clip=0.7, use_peephole=peephole, **PEEPHOLES)
        )

    check(function, STEP, STATE, STATE)


def test_one_step_of_a_gru() -> None:
    def function(x: Any, h: Any) -> Any:
        return tuple(R.GRUBlockCell(x=x, h_prev=h, w_ru=W[:, :8], w_c=W[:, 8:12], b_ru=B[:8], b_c=B[8:12]))

    check(function, STEP, STATE)


@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("name", ["BlockLSTM", "BlockLSTMV2"])
def test_an_lstm_over_time(name: str, peephole: bool) -> None:
    def function(x: Any, c: Any, h: Any, length: int = 3, read: str = "h", clip: float = 0.0) -> Any:
        options = {"seq_len_max": tf.constant(length, tf.int64), "cell_clip": clip, "use_peephole": peephole}
        return getattr(getattr(R, name)(x=x, cs_prev=c, h_prev=h, w=W, b=B, **options, **PEEPHOLES), read)

    inputs = floats("t", "n", 3), STATE, STATE
    model = check(function, *inputs)
    assert "LSTM" in operators(model)
    refuses(lambda *xs: function(*xs, read="cs"), *inputs, match="hidden state alone")
    refuses(lambda *xs: function(*xs, clip=1.0), *inputs, match="clipped to 1")
