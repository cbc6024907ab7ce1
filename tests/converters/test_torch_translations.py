"""Operators that PyTorch's exporter lacks or writes wrongly, against PyTorch at several sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.converters.test_torch_to_onnx import check, module, operators, shapes
from translate.errors import ExportError

IMAGE = "batch,3,height,width"


@pytest.mark.parametrize("factor", [3, 0.7, 1.7, 0.29])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear align_corners", "bicubic align_corners"])
def test_interpolate_by_a_factor(mode: str, factor: float) -> None:
    name, _, corners = mode.partition(" ")
    options: dict[str, Any] = {"mode": name, "align_corners": True if corners else None}
    # onnxruntime computes in float32 where between its neighbours an element lies.
    atol = 2e-4 if corners else 0
    check(module(lambda x: F.interpolate(x, scale_factor=factor, **options)), IMAGE, atol=atol)
    check(module(lambda x: F.interpolate(x, scale_factor=factor, **options)), "batch,3,10,100", atol=atol)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
def test_interpolate_to_sizes(mode: str) -> None:
    # Of 29 elements made 110, and 2 made 82, PyTorch rounds some places below a whole number.
    check(module(lambda x: F.interpolate(x, size=(82, 110), mode=mode)), "batch,3,2,29", atol=2e-4)
    check(module(lambda x, y: F.interpolate(x, size=y.shape[2:], mode=mode)), IMAGE, "batch,1,rows,columns", atol=2e-4)


@pytest.mark.parametrize("rank", [1, 3])
def test_interpolate_in_one_and_three_dimensions(rank: int) -> None:
    sizes = ("batch,2,time", "", "batch,2,depth,height,width")[rank - 1]
    check(module(lambda x: F.interpolate(x, scale_factor=1.5)), sizes)
    linear = ("linear", "", "trilinear")[rank - 1]
    check(module(lambda x: F.interpolate(x, scale_factor=2, mode=linear)), sizes, atol=2e-4)


@pytest.mark.parametrize(
    ("layer", "sizes"),
    [
        (nn.AdaptiveAvgPool1d(4), "batch,3,time"),
        (nn.AdaptiveAvgPool2d((5, 1)), IMAGE),
        (nn.AdaptiveAvgPool2d(7), "batch,3,14,5"),
        (nn.AdaptiveAvgPool3d((2, 3, 1)), "batch,3,depth,height,width"),
        (nn.AdaptiveMaxPool1d(4), "batch,3,time"),
        (nn.AdaptiveMaxPool2d((5, 7)), IMAGE),
        (nn.AdaptiveMaxPool3d(3), "batch,3,5,6,7"),
    ],
)
def test_adaptive_pools(layer: nn.Module, sizes: str) -> None:
    check(layer, sizes)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode: str) -> None:
    bag = nn.EmbeddingBag(2, 5, mode=mode)
    check(bag, "input:batch,length:int64")
    # The second bag is empty, the padding in the others left out.
    padded = nn.EmbeddingBag(2, 5, mode=mode, padding_idx=0)
    check(module(lambda ids: padded(ids, torch.tensor([0, 3, 3]))), "6:int64")


def test_weighted_embedding_bag_with_last_offset() -> None:
    bag = nn.EmbeddingBag(2, 5, mode="sum", include_last_offset=True)
    check(module(lambda ids, w: bag(ids, torch.tensor([0, 2, 7]), per_sample_weights=w)), "7:int64", "7")


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, float("inf")])
def test_cdist(p: float) -> None:
    check(module(lambda x, y: torch.cdist(x, y, p=p)), "batch,rows,3", "batch,columns,3")


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.sort(x.round(), dim=0, stable=True),
        lambda x: torch.argsort(x.round(), stable=True, descending=True),
        lambda x: (x.amax(), x.amin((), keepdim=True), x.amax(1), x.amin((0, -1), keepdim=True)),
        lambda x: torch.searchsorted(torch.tensor([-1.0, 0.0, 0.5]), x.round()),
        lambda x: torch.searchsorted(x.sort(1).values, x, right=True, out_int32=True),
        lambda x: x.cumprod(1),
    ],
)
def test_sorting_and_products(function: Any) -> None:
    check(module(function), "batch,size")


def test_numbers_in_float64_keep_their_digits() -> None:
    def numbers(x: torch.Tensor) -> torch.Tensor:
        y = x / 0.7 + torch.full((x.shape[0], 4), 0.9, dtype=x.dtype) + torch.full_like(x, 0.123)
        y = y + x.new_full((1,), 0.77) + torch.linspace(0.1, 0.7, 4, dtype=x.dtype)
        return torch.where(x > 0.1, 0.6, y).masked_fill(x < -1.1, 0.55).clamp(-0.33, 1.7)

    check(module(numbers), "batch,4:float64", rtol=1e-14, atol=1e-14)
    # Beside them others keep their dtypes and all their digits.
    check(module(lambda x: (torch.full((x.shape[0],), 2**40 + 1), torch.full((2,), 0.1), x * 0.1)), "batch,4:float64")


@pytest.mark.parametrize("align_corners", [False, True])
def test_affine_grid_stays_dynamic(align_corners: bool) -> None:
    function = module(lambda theta, x: F.affine_grid(theta, x.shape, align_corners=align_corners))
    assert shapes(check(function, "batch,2,3", IMAGE).graph.outputs) == ["output[batch, height, width, 2]"]
    check(function, "batch,3,4", "batch,1,depth,height,width")


def test_sizes_between_are_no_constants() -> None:
    layers = [nn.Conv2d(3, 3, 3, stride=2, padding=1) for _ in range(5)]
    (output,) = check(nn.Sequential(*layers), IMAGE).graph.outputs
    assert not any(isinstance(dim, int) for dim in output.shape[2:])


def test_a_table_of_positions_may_be_short() -> None:
    positions = nn.Embedding(20, 4)
    check(module(lambda x: x + positions(torch.arange(x.shape[1]))), "batch,seq,4")


def test_missing_operators_are_named() -> None:
    with pytest.raises(ExportError, match=r"it has no ONNX for aten\.cummax\n  from    .*\.py:\d+"):
        check(module(lambda x: torch.cummax(x, 1)), "batch,size")


def test_whole_factors_stay_one_operator() -> None:
    assert "Resize" in operators(check(module(lambda x: F.interpolate(x, scale_factor=2)), IMAGE))
