"""The Keras table against the ONNX schema: what a row reads has the schema's name and default."""

from __future__ import annotations

import inspect

import onnx
import pytest

from translate.converters.lowering import Lowering
from translate.converters.onnx_to_keras.lowerings import TABLE
from translate.converters.onnx_to_keras.table import CHANNELS_LAST

SCHEMAS = {schema.name: schema for schema in onnx.defs.get_all_schemas() if not schema.domain}
# What onnx 1.19 does not know yet.
NEWER = {("Range", "stash_type")}
ROWS = [row for row in TABLE if row.domain in ("", CHANNELS_LAST) and row.op_type in SCHEMAS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.op_type)
def test_attributes_are_the_schemas(row: Lowering) -> None:
    attributes = SCHEMAS[row.op_type].attributes
    for name, parameter in row.signature.attribute_parameters.items():
        if (row.op_type, name) in NEWER and name not in attributes:
            continue
        assert name in attributes, f"ONNX has no attribute {name}"
        if attributes[name].default_value.name:
            default = onnx.helper.get_attribute_value(attributes[name].default_value)
            default = default.decode() if isinstance(default, bytes) else default
            assert parameter.default is not inspect.Parameter.empty
            given = parameter.default
            assert given == (pytest.approx(default) if isinstance(default, float) else default)
        else:
            assert parameter.default in (inspect.Parameter.empty, None) or not attributes[name].required
