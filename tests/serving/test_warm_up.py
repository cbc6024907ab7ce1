"""Every released fixture: its warm-up requests, and the runtimes that production loads it with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tests.serving.conftest import Released
from translate.models.base import Array, Model
from translate.models.saved_model import SavedModel
from translate.models.via import open_via
from translate.models.via.signature import read_signature
from translate.serving.warm_up import PLACE, one_of_each_size
from translate.verify import compare
from translate.verify.cases import Case

pytestmark = pytest.mark.xdist_group("serving")

ROOT = Path(__file__).parents[2]


def warm_up(place: Path) -> list[prediction_log_pb2.PredictionLog]:
    records = tf.data.TFRecordDataset(str(place / PLACE)).as_numpy_iterator()
    return [prediction_log_pb2.PredictionLog.FromString(record) for record in records]


def cases(place: Path) -> list[Case]:
    requests = [record.predict_log.request for record in warm_up(place)]
    feeds = [{name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()} for request in requests]
    return [Case("random", {"number": number}, number, arrays) for number, arrays in enumerate(feeds)]


class CProgram(Model):
    """The SavedModel run by the compiled program of examples/c."""

    kind = "C program"

    def __init__(self, place: Path, program: Path) -> None:
        self.signature = read_signature(place, "serving_default")
        self.inputs, self.outputs = self.signature.inputs, self.signature.outputs
        self.place, self.program = place, program

    def call(self, values: Mapping[str, Array]) -> dict[str, Array]:
        (given,), (returned,) = self.inputs, self.outputs
        array = values[given.name]
        dims = ",".join(map(str, array.shape))
        arguments = [self.place, self.signature.tensors[given.name], given.dtype, dims]
        command = [self.program, *arguments, self.signature.results[returned.name]]
        done = subprocess.run(command, input=array.tobytes(), capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        shape = [int(size) for size in done.stderr.decode().splitlines()[-1].split(",")]
        return {returned.name: np.frombuffer(done.stdout, np.float32).reshape(shape)}


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile it as docs/serving.md says."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler here")
    built = tmp_path_factory.mktemp("c") / "run_saved_model"
    text = (ROOT / "docs" / "serving.md").read_text().partition("## Without TF Serving")[2]
    script = text.partition("```bash\n")[2].partition("\n```")[0]
    assert "examples/c/run_saved_model.c" in script and script.endswith("-o run_saved_model")
    strict = f"{script.removesuffix('run_saved_model')}{built} -std=c11 -Wall -Wextra -Werror"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(["sh", "-e", "-c", strict], cwd=ROOT, env={**os.environ, "PATH": path}, check=True, timeout=120)
    return built


def test_the_requests_run_on_the_loaded_model(fixture: Released) -> None:
    records = warm_up(fixture.place)
    assert [record.WhichOneof("log_type") for record in records] == ["predict_log"] * 4
    (given,) = fixture.source.inputs
    sizes, loaded = [], tf.saved_model.load(str(fixture.place))
    for record in records:
        request = record.predict_log.request
        assert request.model_spec.name == fixture.serving.name
        assert not request.model_spec.HasField("version")
        signature = loaded.signatures[request.model_spec.signature_name]
        feeds = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        assert {name: array.dtype.name for name, array in feeds.items()} == {given.name: given.dtype}
        answer = signature(**{name: tf.constant(array) for name, array in feeds.items()})
        (expected,) = fixture.source.run(feeds).values()
        (actual,) = answer.values()
        np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
        sizes.append(feeds[given.name].shape[0])
    assert sizes == [1, 2, 4, 8]


def test_the_c_api_gets_the_verified_numbers(fixture: Released) -> None:
    assert compare(fixture.source, open_via("c-api", fixture.place), cases(fixture.place)).passed


def test_a_c_program_gets_the_verified_numbers(fixture: Released, program: Path) -> None:
    # A process for each, which takes a second to load TensorFlow: two will do.
    verdict = compare(fixture.source, CProgram(fixture.place, program), cases(fixture.place)[1:3])
    assert verdict.passed, verdict.runs


def test_openvino_gets_the_verified_numbers(fixture: Released) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is in the pinned set only")
    assert compare(fixture.source, open_via("openvino", fixture.place), cases(fixture.place)).passed


def test_the_c_program_says_what_is_wrong(digits: Released, program: Path) -> None:
    for arguments, said in ((["x:0", "float32", "1", "y:0"], "no such operation"), ([], "usage")):
        done = subprocess.run([program, digits.place, *arguments], input=b"", capture_output=True, timeout=120)
        assert done.returncode == 1
        assert said in done.stderr.decode()


def test_several_inputs_are_all_in_a_request(tagged: Released) -> None:
    requests = cases(tagged.place)
    model = SavedModel(tagged.place)
    assert [sorted(case.feeds) for case in requests] == [["batch_features", "batch_ids"]] * 4
    assert all(case.feeds["batch_ids"].dtype == np.int64 for case in requests)
    # Drawn as for the comparison: from all of the vocabulary, not 0 and 1.
    assert max(case.feeds["batch_ids"].max() for case in requests) > 25
    assert compare(tagged.source, model, requests).passed


def test_one_request_for_each_size_a_real_one_if_there_is_one() -> None:
    def case(*shape: int, label: str = "random") -> Case:
        return Case(label, {}, 0, {"x": np.zeros(shape)})

    kept = one_of_each_size([case(1, 3), case(2, 3), case(1, 3), case(3, 2), case(2, 3, label="data a.npz")])
    assert [(item.feeds["x"].shape, item.is_real) for item in kept] == [
        ((1, 3), False),
        ((2, 3), True),
        ((3, 2), False),
    ]
    assert len(one_of_each_size(case(size) for size in range(100))) == 32
