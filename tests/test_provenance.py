"""What a SavedModel says of where it comes from, and how that is found and checked again."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorflow as tf
import torch
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from translate import __version__, routes
from translate.cli import main
from translate.errors import OpenError, UsageError
from translate.manifest import PLACE, read_manifest
from translate.models.distributions import parse_distributions
from translate.models.saved_model import SavedModel
from translate.provenance import comparison_options, recall, source_notes
from translate.verify.cases import InputPlan
from translate.verify.sizes import parse_sizes
from translate.verify.tolerance import parse_tolerance

FIXTURES = Path(__file__).parents[1] / "fixtures"
FACTORY = """
import torch

class Bag(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(10, 4)

    def forward(self, ids):
        return self.table(ids).mean(1)
"""


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verify(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


def known(folder: Path):
    manifest = read_manifest(folder)
    assert manifest is not None and manifest.provenance is not None
    return manifest.provenance


@pytest.fixture
def net(working_directory: Path) -> Path:
    """A copy of a fixture, translated."""
    shutil.copy(FIXTURES / "neural_net.pt2", "net.pt2")
    result = routes.torch2tf(working_directory / "net.pt2", "out/net_tf")
    assert result.output is not None
    assert result.bytes == sum(file.stat().st_size for file in result.output.rglob("*") if file.is_file())
    return result.output


def test_the_manifest_tells_source_versions_interface_and_verdict(net: Path) -> None:
    told = known(net)
    assert (told.source, told.kind, told.engine) == ("net.pt2", "PyTorch ExportedProgram", "native")
    assert told.files == {"net.pt2": sha256(Path("net.pt2"))}
    expected = {"translate": __version__, "torch": torch.__version__, "tensorflow": tf.__version__}
    expected |= {"numpy": np.__version__, "onnx": onnx.__version__}
    assert expected.items() <= told.versions.items()
    assert told.inputs == [{"name": "x", "dtype": "float32", "shape": ["batch", 784]}]
    assert [output["shape"] for output in told.outputs] == [["batch", 10]]
    assert told.verdict is not None and told.verdict["passed"]
    outputs = [output for run in told.verdict["runs"] for output in run["outputs"]]
    assert len(outputs) == 6
    assert all(0 <= output["error"] < 1 and output["noise"]["maximum"] > 0 for output in outputs)
    assert not any("histogram" in output for output in outputs)


def test_the_manifest_is_one_file_of_plain_json_without_a_path_of_this_machine(net: Path) -> None:
    (text,) = [path.read_text() for path in net.rglob("*.json")]
    assert "/tmp" not in text
    assert str(Path.cwd()) not in text
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    # What was there before stands beside it.
    stored = {parameter["variable"] for parameter in content["parameters"].values()}
    assert stored == {variable.name.removesuffix(":0") for variable in SavedModel(net).loaded.variables}
    assert content["values"]


def test_it_can_be_checked_again(net: Path) -> None:
    shutil.move("net.pt2", "out/net.pt2")
    beside = verify("--manifest", net, "--json")
    assert beside.exit_code == 0, beside.output
    report = json.loads(beside.stdout)
    assert report["source"]["path"].endswith("out/net.pt2")
    assert any("is the one that was translated" in note for note in report["notes"])
    assert any(f"translate {__version__}" in note and "6 runs" in note for note in report["notes"])
    shutil.move("out/net.pt2", "elsewhere.pt2")
    gone = verify("--manifest", net)
    assert gone.exit_code == 2
    assert "net.pt2, from which" in gone.output
    given = verify("--manifest", net, "elsewhere.pt2")
    assert given.exit_code == 0, given.output
    assert "is the one that was translated" in given.output


def test_another_source_is_said_and_compared(net: Path) -> None:
    program = torch.export.load("net.pt2")
    with torch.no_grad():
        next(iter(program.module().parameters())).mul_(1.01)
    torch.export.save(program, "net.pt2")
    changed = verify("--manifest", net)
    assert changed.exit_code == 1
    assert "this is NOT the source that was translated" in changed.output
    assert known(net).files["net.pt2"][:16] in changed.output
    assert sha256(Path("net.pt2"))[:16] in changed.output


def test_the_command_asks_for_what_is_missing(net: Path) -> None:
    for arguments, said in (
        ((), "give SOURCE and TARGET, or --manifest DIR"),
        (("net.pt2",), "give SOURCE and TARGET"),
        (("--manifest", net, "net.pt2", "other"), "is the target; give no other"),
        (("--manifest", "none"), "none does not say what it was translated from"),
    ):
        result = verify(*arguments)
        assert result.exit_code in (2, 3)
        assert said in result.output


def test_a_factory_its_weights_and_what_the_inputs_were(working_directory: Path) -> None:
    (working_directory / "bag.py").write_text(FACTORY)
    save_file({"table.weight": torch.randn(10, 4)}, "bag.safetensors")
    plan = InputPlan(distributions=parse_distributions(ranges=["ids:2,9"]), sizes=parse_sizes(["batch=3,4"]))
    options = {"inputs": ["ids:batch,5:int64"], "weights": working_directory / "bag.safetensors", "rtol": 1e-4}
    result = routes.torch2tf(f"{working_directory / 'bag.py'}:Bag", "bag_tf", plan=plan, **options)
    told = known(result.output)
    assert told.source == "bag.py:Bag"
    assert told.files == {name: sha256(Path(name)) for name in ("bag.py", "bag.safetensors")}
    assert told.options == {
        "input": ["ids:batch,5:int64"],
        "weights": ["bag.safetensors"],
        "sizes": ["batch=3,4"],
        "range": ["ids:2,9"],
        "rtol": ["0.0001"],
    }
    # A manifest alone does not make its user run a file that lies beside it.
    untrusted = verify("--manifest", "bag_tf")
    assert untrusted.exit_code == 3
    assert "If you trust it: translate verify bag.py:Bag --manifest bag_tf" in untrusted.output
    again = verify("bag.py:Bag", "--manifest", "bag_tf", "--edges", "none", "--json")
    assert again.exit_code == 0, again.output
    report = json.loads(again.stdout)
    assert [run["sizes"] for run in report["verdict"]["runs"]] == [{"batch": 3}] * 2 + [{"batch": 4}] * 2
    assert report["verdict"]["runs"][0]["outputs"][0]["tolerance"]["rtol"] == 1e-4
    save_file({"table.weight": torch.randn(10, 4)}, "bag.safetensors")
    other = verify("bag.py:Bag", "--manifest", "bag_tf")
    assert other.exit_code == 1
    assert f"bag.safetensors is {sha256(Path('bag.safetensors'))[:16]} and was" in other.output
    (working_directory / "bag.safetensors").unlink()
    assert "--weights bag.safetensors, which is not found" in " ".join(recall(Path("bag_tf"), "bag.py:Bag").notes)


def test_every_file_of_an_onnx_model_and_of_a_folder_counts(working_directory: Path) -> None:
    weight = numpy_helper.from_array(np.arange(400, dtype=np.float32).reshape(4, 100), "w")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", s]) for n, s in (("x", 4), ("y", 100)))
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "graph", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, "big.onnx", save_as_external_data=True, location="big.data", size_threshold=0)
    told = known(routes.torch2tf("big.onnx", "big_tf").output)
    assert told.files == {name: sha256(Path(name)) for name in ("big.onnx", "big.data")}
    assert "is the one" in source_notes(told, "big.onnx")[0]
    (working_directory / "big.data").unlink()
    assert "big.data is missing and was" in source_notes(told, "big.onnx")[0]
    folder = working_directory / "hub"
    (folder / ".cache").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", ".cache/lock"):
        (folder / name).write_text(name)
    files = {name: sha256(folder / name) for name in ("config.json", "model.safetensors")}
    assert "is the one" in source_notes(replace(told, files=files), str(folder))[0]
    (folder / "config.json").write_text("{}")
    assert "config.json is 44136fa355b3678a and was" in source_notes(replace(told, files=files), str(folder))[0]


def test_a_live_model_has_no_files(working_directory: Path) -> None:
    module = torch.nn.Linear(3, 2)
    result = routes.torch2tf(module, "linear_tf", inputs=["input:batch,3"])
    told = known(result.output)
    assert (told.source, told.files) == ("Linear", {})
    with pytest.raises(UsageError, match="Linear, from which linear_tf was translated, is not beside it"):
        recall(Path("linear_tf"))
    # It cannot be checked, but compared.
    assert "of which no SHA-256 is known" in source_notes(told, "linear.py:Linear")[0]


def test_manifests_of_other_versions_are_read(net: Path) -> None:
    content = json.loads((net / PLACE).read_text())
    content["provenance"]["added later"] = 1
    # Earlier versions compared no gradients, and wrote neither of these.
    del content["provenance"]["gradients"], content["signatures"], content["constants"]
    for parameter in content["parameters"].values():
        del parameter["saved"]
    (net / PLACE).write_text(json.dumps(content))
    assert known(net).source == "net.pt2"
    del content["provenance"]
    (net / PLACE).write_text(json.dumps(content))
    manifest = read_manifest(net)
    assert manifest is not None and manifest.provenance is None
    assert SavedModel(net).inputs[0].name == "x"
    with pytest.raises(OpenError, match="does not say what it was translated from"):
        recall(net)


def test_other_weights_have_another_origin(net: Path) -> None:
    state = torch.export.load("net.pt2").state_dict
    save_file({name: tensor + 1 for name, tensor in state.items()}, "later.safetensors")
    routes.update_weights(net, "later.safetensors")
    assert verify("--manifest", net).exit_code == 3


def test_options_are_those_of_the_command_line() -> None:
    distributions = {
        "ranges": ["ids:0,30521"],
        "normals": ["x:0.45,0.22", "a:b:0,1"],
        "uniforms": ["y:-1,1.5"],
    }
    plan = InputPlan(
        distributions=parse_distributions(**distributions),
        sizes={"batch": (1, 2), "length": (7,)},
        data=(Path("/a/b/digits.npz"),),
    )
    rtol, atol = parse_tolerance("--rtol", ["1e-3", "logits=0.01"]), 1e-5
    options = comparison_options(["x:batch,3"], plan, rtol, atol, sample="/c/sample.npz")
    assert options["sizes"] == ["batch=1,2", "length=7"]
    assert (options["data"], options["sample"], options["weights"]) == (["digits.npz"], ["sample.npz"], [])
    assert parse_distributions(options["range"], options["normal"], options["uniform"]) == plan.distributions
    assert parse_tolerance("--rtol", options["rtol"]) == rtol
    assert parse_tolerance("--atol", options["atol"]) == {"": 1e-5}
