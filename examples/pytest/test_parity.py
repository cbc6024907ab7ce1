"""Parity in a project's own tests. To use it, put in the paths of your models and the sizes that you serve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import translate
from translate.testing import assert_parity

MODEL = Path(__file__).parents[2] / "fixtures" / "digits_cnn.pt2"


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Translate once for all tests. Where the SavedModel is in the repository, this is only its path."""
    folder = tmp_path_factory.mktemp("models") / "digits_cnn_tf"
    translate.torch2tf(MODEL, folder, verify=False)
    return folder


def test_the_saved_model_computes_what_the_checkpoint_does(saved_model: Path) -> None:
    """Compare on random inputs, with one picture and with many."""
    assert_parity(MODEL, saved_model, sizes={"batch": [1, 32]})


def test_it_does_so_on_a_blank_picture(saved_model: Path) -> None:
    """Compare on inputs that mean something as well."""
    blank = np.zeros((3, 1, 8, 8), np.float32)
    assert_parity(MODEL, saved_model, sizes={"batch": [3]}, sample={"image": blank})
