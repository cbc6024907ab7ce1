"""Opening: every kind is told by its content, and everything else gets one clear error."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests import torchvision_ops
from translate.errors import OpenError, UntrustedError, UsageError
from translate.models import Spec, open_model
from translate.models.archive import foreign_globals, identify

SOURCE = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
    def forward(self, x, scale=None):
        y = self.linear(x)
        return y if scale is None else y * scale
def make():
    torch.manual_seed(0)
    return Net()
def broken():
    raise RuntimeError("no luck")
def needs(size):
    return Net()
instance = Net()
number = 7
"""


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


class Bomb:
    """Unpickling it makes the file "exploded"."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch exploded",)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "some_net.py").write_text(SOURCE)
    yield tmp_path
    sys.modules.pop("some_net", None)


def program() -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch")
    return torch.export.export(Net().eval(), (torch.ones(4, 3),), dynamic_shapes=({0: batch},))


def agree(source: object, module: nn.Module, **options: Any) -> None:
    model = open_model(source, **options)
    x = np.ones((5, 3), "float32")
    result = model.run({model.inputs[0].name: x})
    with torch.no_grad():
        np.testing.assert_array_equal(result[model.outputs[0].name], module(torch.from_numpy(x)).numpy())


def test_import_needs_no_framework() -> None:
    code = "import sys, translate.models; print([m for m in ('torch', 'tensorflow', 'onnx') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_exported_program(folder: Path) -> None:
    exported = program()
    torch.export.save(exported, "net.pt2")
    Path("net.pt2").rename("net.bin")
    assert identify(Path("net.bin")) == "pt2"
    agree("net.bin", exported.module())
    agree(exported, exported.module())
    model = open_model(folder / "net.bin", inputs=["n,3"])
    assert [str(spec) for spec in model.inputs] == ["x float32[n, 3]"]
    assert [str(spec) for spec in model.outputs] == ["output float32[n, 2]"]
    with pytest.raises(UsageError, match="the program was exported with x float32"):
        open_model("net.bin", inputs=["n,m"])


def test_exported_program_with_code(folder: Path) -> None:
    torch.export.save(program(), "net.pt2")
    torch.save(Bomb(), "bomb.pt")
    with zipfile.ZipFile("net.pt2") as good, zipfile.ZipFile("evil.pt2", "w") as evil:
        for name in good.namelist():
            payload = good.read(name)
            evil.writestr(name, Path("bomb.pt").read_bytes() if name.endswith("sample_inputs/model.pt") else payload)
    assert foreign_globals(Path("net.pt2")) == []
    with pytest.raises(UntrustedError, match=r"posix\.system"):
        open_model("evil.pt2")
    assert not Path("exploded").exists()


def test_torchscript(folder: Path) -> None:
    script = torch.jit.script(Net().eval())
    script.save("net.pt")
    agree("net.pt", script, inputs=["x:batch,3"])
    agree(script, script, inputs=["x:batch,3"])
    assert open_model("net.pt", inputs=["batch,3"]).kind == "TorchScript"
    with pytest.raises(UsageError, match="it takes x"):
        open_model("net.pt", inputs=["y:batch,3"])
    with pytest.raises(UsageError, match="--input x:batch"):
        open_model("net.pt")


def test_pickled_module(folder: Path) -> None:
    module = Net()
    torch.save(module, "net.pt2")
    with pytest.raises(UntrustedError, match="--unsafe-load"):
        open_model("net.pt2", inputs=["batch,3"])
    notes: list[str] = []
    agree("net.pt2", module, inputs=["batch,3"], unsafe_load=True, notes=notes)
    assert "--unsafe-load allows it" in notes[0]
    assert "train mode" in notes[1]


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_code_in_a_pickle_is_not_run(folder: Path, new: bool, protocol: int) -> None:
    torch.save(Bomb(), "bomb.pt", _use_new_zipfile_serialization=new, pickle_protocol=protocol)
    with pytest.raises(UntrustedError, match=r"posix\.system"):
        open_model("bomb.pt")
    assert not Path("exploded").exists()


@pytest.mark.parametrize("new", [True, False])
def test_state_dict(folder: Path, new: bool) -> None:
    torch.save({"epoch": 3, "state_dict": Net().state_dict()}, "net.pt", _use_new_zipfile_serialization=new)
    with pytest.raises(OpenError, match=r"state_dict: 2 tensors \(linear.weight, linear.bias\)") as error:
        open_model("net.pt")
    assert "factory --weights net.pt" in str(error.value)


def test_factory(folder: Path) -> None:
    for source in ("some_net:make", "some_net.py:make", "some_net:Net", f"{folder}/some_net.py:instance"):
        model = open_model(source, inputs=["x:batch,3"])
        assert model.run({"x": np.ones((2, 3), "float32")})["output"].shape == (2, 2)
    model = open_model("some_net:make", inputs=["batch,3", "scale:batch,1"])
    assert [spec.name for spec in model.inputs] == ["x", "scale"]
    assert open_model("some_net:make", inputs=["scale:2", "x:n,3"]).inputs[0].name == "x"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("some_net:nothing", "has no 'nothing'; it has"),
        ("some_net:number", "is a int"),
        ("some_net:broken", "no luck"),
        ("some_net:needs", "missing 1 required"),
        ("no_such_net:make", "No module named"),
        ("missing.py:make", "no such file"),
        ("some_net.py", "some_net.py:factory"),
    ],
)
def test_factory_refuses(folder: Path, source: str, words: str) -> None:
    with pytest.raises(OpenError, match=words):
        open_model(source, inputs=["batch,3"])


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
def test_weights(folder: Path, name: str) -> None:
    module = Net()
    state = {f"module.{key}": tensor for key, tensor in module.state_dict().items()}
    (save_file if name.endswith("safetensors") else torch.save)(state, name)
    notes: list[str] = []
    agree("some_net:Net", module, inputs=["x:batch,3"], weights=name, notes=notes)
    assert "DataParallel" in notes[0]


def test_weights_that_do_not_fit(folder: Path) -> None:
    torch.save({"linear.weight": torch.ones(9, 3), "head": torch.ones(1)}, "net.pt")
    with pytest.raises(OpenError) as error:
        open_model("some_net:Net", inputs=["x:batch,3"], weights="net.pt")
    for words in ("1 missing: linear.bias", "1 unexpected: head", "linear.weight is [9, 3], not [2, 3]"):
        assert words in str(error.value)
    torch.save(Net(), "net.pt")
    with pytest.raises(UntrustedError):
        open_model("some_net:Net", inputs=["x:batch,3"], weights="net.pt")
    with pytest.raises(OpenError, match="no such weights"):
        open_model("some_net:Net", inputs=["x:batch,3"], weights="none.pt")


def test_tied_weights_in_safetensors(folder: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids: Tensor) -> Tensor:
            return self.head(self.embed(ids))

    save_file({"embed.weight": torch.ones(5, 3)}, "tied.safetensors")
    module = Tied()
    open_model(module, inputs=["ids:batch:int64"], weights="tied.safetensors")
    assert bool((module.head.weight == 1).all())


def test_the_inputs_of_the_model_that_it_is_compared_with() -> None:
    notes: list[str] = []
    # The only input, whatever it is called there; nameless open dimensions are symbolic here.
    model = open_model(nn.Linear(4, 2), expected=[Spec("images", "float32", (None, 4))], notes=notes)
    assert model.inputs == (Spec("input", "float32", ("batch", 4)),)
    assert "its inputs are taken to be like the source's" in "".join(notes)
    # What it says itself counts.
    declared = open_model(nn.Linear(4, 2), inputs=["input:n,4"], expected=["images:batch,7"])
    assert declared.inputs == (Spec("input", "float32", ("n", 4)),)
    two = open_model(nn.Bilinear(4, 3, 2), expected=["input2:batch,3", "input1:batch,4"])
    assert [spec.name for spec in two.inputs] == ["input1", "input2"]
    with pytest.raises(UsageError, match="forward has no such argument"):
        open_model(nn.Bilinear(4, 3, 2), expected=["left:batch,3", "right:batch,4"])


def test_sample(folder: Path) -> None:
    np.savez("sample.npz", x=np.ones((4, 3), "float32"))
    model = open_model("some_net:Net", sample="sample.npz")
    assert [str(spec) for spec in model.inputs] == ["x float32[4, 3]"]
    model = open_model("some_net:Net", sample="sample.npz", inputs=["x:batch,3"])
    assert [str(spec) for spec in model.inputs] == ["x float32[batch, 3]"]


@pytest.mark.parametrize("name", ["file.pt", "file.pt2", "file.onnx"])
def test_damaged_files(folder: Path, name: str) -> None:
    path = Path(name)
    with pytest.raises(OpenError, match="no such file"):
        open_model(name)
    path.write_bytes(b"")
    with pytest.raises(OpenError, match="is empty"):
        open_model(name)
    path.write_text("hello, I am a text\n" * 9)
    with pytest.raises(OpenError):
        open_model(name)
    torch.export.save(program(), "whole.pt2")
    path.write_bytes(Path("whole.pt2").read_bytes()[:3000])
    with pytest.raises(OpenError, match="truncated or damaged"):
        open_model(name)
    path.write_bytes(b"\x00\x01\x02\x03" * 20)
    with pytest.raises(OpenError):
        open_model(name)


def test_truncated_old_pickle(folder: Path) -> None:
    torch.save(Net().state_dict(), "old.pt", _use_new_zipfile_serialization=False)
    Path("old.pt").write_bytes(Path("old.pt").read_bytes()[:200])
    with pytest.raises(OpenError):
        open_model("old.pt")


def test_other_zip_and_folder(folder: Path) -> None:
    with zipfile.ZipFile("other.pt", "w") as archive:
        archive.writestr("readme", "hello")
    with pytest.raises(OpenError, match="no model of PyTorch or Keras"):
        open_model("other.pt")
    with pytest.raises(OpenError, match="neither a SavedModel"):
        open_model(folder)
    with pytest.raises(OpenError, match="a int is no model"):
        open_model(7)
    torch.export.save(program(), "whole.pt2")
    with pytest.raises(UsageError, match="--weights goes with"):
        open_model("whole.pt2", weights="x.pt")


def test_onnx_sizes_may_be_fixed_and_made_up_ones_stay_open(folder: Path) -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["batch", "samples", 3]))
    node = ir.node("Relu", [x])
    node.outputs[0].type, node.outputs[0].shape = x.type, ir.Shape(["batch", "Reluy_dim_1", 3])
    net = ir.Model(ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 18}), ir_version=10)
    node.outputs[0].name = "y"
    ir.save(net, "net.onnx")
    assert str(open_model("net.onnx").outputs[0]) == "y float32[batch, ?, 3]"
    model = open_model("net.onnx", inputs=["x:n,5,3"])
    assert str(model.inputs[0]) == "x float32[n, 5, 3]"
    assert model.run({"x": np.ones((2, 5, 3), "float32")})["y"].shape == (2, 5, 3)
    with pytest.raises(UsageError, match="the model expects x"):
        open_model("net.onnx", inputs=["x:n,5,4"])


def test_onnx(folder: Path) -> None:
    x = ir.Value(name="x", shape=ir.Shape(["batch", 3]), type=ir.TensorType(ir.DataType.FLOAT))
    w = ir.Value(name="w", const_value=ir.tensor(np.ones((3, 200), "float32"), name="w"))
    node = ir.node("MatMul", [x, w])
    node.outputs[0].name = "y"
    node.outputs[0].shape, node.outputs[0].type = ir.Shape(["batch", 200]), x.type
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=[w], opset_imports={"": 18}, name="g")
    whole = ir.Model(graph, ir_version=10)
    ir.save(whole, "net.onnx")
    ir.save(ir.from_proto(ir.to_proto(whole)), "outside.onnx", external_data="outside.data")
    for source in ("net.onnx", "outside.onnx", whole):
        model = open_model(source)
        assert [str(spec) for spec in (*model.inputs, *model.outputs)] == [
            "x float32[batch, 3]",
            "y float32[batch, 200]",
        ]
        np.testing.assert_array_equal(model.run({"x": np.ones((4, 3), "float32")})["y"], np.full((4, 200), 3.0))
    Path("outside.data").unlink()
    with pytest.raises(OpenError, match=r"outside\.data"):
        open_model("outside.onnx")


def test_hugging_face(folder: Path) -> None:
    torchvision_ops.declare()
    transformers = pytest.importorskip("transformers")
    tiny = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    source = transformers.BertModel(transformers.BertConfig(**tiny, intermediate_size=8)).eval()
    source.save_pretrained(folder / "bert")
    model = open_model(folder / "bert", inputs=["input_ids:batch,seq:int64"])
    assert [spec.name for spec in model.outputs] == ["last_hidden_state", "pooler_output"]
    ids = np.array([[1, 2, 3]])
    with torch.no_grad():
        expected = source(torch.from_numpy(ids)).last_hidden_state.numpy()
    np.testing.assert_allclose(model.run({"input_ids": ids})["last_hidden_state"], expected, rtol=1e-6, atol=1e-6)
    (folder / "bert" / "config.json").write_text("{")
    with pytest.raises(OpenError, match="no JSON"):
        open_model(folder / "bert")
