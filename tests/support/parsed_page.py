"""The page of the report, parsed strictly."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

from dicomzarr.stages.render_report import numbers

VOID = {"meta", "img", "br", "input"}


class Page(HTMLParser):
    """Parse a page strictly: every element is closed in order; collect what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.cells: list[list[str]] = []
        self.figures: list[tuple[str, str]] = []
        self.text = ""
        self._term = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        elif tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if "style" in self.open or "script" in self.open:
            return
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.cells[-1][-1] += data
        if self.open and self.open[-1] == "dt":
            self._term += data
        if self.open and self.open[-1] == "dd":
            self.figures.append((self._term.strip(), data))
            self._term = ""

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def plain(text: str) -> str:
    """Return a text with one space wherever it has some, or a thin one."""
    return " ".join(text.replace(numbers.THIN, " ").split())


def data_of(page: str) -> dict[str, Any]:
    """Return the data for the script, one mapping for each array under `arrays`."""
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL).group(1))
    columns = {
        name: [column["words"][at] for at in column["at"]] if isinstance(column, dict) else column
        for name, column in data["columns"].items()
    }
    data["arrays"] = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return data
