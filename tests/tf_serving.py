"""A stand-in for TF Serving: its REST protocol over one SavedModel, for the tests.

What it reads and writes follows TF Serving's documentation and the behaviour of its JSON code: numbers must be of the
right JSON type, a single output comes without its name, floats are written with as few digits as read back exactly, NaN
and Infinity as such, text as {"b64": ...} only where an output's name ends in `_bytes`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2


class BadRequest(Exception):
    """What TF Serving answers with status 400."""


class Server(ThreadingHTTPServer):
    """Serves the SavedModel in `path` as version 1 of the model `name`."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths = [f"/v1/models/{name}", f"/v1/models/{name}/versions/1"]
        self.url = f"http://127.0.0.1:{self.server_port}/v1/models/{name}"
        self.loaded = tf.saved_model.load(str(path))
        content = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        # Only the defaults' names differ from TF Serving's own text: it prints "unknown_rank": false and the like.
        self.signatures = {
            key: json_format.MessageToDict(value, preserving_proto_field_name=True)
            for key, value in content.meta_graphs[0].signature_def.items()
        }
        self.requests: list[str] = []

    def predict(self, request: dict) -> dict:
        name = request.get("signature_name", "serving_default")
        if name not in self.signatures:
            raise BadRequest(f"Serving signature name: {name} not found in signature def")
        infos = self.signatures[name]["inputs"]
        rows = request.get("instances")
        given = request.get("inputs") if rows is None else columns(rows, infos)
        if not isinstance(given, dict):
            raise BadRequest("Missing 'inputs' or 'instances' key")
        feeds = {}
        for key, info in infos.items():
            if key not in given:
                raise BadRequest(f"Missing named input: {key} in 'inputs' object.")
            feeds[key] = tf.constant(read(given[key], tf.dtypes.as_dtype(info["dtype"][3:].lower())))
        try:
            results = self.loaded.signatures[name](**feeds)
        except (tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
            raise BadRequest(str(error)) from error
        outputs = {key: write(value.numpy(), as_bytes=key.endswith("_bytes")) for key, value in results.items()}
        only = next(iter(outputs.values())) if len(outputs) == 1 else None
        if rows is None:
            return {"outputs": outputs if only is None else only}
        if any(not isinstance(value, list) or len(value) != len(rows) for value in outputs.values()):
            raise BadRequest("Tensor name: output has inconsistent batch size")
        if only is not None:
            return {"predictions": only}
        return {"predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.removesuffix("/metadata")
        if path == self.path or path not in self.server.paths:
            return self._answer(404, {"error": "Malformed request: GET " + self.path})
        signatures = {"@type": "type.googleapis.com/tensorflow.serving.SignatureDefMap"}
        signatures["signature_def"] = self.server.signatures
        spec = {"name": path.split("/")[3], "signature_name": "", "version": "1"}
        self._answer(200, {"model_spec": spec, "metadata": {"signature_def": signatures}})

    def do_POST(self) -> None:
        path, _, verb = self.path.partition(":")
        body = self.rfile.read(int(self.headers["Content-Length"])).decode("utf-8")
        self.server.requests.append(body)
        if path not in self.server.paths or verb != "predict":
            return self._answer(404, {"error": "Malformed request: POST " + self.path})
        try:
            self._answer(200, self.server.predict(json.loads(body)))
        except (BadRequest, ValueError) as error:
            self._answer(400, {"error": str(error)})

    def _answer(self, code: int, content: dict) -> None:
        body = dump(content).encode("utf-8")
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def columns(rows: object, infos: dict) -> dict:
    """Make columns of rows; where there is one input, a row may be its value without the name."""
    if not isinstance(rows, list) or not rows:
        raise BadRequest("'instances' must be a list of values or objects, and not empty")
    if len(infos) == 1 and not all(isinstance(row, dict) and "b64" not in row for row in rows):
        return {next(iter(infos)): rows}
    if any(not isinstance(row, dict) or row.keys() != infos.keys() for row in rows):
        raise BadRequest("Failed to process element of 'instances' list: the names of the inputs are not the same")
    return {name: [row[name] for row in rows] for name in infos}


def read(value: object, dtype: tf.DType) -> np.ndarray:
    """Make an array of JSON, as strict as TF Serving is about its types."""
    shape, inner = [], value
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    flat = [value]
    for size in shape:
        if any(not isinstance(items, list) or len(items) != size for items in flat):
            raise BadRequest("Encountered list at unexpected size")
        flat = [item for items in flat for item in items]
    elements = [element(item, dtype) for item in flat]
    if dtype == tf.string:
        array = np.empty(len(elements), object)
        array[:] = elements
        return array.reshape(shape)
    return np.array(elements, dtype.as_numpy_dtype).reshape(shape)


def element(item: object, dtype: tf.DType) -> object:
    if dtype == tf.string and isinstance(item, dict) and list(item) == ["b64"]:
        return base64.b64decode(item["b64"], validate=True)
    if dtype == tf.string and isinstance(item, str):
        return item.encode("utf-8")
    number = isinstance(item, int | float) and not isinstance(item, bool)
    fits = {
        tf.bool: isinstance(item, bool),
        tf.float32: number,
        tf.float64: number,
        **dict.fromkeys((tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint32, tf.uint64), number),
    }
    if not fits.get(dtype, False) or (dtype.is_integer and isinstance(item, float)):
        raise BadRequest(f"JSON Value: {json.dumps(item)} is not of expected type: {dtype.name}")
    return item


class Decimal(float):
    """A float that `json` writes with the digits in `text`."""

    def __new__(cls, text: str) -> Decimal:
        made = super().__new__(cls, text)
        made.text = text
        return made


def write(array: np.ndarray, *, as_bytes: bool) -> object:
    if isinstance(array, bytes) or array.dtype == object:
        return nest(array, lambda text: {"b64": base64.b64encode(text).decode()} if as_bytes else text.decode("utf-8"))
    if array.dtype.kind == "f":
        return nest(array, decimal)
    return array.tolist()


def nest(array: np.ndarray, convert: Callable[[object], object]) -> object:
    # A part of an array of objects is an object at last, of other arrays a scalar.
    return [nest(part, convert) for part in array] if isinstance(array, np.ndarray) else convert(array)


def decimal(value: np.floating) -> float:
    """Six digits if they read back as the same number, else as many as always do: 9 for float32, 17 for float64."""
    if not np.isfinite(value):
        return float(value)
    six = f"{value:.6g}"
    text = six if type(value)(six) == value else f"{value:.{9 if value.dtype == np.float32 else 17}g}"
    return Decimal(text)


def dump(content: object) -> str:
    """Write JSON with every `Decimal` as it was written."""
    if isinstance(content, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {dump(value)}" for key, value in content.items()) + "}"
    if isinstance(content, list):
        return "[" + ", ".join(map(dump, content)) + "]"
    return content.text if isinstance(content, Decimal) else json.dumps(content)


@contextlib.contextmanager
def serving(path: Path, name: str = "model") -> Iterator[Server]:
    """Serve the SavedModel in `path` while the context lasts."""
    with Server(path, name) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
