"""A model on a live TF Serving, by its REST protocol.

Source of the protocol: tensorflow.org/tfx/serving/api_rest.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import numpy as np

from translate.errors import OpenError, TranslateError, UsageError
from translate.models.base import Array, Model, Spec, check_feeds
from translate.models.inputs import numpy_dtype
from translate.models.via.signature import parse_signature

_URL = re.compile(r"https?://[^/]+(/[^?#]*)?/v1/models/[^/:?#]+(/(versions|labels)/[^/:?#]+)?")
_TIMEOUT = 60.0
# What TF Serving reads from JSON and writes to it, in both directions.
CARRIED = {
    *("float32", "float64", "bool", "str"),
    *("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"),
}


class HttpModel(Model):
    """One signature of a model that a TF Serving has loaded.

    Numbers travel as JSON decimals that read back as the same float32. Uploading makes the request's text, a call sends
    it and receives the answer's, downloading reads that; so a call's time is the server's and the network's.
    """

    kind = "TF Serving"

    def __init__(self, url: str, signature: str = "serving_default", timeout: float = _TIMEOUT) -> None:
        """Ask the server for the signature; `timeout` is in seconds, for each request.

        Raises `UsageError` for a malformed URL, `OpenError` when the server cannot be reached, does not have the model,
        or the signature has a dtype that the protocol does not carry.
        """
        self.url = url.rstrip("/").removesuffix(":predict").removesuffix("/metadata")
        if not _URL.fullmatch(self.url):
            raise UsageError(f"--via {url}: expected http://HOST:8501/v1/models/NAME, with /versions/N if one is meant")
        self.signature = signature
        self.timeout = timeout
        try:
            metadata = json.loads(self._request("/metadata"))
            signatures = metadata["metadata"]["signature_def"]["signature_def"]
        except TranslateError as error:
            raise OpenError(str(error)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise OpenError(f"{self.url}/metadata is not what TF Serving answers ({error!r})") from error
        found = parse_signature(signatures, signature, self.url)
        self.inputs, self.outputs = found.inputs, found.outputs
        for spec in (*self.inputs, *self.outputs):
            if spec.dtype not in CARRIED:
                raise OpenError(f"{self.url}: {spec.name} is {spec.dtype}, which TF Serving's REST cannot carry")

    def upload(self, feeds: Mapping[str, Array]) -> bytes:
        """Write the request."""
        check_feeds(self.inputs, feeds)
        inputs = {spec.name: to_json(feeds[spec.name], spec) for spec in self.inputs}
        # NaN, Infinity and -Infinity are written as such, which TF Serving reads.
        return json.dumps({"signature_name": self.signature, "inputs": inputs}).encode("utf-8")

    def call(self, values: bytes) -> bytes:
        """Send the request. Raises `TranslateError` with the server's own words when it refuses."""
        return self._request(":predict", values)

    def download(self, results: bytes) -> dict[str, Array]:
        """Read the answer."""
        try:
            outputs = json.loads(results)["outputs"]
        except (ValueError, KeyError, TypeError) as error:
            raise TranslateError(f"{self.url}:predict is not what TF Serving answers ({error!r})") from error
        if len(self.outputs) == 1:
            # A single output comes without its name.
            outputs = {self.outputs[0].name: outputs}
        missing = [spec.name for spec in self.outputs if spec.name not in outputs]
        if missing:
            raise TranslateError(f"{self.url} did not return {', '.join(missing)}")
        return {spec.name: _from_json(outputs[spec.name], spec) for spec in self.outputs}

    def _request(self, verb: str, body: bytes | None = None) -> bytes:
        """GET, or POST where there is a body. Raises `TranslateError`."""
        request = urllib.request.Request(self.url + verb, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            raise TranslateError(f"{self.url}{verb} answers {error.code}: {_complaint(error)}") from error
        except (OSError, ValueError) as error:
            # URLError and a timeout are OSErrors; ValueError is a URL that only looks like one.
            reason = getattr(error, "reason", error)
            raise TranslateError(f"{self.url} cannot be reached: {reason}") from error


def _complaint(error: urllib.error.HTTPError) -> str:
    """Return what the server says, TF Serving's {"error": ...} or the plain text of something in between."""
    text = error.read().decode("utf-8", "replace").strip()
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text[:500] or str(error.reason)


def to_json(array: Array, spec: Spec) -> Any:
    """Return an array as nested lists that TF Serving reads as `spec`. Raises `TranslateError` where JSON cannot."""
    dtype = "str" if array.dtype.kind in "OSU" else array.dtype.name
    if dtype != spec.dtype:
        raise TranslateError(f"input {spec.name} is {dtype}, the server expects {spec.dtype}")
    if 0 in array.shape[:-1]:
        # In JSON what is inside an empty list is lost; the server would see another shape.
        raise TranslateError(f"input {spec.name} is of shape {list(array.shape)}, which JSON cannot carry")
    if dtype != "str":
        # A float32 becomes a Python float, whose decimals read back as the very same number.
        return array.tolist()
    return _encode(array.tolist())


def _encode(value: Any) -> Any:
    if isinstance(value, list):
        return [_encode(item) for item in value]
    text = value if isinstance(value, bytes) else str(value).encode("utf-8")
    return {"b64": base64.b64encode(text).decode("ascii")}


def _from_json(value: Any, spec: Spec) -> Array:
    try:
        if spec.dtype != "str":
            array: Array = np.asarray(value, numpy_dtype(spec.dtype))
        else:
            array = _texts(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise TranslateError(f"output {spec.name} cannot be read as {spec.dtype}: {error}") from error
    known = [size for size in spec.shape or () if isinstance(size, int)]
    if array.size == 0 and spec.shape is not None and len(known) == len(spec.shape) - 1 and 0 not in known:
        # Nothing in it, so the one size that is open is zero; JSON has lost those that follow.
        return array.reshape([size if isinstance(size, int) else 0 for size in spec.shape])
    return array


def _texts(value: Any) -> Array:
    """Make an array of `bytes` of nested lists of text, or of {"b64": ...} where the output's name ends in _bytes."""
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    flat = [value]
    for _ in shape:
        flat = [item for items in flat for item in items]
    array = np.empty(len(flat), object)
    array[:] = [base64.b64decode(item["b64"]) if isinstance(item, dict) else item.encode("utf-8") for item in flat]
    return array.reshape(shape)
