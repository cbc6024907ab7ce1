"""Where a node of an exported graph comes from: what PyTorch's exporter noted on it."""

from __future__ import annotations

import ast
from pathlib import Path

import onnx_ir as ir

# What torch_to_onnx wraps around a module; its own part of a path is not the user's.
_WRAPPER = "translate.models.torch_flat.FlatModule"


def module_path(node: ir.Node) -> str:
    """Return the path of the PyTorch module that made `node` (`layer3.0.conv2`), or nothing when it is not recorded."""
    scopes = _list(node, "name_scopes")
    # The last entry is the node itself, the first the outermost module.
    path = scopes[-2] if len(scopes) > 2 else ""
    wrapped = _list(node, "class_hierarchy")[:1] == [_WRAPPER]
    return ".".join(path.split(".")[1:]) if wrapped else path


def _list(node: ir.Node, what: str) -> list[str]:
    text = node.metadata_props.get(f"pkg.torch.onnx.{what}")
    return [] if not text else [str(entry) for entry in ast.literal_eval(text)]


def source_line(node: ir.Node) -> str:
    """Return `file:line` of the original model's code that made `node`, or nothing when it is not recorded."""
    return innermost_line(node.metadata_props.get("pkg.torch.onnx.stack_trace", ""))


def innermost_line(trace: str) -> str:
    """Return `file:line` of the last of the user's own lines in a stack trace as Python writes it."""
    frames = [line.strip() for line in trace.splitlines() if line.strip().startswith("File ")]
    # The innermost frame is often inside torch.nn's own forward: the line that called it tells more, unless it is ours.
    foreign = ("/torch/nn/", "/translate/models/")
    own = [frame for frame in frames if not any(place in frame for place in foreign)] or frames
    if not own:
        return ""
    file, _, rest = own[-1].removeprefix("File ").partition(", line ")
    return f"{file.strip(chr(34))}:{rest.partition(',')[0]}"


def without_folders(line: str) -> str:
    """Return `file:line` without what is only true on this machine: below the working or an installation's folder."""
    for installed in ("site-packages/", "dist-packages/"):
        if installed in line:
            return line.rpartition(installed)[2]
    path = Path(line)
    if not path.is_absolute():
        return line
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name
