"""The folder beside a served model: TF Serving's configuration, the line that starts it, and clients."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from translate.doctor import package_versions
from translate.errors import UsageError
from translate.models.base import Array, Spec
from translate.models.via.http import CARRIED, to_json
from translate.serving import Interface, Serving, labelled_output, read_labels

# A request waits so long for others, in microseconds: as much as a quick model takes itself.
_BATCH_TIMEOUT = 2000
_QUEUED_BATCHES = 100
_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = (".sh",)


def write_config(
    serving: Serving,
    interface: Interface,
    sample: Mapping[str, Array],
    largest: int,
    version: int,
    before: int | None,
) -> list[str]:
    """Write the folder's files, each whole or not at all; return what the user should know.

    `sample` is a real input, `largest` the largest batch to make of requests, `version` the one just written, `before`
    the newest before it. Raises `UsageError` when the files cannot be written.
    """
    notes: list[str] = []
    folder = serving.config_folder
    if not interface.joins:
        why = "sizes other than the batch's are open" if interface.batch else "not all start with one open dimension"
        notes.append(f"TF Serving's batching stays off: of inputs and outputs, {why}")
    dtypes = {spec.dtype for spec in (*interface.inputs, *interface.outputs)}
    over_rest = dtypes <= CARRIED
    if not over_rest:
        notes.append(f"no REST client: TF Serving's JSON has no {', '.join(sorted(dtypes - CARRIED))}; use gRPC")
    labels = None if serving.labels is None else read_labels(serving.labels)
    known = {
        "name": serving.name,
        "version": version,
        "stable": version if before is None else before,
        "joins": interface.joins,
        "largest": largest,
        "timeout": _BATCH_TIMEOUT,
        "queued": _QUEUED_BATCHES,
        "threads": os.cpu_count() or 1,
        "image": f"tensorflow/serving:{package_versions()['tensorflow-serving-api']}",
        "rows": interface.batch is not None,
        "inputs": interface.inputs,
        "outputs": interface.outputs,
        "labelled": None if labels is None else labelled_output(labels, interface.outputs),
    }
    texts = ["models.config", "serve.sh", "grpc_client.py"]
    texts += ["batching.config"] if interface.joins else []
    texts += ["rest_client.py", "request.sh"] if over_rest else []
    try:
        folder.mkdir(exist_ok=True)
        # In a folder that stays: a container that has it mounted sees the new files.
        with tempfile.TemporaryDirectory(prefix=".new.", dir=folder) as scratch:
            built = Path(scratch)
            for name in texts:
                (built / name).write_text(_render(f"{name}.jinja", known), encoding="utf-8")
                if name.endswith(_SCRIPTS):
                    (built / name).chmod(0o755)
            np.savez(built / "sample.npz", **{name: _portable(array) for name, array in sample.items()})
            if over_rest:
                (built / "request.json").write_text(_request(interface, sample), encoding="utf-8")
            if serving.labels is not None:
                shutil.copyfile(serving.labels, built / "labels.txt")
            for path in sorted(built.iterdir()):
                os.replace(path, folder / path.name)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    return [*notes, f"configuration, the line that starts TF Serving, and clients: {folder}"]


def _render(template: str, known: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # shell and Python, not HTML
    )
    environment.filters.update(quoted=json.dumps, dims=_dims, tf_dtype=_tf_dtype)
    return environment.get_template(template).render(known)


def _dims(spec: Spec) -> str:
    return str(spec).removeprefix(f"{spec.name} ")


def _tf_dtype(dtype: str) -> str:
    """Return TensorFlow's name of a dtype."""
    return "string" if dtype == "str" else dtype


def _portable(array: Array) -> Array:
    """Return an array of a dtype that numpy's files can hold."""
    if array.dtype.kind in "OS":
        return np.array([text.decode() if isinstance(text, bytes) else text for text in array.flat]).reshape(
            array.shape
        )
    # bfloat16 and the like are none of numpy's own.
    return array if array.dtype.isbuiltin == 1 else array.astype(np.float32)


def _request(interface: Interface, sample: Mapping[str, Array]) -> str:
    """Return a sample as the body of a request: rows where the batch is open, columns otherwise."""
    columns = {spec.name: to_json(sample[spec.name], spec) for spec in interface.inputs}
    if interface.batch is None:
        return json.dumps({"inputs": columns})
    rows = zip(*columns.values(), strict=True)
    return json.dumps({"instances": [dict(zip(columns, values, strict=True)) for values in rows]})
