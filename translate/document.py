"""Write docs/commands.md from the commands:  python -m translate.document > docs/commands.md"""

from __future__ import annotations

import sys

import click

from translate.cli import main

HEAD = """# Commands

Generated from the commands by `make docs`; do not edit. These are the words of `translate --help` and
`translate COMMAND --help`. [cookbook.md](cookbook.md) shows the commands at work.
"""


def document() -> str:
    """Return the Markdown text of docs/commands.md."""
    # The width is set: it must not depend on the terminal that the document is written in.
    program = click.Context(main, info_name="translate", terminal_width=100, **main.context_settings)
    lines = [HEAD, *_fenced(main.get_help(program))]
    for name, command in main.commands.items():
        context = click.Context(command, info_name=name, parent=program, terminal_width=100)
        lines += ["", f"## {name}", "", *_fenced(command.get_help(context))]
    return "\n".join(lines) + "\n"


def _fenced(text: str) -> list[str]:
    return ["```text", text, "```"]


if __name__ == "__main__":
    sys.stdout.write(document())
