"""Markdown stays a table whatever is in it, and below the size that CI systems take."""

from __future__ import annotations

from markdown_it import MarkdownIt

from tests.reports import samples
from translate.reports import render
from translate.reports.markdown import render_markdown


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")]


def test_tables_keep_their_columns() -> None:
    text = render(samples.everything(), ".md")
    blocks = "\n".join(line if line.startswith("|") else "" for line in text.splitlines()).split("\n\n")
    tables = [block.strip("\n").splitlines() for block in blocks if block.strip("\n")]
    assert len(tables) >= 6
    for table in tables:
        assert len({row.replace("\\|", "").count("|") for row in table}) == 1


def test_nothing_in_it_is_markup() -> None:
    page = MarkdownIt("commonmark").enable("table").render(render(samples.everything(), ".md"))
    assert "<script>" not in page
    assert page.count("<table>") >= 6
    assert "<code>&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; | `code` &amp;" in page


def test_the_state_stands_first() -> None:
    good = samples.verdict(*samples.runs(samples.output("a")))
    assert "✅ translate verify: Equal" in render(samples.verified(good), ".md").splitlines()[0]
    assert "❌ translate verify: Not equal" in render(samples.everything(), ".md").splitlines()[0]
    assert "⚪ translate torch2tf: Translated, not verified" in render(samples.translated(None), ".md").splitlines()[0]
    assert "x|y float32[batch, 3, ?]" in render(samples.translated(good), ".md")


def test_cold_starts_and_settings_are_said() -> None:
    text = render(samples.raced(samples.timing()), ".md")
    assert "cold start of `model_tf`: 3.10 s to the first result, at most 812.0 MB of memory" in text
    assert "device cpu, threads 2" in text


def test_rows_of_what_passed_are_left_out_first() -> None:
    outputs = [samples.output(f"fine_{index}") for index in range(400)] + [samples.output("wrong", 30.0)]
    report = samples.verified(samples.verdict(*samples.runs(*outputs)))
    whole, cut = render_markdown(report), render_markdown(report, most_bytes=40_000)
    assert len(rows(whole)) > 1600
    assert len(cut.encode()) <= 40_000
    assert sum("`wrong`" in row for row in rows(cut)) == 4
    shown = sum("`fine_" in row for row in rows(cut))
    assert f"… and {1600 - shown:,} more outputs, left out for their size" in cut
    assert "Seconds: verify" in cut


def test_thousands_of_failures_and_pages_of_messages_stay_below_one_mebibyte() -> None:
    outputs = [samples.output("é" * 300 + str(index), 30.0, ["ü" * 3000]) for index in range(1000)]
    report = samples.verified(
        samples.verdict(*samples.runs(*outputs), warnings=tuple(f"warning {index} " * 100 for index in range(5000)))
    )
    text = render(report, ".md")
    assert len(text.encode()) < 2**20
    assert "left out for their size" in text
