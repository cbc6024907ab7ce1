"""Boxes `[N, (y1, x1, y2, x2)]` that overlap too much with better ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, cast, dims, like, op, rank
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError

_INT64 = ir.DataType.INT64


def _suppress(
    boxes: ir.Value, scores: ir.Value, count: ir.Value, iou: ir.Value, threshold: ir.Value | None
) -> ir.Value:
    """Return the numbers (int32) of the boxes [N, (y1, x1, y2, x2)] that are kept, the best first."""
    if rank(boxes) != 2:
        raise UnsupportedError("boxes of several images at once")
    picked = op.NonMaxSuppression(
        op.Unsqueeze(boxes, [0]),
        op.Unsqueeze(scores, [0, 1]),
        op.Reshape(cast(count, _INT64), [1]),
        op.Reshape(iou, [1]),
        None if threshold is None else op.Reshape(threshold, [1]),
    )
    return cast(op.Gather(picked, np.int64(2), axis=1), ir.DataType.INT32)


@lower("NonMaxSuppression")
def non_max_suppression(boxes: ir.Value, scores: ir.Value, count: ir.Value, *, iou_threshold: float = 0.5) -> ir.Value:
    """The boxes that overlap none with a higher score by more than `iou_threshold`."""
    return _suppress(boxes, scores, count, op.value(np.float32(iou_threshold)), None)


@lower("NonMaxSuppressionV2")
def non_max_suppression_v2(boxes: ir.Value, scores: ir.Value, count: ir.Value, iou: ir.Value) -> ir.Value:
    """The boxes that overlap none with a higher score by more than `iou`."""
    return _suppress(boxes, scores, count, iou, None)


@lower("NonMaxSuppressionV3")
def non_max_suppression_v3(
    boxes: ir.Value, scores: ir.Value, count: ir.Value, iou: ir.Value, threshold: ir.Value
) -> ir.Value:
    """The boxes above `threshold` that overlap none with a higher score by more than `iou`."""
    return _suppress(boxes, scores, count, iou, threshold)


@lower("NonMaxSuppressionV4")
def non_max_suppression_v4(
    boxes: ir.Value,
    scores: ir.Value,
    count: ir.Value,
    iou: ir.Value,
    threshold: ir.Value,
    *,
    pad_to_max_output_size: int = 0,
) -> Any:
    """As V3, filled with zeros up to `count` if asked, and the number of boxes that are kept."""
    kept = _suppress(boxes, scores, count, iou, threshold)
    found = op.Shape(kept)
    if pad_to_max_output_size:
        missing = op.Sub(op.Reshape(cast(count, _INT64), [1]), found)
        kept = op.Pad(kept, op.Concat([0], missing, axis=0), np.int32(0))
    return kept, cast(op.Squeeze(found, [0]), ir.DataType.INT32)


@lower("NonMaxSuppressionV5")
def non_max_suppression_v5(
    boxes: ir.Value,
    scores: ir.Value,
    count: ir.Value,
    iou: ir.Value,
    threshold: ir.Value,
    sigma: Host,
    *,
    pad_to_max_output_size: int = 0,
) -> Any:
    """As V4, with the scores of the boxes that are kept. Limits: none that lowers scores softly (`sigma` above 0)."""
    if float(sigma.item()) != 0:
        raise UnsupportedError(f"scores are lowered softly (soft_nms_sigma={sigma.item():g})")
    kept = _suppress(boxes, scores, count, iou, threshold)
    found, best = op.Shape(kept), op.Gather(scores, kept, axis=0)
    if pad_to_max_output_size:
        missing = op.Concat([0], op.Sub(op.Reshape(cast(count, _INT64), [1]), found), axis=0)
        kept, best = op.Pad(kept, missing, np.int32(0)), op.Pad(best, missing, like(best, 0))
    return kept, best, cast(op.Squeeze(found, [0]), ir.DataType.INT32)


@lower("CombinedNonMaxSuppression")
def combined_non_max_suppression(
    boxes: ir.Value,
    scores: ir.Value,
    per_class: ir.Value,
    total: ir.Value,
    iou: ir.Value,
    threshold: ir.Value,
    *,
    pad_per_class: int = 0,
    clip_boxes: int = 1,
) -> Any:
    """The best `total` boxes of each image, of all classes, each class suppressed on its own; zeros fill up.

    Boxes are [B, N, 1 or classes, 4], scores [B, N, classes]. Returns the boxes [B, total, 4], their scores and
    classes [B, total], and how many there are [B]. Limits: the numbers of classes are known.
    """
    own, classes = dims(boxes)[2], dims(scores)[2]
    if own is None or classes is None:
        raise UnsupportedError("the number of classes is not known")
    # Every class of every image is an image of its own with one class: boxes [B, C, N, 4], scores [B, C, N].
    by_class = op.Transpose(boxes, perm=[0, 2, 1, 3])
    ranked = op.Transpose(scores, perm=[0, 2, 1])
    batch, number = op.Shape(scores, start=0, end=1), op.Shape(scores, start=1, end=2)
    shape = op.Concat(batch, [classes], number, axis=0)
    by_class = by_class if own == classes else op.Expand(by_class, op.Concat(shape, [4], axis=0))
    kept = op.NonMaxSuppression(
        op.Reshape(by_class, op.Concat([-1], number, [4], axis=0)),
        op.Reshape(ranked, op.Concat([-1, 1], number, axis=0)),
        op.Reshape(cast(per_class, _INT64), [1]),
        op.Reshape(iou, [1]),
        op.Reshape(threshold, [1]),
    )
    # [B * C, N]: the scores that are kept, those of others below all.
    lowest = like(scores, np.finfo(like(scores, 0).dtype).min)
    flat = op.Reshape(ranked, op.Concat([-1], number, axis=0))
    places = op.Gather(kept, [0, 2], axis=1)
    alive = op.ScatterND(op.Expand(lowest, op.Shape(flat)), places, op.GatherND(flat, places))
    candidates = op.Mul(number, [classes])
    wanted = op.Reshape(cast(total, _INT64), [1])
    wanted = op.Min(wanted, op.Mul(op.Reshape(cast(per_class, _INT64), [1]), [classes])) if pad_per_class else wanted
    found = op.Min(wanted, candidates)
    best, at = op.node("TopK", op.Reshape(alive, op.Concat(batch, [-1], axis=0)), found, outputs=2, axis=1)
    valid = op.Greater(best, lowest)
    picked = op.GatherND(op.Reshape(by_class, op.Concat(batch, [-1, 4], axis=0)), op.Unsqueeze(at, [2]), batch_dims=1)
    picked = op.Clip(picked, like(boxes, 0), like(boxes, 1)) if clip_boxes else picked
    missing = op.Sub(wanted, found)

    def filled(value: ir.Value, *after: int) -> ir.Value:
        pads = op.Concat([0] * (2 + len(after) + 1), missing, list(after) or op.value([]), axis=0)
        return op.Pad(value, pads, like(value, 0))

    return (
        filled(op.Where(op.Unsqueeze(valid, [2]), picked, like(boxes, 0)), 0),
        filled(op.Where(valid, best, like(scores, 0))),
        filled(op.Where(valid, cast(op.Div(at, number), ir.DataType.FLOAT), np.float32(0))),
        op.ReduceSum(cast(valid, ir.DataType.INT32), [1], keepdims=0),
    )
