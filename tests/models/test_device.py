"""Devices and threads: parsed, refused where they are not there, pinned alike in every framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from translate.errors import UsageError
from translate.models import open_model
from translate.models.device import Placement, pin, placement
from translate.models.renamed import RenamedInputs
from translate.models.tensorflow_device import Device

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "fixtures" / "digits_cnn.pt2"


@pytest.mark.parametrize(
    ("text", "gpu", "name"),
    [("cpu", None, "cpu"), ("gpu", 0, "gpu:0"), ("cuda", 0, "gpu:0"), ("cuda:1", 1, "gpu:1"), ("gpu:12", 12, "gpu:12")],
)
def test_cuda_and_gpu_mean_the_same(text: str, gpu: int | None, name: str) -> None:
    parsed = placement(text)
    assert (parsed.gpu, parsed.device) == (gpu, name)


@pytest.mark.parametrize("text", ["tpu:0", "gpu:-1", "cuda:", "cpu:0", "", "gpu:0 "])
def test_other_devices_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not cpu, gpu:0 or cuda:0"):
        placement(text)


@pytest.mark.parametrize("threads", [0, -2])
def test_threads_are_at_least_one(threads: int) -> None:
    with pytest.raises(UsageError, match="at least one"):
        placement(threads=threads)
    with pytest.raises(UsageError, match="at least one"):
        pin(threads)


def test_what_runs_on_the_cpu_only_refuses_a_gpu() -> None:
    Placement().require_cpu("TFLite")
    with pytest.raises(UsageError, match="--device gpu:1: TFLite runs on the CPU only"):
        placement("cuda:1").require_cpu("TFLite")


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tensorflow as tf

    path = tmp_path_factory.mktemp("saved") / "net"
    net = tf.Module()
    net.weight = tf.Variable([[1.0], [2.0], [3.0]])
    net.serve = tf.function(
        lambda x: {"y": tf.nn.softplus(x @ net.weight)}, input_signature=[tf.TensorSpec([None, 3], name="x")]
    )
    tf.saved_model.save(net, str(path), signatures=net.serve)
    return path


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from onnx import TensorProto, helper, save

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", values[:1], values[1:])
    path = tmp_path_factory.mktemp("onnx") / "neg.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_a_device_that_is_not_there_is_refused_with_what_is(saved_model: Path, onnx_file: Path) -> None:
    with pytest.raises(UsageError, match=r"--device gpu:99: PyTorch .* it has cpu"):
        open_model(DIGITS, placement=placement("cuda:99"))
    with pytest.raises(UsageError, match=r"--device gpu:99: TensorFlow .* it has cpu"):
        open_model(saved_model, placement=placement("cuda:99"))
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        onnx = open_model(onnx_file, placement=placement("gpu:0"))
        with pytest.raises(UsageError, match=r"--device gpu:0: ONNX Runtime .* it has cpu"):
            onnx.run({"x": np.ones((2, 3), np.float32)})


def test_on_the_cpu_all_compute_as_before(saved_model: Path, onnx_file: Path) -> None:
    on_cpu = placement("cpu")
    for source in (DIGITS, saved_model, onnx_file):
        plain, placed = open_model(source), open_model(source, placement=on_cpu)
        shape = [2 if not isinstance(dim, int) else dim for dim in plain.inputs[0].shape or ()]
        feeds = {plain.inputs[0].name: np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)}
        for name, array in plain.run(feeds).items():
            np.testing.assert_array_equal(placed.run(feeds)[name], array)
        settings = placed.settings()
        assert (settings["device"], settings["tf32"], settings["xla"]) == ("cpu", False, False)
        assert placed.peak_device_bytes() is None
        assert RenamedInputs(placed, {plain.inputs[0].name: "z"}).settings() == settings


def test_xla_compiles_what_tensorflow_runs(saved_model: Path) -> None:
    feeds = {"x": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)}
    compiled = open_model(saved_model, placement=placement(xla=True))
    np.testing.assert_allclose(compiled.run(feeds)["y"], open_model(saved_model).run(feeds)["y"], rtol=1e-5)
    assert compiled.settings()["xla"] is True
    # PyTorch stays eager.
    assert open_model(DIGITS, placement=placement(xla=True)).settings()["xla"] is False


def test_what_xla_cannot_run_is_a_usage_error(tmp_path: Path) -> None:
    import tensorflow as tf

    net = tf.Module()
    net.serve = tf.function(lambda x: {"y": tf.strings.as_string(x)}, input_signature=[tf.TensorSpec([None], name="x")])
    tf.saved_model.save(net, str(tmp_path / "text"), signatures=net.serve)
    model = open_model(tmp_path / "text", placement=placement(xla=True))
    with pytest.raises(UsageError, match="--xla: XLA cannot run"):
        model.run({"x": np.ones(2, np.float32)})


def test_tf32_is_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf
    import torch

    from translate.models import torch_device

    try:
        torch_device.prepare(Placement(tf32=True))
        Device(Placement(tf32=True))
        assert torch.backends.cudnn.allow_tf32 and tf.config.experimental.tensor_float_32_execution_enabled()
    finally:
        torch_device.prepare(Placement())
        Device(Placement())
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    pin(tf32=True)
    assert "NVIDIA_TF32_OVERRIDE" not in os.environ
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    pin()
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"


PROGRAM = """
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from translate.errors import UsageError
from translate.models.device import pin, placement
digits, saved_model, onnx_file = sys.argv[1:]
pin(1)
import numpy as np
import torch
pinned = [torch.get_num_threads(), int(os.environ["TF_NUM_INTRAOP_THREADS"]), int(os.environ["TF_NUM_INTEROP_THREADS"])]
from translate.models import open_model
import tensorflow as tf
# Stands for two devices of a machine that has one.
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
one = placement("cpu", threads=1)
found = {"pinned": pinned}
found |= {"settings": [dict(open_model(path, placement=one).settings()) for path in (digits, saved_model, onnx_file)]}
model = open_model(saved_model, placement=one)
# As on a machine with a GPU, where the device is named at every call.
model.device._name = "/CPU:1"
with model.device.scope():
    model.loaded = tf.saved_model.load(saved_model)
model.function = model.loaded.signatures["serving_default"]
values = model.upload({"x": np.ones((2, 3), np.float32)})
results = model.call(values)
variables = model.function.graph.variables
found["devices"] = [t.device[-5:] for t in (*values.values(), *results.values(), *variables)]
found["errors"] = []
for path in (digits, saved_model):
    try:
        open_model(path, placement=placement("cpu", threads=2))
    except UsageError as error:
        found["errors"].append(str(error))
print(json.dumps(found))
"""


def test_threads_and_device_hold_in_every_framework(saved_model: Path, onnx_file: Path) -> None:
    # In a process of its own: threads can be set once, before anything has run.
    command = [sys.executable, "-c", PROGRAM, str(DIGITS), str(saved_model), str(onnx_file)]
    # Without what the tests themselves may have been given.
    env = {name: value for name, value in os.environ.items() if "NUM_" not in name}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["pinned"] == [1, 1, 1]
    assert [s["intra_op_threads"] for s in found["settings"]] == [1, 1, 1]
    assert [s["inter_op_threads"] for s in found["settings"]] == [1, 1, 1]
    assert [str(s["framework"]).split()[0] for s in found["settings"]] == ["torch", "tensorflow", "onnxruntime"]
    assert found["devices"] == ["CPU:1"] * 3
    assert len(found["errors"]) == 2
    assert all("--threads 2: too late" in error for error in found["errors"])
