"""How far two outputs may lie apart. docs/verdict.md tells where the constants come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import ml_dtypes
import numpy as np

from translate.errors import UsageError
from translate.models.base import Array
from translate.models.perturb import is_floating
from translate.verify.noise import Method, Noise, largest, root_mean_square

# How many times the source's own rounding error the target may be away. The response to moved inputs and weights knows
# nothing of long sums, where the rounding can be several times as much.
NOISE_MULTIPLE: Mapping[Method, float] = {"float64": 6.0, "one ulp": 24.0}
# What is allowed in any case, in units in the last place: of the output's largest magnitude, and of its root mean
# square. Functions such as exp and tanh differ by a few from one library to another, even where the source is exact.
ULPS = 4.0

# Of what a quantised model returns besides floating-point numbers, this share may differ.
NEAR_SHARE = 0.1

# torch.testing.assert_close's defaults: (rtol, atol) by dtype, for the one of the two that is left out.
# https://docs.pytorch.org/docs/stable/testing.html
_CLASSIC: dict[str, tuple[float, float]] = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}

# An allowed error of every output, or of each by name ("" for those that are not named).
Allowed = float | Mapping[str, float] | None


@dataclass(frozen=True)
class Tolerance:
    """The rule that an output was judged by.

    - "exact": nothing may differ (integers, Booleans, text);
    - "calibrated": the largest distance may be `maximum`, the root mean square of the distances `rms`;
    - "classic": for each element `|a - b| <= atol + rtol * |a|`;
    - "near": the signal-to-noise ratio, `20 * log10(rms(a) / rms(a - b))`, must be `decibels` at least; or, where it
      is not floating-point numbers that are compared, this `share` of them may differ at most.
    """

    kind: Literal["exact", "calibrated", "classic", "near"] = "exact"
    maximum: float = 0.0
    rms: float = 0.0
    rtol: float = 0.0
    atol: float = 0.0
    decibels: float = 0.0
    share: float = 0.0

    def __str__(self) -> str:
        if self.kind == "exact":
            return "exact"
        if self.kind == "classic":
            return f"|a-b| <= {self.atol:.3g} + {self.rtol:.3g} * |a|"
        if self.kind == "near":
            return f"{self.share:.0%} differ" if self.share else f"signal-to-noise ratio >= {self.decibels:g} dB"
        return f"max|a-b| <= {self.maximum:.3g} and rms(a-b) <= {self.rms:.3g}"


def calibrated(value: Array, noise: Noise | None, step: float = 0.0) -> Tolerance:
    """Return the limits for an output of which the source returned `value`, of any shape, and erred by `noise`.

    Where its numbers lie on a grid, one `step` of that is always allowed.
    An output that is zero everywhere is measured by 1: numbers of that size cancelled, as far as anyone knows.
    """
    limits = ml_dtypes.finfo(value.dtype)
    eps, tiny = float(limits.eps), float(limits.tiny)
    scale, rms = largest(value) or 1.0, root_mean_square(value) or 1.0
    noise = noise or Noise("float64", 0.0, 0.0)
    multiple = NOISE_MULTIPLE[noise.method]
    return Tolerance(
        "calibrated",
        # Steps are numbers of float32: the distance of two is one but for its rounding.
        maximum=max(multiple * noise.maximum, ULPS * eps * scale, tiny, step + eps * scale if step else 0.0),
        rms=max(multiple * noise.rms, ULPS * eps * rms, tiny, step),
    )


def loosest(tolerances: Iterable[Tolerance]) -> Tolerance:
    """Return the rule, one and the same but for its limits, with the largest of them."""
    rules = list(tolerances)
    return replace(rules[0], maximum=max(rule.maximum for rule in rules), rms=max(rule.rms for rule in rules))


def classic(name: str, dtype: np.dtype[np.generic], rtol: Allowed, atol: Allowed) -> Tolerance | None:
    """Return the element by element test that was asked for the output called `name`; None where none was.

    The one of rtol and atol that is left out has PyTorch's default for the dtype.
    """
    if dtype.kind != "c" and not is_floating(dtype):
        return None
    ours = allowed(rtol, name), allowed(atol, name)
    if ours == (None, None):
        return None
    defaults = _CLASSIC.get(dtype.name, (float(ml_dtypes.finfo(dtype).eps), 0.0))
    relative, absolute = (default if own is None else own for own, default in zip(ours, defaults, strict=True))
    return Tolerance("classic", rtol=relative, atol=absolute)


def allowed(tolerance: Allowed, name: str) -> float | None:
    """Return the number in `tolerance` for the output called `name`."""
    if isinstance(tolerance, Mapping):
        return tolerance.get(name, tolerance.get(""))
    return tolerance


def parse_tolerance(option: str, values: Sequence[str]) -> dict[str, float]:
    """Read repeated `--rtol` or `--atol` options, `1e-3` for all outputs or `logits=1e-3` for one.

    Returns {output: number}, "" standing for all that are not named. Raises `UsageError`.
    """
    tolerances: dict[str, float] = {}
    for text in values:
        name, _, number = text.rpartition("=")
        try:
            tolerances[name] = float(number)
        except ValueError as error:
            raise UsageError(f"{option} {text}: expected a number, or OUTPUT=NUMBER as in logits=1e-3") from error
        if not 0 <= tolerances[name] < np.inf:
            raise UsageError(f"{option} {text}: a tolerance is not negative and finite")
    return tolerances


def check_names(tolerance: Allowed, outputs: Iterable[str]) -> None:
    """Raise `UsageError` when `tolerance` names something that is no output."""
    known = list(outputs)
    unknown = [name for name in tolerance if name and name not in known] if isinstance(tolerance, Mapping) else []
    if unknown:
        raise UsageError(f"a tolerance names {', '.join(unknown)}; the outputs are {', '.join(known)}")
