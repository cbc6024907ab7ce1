"""The documentation: its blocks of code are run, and what it says of options, files and headings is there."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from markdown_it import MarkdownIt

from tests import fork_server, pages
from tests.pages import PAGES, ROOT, Block, blocks
from translate.cli import main
from translate.document import document

# Pages that need more than the project does. What needs transformers is run in the pinned set only.
MARKS = {
    "generation.md": [pytest.mark.zoo],
    "serving.md": [pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")],
    "tflite.md": [pytest.mark.skipif(find_spec("ai_edge_litert") is None, reason="LiteRT is not installed")],
}

BLOCKS = [block for page in PAGES for block in blocks(page)]
# What the commands write, and what is the reader's.
MADE = {"model.py", "rest_client.py", "grpc_client.py", ".github/workflows/", "models/"}

each_block = pytest.mark.parametrize("block", BLOCKS, ids=str)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

# The reader's own models, in the documentation called model.pt2 and net.keras.
_KERAS_MODEL = """
import keras
keras.utils.set_random_seed(0)
layers = keras.layers
keras.Sequential([
    layers.Input((8, 8, 1), name="image"), layers.Conv2D(4, 3, activation="relu", name="conv"),
    layers.Flatten(name="flatten"), layers.Dropout(0.1, name="dropout"), layers.Dense(10, name="head"),
]).save("net.keras")
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with fork_server.start(tmp_path_factory.mktemp("server")) as environment:
        yield environment


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """What the reader has in the working directory."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("fixtures", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "fixtures" / "digits_cnn.pt2", folder / "model.pt2")
    subprocess.run(["python", "-c", _KERAS_MODEL], cwd=folder, env=environment, check=True, timeout=120)
    return folder


@pytest.mark.xdist_group("docs")
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=str(page.relative_to(ROOT)), marks=MARKS.get(page.name, []))
        for page in PAGES
        if any(block.language in ("bash", "python") and block.comment is None for block in blocks(page))
    ],
)
def test_the_blocks_of_a_page_run(page: Path, checkout: Path, environment: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(checkout, tmp_path, dirs_exist_ok=True)
    call = [sys.executable, fork_server.__file__, "page", str(page)]
    run = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
    assert run.returncode == 0, f"{run.stdout[-3000:]}\n{run.stderr[-3000:]}"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```python\nprint('a 1.5e-3')\n```\n```output\na 2.25\n```", None),
        ("```bash\nprintf 'a\\nb\\nc\\n'\n```\n```output\na\n...\nc\n```", None),
        ("```python\nx = 1\n```\n```python\nprint(x + 1)\n```\n```output\n2\n```", None),
        ("```python\nprint('a')\n```\n```output\nb\n```", "4: this is not printed"),
        ("```bash\nprintf 'a\\nb\\n'\n```\n```output\nb\na\n```", "4: this is not printed"),
        ("```bash\nfalse\ntrue\n```", "1 ended with 1"),
        ("```python\n1 / 0\n```", "1 ended with 1"),
    ],
)
def test_a_page_that_says_something_wrong_fails(
    text: str, wrong: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError, match=f"page.md:{wrong}") if wrong else nullcontext():
        pages.run(page)


@each_block
def test_a_block_says_what_it_is(block: Block) -> None:
    assert block.language in ("bash", "python", "json", "output", "text"), f"{block}: a fence with a language is wanted"
    kind, text = block.comment or ("", "")
    if kind == "not run":
        assert len(text) > 10, f"{block}: why not?"
        _check_syntax(block)
        # So that pytest lists them.
        pytest.skip(f"not run: {text}")
    elif kind == "from":
        assert block.code in (ROOT / text).read_text(), f"{block} is not (any more) what stands in {text}"
    elif block.language == "json":
        json.loads(block.code)


def _check_syntax(block: Block) -> None:
    if block.language == "python":
        compile(block.code, str(block), "exec")
    else:
        subprocess.run(["bash", "-n", "-c", block.code], check=True)


@each_page
def test_options_exist(page: Path) -> None:
    known = {option for command in main.commands.values() for one in command.params for option in _options(one)}
    for code in _inline_code(page):
        if code.startswith("translate "):
            name, *arguments = shlex.split(code.removeprefix("translate "))
            command = main if name in ("--help", "COMMAND") else main.commands[name]
            context = click.Context(command, **main.context_settings)
            # Raises what the command would, but for a missing argument.
            given, _, _ = command.make_parser(context).parse_args(arguments)
            for parameter in command.params:
                if parameter.name in given and isinstance(parameter, click.Option):
                    parameter.type_cast_value(context, given[parameter.name])
        elif code.startswith("--"):
            option = re.split("[ =]", code)[0]
            assert set(option.split("/")) <= known, f"{page.name}: {code}"


def _options(parameter: click.Parameter) -> list[str]:
    return [*parameter.opts, *parameter.secondary_opts]


def _inline_code(page: Path) -> Iterator[str]:
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        yield from (child.content for child in token.children or () if child.type == "code_inline")


@pytest.fixture(scope="module")
def files() -> str:
    """The project's files and folders, one a line, each after its folder and a slash."""
    folders = ("benchmarks", "constraints", "docs", "examples", "fixtures", "tests", "translate")
    paths = [path for folder in folders for path in (ROOT / folder, *(ROOT / folder).rglob("*"))]
    return "\n".join(f"{path}/" if path.is_dir() else str(path) for path in paths) + "\n"


@each_page
def test_files_exist(page: Path, files: str) -> None:
    for code in _inline_code(page):
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)*(\.py|/)", code) and code not in MADE:
            assert f"/{code}\n" in files, f"{page.name}: {code}"


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target and not re.match("https?://", str(target)):
                path, _, heading = str(target).partition("#")
                file = (page.parent / path).resolve() if path else page
                assert file.exists(), f"{page.name}: {target}"
                assert not heading or heading in _headings(file), f"{page.name}: {target}"


def _headings(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    tokens = MarkdownIt().parse(page.read_text())
    titles = [after.content for token, after in itertools.pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert [page.name for page in ROOT.glob("docs/*.md") if f"(docs/{page.name}" not in text] == []


def test_the_reference_of_commands_is_current() -> None:
    assert (ROOT / "docs" / "commands.md").read_text() == document(), "run `make docs`"
