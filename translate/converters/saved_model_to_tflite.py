"""SavedModel → TFLite, by TensorFlow's own converter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import tensorflow as tf

from translate.errors import CannotTranslateError, ExportError, Problem, UsageError, in_a_line
from translate.models.base import Array
from translate.startup import captured_stderr

Quantize = Literal["float16", "dynamic", "int8"]
_SIGNATURE = "serving_default"

# An error of the converter names where in the graph it is, `"AvgPool3D:", "node_pool/AvgPool3D@__inference_flat_86"`,
# and what is wrong there, `'tf.AvgPool3D' op is neither a custom op nor a flex op`.
_REFUSED = re.compile(r"error: .*?\"(?P<node>[^\"@]*)@.*'tfl?\.(?P<operator>\w+)' op (?P<reason>.*)")
# Further down it says on which types: `\ttf.AvgPool3D(tensor<?x6x5x7x4xf32>) -> (tensor<?x3x2x3x4xf32>) : {...}`.
_DETAIL = re.compile(r"^\ttf\.(?P<operator>\w+)\((?P<inputs>.*?)\) -> ", re.MULTILINE)
# And which of them its runtime takes from TensorFlow: `TF Select ops: AvgPool3D, Roll`.
_SELECTED = re.compile(r"TF Select ops: (.*)")
_MISSING = "is neither a custom op nor a flex op"


def convert(
    folder: Path,
    quantize: Quantize | None = None,
    samples: Callable[[], Iterator[Mapping[str, Array]]] | None = None,
    *,
    flex: bool = False,
) -> bytes:
    """Return the signature `serving_default` of the SavedModel in `folder` as the content of a TFLite file.

    `quantize` makes the weights smaller: "float16"; "dynamic", integers of 8 bits; or "int8", where all numbers are
    integers of 8 bits but for inputs and outputs, on ranges that are measured on `samples`, {input: array} each. With
    `flex` the file may hold TensorFlow's own operators where TFLite has none; it then runs only where these are linked.

    Raises `CannotTranslateError` naming the operators that TFLite lacks, `ExportError` where the converter fails
    otherwise, and `UsageError` where the samples do not do.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[_SIGNATURE])
    builtins = tf.lite.OpsSet.TFLITE_BUILTINS
    converter.target_spec.supported_ops = [builtins, tf.lite.OpsSet.SELECT_TF_OPS] if flex else [builtins]
    # TFLite's own lists have elements of one size only; TensorFlow's have not.
    converter._experimental_lower_tensor_list_ops = not flex
    if quantize is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        assert samples is not None, "integers need ranges"
        converter.representative_dataset = lambda: ((_SIGNATURE, dict(feeds)) for feeds in samples())
    # It writes to standard error past Python; what it raises says all that matters.
    with captured_stderr():
        try:
            return bytes(converter.convert())
        except UsageError:
            raise
        except Exception as error:
            # The converter documents no common base of what it raises.
            failure = error
    problems = _problems(str(failure))
    if problems:
        raise CannotTranslateError("TFLite", problems) from failure
    raise ExportError(f"TensorFlow's converter to TFLite failed: {in_a_line(failure)}") from failure


def _problems(message: str) -> list[Problem]:
    """Read which operators the converter refused, where they are, and why, from what it says."""
    types = {found["operator"]: found["inputs"] for found in _DETAIL.finditer(message)}
    selected = {name.strip() for names in _SELECTED.findall(message) for name in names.split(",")}
    problems: dict[tuple[str, str], Problem] = {}
    for found in _REFUSED.finditer(message):
        operator, node, reason = found["operator"], found["node"], found["reason"]
        # Where it is no question of types, it is one of lists, which TensorFlow's own operators hold.
        helps = operator in selected or reason != _MISSING
        missing = "TFLite has no such operator, or not for these types" + (
            "" if helps else ", nor has its Flex delegate"
        )
        inputs = re.sub(r"tensor<([^>]*)>", r"\1", types.get(operator, ""))
        problems.setdefault(
            (operator, node),
            Problem(
                operator,
                node,
                0,
                missing if reason == _MISSING else reason,
                inputs,
                hint="--flex, where the program that runs the file links TensorFlow's own operators" if helps else "",
            ),
        )
    return list(problems.values())
