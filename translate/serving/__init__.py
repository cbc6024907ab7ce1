"""What TF Serving loads, and what its users call it with: versions, warm-up requests, configuration, clients."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from translate.doctor import package_versions
from translate.errors import UsageError

if TYPE_CHECKING:
    from translate.models.base import Model, Spec
    from translate.verify.cases import InputPlan

# Batch sizes that are proven and warmed up where nobody asks for others.
BATCHES = (1, 2, 4, 8)
# TF Serving makes no larger batches of requests, unless larger ones were asked for.
MOST_ROWS = 32
# What a URL can hold, and the text protos and shell scripts without quoting.
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_PACKAGE = "tensorflow_serving"
# Where a SavedModel keeps the names of its classes, one a line.
LABELS = Path("assets.extra", "labels.txt")


@dataclass(frozen=True)
class Serving:
    """Where a model is served from.

    `base` is the folder of its versions, whose name is the model's, `version` the one to write (the next when None),
    `config` whether to write the configuration and clients beside it, `labels` a file with the name of a class in each
    line.
    """

    base: Path
    version: int | None = None
    config: bool = False
    labels: Path | None = None

    @property
    def name(self) -> str:
        """The model's name in TF Serving: that of the folder."""
        return self._place.name

    @property
    def config_folder(self) -> Path:
        """Where the configuration and clients go."""
        return self._place.with_name(f"{self.name}_serving")

    @property
    def _place(self) -> Path:
        # Not resolved: a link to the folder has a name of its own.
        return Path(os.path.abspath(self.base))


@dataclass(frozen=True)
class Interface:
    """What a served model takes and returns, with the names of symbolic dimensions."""

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]

    @property
    def batch(self) -> str | None:
        """The symbolic dimension that is the first of every input and output; None where there is none.

        Only then can a request be a list of rows, and TF Serving join requests to one batch.
        """
        from translate.models.inputs import open_dims

        first = {spec.shape[0] if spec.shape else None for spec in open_dims(self.inputs)}
        returned = {spec.shape[0] if spec.shape else None for spec in self.outputs}
        name = next(iter(first)) if len(first) == 1 else None
        return name if isinstance(name, str) and name.isidentifier() and returned == {name} else None

    @property
    def joins(self) -> bool:
        """Whether requests can always be joined to one batch: nothing but the batch is open in the inputs."""
        return self.batch is not None and all(
            isinstance(dim, int) for spec in self.inputs for dim in (spec.shape or ())[1:]
        )


def check(serving: Serving, *, force: bool) -> None:
    """Raise `UsageError` where what `serving` asks for cannot be written, before any work."""
    from translate.publish import check_folder, next_version

    if importlib.util.find_spec(_PACKAGE) is None:
        raise UsageError(
            "--serving writes warm-up requests with TF Serving's own messages, which are not installed: "
            # A newer one would bring a newer TensorFlow with it.
            f"pip install 'tensorflow-serving-api<={package_versions()['tensorflow']}'"
        )
    next_version(serving.base, serving.version)
    check_folder(serving.base)
    if serving.labels is not None:
        read_labels(serving.labels)
    if not serving.config:
        return
    if not _NAME.fullmatch(serving.name):
        raise UsageError(f"--serving {serving.base}: a model is called like its folder, by letters, digits, _, - and .")
    if serving.config_folder.exists() and not force:
        raise UsageError(f"{serving.config_folder} already exists; --force writes its files again")
    check_folder(serving.config_folder)


def with_batches(plan: InputPlan, model: Model, serving: Serving) -> InputPlan:
    """Return `plan` with the batch sizes to prove and warm up, if it says nothing of the batch.

    Raises `UsageError` where the labels that `serving` has fit no output of `model`.
    """
    if serving.labels is not None:
        labelled_output(read_labels(serving.labels), model.outputs)
    batch = Interface(model.inputs, model.outputs).batch
    if batch is None or batch in plan.sizes:
        return plan
    least, greatest = batch_range(model, batch)
    sizes = tuple(size for size in BATCHES if least <= size <= greatest)
    return replace(plan, sizes={**plan.sizes, batch: sizes}) if sizes else plan


def batch_range(model: Model, batch: str) -> tuple[int, int]:
    """Return the least and the greatest size of the dimension `batch`, a request of 32 rows being the greatest."""
    # Only PyTorch models know it.
    ranges: Mapping[str, tuple[int, int]] = getattr(model, "ranges", None) or {}
    least, greatest = ranges.get(batch, (1, MOST_ROWS))
    return least, min(greatest, MOST_ROWS)


def read_labels(path: Path) -> list[str]:
    """Return the names of classes in `path`, one in each line. Raises `UsageError`."""
    try:
        labels = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--labels {path} cannot be read: {error}") from error
    if not labels or not all(label.strip() for label in labels):
        raise UsageError(f"--labels {path}: expected the name of a class in each line, in the order of the output")
    return labels


def labelled_output(labels: Sequence[str], outputs: Sequence[Spec]) -> str:
    """Return the name of the output that has one number for each of `labels`. Raises `UsageError`."""
    for spec in outputs:
        if spec.shape and spec.shape[-1] == len(labels):
            return spec.name
    raise UsageError(f"--labels: {len(labels)} names, but none of {', '.join(map(str, outputs))} has so many columns")
