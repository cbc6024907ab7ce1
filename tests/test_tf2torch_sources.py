"""Every other source of `tf2torch`, on its way to a proven, reloaded `.pt2`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch

import translate
from translate import routes
from translate.verify.cases import InputPlan

v1 = tf.compat.v1
W = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32) / 2


def prove(source: Any, folder: Path, **options: Any) -> Any:
    """Translate, compare at several sizes, load with PyTorch alone and return the module."""
    result = routes.tf2torch(source, folder / "result.pt2", **options)
    assert result.verdict is not None and result.passed
    assert len({tuple(sorted(run.sizes.items())) for run in result.verdict.runs}) >= 2
    return torch.export.load(folder / "result.pt2").module()


@pytest.fixture
def control_flow_of_version_1() -> Any:
    v1.disable_control_flow_v2()
    yield
    v1.enable_control_flow_v2()


def test_a_frozen_graph_with_a_loop(tmp_path: Path, control_flow_of_version_1: None) -> None:
    with tf.Graph().as_default() as graph, v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        w = v1.get_variable("layer/w", initializer=W, use_resource=False)
        y = v1.while_loop(lambda n, _: n < 6, lambda n, y: (n + 1, tf.tanh(y @ w)), [tf.constant(0), x])[1]
        tf.identity(y, name="y")
        session.run(v1.global_variables_initializer())
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["y"])
    (tmp_path / "graph.pb").write_bytes(frozen.SerializeToString())
    module = prove(tmp_path / "graph.pb", tmp_path, graph_inputs=["x"], graph_outputs=["y:0"])
    assert [tuple(parameter.shape) for parameter in module.parameters()] == [(4, 4)]


def test_a_saved_model_of_a_session(tmp_path: Path, control_flow_of_version_1: None) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        w = v1.get_variable("w", initializer=W, use_resource=False)
        y = v1.cond(tf.reduce_sum(x) > 0, lambda: x @ w, lambda: -x)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "model"), inputs={"x": x}, outputs={"y": y})
    module = prove(tmp_path / "model", tmp_path)
    assert dict(module.named_parameters()).keys() == {"w"}


def test_a_live_function_with_a_choice_of_three(tmp_path: Path) -> None:
    """Which of the branches is taken, a size tells: it must not be taken for a constant inside them."""
    w = tf.Variable(W, name="w")

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")], autograph=False)
    def choice(x: tf.Tensor) -> tf.Tensor:
        return tf.switch_case(tf.shape(x)[0] % 3, [lambda: x @ w, lambda: x + 1.0, lambda: tf.tanh(x)])

    module = prove(choice, tmp_path)
    for rows in (3, 4, 5):
        x = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
        (result,) = torch.utils._pytree.tree_leaves(module(torch.from_numpy(x)))
        np.testing.assert_allclose(result.detach().numpy(), choice(x).numpy(), rtol=1e-5, atol=1e-6)
    assert translate.tf2torch(choice)(torch.ones(2, 4)).shape == (2, 4)


def test_a_module_with_a_spectrogram(tmp_path: Path) -> None:
    class Spectrogram(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, "sound")], autograph=False)
        def run(self, sound: tf.Tensor) -> tf.Tensor:
            return tf.abs(tf.signal.stft(sound, 6, 3, fft_length=8))

    # Of one frame or none, PyTorch would make a constant.
    prove(Spectrogram(), tmp_path, plan=InputPlan(sizes={"sound_1": (400, 610)}))


def test_a_vectorised_map(tmp_path: Path) -> None:
    w = tf.Variable(W, name="w")
    spec = tf.TensorSpec([None, None, 4], tf.float32, "x")
    rows = tf.function(lambda x: tf.vectorized_map(lambda row: tf.nn.softmax(row @ w), x), [spec], autograph=False)
    prove(rows, tmp_path)
