"""Declare the schemas of torchvision's C++ operators, so that its Python part imports beside another torch build.

The wheels of torchvision on PyPI are built for CUDA; beside the CPU build of torch their library does not load, and
`import torchvision` fails where it registers shape functions for operators that then do not exist.
"""

from __future__ import annotations

import torch

_NAME = "torchvision"
_ROIS = "float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_SIZES = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_CONV = (
    "SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, "
    "SymInt groups, SymInt offset_groups, bool use_mask"
)
_DEFORM = "Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias"
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    f"roi_align(Tensor input, Tensor rois, {_ROIS}, int sampling_ratio, bool aligned) -> Tensor",
    f"qroi_align(Tensor input, Tensor rois, {_ROIS}, int sampling_ratio, bool aligned) -> Tensor",
    f"_roi_align_backward(Tensor grad, Tensor rois, {_ROIS}, {_SIZES}, int sampling_ratio, bool aligned) -> Tensor",
    f"roi_pool(Tensor input, Tensor rois, {_ROIS}) -> (Tensor, Tensor)",
    f"_roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, {_ROIS}, {_SIZES}) -> Tensor",
    f"ps_roi_align(Tensor input, Tensor rois, {_ROIS}, int sampling_ratio) -> (Tensor, Tensor)",
    f"_ps_roi_align_backward(Tensor grad, Tensor rois, Tensor channel_mapping, {_ROIS}, int sampling_ratio, "
    f"{_SIZES}) -> Tensor",
    f"ps_roi_pool(Tensor input, Tensor rois, {_ROIS}) -> (Tensor, Tensor)",
    f"_ps_roi_pool_backward(Tensor grad, Tensor rois, Tensor channel_mapping, {_ROIS}, {_SIZES}) -> Tensor",
    f"deform_conv2d({_DEFORM}, {_CONV}) -> Tensor",
    f"_deform_conv2d_backward(Tensor grad, {_DEFORM}, {_CONV}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)


def declare() -> None:
    """Declare the operators that are not there yet; call it before torchvision is imported."""
    library = torch.library.Library(_NAME, "FRAGMENT")
    for schema in _SCHEMAS:
        name = schema.partition("(")[0]
        if not hasattr(getattr(torch.ops, _NAME), name):
            library.define(schema)
    # A library's declarations live as long as it does.
    _LIBRARIES.append(library)


_LIBRARIES: list[torch.library.Library] = []
