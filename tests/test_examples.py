"""What stands in examples/ works as it stands there; what runs in Python alone is run by test_docs.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub does: bash that stops at the first failure."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    path = EXAMPLES / "github-actions" / "verify-models.yml"
    read: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return read


def steps(workflow: dict[Any, Any], job: str) -> dict[str, dict[str, Any]]:
    return {step.get("name", step.get("uses")): step for step in workflow["jobs"][job]["steps"]}


def test_the_workflow_runs_on_pushes_of_models(workflow: dict[Any, Any]) -> None:
    # YAML 1.1 reads the key `on` as true.
    assert "models/**" in workflow[True]["push"]["paths"]
    assert workflow["permissions"] == {"contents": "read"}


def test_actions_are_pinned_to_commits(workflow: dict[Any, Any]) -> None:
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert len(used) == 4
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used)


def test_no_expression_is_pasted_into_a_script(workflow: dict[Any, Any]) -> None:
    scripts = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert len(scripts) == 4
    assert not [script for script in scripts if "${{" in script]


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is on GitHub's machines, not on this one")
def test_the_models_of_a_repository_are_found(workflow: dict[Any, Any], tmp_path: Path) -> None:
    (tmp_path / "models" / "a b").mkdir(parents=True)
    for name in ("models/a b/x.pt2", "models/y.onnx", "models/notes.txt", "z.pt2"):
        (tmp_path / name).touch()
    output = tmp_path / "output"
    done = shell(
        "git init -q . && git add . && " + steps(workflow, "find")["List the models"]["run"],
        tmp_path,
        GITHUB_OUTPUT=str(output),
    )
    assert done.returncode == 0, done.stderr
    name, _, models = output.read_text().strip().partition("=")
    assert (name, json.loads(models)) == ("models", ["models/a b/x.pt2", "models/y.onnx"])


def test_a_model_is_verified_and_its_report_shown(workflow: dict[Any, Any], tmp_path: Path) -> None:
    shutil.copy(ROOT / "fixtures" / "neural_net.pt2", tmp_path / "net.pt2")
    found, summary = steps(workflow, "verify"), tmp_path / "summary.md"
    done = shell(found["Translate and verify"]["run"], tmp_path, MODEL="net.pt2")
    assert done.returncode == 0, done.stderr
    assert sorted(path.suffix for path in (tmp_path / "reports").iterdir()) == [".html", ".json", ".md", ".xml"]
    shell(found["Show the report"]["run"], tmp_path, MODEL="net.pt2", GITHUB_STEP_SUMMARY=str(summary))
    assert "Equal: the two models compute the same" in summary.read_text(encoding="utf-8")


def test_what_cannot_be_opened_fails_and_is_said(workflow: dict[Any, Any], tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_text("no model")
    found, summary = steps(workflow, "verify"), tmp_path / "summary.md"
    assert shell(found["Translate and verify"]["run"], tmp_path, MODEL="net.pt2").returncode == 3
    shell(found["Show the report"]["run"], tmp_path, MODEL="net.pt2", GITHUB_STEP_SUMMARY=str(summary))
    assert summary.read_text().startswith("No report of `net.pt2`")
