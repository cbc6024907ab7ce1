"""The TensorFlow table against the ONNX schema: nothing forgotten, nothing under another name or default."""

from __future__ import annotations

import inspect
from pathlib import Path

import onnx
import pytest

from translate.converters.lowering import Lowering
from translate.converters.onnx_to_tf.document import document
from translate.converters.onnx_to_tf.lowerings import TABLE
from translate.converters.onnx_to_tf.table import CEILINGS, CHANNELS_LAST, FUSED

SCHEMAS = {(schema.domain, schema.name): schema for schema in onnx.defs.get_all_schemas()}
ONNX_ROWS = [row for row in TABLE if row.domain != FUSED]


def onnx_domain(row: Lowering) -> str:
    return "" if row.domain == CHANNELS_LAST else row.domain


def newest_schema(row: Lowering) -> onnx.defs.OpSchema | None:
    """The newest schema that `row` serves: older than the next row, and known to the installed onnx."""
    domain = onnx_domain(row)
    later = [r.since for r in TABLE if (r.domain, r.op_type) == (row.domain, row.op_type) and r.since > row.since]
    limit = min(later) - 1 if later else CEILINGS[row.domain]
    newest = SCHEMAS.get((domain, row.op_type))
    if newest is None or newest.since_version < row.since:
        return newest if newest is not None and not later else None
    return onnx.defs.get_schema(row.op_type, limit, domain)


def decoded(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


def test_every_operator_is_translated_xor_listed_as_not_done():
    translated = {(onnx_domain(row), row.op_type) for row in ONNX_ROWS}
    not_done = set(TABLE.not_done)
    assert not translated & not_done
    assert set(SCHEMAS) <= translated | not_done


def test_every_reason_is_given():
    assert all(len(reason) > 10 for reason in TABLE.not_done.values())


@pytest.mark.parametrize("row", ONNX_ROWS, ids=lambda row: f"{row.domain}.{row.op_type}-{row.since}")
def test_attributes_are_the_schemas(row):
    schema = newest_schema(row)
    if schema is None:
        pytest.skip("the installed onnx does not know this version of the operator")
    known = row.signature.attribute_parameters
    for name, attribute in schema.attributes.items():
        assert name in known, f"attribute {name} is missing"
        if attribute.default_value.name:
            default = onnx.helper.get_attribute_value(attribute.default_value)
            default = tuple(map(decoded, default)) if isinstance(default, list) else decoded(default)
            ours = known[name].default
            assert ours is not inspect.Parameter.empty, f"attribute {name} has the default {default!r}"
            assert ours == pytest.approx(default) if isinstance(default, float) else ours == default
        elif not attribute.required:
            assert known[name].default is not inspect.Parameter.empty, f"attribute {name} may be absent"
    # An attribute of an opset that the installed onnx does not have yet cannot be looked up there.
    if onnx.defs.onnx_opset_version() >= CEILINGS[""]:
        assert set(known) <= set(schema.attributes)


def test_the_document_is_current():
    written = Path(__file__).parents[3] / "docs" / "operators.md"
    assert written.read_text() == document(), "run `make docs`"
