"""PyTorch or ONNX → TensorFlow: one function, whichever way a result is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translate.errors import UsageError
from translate.routes.formats import Format, check
from translate.routes.inference import inference_to_tensorflow
from translate.routes.methods import methods_to_tensorflow
from translate.routes.result import Engine, Result, with_sample
from translate.routes.training import trainable_to_tensorflow

if TYPE_CHECKING:
    from translate.converters.saved_model_to_tflite import Quantize
    from translate.models.base import Spec
    from translate.serving import Serving
    from translate.verify.cases import InputPlan
    from translate.verify.tolerance import Allowed


def torch2tf(
    source: object,
    output: str | Path | None = None,
    *,
    inputs: Sequence[str | Spec] = (),
    sample: str | Path | None = None,
    weights: str | Path | None = None,
    methods: Sequence[str] = (),
    trainable: bool = False,
    engine: Engine = "native",
    format: Format = "saved_model",
    quantize: Quantize | None = None,
    least_snr: float | None = None,
    flex: bool = False,
    verify: bool = True,
    force: bool = False,
    serving: Serving | None = None,
    plan: InputPlan | None = None,
    rtol: Allowed = None,
    atol: Allowed = None,
    seed: int = 0,
    unsafe_load: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Result:
    """Translate a PyTorch or ONNX model to TensorFlow and prove that it computes the same thing.

    `source`, `inputs`, `sample`, `weights` and `unsafe_load` are those of `open_model`. `output` is what to write
    (`default_output(source, format)` in the working directory when None), in `format`: "saved_model", a folder;
    "keras", a functional model; "tflite"; or "onnx", the graph in the middle. An existing result there is replaced
    only with `force`, and only once the new one is proven. `engine` "onnx2tf" and `serving` are for a SavedModel: with
    `serving` a version for TF Serving is written instead, which never replaces another; `force` then allows to write
    its configuration again. `quantize` and `flex` are for TFLite, see `saved_model_to_tflite.convert`. What is
    quantised is first compared without that, and then has to be near the source, by the signal-to-noise ratio
    `least_snr` in decibels (`NEAR` when None); "int8" needs real inputs, from `plan` or `sample`.

    With `methods`, each of these of a module becomes a signature, whose inputs are called `method.name` in `inputs` and
    in the result. With `trainable` there is a signature `training`, too, which computes what the module does in train
    mode, and whose gradients are proven as well.

    `plan` says on which inputs the two are compared (random ones of the seeds `seed` and `seed + 1` when None, and the
    sample); `rtol` and `atol`, a number or one for each output, give the classic test instead of the calibrated one.
    `progress` is called with the name of each stage as it begins.

    Raises `UsageError` before any work for arguments that do not go together and when the output cannot be written,
    `OpenError`, `ExportError`, `CannotTranslateError`, and `NotEqualError` when the result fails the comparison; then
    nothing is written.
    """
    onnx2tf = {"--engine onnx2tf": engine == "onnx2tf"}
    tflite = {"--quantize": quantize, "--least-snr": least_snr is not None, "--flex": flex}
    check(format, {**onnx2tf, **tflite, "--serving": serving, "--method": methods, "--trainable": trainable})
    judged = {"--sample": sample, "--rtol": rtol, "--atol": atol, "--unsafe-load": unsafe_load}
    if methods:
        _refuse("--method", {**onnx2tf, **judged})
    if trainable:
        _refuse("--trainable", {**onnx2tf, "--serving": serving, "--method": methods})
    common: dict[str, Any] = {"inputs": inputs, "weights": weights, "verify": verify, "force": force}
    common |= {"plan": with_sample(plan, None, seed), "progress": progress}
    if methods:
        return methods_to_tensorflow(source, methods, output, serving=serving, **common)
    common |= {"sample": sample, "rtol": rtol, "atol": atol, "unsafe_load": unsafe_load}
    if trainable:
        return trainable_to_tensorflow(source, output, **common)
    return inference_to_tensorflow(
        source,
        output,
        engine=engine,
        format=format,
        quantize=quantize,
        least_snr=least_snr,
        flex=flex,
        serving=serving,
        **common,
    )


def _refuse(option: str, others: Mapping[str, object]) -> None:
    """Raise `UsageError` naming those of `others`, {option: its value}, that are given beside `option`."""
    given = [name for name, value in others.items() if value]
    if given:
        raise UsageError(f"{option} does not go with {', '.join(given)}")
