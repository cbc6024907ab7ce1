"""What a SavedModel remembers of its translation: `assets.extra/translation.json` inside its folder.

TensorFlow, TF Serving and TF Lite ignore `assets.extra`. The manifest holds what the graph itself cannot say: which
variable a parameter became, which tensor a value of the source became, and in which axis order both are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from translate.errors import OpenError

SCHEMA = "translate.manifest/1"
SERVING_DEFAULT = "serving_default"
PLACE = Path("assets.extra", "translation.json")

# Axis `k` of what is stored is axis `permutation[k]` of the source's; None where the order is the source's.
Permutation = tuple[int, ...] | None


@dataclass(frozen=True)
class Parameter:
    """A weight: the name of its `tf.Variable` (without `:0`), its axis order, and whether it was a parameter.

    `tied` are the further names that it has in the source. `saved` says whether the source's state_dict has it, as it
    has no buffers that are not persistent.
    """

    variable: str
    permutation: Permutation
    trainable: bool
    tied: Sequence[str] = ()
    saved: bool = True


@dataclass(frozen=True)
class Constant:
    """A weight that is no variable, for the graph was built on its value: that, as the SHA-256 of its bytes in C order.

    `dtype` and `shape` are those of the source, `tied` the further names that it has there.
    """

    dtype: str
    shape: Sequence[int]
    sha256: str
    tied: Sequence[str] = ()


@dataclass(frozen=True)
class Value:
    """An intermediate value: its tensor in the signature's function (`relu/Relu:0`), its axis order, its node."""

    tensor: str
    permutation: Permutation
    operator: str
    node: str


@dataclass(frozen=True)
class Signature:
    """One function: the names of its inputs and outputs in the source's order, and its values, see `Manifest`."""

    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Provenance:
    """Where a SavedModel comes from and what was proven of it, so that anyone can compare the two again.

    `source` is the name of a file, folder or factory, without the folder that it lay in, or the class of a live object;
    `kind` what it is; `files` the SHA-256 of every file that it is made of, weights included, by name.
    `options` are those of the command line that bear on the comparison ({"input": ["x:batch,3"]}), files again by
    name alone. `versions` are those of the packages that took part, None for one that is not installed.
    `inputs` and `outputs` are the interface, and `verdict` the proof (None where nobody asked for one), as they stand
    in a report, but for the histograms: see docs/report-schema.md. There, all that belongs to a signature other than
    `serving_default` is called `signature.name`. `gradients` is the proof of those, where they were compared.
    """

    source: str
    kind: str
    engine: str
    files: Mapping[str, str]
    options: Mapping[str, Sequence[str]]
    versions: Mapping[str, str | None]
    inputs: Sequence[Mapping[str, Any]]
    outputs: Sequence[Mapping[str, Any]]
    verdict: Mapping[str, Any] | None
    gradients: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Manifest:
    """`parameters` by their name in the source's state_dict, `values` by their name in the exported ONNX graph.

    `inputs` and `outputs` are the names of the signature `serving_default` in the source's order, which a signature
    does not keep, and `signatures` has the other ones;
    `structure` is what the source returned, "single", "tuple", "list" or "dict", None where nobody knows.
    `provenance` is None in a SavedModel that no route has published. `updated` are the weights that the signature
    `training` changes, where there is one. `constants` are the weights of the source that are not among `parameters`,
    though the graph depends on them.
    """

    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    structure: str | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    values: Mapping[str, Value] = field(default_factory=dict)
    provenance: Provenance | None = None
    updated: Sequence[str] = ()
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    constants: Mapping[str, Constant] = field(default_factory=dict)

    def signature(self, name: str) -> Signature:
        """Return what is known of the signature called `name`: nothing, where nobody wrote it down."""
        own = Signature(self.inputs, self.outputs, self.values) if name == SERVING_DEFAULT else Signature()
        return self.signatures.get(name, own)

    def write(self, folder: Path) -> None:
        """Write the manifest into the SavedModel in `folder`."""
        path = folder / PLACE
        path.parent.mkdir(exist_ok=True)
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")


def update_name(weight: str) -> str:
    """Return what the output is called that is the value of `weight` after a call in train mode."""
    return f"{weight}.updated"


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of the SavedModel in `folder`, None where it has none. Raises `OpenError` for a bad one."""
    path = folder / PLACE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise OpenError(f"{path} is of schema {content['schema']!r}; this version reads {SCHEMA!r}")
        return Manifest(
            inputs=tuple(content["inputs"]),
            outputs=tuple(content["outputs"]),
            structure=content["structure"],
            parameters={name: Parameter(**_entry(entry)) for name, entry in content["parameters"].items()},
            values=_values(content["values"]),
            # Earlier versions wrote none of the following.
            provenance=_provenance(content.get("provenance")),
            updated=tuple(content.get("updated", ())),
            constants={name: Constant(**entry) for name, entry in content.get("constants", {}).items()},
            signatures={name: _signature(entry) for name, entry in content.get("signatures", {}).items()},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise OpenError(f"{path} is no readable manifest: {error}") from error


def _provenance(content: Mapping[str, Any] | None) -> Provenance | None:
    if content is None:
        return None
    # Later versions may write more, and earlier ones compared no gradients.
    known = {"gradients": None, **content}
    return Provenance(**{part.name: known[part.name] for part in fields(Provenance)})


def _signature(content: Mapping[str, Any]) -> Signature:
    return Signature(tuple(content["inputs"]), tuple(content["outputs"]), _values(content["values"]))


def _values(content: Mapping[str, dict[str, Any]]) -> dict[str, Value]:
    return {name: Value(**_entry(entry)) for name, entry in content.items()}


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    permutation = entry["permutation"]
    return {**entry, "permutation": None if permutation is None else tuple(permutation)}
