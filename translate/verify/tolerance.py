"""How far two outputs may lie apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from translate.models.base import Array

# torch.testing.assert_close's defaults: (rtol, atol) by dtype; every other dtype must agree exactly.
# https://docs.pytorch.org/docs/stable/testing.html
_DEFAULTS: dict[str, tuple[float, float]] = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}

# Two float32 runs, each as far from the exact result as the source is, lie up to twice that apart; and the largest of
# a few thousand rounding errors varies by about as much again from one order of summation to another.
NOISE_MULTIPLE = 4


@dataclass(frozen=True)
class Tolerance:
    """The largest allowed distance between a source value `a` and a target value `b`.

    Scaled (the default): `|a - b| <= (rtol + atol) * scale`, where `scale` is the largest finite magnitude in the
    source's output, or 1 where that output is zero everywhere. One bound serves the whole output, because rounding
    in a deep network is proportional to the largest values that took part, not to the element that came out; and
    it is proportional to the output, so that small outputs (a softmax over a thousand classes) are judged as
    strictly as large ones.

    `noise`, where it was measured, is the source's own rounding error: its largest distance from itself run in double
    precision. A target that is as close to the source as a small multiple of that is as right as the source is, so
    the bound is then at least `NOISE_MULTIPLE * noise`. Deep networks need it: in an ill-conditioned one PyTorch
    itself is further from the exact result than the fixed bound.

    Not scaled (chosen with an explicit rtol or atol): the classic element by element `|a - b| <= atol + rtol * |a|`.
    """

    rtol: float
    atol: float
    scaled: bool = True
    noise: float = 0.0

    def bound(self, source: Array, scale: float) -> Array:
        """Return the allowed distance for each element of `source` (any shape), broadcastable to its shape."""
        if self.scaled:
            return np.asarray(max((self.rtol + self.atol) * scale, NOISE_MULTIPLE * self.noise))
        return np.asarray(self.atol + self.rtol * np.abs(source))

    def __str__(self) -> str:
        if self.rtol == 0 and self.atol == 0:
            return "exact"
        if self.scaled and self.noise:
            return f"|a-b| <= {NOISE_MULTIPLE} * {self.noise:.3g}, the source's own rounding"
        if self.scaled:
            return f"|a-b| <= {self.rtol + self.atol:.3g} * max|a|"
        return f"|a-b| <= {self.atol:.3g} + {self.rtol:.3g} * |a|"


def tolerance_for(dtype: str, rtol: float | None = None, atol: float | None = None) -> Tolerance:
    """Return the tolerance for outputs of `dtype` (numpy's name of it).

    An explicit `rtol` or `atol` gives the classic test for floating-point outputs; the one left out keeps its
    default. Integers, booleans and text are always compared exactly.
    """
    if dtype not in _DEFAULTS:
        return Tolerance(0.0, 0.0)
    default_rtol, default_atol = _DEFAULTS[dtype]
    if rtol is None and atol is None:
        return Tolerance(default_rtol, default_atol)
    return Tolerance(default_rtol if rtol is None else rtol, default_atol if atol is None else atol, scaled=False)
