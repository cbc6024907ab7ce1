from __future__ import annotations

import numpy as np
import pytest

from translate.errors import UsageError
from translate.models.base import Spec, check_feeds


def test_check_feeds() -> None:
    specs = [Spec("x", "float32", (1,)), Spec("y", "float32", (1,))]
    with pytest.raises(UsageError, match="the inputs are x, y: missing y; unknown z"):
        check_feeds(specs, {"x": np.ones(1), "z": np.ones(1)})
