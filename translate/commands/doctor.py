"""`translate doctor`."""

from __future__ import annotations

import click

from translate.startup import captured_stderr, quiet_frameworks
from translate.terminal import print_diagnosis


@click.command(short_help="Show versions, devices and problems.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def doctor(as_json: bool) -> int:
    """Show versions, devices, engines and problems of the installation."""
    with quiet_frameworks(tensorflow=False), captured_stderr():
        from translate.doctor import diagnose

        found = diagnose()
    if as_json:
        from translate.reports.schema import diagnosis_report, render_json

        click.echo(render_json(diagnosis_report(found)), nl=False)
    else:
        print_diagnosis(found)
    return 0
