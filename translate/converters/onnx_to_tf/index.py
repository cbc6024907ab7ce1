"""Reading and writing elements by index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.shapes import axis_from_start, dims, entries, product, rank, vector
from translate.converters.onnx_to_tf.table import FUSED, lower

Either: TypeAlias = tf.Tensor | np.ndarray


@lower("Gather")
def gather(data: tf.Tensor, indices: tf.Tensor, *, axis: int = 0) -> Either:
    """Take slices of `data` along `axis` at `indices`, whose axes take its place; negative ones count from the end."""
    axis = axis_from_start(axis, data)
    known = tf.get_static_value(indices)
    if known is None:
        return tf.gather(data, _from_start(indices, dims(data)[axis]), axis=axis)
    single = entries(data) if data.shape.rank == 1 and data.dtype.is_integer else None
    if single is not None and known.ndim < 2:
        if known.ndim == 1:
            return vector([single[i] for i in known], data.dtype)
        return vector(single, data.dtype)[int(known)] if isinstance(single[int(known)], int) else single[int(known)]
    if known.ndim == 0:
        # Unlike a gather, a slice keeps what TensorFlow knows of the shape, and needs no index tensor.
        return data[(slice(None),) * axis + (int(known),)]
    return tf.gather(data, indices if known.min(initial=0) >= 0 else _from_start(indices, dims(data)[axis]), axis=axis)


@lower("Embedding", domain=FUSED)
def embedding(data: tf.Tensor, indices: tf.Tensor, *, axis: int = 0, padding_idx: int) -> Either:
    """Take slices of `data` as Gather does; where `indices` are `padding_idx`, `data` gets no gradient."""
    rows = gather(data, indices, axis=axis)
    padding = tf.equal(indices, tf.cast(padding_idx, indices.dtype))
    padding = tf.reshape(padding, [*dims(padding), *[1] * (rank(data) - 1 - axis)])
    return tf.where(padding, tf.stop_gradient(rows), rows)


def _from_start(indices: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    """Return indices that may count from the end as counted from the start."""
    return tf.where(indices < 0, indices + tf.cast(size, indices.dtype), indices)


@lower("GatherElements")
def gather_elements(data: tf.Tensor, indices: tf.Tensor, *, axis: int = 0) -> tf.Tensor:
    """Take one element of `data` for each of `indices`, which counts along `axis`; its place gives the other axes."""
    axis = axis_from_start(axis, data)
    sizes, taken = dims(data), dims(indices)
    indices = _checked_from_start(indices, sizes[axis])
    others, others_taken = ([size for i, size in enumerate(all_sizes) if i != axis] for all_sizes in (sizes, taken))
    others_agree = all(isinstance(size, int) for size in others + others_taken) and others == others_taken
    if axis == rank(data) - 1 and others_agree:
        return tf.gather(data, indices, axis=axis, batch_dims=axis)
    return tf.gather(tf.reshape(data, [-1]), _flat_position(data, indices, axis))


@lower("GatherND")
def gather_nd(data: tf.Tensor, indices: tf.Tensor, *, batch_dims: int = 0) -> tf.Tensor:
    """Take slices of `data` [batch.., D.., ...] at the vectors in the last axis of `indices` [batch.., .., d]."""
    return tf.gather_nd(data, _vectors_from_start(indices, data, batch_dims), batch_dims=batch_dims)


@lower("ScatterElements")
def scatter_elements(
    data: tf.Tensor,
    indices: tf.Tensor,
    updates: tf.Tensor,
    *,
    axis: int = 0,
    reduction: Literal["none", "add", "mul", "max", "min"] = "none",
) -> tf.Tensor:
    """Write each of `updates` where GatherElements would read `data`, or combine it with what is there."""
    axis = axis_from_start(axis, data)
    indices = _checked_from_start(indices, dims(data)[axis])
    position = tf.reshape(_flat_position(data, indices, axis), [-1, 1])
    flat = _scatter(tf.reshape(data, [-1]), position, tf.reshape(updates, [-1]), reduction)
    return tf.reshape(flat, vector(dims(data), tf.int32))


@lower("Scatter")
def scatter(data: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor, *, axis: int = 0) -> tf.Tensor:
    """Do as ScatterElements, which took its place in opset 11."""
    return scatter_elements(data, indices, updates, axis=axis)


@lower("ScatterND")
def scatter_nd(
    data: tf.Tensor,
    indices: tf.Tensor,
    updates: tf.Tensor,
    *,
    reduction: Literal["none", "add", "mul", "max", "min"] = "none",
) -> tf.Tensor:
    """Write slices to `data` at the index vectors in the last axis of `indices`, or combine them with what is there."""
    return _scatter(data, _vectors_from_start(indices, data, 0), updates, reduction)


@lower("TensorScatter")
def tensor_scatter(
    past_cache: tf.Tensor,
    update: tf.Tensor,
    write_indices: tf.Tensor | None = None,
    *,
    axis: int = -2,
    mode: Literal["linear", "circular"] = "linear",
) -> tf.Tensor:
    """Write `update` into `past_cache`, both [batch, .., sequence, ..], from step `write_indices[b]` of `axis` on.

    In circular mode the steps past the end of the cache go to its start.
    """
    axis = axis_from_start(axis, past_cache)
    batch, *_ = sizes = dims(update)
    start = tf.zeros([batch], tf.int64) if write_indices is None else write_indices
    step = start[:, None] + tf.range(tf.cast(sizes[axis], tf.int64))
    if mode == "circular":
        step = tf.math.floormod(step, tf.cast(dims(past_cache)[axis], tf.int64))
    # Whole slices [everything after axis] are written, at index vectors [batch, .., step].
    grid = tf.meshgrid(*(tf.range(tf.cast(size, tf.int64)) for size in sizes[:axis]), indexing="ij")
    step = tf.reshape(step, vector([batch] + [1] * (axis - 1) + [sizes[axis]], tf.int32))
    shape = vector(sizes[: axis + 1], tf.int32)
    index = [tf.broadcast_to(part[..., None], shape) for part in grid] + [tf.broadcast_to(step, shape)]
    return tf.tensor_scatter_nd_update(past_cache, tf.stack(index, -1), update)


@lower("NonMaxSuppression")
def non_max_suppression(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    max_output_boxes_per_class: tf.Tensor | np.ndarray | None = None,
    iou_threshold: tf.Tensor | np.ndarray | None = None,
    score_threshold: tf.Tensor | np.ndarray | None = None,
    *,
    center_point_box: int = 0,
) -> tf.Tensor:
    """Select boxes by falling score, leaving out those that overlap a selected one by more than `iou_threshold`.

    `boxes` is [batch, box, 4], corners (y1, x1, y2, x2) or, with `center_point_box`, (x, y, width, height); `scores` is
    [batch, class, box]. Returns int64 [selected, 3]: batch, class, box.
    """
    if center_point_box:
        x, y, width, height = tf.unstack(boxes, axis=-1)
        boxes = tf.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], -1)
    batches, classes, count = dims(scores)
    most = 0 if max_output_boxes_per_class is None else tf.reshape(max_output_boxes_per_class, [])
    most = tf.cast(tf.minimum(tf.cast(most, tf.int64), tf.cast(count, tf.int64)), tf.int32)
    overlap = 0.0 if iou_threshold is None else tf.reshape(iou_threshold, [])
    lowest = -np.inf if score_threshold is None else tf.reshape(score_threshold, [])

    def select(pair: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = tf.image.non_max_suppression(boxes[pair // classes], flat[pair], most, overlap, lowest)
        return tf.pad(chosen, [[0, most - tf.size(chosen)]]), tf.size(chosen)

    flat = tf.reshape(scores, [batches * classes, count])
    kinds = (tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32))
    selected, valid = tf.map_fn(select, tf.range(batches * classes), fn_output_signature=kinds)
    pair_and_place = tf.where(tf.sequence_mask(valid, most))
    pair, box = pair_and_place[:, 0], tf.gather_nd(selected, pair_and_place)
    classes = tf.cast(classes, tf.int64)
    return tf.stack([pair // classes, pair % classes, tf.cast(box, tf.int64)], -1)


def _checked_from_start(indices: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    known = tf.get_static_value(indices)
    return indices if known is not None and known.min(initial=0) >= 0 else _from_start(indices, size)


def _vectors_from_start(indices: tf.Tensor, data: tf.Tensor, batch_dims: int) -> tf.Tensor:
    """Return index vectors (the last axis of `indices`) that may count from the end as counted from the start."""
    known = tf.get_static_value(indices)
    if known is not None and known.min(initial=0) >= 0:
        return indices
    sizes = tf.shape(data, out_type=indices.dtype)[batch_dims:]
    length = indices.shape[-1]
    return _from_start(indices, sizes[: tf.shape(indices)[-1] if length is None else length])


def _flat_position(data: tf.Tensor, indices: tf.Tensor, axis: int) -> tf.Tensor:
    """Return, in the shape of `indices`, where in the flat `data` the elements are that they mean."""
    stride: int | tf.Tensor = 1
    position = tf.zeros([], indices.dtype)
    taken = dims(indices, indices.dtype)
    for i, size in reversed(list(enumerate(dims(data, indices.dtype)))):
        along = indices
        if i != axis:
            along = tf.reshape(tf.range(taken[i], dtype=indices.dtype), [-1] + [1] * (rank(data) - 1 - i))
        position += along * stride
        stride = stride * size
    return position


def _scatter(data: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor, reduction: str) -> tf.Tensor:
    """Write or combine slices `updates` into `data` at the index vectors in the last axis of `indices`."""
    if data.shape.num_elements() == 0:
        # TensorFlow refuses to write slices of nothing.
        return data
    if reduction == "mul":
        return _scatter_product(data, indices, updates)
    write: dict[str, Callable[..., tf.Tensor]] = {
        "none": tf.tensor_scatter_nd_update,
        "add": tf.tensor_scatter_nd_add,
        "max": tf.tensor_scatter_nd_max,
        "min": tf.tensor_scatter_nd_min,
    }
    return write[reduction](data, indices, updates)


def _scatter_product(data: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor) -> tf.Tensor:
    """Multiply slices of `data` by all `updates` meant for them: TensorFlow's own scatters write, add and compare."""
    # How many axes an index vector counts along follows from the ranks, even where its length is not known.
    depth = rank(data) + rank(indices) - 1 - rank(updates)
    sizes = dims(data, indices.dtype)
    rows = product(sizes[:depth])
    row = tf.zeros(tf.shape(indices)[:-1], indices.dtype)
    for i, size in enumerate(sizes[:depth]):
        row = row * size + indices[..., i]
    columns = tf.reshape(updates, vector([-1, *sizes[depth:]]))
    factor = tf.math.unsorted_segment_prod(columns, tf.reshape(row, [-1]), rows)
    return data * tf.reshape(factor, tf.shape(data))
