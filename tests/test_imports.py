"""Imports go one way, and `translate --help` needs neither framework nor the time to load one."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "translate"
FRAMEWORKS = ("torch", "tensorflow")

# cli → commands → routes → {models, converters, verify, reports, serving, backend} → errors. Within the third layer the
# arrows are those of the data flow: what is listed may be imported, besides the part itself and `errors`.
MAY_IMPORT = {
    "errors": set(),
    "manifest": set(),
    "origin": set(),
    "models": {"manifest"},
    "converters": {"manifest", "models", "origin", "startup"},
    "verify": {"manifest", "models", "origin"},
    "backend": {"converters", "models"},
    # Reports render what the others made; they import it for its types only.
    "reports": {"doctor", "inspection", "models", "routes", "verify"},
    "publish": set(),
    "doctor": set(),
    "provenance": {"doctor", "manifest", "models", "reports", "verify"},
    "serving": {"comparison", "doctor", "models", "publish", "verify"},
    "graphs": {"converters", "models"},
    "comparison": {"graphs", "models", "verify"},
    "signatures": {"comparison", "models", "verify"},
    "routes": {
        "comparison",
        "converters",
        "graphs",
        "manifest",
        "models",
        "provenance",
        "publish",
        "serving",
        "signatures",
        "verify",
    },
    "compilation": {"converters", "models", "verify"},
    "inspection": {"compilation", "converters", "graphs", "models", "routes"},
    "startup": set(),
    # What people see of a report, on the terminal.
    "terminal": {"doctor", "inspection", "reports"},
    "commands": {
        *("comparison", "doctor", "inspection", "models", "provenance", "publish", "reports", "routes", "serving"),
        *("signatures", "startup", "terminal"),
        "verify",
    },
    "cli": {"commands", "startup"},
    "__main__": {"cli"},
    # Writes docs/commands.md.
    "document": {"cli"},
    "testing": {"comparison", "models", "publish", "reports", "routes", "verify"},
    # The public names, imported when they are asked for.
    "__init__": {"models", "routes", "verify"},
}


def files(*parts: str) -> list[Path]:
    place = PACKAGE.joinpath(*parts)
    return sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """List what a file imports, anywhere in it, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)} has a relative import"
            yield f"{node.module}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_packages(path: Path) -> set[str]:
    return {imported.partition(".")[0] for imported in imports(path)}


def part(dotted: str) -> str:
    return dotted.split(".")[1]


@pytest.mark.parametrize("path", files(), ids=name)
def test_imports_go_one_way(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in MAY_IMPORT, f"say in MAY_IMPORT what translate.{own} may import"
    inside = {part(imported) for imported in imports(path) if imported.startswith("translate.")}
    # A name of the package itself, as in `from translate import __version__`.
    inside = {other for other in inside if other in MAY_IMPORT and other != "__init__"}
    assert inside - {own, "errors"} <= MAY_IMPORT[own]


@pytest.mark.parametrize("path", files("converters", "onnx_to_tf"), ids=name)
def test_the_way_to_tensorflow_never_imports_torch(path: Path) -> None:
    assert "torch" not in imported_packages(path)
    assert not any("torch" in imported for imported in imports(path) if imported.startswith("translate."))


@pytest.mark.parametrize(
    "path",
    [
        *(path for place in ("lowering", "operators", "passes") for path in files("converters", place)),
        *files("verify"),
        *files("reports"),
    ],
    ids=name,
)
def test_these_import_no_framework(path: Path) -> None:
    assert not imported_packages(path) & set(FRAMEWORKS)


@pytest.mark.parametrize("path", [*files("models"), *files("converters")], ids=name)
def test_no_file_imports_both_frameworks(path: Path) -> None:
    assert not set(FRAMEWORKS) <= imported_packages(path)


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)


BLOCKED = (*FRAMEWORKS, "numpy", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "keras")
BLOCK = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Refuse())
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([c, "--help"] for c in ("torch2tf", "verify", "inspect", "doctor"))]
)
def test_help_works_without_frameworks(arguments: list[str]) -> None:
    done = python(f"{BLOCK}\nfrom translate.cli import main\nmain({arguments!r})")
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_without_frameworks_the_error_says_what_to_install() -> None:
    done = python(f"{BLOCK}\nfrom translate.cli import main\nmain(['torch2tf', 'fixtures/digits_cnn.pt2'])")
    assert done.returncode == 2
    assert "is not installed; pip install" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_works_without_frameworks() -> None:
    done = python(f"{BLOCK}\nfrom translate.cli import main\nmain(['doctor'])")
    assert done.returncode == 0, done.stderr
    assert "problem" in done.stdout


def test_help_loads_neither_framework_nor_numpy() -> None:
    done = python(
        "import sys\nfrom translate.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    print(sorted(sys.modules))"
    )
    modules = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert not modules & set(BLOCKED)


def test_help_answers_at_once() -> None:
    # In units of this machine's own start of an interpreter, which is some 20 ms: 0.3 s is 15 of them.
    def seconds(program: str) -> float:
        start = time.perf_counter()
        python(program)
        return time.perf_counter() - start

    bare = min(seconds("pass") for _ in range(5))
    helped = min(seconds("from translate.cli import main; main(['--help'])") for _ in range(5))
    assert helped < 15 * bare
