"""Images `[N, H, W, C]`: sizes, blocks, boxes."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from translate.converters.tf_to_onnx import blocks, detection, image
from translate.converters.tflite_to_onnx.table import lower, same_as

same_as(
    {
        "BATCH_TO_SPACE_ND": blocks.batch_to_space,
        "DEPTH_TO_SPACE": blocks.depth_to_space,
        "RESIZE_BILINEAR": image.resize_bilinear,
        "RESIZE_NEAREST_NEIGHBOR": image.resize_nearest,
        "SPACE_TO_BATCH_ND": blocks.space_to_batch,
        "SPACE_TO_DEPTH": blocks.space_to_depth,
    }
)


@lower("NON_MAX_SUPPRESSION_V4")
def non_max_suppression_v4(
    boxes: ir.Value, scores: ir.Value, count: ir.Value, iou: ir.Value, threshold: ir.Value
) -> Any:
    """The boxes above `threshold` that overlap none with a higher score by more than `iou`, zeros up to `count`.

    The second output is the number of boxes.
    """
    return detection.non_max_suppression_v4(boxes, scores, count, iou, threshold, pad_to_max_output_size=1)
