"""JSON reports are as docs/report.schema.json says, and it leaves nothing out."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.reports import samples
from tests.reports.test_reports import reports
from translate.reports import render
from translate.reports.baseline import with_baseline

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text(encoding="utf-8"))


def closed(schema: Any) -> Any:
    """Return a schema that allows no property which it does not describe."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inside = {key: value if key == "if" else closed(value) for key, value in schema.items()}
    # The outermost object and `if` describe a part of the properties only.
    if schema.get("type") == "object" and "properties" in schema and "$id" not in schema:
        inside.setdefault("additionalProperties", False)
    return inside


@functools.cache
def all_reports() -> dict[str, dict[str, Any]]:
    found = dict(reports())
    found["baseline"] = with_baseline(found["everything"], "old.json", found["translated"])
    return found


@pytest.mark.parametrize("name", list(all_reports()))
def test_reports_fit_the_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(closed(SCHEMA))
    error = jsonschema.exceptions.best_match(validator.iter_errors(json.loads(render(all_reports()[name], ".json"))))
    assert error is None, f"{error.json_path}: {error.message[:300]}"


def test_the_schema_refuses_what_lacks_a_field() -> None:
    report = json.loads(render(all_reports()["everything"], ".json"))
    del report["verdict"]["runs"][0]["outputs"][0]["over_noise"]
    with pytest.raises(jsonschema.ValidationError, match="over_noise"):
        jsonschema.Draft202012Validator(SCHEMA).validate(report)


def test_json_has_no_constants_that_json_lacks() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    read = json.loads(render(samples.everything(), ".json"), parse_constant=refuse)
    errors = {output["name"]: output["error"] for output in read["verdict"]["runs"][0]["outputs"]}
    assert errors["broken"] == "inf"


def test_lists_of_numbers_stand_on_one_line_and_texts_stay_as_they_are() -> None:
    bad = samples.output("a", 2.0, ["[\n  1,\n  2\n]"])
    text = render(samples.verified(samples.verdict(*samples.runs(bad))), ".json")
    assert '"shape": [2, 1000]' in text
    assert json.loads(text)["verdict"]["runs"][0]["outputs"][0]["problems"] == ["[\n  1,\n  2\n]"]
