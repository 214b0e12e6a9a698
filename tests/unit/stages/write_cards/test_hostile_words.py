"""Words of the configuration stay words in every card, whatever they hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from card_validators import FAULTS, citation_of, front_matter_of, offline
from made_up_tables import six_and_two, write_tables
from markdown_it import MarkdownIt

from dicomzarr.stages.write_cards.texts import markdown_of, quoted
from write_cards import write_cards

assert offline  # a fixture of every test here
LINES = [
    "a \"b\" 'c' \\d\\ `e`",
    "key: value # no comment",
    "---",
    "- item",
    "+ item",
    "1. item",
    "23) item",
    "===",
    "# heading",
    "> quote",
    "| a | b |",
    ":-: | :-:",
    "*b* _i_ __u__ ~~s~~ ^u^ {{ x }} ${y} $$z$$ @name",
    "<script>alert(1)</script><!-- x",
    "&lt;b&gt; &#60; &",
    "[a](javascript:alert(1)) ![b](https://example.org/x.png) [c]: https://example.org",
    "<https://example.org>",
    "!!python/object/apply:os.system [id]",
    "%YAML 1.1",
    "&anchor *alias",
    "yes",
    "null",
    "1.0",
    "0o14",
    "12:30:00",
    "2026-11-30",
    "~",
    "{a: b}",
    "[a, b]",
    "\u202eright to left\ufeff",
    "名前 \U0001f9e0 é",
    "x" * 300,
]
DESCRIPTION = "\n".join(LINES) + "\n\n---\ntitle: other\n---\n\n    code\n" + "y " * 5000


def text_of(tokens: list[Any]) -> str:
    """Return the text of inline tokens, which are nothing but text."""
    children = [child for token in tokens for child in token.children or []]
    assert {child.type for child in children} <= {"text", "softbreak", "text_special"}
    return " ".join("".join("\n" if c.type == "softbreak" else c.content for c in children).split())


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_line_is_the_same_text_in_yaml_and_markdown(line: str) -> None:
    assert front_matter_of(f"---\nkey: {quoted(line)}\n---\n") == {"key": line}
    for markdown in (markdown_of(line), f"before\n{markdown_of(line)}"):
        tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
        assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
        assert text_of([tokens[1]]).removeprefix("before ") == " ".join(line.split())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose every text of the configuration is hostile."""
    folder = write_tables(tmp_path_factory.mktemp("hostile") / "dataset", six_and_two())
    card = {
        "title": " ".join(LINES[:14])[:300],
        "description": DESCRIPTION,
        "license": "other",
        "authors": [{"name": line} for line in LINES[:-1] if "," not in line],
        "version": "1.0\" # '",
        "keywords": LINES[:-1],
    }
    write_cards(
        folder, [folder / "volumes.csv", folder / "masks.csv"], card, {}, {"burned_in": "keep", "reason": "---\n# x"}
    )
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.mark.parametrize("name", FAULTS)
def test_hostile_words_break_no_card(dataset: Path, name: str) -> None:
    assert FAULTS[name](dataset) == []


def test_hostile_words_stay_what_they_are(dataset: Path) -> None:
    card = json.loads((dataset / "card.json").read_text())
    text = (dataset / "DATASET_CARD.md").read_text("utf-8")
    front, citation = front_matter_of(text), citation_of((dataset / "CITATION.cff").read_text("utf-8"))
    assert front["pretty_name"] == citation["title"] == card["title"]
    assert front["tags"][: len(card["keywords"])] == citation["keywords"] == card["keywords"]
    assert citation["abstract"] == DESCRIPTION.strip() and citation["version"] == card["version"]
    assert [author["name"] for author in citation["authors"]] == [author["name"].strip() for author in card["authors"]]
    croissant = json.loads((dataset / "croissant.json").read_text("utf-8"))
    package = json.loads((dataset / "datapackage.json").read_text("utf-8"))
    assert croissant["name"] == package["title"] == card["title"]
    assert croissant["description"] == package["description"] == DESCRIPTION.strip()


def test_hostile_words_make_no_part_of_the_page(dataset: Path) -> None:
    body = (dataset / "DATASET_CARD.md").read_text("utf-8").split("\n---\n", 1)[1]
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body)
    starts = [number for number, token in enumerate(tokens) if token.type == "heading_open"]
    headings = [tokens[number + 1] for number in starts]
    card = json.loads((dataset / "card.json").read_text())
    assert text_of(headings[:1]) == " ".join(card["title"].split())
    sections = ["What is in it", "How it was made", "How to read it", "What is guaranteed, and what is not"]
    assert [heading.content for heading in headings[1:]] == [*sections, "Licence", "Citation"]
    described = tokens[starts[0] + 3 : starts[1]]
    assert {token.type for token in described} == {"paragraph_open", "inline", "paragraph_close"}
    assert text_of([token for token in described if token.type == "inline"]).replace(" ", "") == "".join(
        DESCRIPTION.split()
    )
    assert not [token for token in tokens if token.type.startswith("html")]
