"""Both tables against the ONNX schema: nothing forgotten, nothing under another name or default."""

from __future__ import annotations

import inspect
from pathlib import Path

import onnx
import pytest

from translate.converters.document import document
from translate.converters.lowering import Lowering, Table
from translate.converters.onnx_to_tf.lowerings import TABLE as TENSORFLOW
from translate.converters.onnx_to_tf.table import CHANNELS_LAST
from translate.converters.onnx_to_torch.lowerings import TABLE as PYTORCH
from translate.converters.tf_to_onnx.lowerings import TABLE as FROM_TENSORFLOW
from translate.converters.tflite_to_onnx.lowerings import TABLE as FROM_TFLITE

SCHEMAS = {(schema.domain, schema.name): schema for schema in onnx.defs.get_all_schemas()}
TABLES = [TENSORFLOW, PYTORCH]
each_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.target)


def onnx_domain(row: Lowering) -> str:
    return "" if row.domain == CHANNELS_LAST else row.domain


def onnx_rows(table: Table) -> list[Lowering]:
    """The rows of ONNX's operators, not those of private domains."""
    return [row for row in table if onnx_domain(row).partition(".")[0] != "translate"]


def newest_schema(table: Table, row: Lowering) -> onnx.defs.OpSchema | None:
    """The newest schema that `row` serves: older than the next row, and known to the installed onnx."""
    domain = onnx_domain(row)
    later = [r.since for r in table if (r.domain, r.op_type) == (row.domain, row.op_type) and r.since > row.since]
    limit = min(later) - 1 if later else table.ceilings[row.domain]
    newest = SCHEMAS.get((domain, row.op_type))
    if newest is None or newest.since_version < row.since:
        return newest if newest is not None and not later else None
    return onnx.defs.get_schema(row.op_type, limit, domain)


def decoded(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


@each_table
def test_every_operator_is_translated_xor_listed_as_not_done(table):
    translated = {(onnx_domain(row), row.op_type) for row in onnx_rows(table)}
    not_done = set(table.not_done)
    assert not translated & not_done
    assert set(SCHEMAS) <= translated | not_done


@each_table
def test_every_reason_is_given(table):
    assert all(len(reason) > 10 for reason in table.not_done.values())


ROWS = [
    pytest.param(table, row, id=f"{table.target}-{row.domain}.{row.op_type}-{row.since}")
    for table in TABLES
    for row in onnx_rows(table)
]


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_attributes_are_the_schemas(table, row):
    schema = newest_schema(table, row)
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
    if onnx.defs.onnx_opset_version() >= table.ceilings[""]:
        assert set(known) <= set(schema.attributes)


def test_the_document_has_every_operator_that_is_read():
    text = document()
    for table in (FROM_TENSORFLOW, FROM_TFLITE):
        assert all(f"| {row.op_type} |" in text for row in table)
        assert all(f"| {name} |" in text for _, name in table.not_done)


def test_the_document_is_current():
    written = Path(__file__).parents[2] / "docs" / "operators.md"
    assert written.read_text() == document(), "run `make docs`"
