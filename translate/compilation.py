"""Whether XLA compiles what a model is, or becomes, in TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from translate.errors import UsageError, in_a_line

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.models.base import Model


# How XLA names an operation that it does not know.
_MISSING = re.compile(r"No registered '(\w+)' OpKernel for XLA")


@dataclass(frozen=True)
class Compilation:
    """What XLA did at these `sizes`; `refusal` is what it said, empty where the compiled model ran."""

    sizes: Mapping[str, int]
    refusal: str = ""

    def __str__(self) -> str:
        sizes = ", ".join(f"{name}={size}" for name, size in self.sizes.items()) or "its only sizes"
        return f"cannot compile it: {self.refusal}" if self.refusal else f"compiles it, and it runs, at {sizes}"


def compile_with_xla(model: Model, prepared: ir.Model | None) -> Compilation:
    """Compile a TensorFlow model, or the TensorFlow function of a graph that is `prepared` for it, and run it once.

    Sizes are the first of those that a verdict is made at, inputs are random. Raises `UsageError` for a model that
    TensorFlow does not run as a function.
    """
    import tensorflow as tf

    from translate.models.inputs import example_feeds
    from translate.verify.sizes import size_choices

    function = _function(model, prepared)
    sizes = size_choices(model)[0]
    feeds = example_feeds(model.inputs, sizes)
    compiled = tf.function(function, jit_compile=True, autograph=False)
    try:
        compiled(*(tf.constant(feeds[spec.name]) for spec in model.inputs))
    except (tf.errors.OpError, ValueError, NotImplementedError) as error:
        missing = dict.fromkeys(_MISSING.findall(str(error)))
        return Compilation(sizes, f"it has no {', '.join(missing)}" if missing else in_a_line(error))
    return Compilation(sizes)


def _function(model: Model, prepared: ir.Model | None) -> Callable[..., Any]:
    """Return a function of the model's inputs in order."""
    if prepared is not None:
        from translate.converters.onnx_to_tf.export import module

        function: Callable[..., Any] = module(prepared).serving_default
        return function
    from translate.models.keras_model import KerasModel
    from translate.models.traced import TracedModel

    if isinstance(model, TracedModel):
        return lambda *tensors: model.apply(dict(zip((spec.name for spec in model.inputs), tensors, strict=True)))
    if isinstance(model, KerasModel):
        return lambda *tensors: model.function(*tensors)
    raise UsageError(f"--xla: XLA compiles functions of TensorFlow, and this is a {model.kind}")
