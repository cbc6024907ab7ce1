"""The configuration and the clients beside a released model, each run against a stand-in of what it talks to."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from tests.serving.conftest import DIGITS, Pair, Released, release
from tests.tf_serving import serving
from translate import routes
from translate.errors import UsageError
from translate.models.base import Array
from translate.models.saved_model import SavedModel
from translate.publish import next_version
from translate.serving import Serving
from translate.verify.cases import InputPlan

pytestmark = pytest.mark.xdist_group("serving")

ROOT = Path(__file__).parents[2]
ALL = {
    *("batching.config", "grpc_client.py", "models.config", "request.json", "request.sh", "rest_client.py"),
    *("sample.npz", "serve.sh"),
}


class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """What TF Serving does with a PredictRequest."""

    def __init__(self, place: Path) -> None:
        self.loaded = tf.saved_model.load(str(place))
        self.asked: list[model_pb2.ModelSpec] = []

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        self.asked.append(request.model_spec)
        signature = self.loaded.signatures[request.model_spec.signature_name]
        feeds = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        response = predict_pb2.PredictResponse()
        for name, value in signature(**feeds).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return response


@contextlib.contextmanager
def grpc_server(place: Path) -> Iterator[tuple[str, Servicer]]:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    servicer = Servicer(place)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", servicer
    finally:
        server.stop(None)


def sample(released: Released) -> dict[str, Array]:
    with np.load(released.config / "sample.npz") as arrays:
        return dict(arrays)


def run(script: Path, *arguments: str, **variables: str) -> str:
    command = [sys.executable, script] if script.suffix == ".py" else [script]
    environment = {**os.environ, **variables}
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def call(script: Path, arrays: Path, *arguments: str) -> dict[str, Array]:
    """Import a client in a fresh process, call it on the arrays in a file, and return what it returns."""
    program = (
        "import sys, numpy as np\n"
        "sys.path.insert(0, sys.argv[1]); client = __import__(sys.argv[2])\n"
        "arrays = dict(np.load(sys.argv[3]))\n"
        "np.savez('answer.npz', **client.predict(arrays, *sys.argv[4:]))\n"
    )
    folder = arrays.parent
    command = [sys.executable, "-c", program, script.parent, script.stem, arrays, *arguments]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    with np.load(folder / "answer.npz") as answer:
        return dict(answer)


def test_what_is_written(digits: Released, tagged: Released) -> None:
    assert {path.name for path in digits.config.iterdir()} == ALL | {"labels.txt"}
    # Sequences of different lengths cannot be joined.
    assert {path.name for path in tagged.config.iterdir()} == ALL - {"batching.config"}
    assert any("batching stays off" in note for note in tagged.notes)
    assert any(str(tagged.config) in note for note in tagged.notes)
    assert "batching" not in (tagged.config / "serve.sh").read_text()


def test_models_config_is_what_tf_serving_reads(digits: Released) -> None:
    text = (digits.config / "models.config").read_text()
    parsed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = parsed.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("digits", "/models/digits", "tensorflow")
    assert model.model_version_policy.latest.num_versions == 2
    assert dict(model.version_labels) == {"stable": 1}


def test_batching_config_is_what_tf_serving_reads(digits: Released) -> None:
    # tensorflow_serving/servables/tensorflow/session_bundle_config.proto, which the package does not bring.
    file = descriptor_pb2.FileDescriptorProto(name="batching.proto", package="test", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    message = file.message_type.add(name="BatchingParameters")
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    for number, name in enumerate(names, 1):
        message.field.add(
            name=name, number=number, label=1, type=11, type_name=f".google.protobuf.{wrappers_pb2.Int64Value.__name__}"
        )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("test.BatchingParameters"))
    parsed = text_format.Parse((digits.config / "batching.config").read_text(), kind())
    assert parsed.max_batch_size.value == 32
    assert parsed.num_batch_threads.value == os.cpu_count()
    assert all(parsed.HasField(name) for name in names)


def test_serve_starts_docker_with_folders_that_are_there(digits: Released, tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    docker.chmod(0o755)
    said = run(digits.config / "serve.sh", "--extra", PATH=f"{tmp_path}:{os.environ['PATH']}").splitlines()
    mounts = dict(part.split("=") for line in said if line.startswith("type=") for part in line.split(",")[1:3])
    sources = [line.split("source=")[1].split(",")[0] for line in said if line.startswith("type=")]
    assert mounts["target"] == "/config"
    assert [Path(source) for source in sources] == [digits.serving.base, digits.config]
    assert "--model_config_file=/config/models.config" in said
    assert (digits.config / "batching.config").is_file()
    assert "--batching_parameters_file=/config/batching.config" in said
    assert said[-1] == "--extra"
    assert sum(line.startswith("tensorflow/serving:2.") for line in said) == 1


@pytest.mark.parametrize("which", ["digits", "tagged"])
def test_the_rest_client_sends_rows(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    released: Released = request.getfixturevalue(which)
    model, arrays = SavedModel(released.place), sample(released)
    # More rows than the sample's.
    arrays = {name: np.concatenate([array, array[:1], array[::-1]]) for name, array in arrays.items()}
    np.savez(tmp_path / "arrays.npz", **arrays)
    with serving(released.place, released.serving.name) as server:
        answer = call(released.config / "rest_client.py", tmp_path / "arrays.npz", server.url)
        body = json.loads(server.requests[-1])
    assert body.keys() == {"instances"}
    assert len(body["instances"]) == 3
    assert all(row.keys() == arrays.keys() for row in body["instances"])
    expected = model.run(arrays)
    assert answer.keys() == expected.keys()
    for name, array in expected.items():
        assert answer[name].dtype == array.dtype
        np.testing.assert_allclose(answer[name], array, rtol=1e-5, atol=1e-6 * np.abs(array).max())


def test_the_rest_client_by_itself_names_the_classes(digits: Released) -> None:
    (logits,) = SavedModel(digits.place).run(sample(digits)).values()
    with serving(digits.place, "digits") as server:
        # A version can be chosen.
        said = run(digits.config / "rest_client.py", f"{server.url}/versions/1")
        failed = subprocess.run(
            [sys.executable, digits.config / "rest_client.py", f"{server.url}/versions/7"],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert said.splitlines()[0] == "output (1, 10)"
    assert f"labels ['{DIGITS[logits.argmax()]}']" in said
    assert "answers 404: " in failed.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
@pytest.mark.parametrize("which", ["digits", "tagged"])
def test_the_curl_request(which: str, request: pytest.FixtureRequest) -> None:
    released: Released = request.getfixturevalue(which)
    with serving(released.place, released.serving.name) as server:
        answer = json.loads(run(released.config / "request.sh", server.url))
    expected = SavedModel(released.place).run(sample(released))
    for name, array in expected.items():
        found = [row[name] for row in answer["predictions"]] if len(expected) > 1 else answer["predictions"]
        np.testing.assert_allclose(np.array(found), array, rtol=1e-5, atol=1e-6 * np.abs(array).max())


def test_the_grpc_client(tagged: Released, tmp_path: Path) -> None:
    shutil.copy(tagged.config / "sample.npz", tmp_path / "arrays.npz")
    with grpc_server(tagged.place) as (address, servicer):
        answer = call(tagged.config / "grpc_client.py", tmp_path / "arrays.npz", address, "stable")
    (spec,) = servicer.asked
    assert (spec.name, spec.version_label, spec.signature_name) == ("tagger", "stable", "serving_default")
    expected = SavedModel(tagged.place).run(sample(tagged))
    assert answer.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(answer[name], array, rtol=1e-5, atol=1e-6 * np.abs(array).max())


def test_without_a_batch_requests_are_columns(tmp_path: Path) -> None:
    source = torch.export.export(Pair().eval(), (torch.ones(2, 4), torch.tensor(2.0)))
    released = release(source, tmp_path / "pair")
    assert {path.name for path in released.config.iterdir()} == ALL - {"batching.config"}
    assert json.loads((released.config / "request.json").read_text()).keys() == {"inputs"}
    shutil.copy(released.config / "sample.npz", tmp_path / "arrays.npz")
    with serving(released.place, "pair") as server:
        answer = call(released.config / "rest_client.py", tmp_path / "arrays.npz", server.url)
    expected = SavedModel(released.place).run(sample(released))
    assert answer.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(answer[name], array, rtol=1e-5)


def test_what_json_cannot_carry_goes_by_grpc_alone(tmp_path: Path) -> None:
    source = torch.export.export(Pair(half=True).eval(), (torch.ones(2, 4), torch.tensor(2.0)))
    released = release(source, tmp_path / "pair")
    assert {path.name for path in released.config.iterdir()} == {
        *("grpc_client.py", "models.config", "sample.npz", "serve.sh"),
    }
    assert any("bfloat16; use gRPC" in note for note in released.notes)
    with grpc_server(released.place) as (address, _):
        assert "(2, 3)" in run(released.config / "grpc_client.py", address)


@pytest.mark.parametrize("which", ["digits", "tagged"])
def test_the_clients_are_clean(which: str, request: pytest.FixtureRequest) -> None:
    released: Released = request.getfixturevalue(which)
    clients = sorted(released.config.glob("*.py"))
    assert [path.name for path in clients] == ["grpc_client.py", "rest_client.py"]
    for path in clients:
        compile(path.read_text(), path, "exec")
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is in the pinned set only")
    for command in (["check"], ["format", "--check"]):
        subprocess.run([ruff, *command, "--config", ROOT / "pyproject.toml", *clients], check=True, timeout=60)


def test_a_second_version_becomes_the_canary(tmp_path: Path) -> None:
    source = torch.export.export(Pair().eval(), (torch.ones(2, 4), torch.tensor(2.0)))
    released = release(source, tmp_path / "pair")
    with pytest.raises(UsageError, match="pair_serving already exists; --force writes its files again"):
        routes.torch2tf(source, serving=released.serving)
    assert next_version(released.serving.base) == 2
    own = released.config / "own.txt"
    own.write_text("kept")
    before = released.config.stat().st_ino
    routes.torch2tf(source, serving=released.serving, force=True)
    config = text_format.Parse(
        (released.config / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    assert dict(config.model_config_list.config[0].version_labels) == {"stable": 1, "canary": 2}
    assert own.read_text() == "kept"
    # A container that has the folder mounted would not see another one in its place.
    assert released.config.stat().st_ino == before


def test_a_real_sample_is_the_clients(tmp_path: Path) -> None:
    image = np.random.default_rng(5).normal(size=(4, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "real.npz", image=image)
    base = tmp_path / "digits"
    source = ROOT / "fixtures" / "digits_cnn.pt2"
    np.savez(tmp_path / "large.npz", image=np.concatenate([image] * 10))
    # Of the same shape as one of the made-up inputs.
    result = routes.torch2tf(
        source,
        serving=Serving(base, config=True),
        sample=tmp_path / "real.npz",
        plan=InputPlan(data=(tmp_path / "large.npz",)),
    )
    assert any("batch=1, batch=2, batch=4, batch=8, batch=32" in note for note in result.notes)
    with np.load(tmp_path / "digits_serving" / "sample.npz") as written:
        np.testing.assert_array_equal(written["image"], image[:2])


def test_batches_are_as_large_as_the_largest_that_was_asked_for(tmp_path: Path) -> None:
    source = ROOT / "fixtures" / "neural_net.pt2"
    plan = InputPlan(sizes={"batch": [1, 50]}, seeds=(0,))
    routes.torch2tf(source, serving=Serving(tmp_path / "net", config=True), plan=plan)
    # A larger request to warm up than this would keep TF Serving from loading the model.
    assert "max_batch_size { value: 50 }" in (tmp_path / "net_serving" / "batching.config").read_text()
