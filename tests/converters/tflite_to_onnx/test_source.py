"""Reading TFLite files."""

from __future__ import annotations

from tests.converters.tf_to_onnx.cases import floats
from tests.converters.tflite_to_onnx.cases import written
from translate.converters.tflite_to_onnx.source import CUSTOM, DOMAIN, read
from translate.converters.tflite_to_onnx.table import TABLE
from translate.models.tflite_file import unpack

X = floats(2, 3)


def test_attributes_have_the_names_of_the_schema() -> None:
    options = {"kind": "Conv2DOptions", "padding": 1, "strideW": 2, "strideH": 3, "fusedActivationFunction": 1}
    inputs = [floats(1, 8, 8, 2), floats(4, 3, 3, 2), floats(4)]
    graph, _ = read(unpack(written("CONV_2D", inputs, [floats(1, 2, 3, 4)], **options)), 0, [3])
    (node,) = graph
    assert (node.domain, node.op_type) == (DOMAIN, "CONV_2D")
    assert {name: attribute.value for name, attribute in node.attributes.items()} == {
        "padding": "VALID",
        "stride_w": 2,
        "stride_h": 3,
        "fused_activation_function": "RELU",
        "dilation_w_factor": 1,
        "dilation_h_factor": 1,
    }


def test_a_custom_operator_is_known_by_its_own_name() -> None:
    model = unpack(written("CUSTOM", [X], [X]))
    model.operatorCodes[0].customCode = b"AudioSpectrogram"
    graph, _ = read(model, 0, [1])
    (node,) = graph
    assert (node.domain, node.op_type) == (CUSTOM, "AudioSpectrogram")
    assert TABLE.problem(node, 1) == "no ONNX lowering"
