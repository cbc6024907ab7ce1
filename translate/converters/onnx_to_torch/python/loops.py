"""Statements that repeat themselves for one block after the other, as loops over the blocks."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence

# `self.blocks[3]`, as a pair of the list and the index.
_ELEMENT = re.compile(r"(self(?:\.\w+|\[\d+\])*?\.\w+)\[(\d+)\]")


def rolled(statements: list[ast.stmt], lengths: Mapping[str, int]) -> list[ast.stmt]:
    """Replace statements that are the same for `self.blocks[0]`, `self.blocks[1]`... by a loop over `self.blocks`.

    They are replaced only where their texts are equal but for the index, so the loop does the very same. `lengths` are
    those of the lists, by the expressions that reach them.
    """
    texts = [ast.unparse(item) for item in statements]
    result: list[ast.stmt] = []
    index = 0
    while index < len(statements):
        found = _repetition(texts, index)
        if found is None:
            result.append(statements[index])
            index += 1
        else:
            blocks, first, period, count = found
            whole = first == 0 and count == lengths.get(blocks)
            lines = texts[index : index + period]
            result.append(_loop(lines, blocks, first, blocks if whole else f"{blocks}[{first}:{first + count}]", texts))
            index += period * count
    return result


def _repetition(texts: Sequence[str], start: int) -> tuple[str, int, int, int] | None:
    """Return which list is gone through from `start`, from which index, in how many statements, and how often."""
    for blocks, number in dict.fromkeys(_ELEMENT.findall(texts[start])):
        first = int(number)
        following = f"{blocks}[{first + 1}]"
        period = next((k for k in range(1, len(texts) - start) if following in texts[start + k]), 0)
        if not period:
            continue
        count = 1
        while _repeats(texts, start, period, blocks, first, count):
            count += 1
        if count > 1:
            return blocks, first, period, count
    return None


def _repeats(texts: Sequence[str], start: int, period: int, blocks: str, first: int, count: int) -> bool:
    again = texts[start + count * period : start + (count + 1) * period]
    one, other = f"{blocks}[{first}]", f"{blocks}[{first + count}]"
    return [text.replace(one, other) for text in texts[start : start + period]] == list(again)


def _loop(body: Sequence[str], blocks: str, first: int, iterated: str, texts: Sequence[str]) -> ast.stmt:
    name = blocks.rpartition(".")[2].removesuffix("s")
    if len(name) < 3 or any(re.search(rf"(?<![.\w]){name}\b", text) for text in texts):
        name = "block"
    inner = "\n".join("    " + text.replace(f"{blocks}[{first}]", name) for text in body)
    (loop,) = ast.parse(f"for {name} in {iterated}:\n{inner}").body
    return loop
