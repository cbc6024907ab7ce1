"""Where nodes come from: module paths and source lines, without what is only true on one machine."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from translate.origin import innermost_line, module_path, source_line, without_folders

TRACE = """File "/work/translate/models/torch_flat.py", line 173, in forward
    return tuple(flatten(self.call(tensors)).values())
  File "/home/me/models/net.py", line 12, in forward
    return self.body(x)
  File "/venv/lib/python3.11/site-packages/torch/nn/modules/linear.py", line 125, in forward
    return F.linear(input, self.weight, self.bias)
"""


def node(scopes, classes, trace=""):
    metadata = {
        "pkg.torch.onnx.name_scopes": repr(scopes),
        "pkg.torch.onnx.class_hierarchy": repr(classes),
        "pkg.torch.onnx.stack_trace": trace,
    }
    return ir.node("Relu", [], metadata_props=metadata)


def test_the_module_is_the_innermost_one_without_our_wrapper():
    wrapped = node(
        ["", "module", "module.a", "module.a.b", "relu"], ["translate.models.torch_flat.FlatModule", *"NABR"]
    )
    assert module_path(wrapped) == "a.b"
    assert module_path(node(["", "module", "module.a", "relu"], ["user.Net", *"MAR"])) == "module.a"
    assert module_path(node(["", "relu"], ["user.Net", "R"])) == ""
    assert module_path(ir.node("Relu", [])) == ""


def test_the_line_is_the_users_own():
    assert source_line(node([], [], TRACE)) == "/home/me/models/net.py:12"
    assert source_line(ir.node("Relu", [])) == ""
    # Nothing of the user's: torch's own line says more than ours.
    library = "\n".join(line for line in TRACE.splitlines() if "net.py" not in line)
    assert innermost_line(library).endswith("torch/nn/modules/linear.py:125")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/venv/lib/python3.11/site-packages/timm/models/resnet.py:146", "timm/models/resnet.py:146"),
        ("/home/me/models/net.py:12", "net.py:12"),
        ("models/net.py:12", "models/net.py:12"),
        ("", ""),
    ],
)
def test_folders_of_this_machine_are_left_out(line, expected):
    assert without_folders(line) == expected


def test_a_file_below_the_working_directory_keeps_its_place_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert without_folders(f"{tmp_path}/models/net.py:12") == "models/net.py:12"
