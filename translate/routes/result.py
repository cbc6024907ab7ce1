"""What the routes share: their result, their stages, and the inputs that prove it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from translate.errors import ParityError

if TYPE_CHECKING:
    from translate.models.base import Spec
    from translate.verify import Verdict
    from translate.verify.cases import InputPlan
    from translate.verify.gradients import GradientVerdict

Engine = Literal["native", "onnx2tf"]


@dataclass(frozen=True)
class Training:
    """What train mode does beside its outputs: the buffers that a call changes, and whether it draws at random."""

    updates: tuple[str, ...]
    is_random: bool


@dataclass(frozen=True)
class Result:
    """What a route, `command`, made.

    `output` is the file or folder of the result, in `format`, None when it was not published; `bytes` its size on
    disk; `trainable` and `frozen` the number of values in its trainable and its other weights; `transposes` how many
    transposes of activations are left (None where nobody counts); `seconds` the time of each stage. On the way to
    PyTorch, `route` is "layers" or "graph", and `by_graph` says of each Keras layer that went by its graph all the same
    why that was. `training` is set where the result has a signature `training`, and `gradients` where its gradients
    were compared.
    """

    command: str
    source: str
    source_kind: str
    engine: Engine
    format: str
    output: Path | None
    bytes: int
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    trainable: int
    frozen: int
    transposes: int | None
    notes: tuple[str, ...]
    verdict: Verdict | None
    seconds: Mapping[str, float]
    route: str | None = None
    by_graph: Mapping[str, str] = field(default_factory=dict)
    training: Training | None = None
    gradients: GradientVerdict | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the result: it was proven, or nobody asked for a proof."""
        return all(proof is None or proof.passed for proof in (self.verdict, self.gradients))


class NotEqualError(ParityError):
    """The result does not compute what the source does; `result` tells how far they are apart."""

    def __init__(self, result: Result) -> None:
        same = result.verdict is not None and result.verdict.passed
        what = "have the gradients of" if same else "compute the same as"
        super().__init__(f"the result does not {what} {result.source}; nothing was written")
        self.result = result


@dataclass
class Stages:
    """Takes the time of each stage and says which one begins."""

    progress: Callable[[str], None] | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Run what is inside as the stage `name`."""
        if self.progress is not None:
            self.progress(name)
        start = time.perf_counter()
        yield
        # A second way to a result may follow the first.
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def source_label(source: object) -> str:
    """Return how to call `source` in reports: its path or name, or the class of a live object."""
    return str(source) if isinstance(source, str | Path) else type(source).__name__


def with_sample(plan: InputPlan | None, sample: str | Path | None, seed: int = 0) -> InputPlan:
    """Return `plan`, two seeds where there is none, with a sample file's inputs in addition."""
    from translate.verify.cases import InputPlan

    plan = plan or InputPlan(seeds=(seed, seed + 1))
    return plan if sample is None else replace(plan, data=(*plan.data, Path(sample)))


def size_on_disk(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
