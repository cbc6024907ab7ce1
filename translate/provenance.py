"""Where a translation comes from, written into its manifest, and found and checked again later."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from translate.doctor import package_versions
from translate.errors import OpenError, UntrustedError, UsageError
from translate.manifest import Manifest, Provenance, read_manifest

if TYPE_CHECKING:
    from translate.models.base import Model, Spec
    from translate.models.distributions import Distribution
    from translate.verify.cases import InputPlan
    from translate.verify.gradients import GradientVerdict
    from translate.verify.tolerance import Allowed
    from translate.verify.verdict import Verdict

# Of a SHA-256 in a message: enough to see that two are not the same.
_SHOWN = 16
# Options of the command line that bear on a comparison; the first name files.
_FILES = ("weights", "sample", "data")
_OPTIONS = (*_FILES, "input", "method", "sizes", "range", "normal", "uniform", "rtol", "atol")


def provenance(
    source: object,
    models: Mapping[str, Model],
    engine: str,
    verdict: Verdict | None,
    options: Mapping[str, Sequence[str]],
    weights: str | Path | None = None,
    gradients: GradientVerdict | None = None,
) -> Provenance:
    """Say what is known of a translation of `source`; reads all its files for their SHA-256.

    `models` is what it was opened as for each signature, `serving_default` being "".
    """
    from translate.reports.schema import finite
    from translate.reports.sections import gradients_report, spec_report, verdict_report
    from translate.verify.joined import prefixed

    first = next(iter(models.values()))
    told = None if verdict is None else verdict_report(verdict)
    for run in [] if told is None else told["runs"]:
        for output in run["outputs"]:
            del output["histogram"]
    return Provenance(
        source=_name(source),
        kind=first.kind,
        engine=engine,
        files={name: _sha256(path) for name, path in _files(source, first, weights).items()},
        options={name: list(values) for name, values in options.items() if values},
        versions=package_versions(),
        inputs=[spec_report(spec) for name, model in models.items() for spec in prefixed(name, model.inputs)],
        outputs=[spec_report(spec) for name, model in models.items() for spec in prefixed(name, model.outputs)],
        verdict=finite(told),
        gradients=None if gradients is None else finite(gradients_report(gradients)),
    )


def write_provenance(folder: Path, known: Provenance) -> None:
    """Add `known` to the manifest of the SavedModel in `folder`, or begin one."""
    replace(read_manifest(folder) or Manifest(), provenance=known).write(folder)


def comparison_options(
    inputs: Sequence[str | Spec],
    plan: InputPlan | None,
    rtol: Allowed,
    atol: Allowed,
    *,
    weights: str | Path | None = None,
    sample: str | Path | None = None,
    methods: Sequence[str] = (),
) -> dict[str, list[str]]:
    """Return what a comparison is asked for as options of the command line, {"sizes": ["batch=1,2"]}."""
    from translate.models.distributions import Normal, Range
    from translate.models.inputs import format_input

    options: dict[str, list[str]] = {
        "input": [item if isinstance(item, str) else format_input(item) for item in inputs],
        "weights": [] if weights is None else [Path(weights).name],
        "sample": [] if sample is None else [Path(sample).name],
        "method": list(methods),
        "rtol": _tolerance_options(rtol),
        "atol": _tolerance_options(atol),
    }
    if plan is None:
        return options
    drawn: dict[str, list[str]] = {"range": [], "normal": [], "uniform": []}
    for name, distribution in plan.distributions.items():
        kind = "normal" if isinstance(distribution, Normal) else "range" if isinstance(distribution, Range) else None
        drawn[kind or "uniform"].append(f"{name}:{_numbers(distribution)}")
    sizes = [f"{name}={','.join(map(str, values))}" for name, values in plan.sizes.items()]
    return {**options, "sizes": sizes, **drawn, "data": [path.name for path in plan.data]}


def _numbers(distribution: Distribution) -> str:
    from translate.models.distributions import Normal

    if isinstance(distribution, Normal):
        return f"{distribution.mean},{distribution.std}"
    return f"{distribution.low},{distribution.high}"


def _tolerance_options(allowed: Allowed) -> list[str]:
    if allowed is None:
        return []
    if isinstance(allowed, Mapping):
        return [f"{output}={number}" if output else f"{number}" for output, number in allowed.items()]
    return [f"{allowed}"]


@dataclass(frozen=True)
class Recalled:
    """What is to be compared again: the source, the options of the first comparison, what the user should know."""

    provenance: Provenance
    source: str
    options: Mapping[str, Sequence[str]]
    notes: Sequence[str]


def recall(folder: Path, source: str | None = None, given: Collection[str] = ()) -> Recalled:
    """Read in the manifest of the SavedModel in `folder` what it was translated from, and find that.

    The source is `source`, or what has its name beside `folder`, one folder above, or in the working directory; so are
    the files that options name. `given` are the options that the user gives anew. Raises `OpenError` where the manifest
    does not tell, `UntrustedError` for a factory that nobody named, `UsageError` for a source that is not found.
    """
    manifest = read_manifest(folder) if folder.is_dir() else None
    known = None if manifest is None else manifest.provenance
    if known is None:
        raise OpenError(f"{folder} does not say what it was translated from; translate verify SOURCE {folder}")
    notes = [_summary(known)]
    options = {option: known.options.get(option, ()) for option in _OPTIONS}
    for option in _FILES:
        paths = {name: _beside(name, folder) for name in options.get(option, ())}
        options[option] = [str(path) for path in paths.values() if path is not None]
        missing = ", ".join(name for name, path in paths.items() if path is None)
        if missing and option not in given:
            notes.append(
                f"the first comparison had --{option} {missing}, which is not found: give it, or it is left out"
            )
    if manifest is not None and "training" in manifest.signatures and not options["method"]:
        notes.append("the signature training was proven when it was translated, and is not compared again")
    return Recalled(known, source or _find(known, folder), options, notes)


def source_notes(known: Provenance, source: str, weights: str | Path | None = None) -> list[str]:
    """Say whether `source` is what `known` tells of, by the SHA-256 of its files."""
    if not known.files:
        return [f"it was translated from a live {known.source}, of which no SHA-256 is known"]
    found = {name: _digest(place) for name, place in _places(known, source, weights).items()}
    differing = [
        f"{name} is {found[name][:_SHOWN]} and was {digest[:_SHOWN]}"
        for name, digest in known.files.items()
        if found[name] != digest
    ]
    if differing:
        return [f"this is NOT the source that was translated, by its SHA-256: {'; '.join(differing)}"]
    shown = ", ".join(f"{name} {digest[:_SHOWN]}" for name, digest in found.items())
    return [f"the source is the one that was translated, by its SHA-256: {shown}"]


def _places(known: Provenance, source: str, weights: str | Path | None) -> dict[str, Path | None]:
    """Return where each of the files is now, None where it is not; source and weights may have new names."""
    main = _main_file(source)
    renamed = {} if main is None else {next(iter(known.files)): main}
    folders = [] if main is None else [main.parent]
    if Path(source).is_dir():
        renamed, folders = {}, [Path(source)]
    if weights is not None:
        renamed |= {name: Path(weights) for name in known.options.get("weights", ())}
        folders.append(Path(weights).parent)
    return {
        name: next((p for p in (renamed.get(name), *(f / name for f in folders)) if p and p.is_file()), None)
        for name in known.files
    }


def _summary(known: Provenance) -> str:
    made = ", ".join(f"{name} {known.versions.get(name)}" for name in ("translate", "torch", "tensorflow"))
    if known.verdict is None:
        return f"translated by {made}, without a proof"
    errors = [output["error"] for run in known.verdict["runs"] for output in run["outputs"]]
    worst = max((float(error) for error in errors), default=0.0)
    return f"translated by {made}; {len(known.verdict['runs'])} runs then, the greatest error {worst:.2g} of the limit"


def _find(known: Provenance, folder: Path) -> str:
    _, colon, attribute = known.source.rpartition(":")
    if colon and attribute.isidentifier():
        # A manifest may come from anywhere, and what it names would be imported.
        raise UntrustedError(
            f"{folder} was translated from {known.source}, and to make that runs its code.\n"
            f"  If you trust it: translate verify {known.source} --manifest {folder}"
        )
    path = _beside(known.source, folder) if known.files else None
    if path is None:
        raise UsageError(
            f"{known.source}, from which {folder} was translated, is not beside it; "
            f"translate verify SOURCE --manifest {folder}"
        )
    return str(path)


def _beside(name: str, folder: Path) -> Path | None:
    folder = folder.resolve()
    places = (folder.parent / name, folder.parent.parent / name, Path.cwd() / name)
    return next((place for place in places if place.exists()), None)


def _name(source: object) -> str:
    """Return the name of a source without the folder that it lies in, which is true on this machine only."""
    if not isinstance(source, str | Path):
        return type(source).__name__
    if Path(source).exists():
        return Path(source).resolve().name
    place, _, attribute = str(source).rpartition(":")
    return f"{Path(place).name if place.endswith('.py') else place}:{attribute}"


def _files(source: object, model: Model, weights: str | Path | None) -> dict[str, Path]:
    """Return the files that a source is made of, its own first, by their names; of a factory its own file alone."""
    from translate.models.shards import weight_files

    files: dict[str, Path] = {}
    if isinstance(source, str | Path) and Path(source).is_dir():
        inside = [file.relative_to(source) for file in sorted(Path(source).rglob("*")) if file.is_file()]
        files = {str(name): source / name for name in inside if not any(part[0] == "." for part in name.parts)}
    elif isinstance(source, str | Path):
        main = _main_file(str(source))
        if main is not None:
            files = {main.name: main, **{name: main.parent / name for name in _external_data(model)}}
    return files if weights is None else files | {file.name: file for file in weight_files(Path(weights))}


def _main_file(source: str) -> Path | None:
    """Return the file that a source is, or that its factory is in; None for a folder and for what has no file."""
    if Path(source).exists():
        return None if Path(source).is_dir() else Path(source)
    place = source.rpartition(":")[0]
    return Path(place) if place.endswith(".py") else _module_file(place)


def _external_data(model: Model) -> list[str]:
    """Return the names of the files beside an ONNX file that hold its weights."""
    from translate.models.renamed import RenamedInputs

    while isinstance(model, RenamedInputs):
        model = model.model
    if model.kind != "ONNX":
        return []
    import onnx_ir as ir

    from translate.models.onnx_model import OnnxModel

    assert isinstance(model, OnnxModel)
    tensors = [value.const_value for value in model.model.graph.initializers.values()]
    return sorted({str(tensor.location) for tensor in tensors if isinstance(tensor, ir.ExternalTensor)})


def _module_file(name: str) -> Path | None:
    module = sys.modules.get(name)
    if module is not None:
        place = getattr(module, "__file__", None)
    else:
        spec = importlib.util.find_spec(name)
        place = None if spec is None else spec.origin
    return None if place is None else Path(place)


def _digest(place: Path | None) -> str:
    return "missing" if place is None else _sha256(place)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
