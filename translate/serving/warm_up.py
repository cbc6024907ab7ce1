"""Requests that TF Serving runs while it loads a model, so that the first user does not wait.

Source of the format: tensorflow.org/tfx/serving/saved_model_warmup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from translate.models.base import Array
from translate.verify.cases import Case

PLACE = Path("assets.extra", "tf_serving_warmup_requests")
# TF Serving refuses a file of more than 1000, and the server waits for each.
_MOST = 32


def one_of_each_size(cases: Iterable[Case]) -> list[Case]:
    """Return one of `cases` for each set of sizes, a real one if there is one: a second would warm nothing more."""
    kept: dict[tuple[tuple[int, ...], ...], Case] = {}
    for case in cases:
        sizes = tuple(array.shape for array in case.feeds.values())
        known = kept.get(sizes)
        is_better = known is not None and not known.is_real and case.is_real
        if is_better or (known is None and len(kept) < _MOST):
            kept[sizes] = case
    return list(kept.values())


def write_warm_up(folder: Path, name: str, requests: Iterable[tuple[str, Mapping[str, Array]]]) -> None:
    """Write `requests`, each a signature and its arrays by input name, into the SavedModel in `folder`.

    `name` is the model's. The version is left open: it is not known before the model is in its place.
    """
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    path = folder / PLACE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, feeds in requests:
            record = prediction_log_pb2.PredictionLog()
            request = record.predict_log.request
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, array in feeds.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
            writer.write(record.SerializeToString())
