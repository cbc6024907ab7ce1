"""Models as `torch2tf --serving` releases them, made once for all tests of the folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from translate import routes
from translate.models.base import Model
from translate.models.open import open_model
from translate.serving import Serving

FIXTURES = Path(__file__).parents[2] / "fixtures"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Released:
    """The first version of a model, `place`, with its configuration, and the PyTorch model that it came from."""

    source: Model
    place: Path
    serving: Serving
    notes: tuple[str, ...]

    @property
    def config(self) -> Path:
        return self.serving.config_folder


class Tagger(torch.nn.Module):
    """Takes a dict of token numbers and features, returns a dict; batch and length are open."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(50, 6)
        self.head = torch.nn.Linear(9, 4)

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        tokens = self.embedding(batch["ids"])
        joined = torch.cat([tokens.mean(1), batch["features"]], 1)
        return {"scores": self.head(joined), "tokens": tokens}


class Pair(torch.nn.Module):
    """Without a batch, and with an output that JSON cannot carry where `half` is on."""

    def __init__(self, half: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(4, 3)
        self.half = half

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        y = self.linear(x) * scale
        return y.to(torch.bfloat16) if self.half else y


def tagger() -> torch.export.ExportedProgram:
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", min=2)
    example = {"ids": torch.ones(2, 7, dtype=torch.int64), "features": torch.ones(2, 3)}
    shapes = {"ids": {0: batch, 1: length}, "features": {0: batch}}
    return torch.export.export(Tagger().eval(), (example,), dynamic_shapes=(shapes,))


def release(source: object, base: Path, labels: Path | None = None, **options: object) -> Released:
    serving = Serving(base, config=True, labels=labels)
    result = routes.torch2tf(source, serving=serving, **options)  # type: ignore[arg-type]
    assert result.passed and result.output == base / "1"
    return Released(open_model(source), result.output, serving, result.notes)


@pytest.fixture(scope="session", params=["digits_cnn", "neural_net", "text_classifier", "char_lm"])
def fixture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Released:
    """Each trained model of fixtures/ in turn."""
    return release(FIXTURES / f"{request.param}.pt2", tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Released:
    """An image classifier with labels."""
    folder = tmp_path_factory.mktemp("labelled")
    labels = folder / "classes.txt"
    labels.write_text("\n".join(DIGITS) + "\n")
    return release(FIXTURES / "digits_cnn.pt2", folder / "digits", labels)


@pytest.fixture(scope="session")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Released:
    """A model of several inputs and outputs."""
    return release(tagger(), tmp_path_factory.mktemp("dicts") / "tagger")
