"""The code blocks of the documentation, and how those of one page are run, in order, in the working directory.

A block is fenced and names its language. What `bash` and `python` do is run; `output` is what the block before it
prints, its numbers aside; `text` is neither. A comment just before a block says what is otherwise:

    <!-- not run: needs Docker -->                          for this reason; only its syntax is checked
    <!-- from: translate/converters/onnx_to_tf/math.py -->  it stands there, word for word
"""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
_ELSEWHERE = ("README.md", "CONTRIBUTING.md", "examples/README.md", "fixtures/README.md")
PAGES = sorted([*(ROOT / name for name in _ELSEWHERE), *ROOT.glob("docs/*.md")])

_COMMENT = re.compile(r"<!-- (not run|from): (.+?) -->\s*\Z", re.DOTALL)
_NUMBER = re.compile(r"\d+([.,]\d+)*(e[+-]?\d+)?")
_FRAME = re.compile(r"[\u2500-\u257f]")
_SECONDS = 240


@dataclass(frozen=True)
class Block:
    """A block of code, and the line where it begins. `comment` is what the comment before it says: (kind, text)."""

    page: Path
    line: int
    language: str
    code: str
    comment: tuple[str, str] | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page; an indented one has no language."""
    found, before = [], None
    for token in MarkdownIt().parse(page.read_text()):
        if token.type in ("fence", "code_block"):
            (line, _) = token.map or (0, 0)
            found.append(Block(page, line + 1, token.info.strip(), token.content, before))
        comment = _COMMENT.search(token.content) if token.type == "html_block" else None
        before = (comment[1], " ".join(comment[2].split())) if comment else None
    return found


def run(page: Path) -> None:
    """Run the blocks of a page, the Python ones in one namespace. Raises `AssertionError` for the block that fails."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    for block in blocks(page):
        if block.language == "output":
            _compare(block, printed)
        elif block.language in ("bash", "python") and block.comment is None:
            began = time.monotonic()
            code, printed = _bash(block) if block.language == "bash" else _python(block, namespace)
            print(f"== {block}, {time.monotonic() - began:.1f} s\n{printed}")
            assert code == 0, f"{block} ended with {code}"


def _bash(block: Block) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_SECONDS,
        text=True,
    )
    return done.returncode, done.stdout


def _python(block: Block, namespace: dict[str, Any]) -> tuple[int, str]:
    # Lines are those of the page, so that a traceback points there.
    code = compile("\n" * block.line + block.code, str(block.page), "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(code, namespace)
        except Exception:
            return 1, printed.getvalue() + traceback.format_exc()
    return 0, printed.getvalue()


def _compare(block: Block, printed: str) -> None:
    """Assert that the lines of `block` were printed, in this order; a line of three dots stands for any."""
    lines = iter(map(_plain, printed.splitlines()))
    for line in map(_plain, block.code.splitlines()):
        if line and line != "...":
            assert line in lines, f"{block}: this is not printed (there): {line}"


def _plain(line: str) -> str:
    """Return a line without frames, the width of gaps, and the values of numbers."""
    return " ".join(_NUMBER.sub("#", _FRAME.sub("", line)).split())
