"""Judge one output: the source's value against the target's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from translate.models.base import Array
from translate.models.perturb import is_floating
from translate.verify.noise import Noise, largest, root_mean_square, widened
from translate.verify.tolerance import NEAR_SHARE, Allowed, Tolerance, calibrated, classic
from translate.verify.verdict import Agreement, Histogram, OutputParity

# Histograms reach from 1e-18 of the scale, beyond what float64 can tell, to 10 times the scale.
_FIRST_BIN, _LAST_BIN = -18.0, 1.0


def tolerance_for(
    name: str,
    value: Array,
    noise: Noise | None,
    rtol: Allowed,
    atol: Allowed,
    step: float = 0.0,
    near: float | None = None,
) -> Tolerance:
    """Return the rule for the output called `name`, where the source returned `value` with rounding error `noise`.

    `rtol` and `atol` give floating-point outputs the classic test; `step` is that of the grid on which it lies, if any;
    with `near`, a signal-to-noise ratio in decibels, the two sides need not be equal.
    """
    if value.dtype.kind != "c" and not is_floating(value.dtype):
        return Tolerance("exact") if near is None or value.dtype.kind in "OSU" else Tolerance("near", share=NEAR_SHARE)
    asked = classic(name, value.dtype, rtol, atol)
    if asked is None and near is not None:
        return Tolerance("near", decibels=near)
    return asked or calibrated(value, noise, step)


def judge(
    name: str,
    source: Array,
    target: Array,
    tolerance: Tolerance,
    noise: Noise | None = None,
    noise_distances: Array | None = None,
    *,
    details: bool = True,
) -> OutputParity:
    """Compare the two values of one output, of any shape and dtype, by `tolerance`.

    `noise` is reported, `noise_distances`, the rounding errors of single elements, go into the histogram. Without
    `details` there is neither a histogram nor an agreement, which take longer than all the rest.
    """
    dtype = dtype_name(source)
    parity = OutputParity(name, dtype, tuple(int(size) for size in source.shape), noise=noise, tolerance=tolerance)
    problems: list[str] = []
    if dtype_name(target) != dtype:
        problems.append(f"dtype is {dtype} in the source and {dtype_name(target)} in the target")
    if target.shape != source.shape:
        problems.append(f"shape is {list(source.shape)} in the source and {list(target.shape)} in the target")
    if problems:
        return replace(parity, error=np.inf, problems=tuple(problems))
    if source.size == 0:
        return replace(parity, notes=("the output is empty",))
    if source.dtype.kind in "OSU":
        different = int(np.count_nonzero(source.astype(str) != target.astype(str)))
        said = f"{different} of {source.size} texts differ"
        return replace(parity, error=np.inf, problems=(said,)) if different else parity
    return _judge_numbers(parity, source, target, noise_distances, details)


def _judge_numbers(
    parity: OutputParity, source: Array, target: Array, noise_distances: Array | None, details: bool
) -> OutputParity:
    tolerance = parity.tolerance
    # Distances in double precision; for 64-bit integers they may be rounded, equality is judged on the originals.
    different = int(np.count_nonzero(source != target))
    a, b = widened(source), widened(target)
    problems, notes = _compare_special(a, b)
    finite = np.isfinite(a) & np.isfinite(b)
    all_finite = bool(finite.all())
    x, y = (a.ravel(), b.ravel()) if all_finite else (a[finite], b[finite])
    if x.size == 0:
        return replace(parity, error=np.inf if problems else 0.0, problems=tuple(problems), notes=tuple(notes))
    distance, magnitude = np.abs(x - y), np.abs(x)
    scale, greatest = float(magnitude.max()), float(distance.max())
    rms = root_mean_square(distance)
    error, excess = _excess(tolerance, distance, magnitude, greatest, rms, different)
    problems += excess
    if tolerance.kind == "near" and tolerance.decibels:
        notes.append(f"signal-to-noise ratio {signal_to_noise(magnitude, rms):.1f} dB")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = np.where(distance == 0, 0.0, distance / magnitude)
    parity = replace(
        parity,
        max_abs=greatest,
        max_rel=float(relative.max()),
        rms=rms,
        scale=scale,
        error=np.inf if len(problems) > len(excess) else error,
        cosine=_cosine(x, y),
        problems=tuple(problems),
        notes=tuple(notes),
    )
    if tolerance.kind == "exact" or not details:
        return parity
    return replace(
        parity,
        histogram=_histogram(distance, noise_distances, scale or 1.0),
        agreement=_agreements(a, b, tolerance) if all_finite and source.dtype.kind != "c" else (),
    )


def _compare_special(a: Array, b: Array) -> tuple[list[str], list[str]]:
    """Return the problems and the notes that NaN and infinity make; both must be in the same places."""
    problems: list[str] = []
    notes: list[str] = []
    nan_a, nan_b = np.isnan(a), np.isnan(b)
    if (nan_a != nan_b).any():
        problems.append(f"NaN in {int(nan_a.sum())} places of the source and {int(nan_b.sum())} of the target, "
                        f"{int((nan_a != nan_b).sum())} of them on one side only")  # fmt: skip
    elif nan_a.any():
        notes.append(f"NaN in the same {int(nan_a.sum())} of {a.size} places on both sides")
    infinite = (np.isinf(a) | np.isinf(b)) & ~(nan_a | nan_b)
    unequal = int(np.count_nonzero(a[infinite] != b[infinite]))
    if unequal:
        problems.append(f"{unequal} infinities differ")
    elif infinite.any():
        notes.append(f"the same {int(infinite.sum())} of {a.size} values are infinite on both sides")
    return problems, notes


def signal_to_noise(magnitude: Array, rms: float) -> float:
    """Return the ratio of the root mean square of a signal, of these magnitudes, to that of its noise, in decibels."""
    with np.errstate(divide="ignore"):
        return float(20 * (np.log10(root_mean_square(magnitude)) - np.log10(rms))) if rms else np.inf


def _excess(
    tolerance: Tolerance, distance: Array, magnitude: Array, greatest: float, rms: float, different: int
) -> tuple[float, list[str]]:
    """Return the distance in units of the allowed one, and what is said where it is beyond that."""
    if tolerance.kind == "exact":
        return (np.inf, [f"{different} of {distance.size} values differ"]) if different else (0.0, [])
    if tolerance.kind == "classic":
        bound = tolerance.atol + tolerance.rtol * magnitude
        with np.errstate(divide="ignore", invalid="ignore"):
            error = float(np.max(np.where(distance == 0, 0.0, distance / bound)))
        too_far = int(np.count_nonzero(distance > bound))
        said = f"{too_far} of {distance.size} values differ by more than {tolerance}"
        return error, [said] if too_far else []
    if tolerance.kind == "near" and tolerance.share:
        said = f"{different} of {distance.size} values differ, more than {tolerance.share:.0%}"
        error = different / distance.size / tolerance.share
        return error, [said] if error > 1 else []
    if tolerance.kind == "near":
        # In units of the root mean square that is allowed.
        error = float(10 ** ((tolerance.decibels - signal_to_noise(magnitude, rms)) / 20))
        return error, [f"the signal-to-noise ratio is less than {tolerance.decibels:g} dB"] if error > 1 else []
    problems: list[str] = []
    if greatest > tolerance.maximum:
        too_far = int(np.count_nonzero(distance > tolerance.maximum))
        problems.append(f"{too_far} of {distance.size} values differ by more than the {tolerance.maximum:.3g} that "
                        f"rounding explains, at most by {greatest:.3g}")  # fmt: skip
    if rms > tolerance.rms:
        problems.append(f"the values differ by {rms:.3g} in the root mean square, "
                        f"rounding explains {tolerance.rms:.3g}")  # fmt: skip
    return max(greatest / tolerance.maximum, rms / tolerance.rms), problems


def _cosine(a: Array, b: Array) -> float | None:
    # Scaled first, so that squares of large values do not overflow.
    norm_a, norm_b = largest(a), largest(b)
    if norm_a == 0 or norm_b == 0:
        return None
    a, b = a / norm_a, b / norm_b
    return float(np.real(np.vdot(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b)))


def _histogram(errors: Array, noise: Array | None, scale: float) -> Histogram:
    """Count distances in bins of half a decade; bins that are empty at both ends are cut off."""
    counts = [_counts(errors, scale), _counts(np.zeros(0) if noise is None else noise, scale)]
    used = np.flatnonzero(counts[0] + counts[1])
    low, high = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
    return Histogram(
        first=_FIRST_BIN + low / 2,
        errors=tuple(int(count) for count in counts[0][low:high]),
        noise=() if noise is None else tuple(int(count) for count in counts[1][low:high]),
        equal=int(np.count_nonzero(errors == 0)),
        noise_equal=0 if noise is None else int(np.count_nonzero(noise == 0)),
    )


def _counts(distances: Array, scale: float) -> Array:
    bins = round((_LAST_BIN - _FIRST_BIN) * 2)
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        places = np.floor((np.log10(distances[distances > 0] / scale) - _FIRST_BIN) * 2)
    return np.bincount(np.clip(places, 0, bins - 1).astype(np.int64), minlength=bins)


def _agreements(a: Array, b: Array, tolerance: Tolerance) -> tuple[Agreement, ...]:
    """Compare where the greatest values along the last axis of `a` and `b`, `[..., classes]`, are."""
    if a.ndim < 2 or a.shape[-1] < 2:
        return ()
    rows_a, rows_b = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    found: list[Agreement] = []
    for k in (1, 5) if a.shape[-1] > 10 else (1,):
        same, near = _same_places(rows_a, rows_b, k, tolerance)
        found.append(Agreement(k, len(rows_a), same, near))
    return tuple(found)


def _same_places(a: Array, b: Array, k: int, tolerance: Tolerance) -> tuple[int, int]:
    """Count the rows whose `k` greatest values are in the same places, and those where near ties are not."""
    if k == 1:
        places_a, places_b = (np.argmax(rows, axis=1)[:, None] for rows in (a, b))
    else:
        places_a, places_b = (np.sort(np.argpartition(rows, -k, axis=1)[:, -k:], axis=1) for rows in (a, b))
    differ = np.flatnonzero((places_a != places_b).any(axis=1))
    if not differ.size:
        return len(a), 0
    # A place that only the target chose is a near tie when the source's value there is as good as its own worst: each
    # of the two values may be off by what is allowed.
    chosen, other = (np.take_along_axis(a[differ], places[differ], axis=1) for places in (places_a, places_b))
    slack = 2 * (tolerance.maximum + tolerance.atol + tolerance.rtol * np.abs(chosen).max(axis=1))
    near = int(np.count_nonzero(chosen.min(axis=1) - other.min(axis=1) <= slack))
    return len(a) - differ.size, near


def dtype_name(array: Array) -> str:
    """Return the dtype's name as `Spec` has it."""
    return "str" if array.dtype.kind in "OSU" else array.dtype.name
