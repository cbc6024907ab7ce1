"""The page stands alone, holds what was measured, and takes nothing for markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.reports import samples
from tests.reports.test_reports import reports
from translate.reports import render

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Checks that elements nest, and keeps what a test asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, name: str, **attributes: str) -> int:
        return sum(tag == name and attributes.items() <= found.items() for tag, found in self.tags)


@pytest.mark.parametrize("name", list(reports()))
def test_it_needs_nothing_else(name: str) -> None:
    text = render(reports()[name], ".html")
    page = Page(text)
    assert not page.count("script") + page.count("link") + page.count("img") + page.count("iframe")
    assert not re.search(r"https?://|url\(|@import", text)
    # Every plot says what it shows, and every table what its columns are.
    labels = [found for tag, found in page.tags if tag == "svg" and found.get("role") == "img"]
    assert all(found["aria-label"] for found in labels)
    assert page.count("caption") == page.count("table")
    assert page.count("html", lang="en") == page.count("main") == page.count("h1") == page.count("title") - tips(page)


def tips(page: Page) -> int:
    """Return the number of titles inside drawings."""
    return page.count("title") - 1


def test_no_number_of_a_drawing_is_missing() -> None:
    for report in reports().values():
        for svg in re.findall(r"<svg.*?</svg>", render(report, ".html"), re.DOTALL):
            coordinates = re.findall(r' (?:x|y|x1|x2|y1|y2|cx|cy|width|height|d)="([^"]*)"', svg)
            assert not [value for value in coordinates if "nan" in value or "inf" in value]


def test_names_are_text() -> None:
    text = render(samples.everything(), ".html")
    assert "<script>" not in text
    assert '<script>alert("1")</script> | `code` & \\x00\\x1b[31m \\ud800' in Page(text).text


def test_the_verdict_stands_first() -> None:
    good = samples.verdict(*samples.runs(samples.output("a")))
    page = Page(render(samples.verified(good), ".html"))
    assert page.count("header", **{"class": "passed"}) == 1
    assert page.text.index("Equal: the two models compute the same") < page.text.index("What was compared")
    assert "The output agrees in 4 runs." in page.text
    assert Page(render(samples.everything(), ".html")).count("header", **{"class": "failed"}) == 1


def test_each_run_of_an_output_is_a_mark_and_failures_have_another_shape() -> None:
    runs = samples.runs(samples.output("a"), samples.output("b", 40.0))
    page = Page(render(samples.verified(samples.verdict(*runs)), ".html"))
    # One of each is the key of the plot.
    assert page.count("circle", **{"class": "dot ok"}) == 4 + 1
    assert page.count("path", **{"class": "cross bad"}) == 4 + 1


def test_plots_are_there_when_there_is_something_to_plot() -> None:
    labels = {
        found.get("aria-label") for tag, found in Page(render(samples.everything(), ".html")).tags if tag == "svg"
    }
    for start in ("Largest error of each output", "Distribution of the errors of logits", "Error of every compared",
                  "Largest error of each gradient", "The loss at each step", "Ratio of times",
                  "Distribution of the time of one call at batch=8"):  # fmt: skip
        assert any(label and label.startswith(start) for label in labels), start


def test_hundreds_of_outputs_are_drawn_by_the_worst() -> None:
    outputs = [samples.output(f"o{index}", 0.001 * (index + 1)) for index in range(300)]
    page = Page(render(samples.verified(samples.verdict(*samples.runs(*outputs))), ".html"))
    assert "The 40 largest of 300 outputs." in page.text
    drawn = [word for word in page.words if re.fullmatch(r"o\d+o\d+|o\d+", word)]
    assert "o299" in drawn
