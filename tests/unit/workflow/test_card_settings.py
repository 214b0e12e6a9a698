"""The config key `card`: a wrong value is refused with its key, what was found and what is needed."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import yaml

from dicomzarr.vocabulary.errors import ConfigProblem
from dicomzarr.workflow import settings
from dicomzarr.workflow.card_settings import check_card

WOLF = {"name": "Wolf, Anna", "orcid": "0000-0002-1825-0097"}
RIGHT: list[dict[str, Any]] = [
    {},
    {"license": "CC-BY-4.0"},
    {"license": "other", "license_url": "https://example.org/licence#1"},
    {"authors": [WOLF, {"name": "Liver Group"}, {"name": "Wolf,", "affiliation": "Example"}]},
    {"authors": [{"name": "Wolf, Anna", "orcid": "0000-0002-1694-233X"}]},
    {"description": "two\n\nlines\tand --- <b> \U0001f9e0"},
    {"doi": "10.5281/zenodo.123456", "url": "http://example.org/a?b=c&d"},
]
WRONG: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"titel": "x"}, ("'card.titel' is not known", "did you mean 'title'")),
    ({"title": 5}, ("'card.title'", "found 5", "a line of up to 300 characters")),
    ({"title": "x" * 301}, ("'card.title'", "text of 301 characters", "up to 300")),
    ({"title": "two\nlines"}, ("'card.title'", r"'\n'", "line breaks are not allowed")),
    ({"title": "  "}, ("'card.title'", "found only spaces")),
    ({"description": "x" * 20001}, ("'card.description'", "20,000")),
    ({"description": "bell\x07"}, ("'card.description'", r"'\x07'")),
    ({"description": "half \ud83d"}, ("'card.description'", "not allowed")),
    ({"license": "CC-BY-4"}, ("'card.license'", "'CC-BY-4'", "did you mean 'CC-BY-4.0'")),
    ({"license": "cc-by-4.0"}, ("'card.license'", "did you mean 'CC-BY-4.0'")),
    ({"license": "MIT OR Apache-2.0"}, ("'card.license'", "an SPDX identifier")),
    ({"license": "ours"}, ("'card.license'", "or other", "https://spdx.org/licenses")),
    ({"license": "other"}, ("'card.license_url' is missing",)),
    ({"license_url": "https://example.org"}, ("'card.license' is missing",)),
    ({"license": "other", "license_url": "LICENSE"}, ("'card.license_url'", "https://")),
    ({"url": "https://example.org/a b"}, ("'card.url'", "an address")),
    ({"url": "javascript:alert(1)"}, ("'card.url'", "an address")),
    ({"url": 'https://example.org/">'}, ("'card.url'", "an address")),
    ({"doi": "https://doi.org/10.5281/x"}, ("'card.doi'", "without https://doi.org/")),
    ({"version": 1.0}, ("'card.version'", "found 1.0", "in quotes")),
    ({"date_released": "30.11.2026"}, ("'card.date_released'", "2026-11-30")),
    ({"date_released": "2026-11-31"}, ("'card.date_released'", "a day of the calendar")),
    ({"authors": "Wolf, Anna"}, ("'card.authors'", "a list of authors")),
    ({"authors": ["Wolf, Anna"]}, ("'card.authors.0'", "a mapping with a name")),
    ({"authors": [{"orcid": "0000-0002-1825-0097"}]}, ("'card.authors.0.name' is missing",)),
    ({"authors": [WOLF | {"orcid": "0000-0002-1825-0079"}]}, ("'card.authors.0.orcid'", "last digit does not match")),
    ({"authors": [WOLF | {"orcid": "https://orcid.org/0000-0002-1825-0097"}]}, ("'card.authors.0.orcid'", "16 digits")),
    ({"authors": [WOLF | {"name": "Anna Wolf"}]}, ("'card.authors.0.name'", "Family, Given")),
    ({"authors": [{"name": ", Anna"}]}, ("'card.authors.0.name'", "no family name")),
    ({"keywords": ["a", "a"]}, ("'card.keywords'", "different keywords")),
    ({"keywords": "a"}, ("'card.keywords'", "a list")),
    ({"task_categories": ["segmentation"]}, ("'card.task_categories.0'", "image-segmentation")),
]


def checked(card: Any) -> None:
    settings.check_keys(settings.with_defaults({"source": "s", "results": "r", "card": card}))


@pytest.mark.parametrize("card", RIGHT)
def test_a_right_card_is_accepted(card: dict[str, Any]) -> None:
    checked(card)


@pytest.mark.parametrize(("card", "texts"), WRONG, ids=[texts[0] for _, texts in WRONG])
def test_a_wrong_card_is_refused(card: dict[str, Any], texts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigProblem) as caught:
        checked(card)
    assert all(text in str(caught.value) for text in texts), caught.value
    assert len(str(caught.value)) < 1000


def test_a_date_without_quotes_is_a_date() -> None:
    card = yaml.safe_load("{date_released: 2026-11-30}")
    assert card["date_released"] == datetime.date(2026, 11, 30)
    assert settings.with_defaults({"source": "s", "card": card})["card"] == {"date_released": "2026-11-30"}


def test_the_example_in_the_configuration_is_right() -> None:
    text = settings.DEFAULTS.read_text("utf-8").split("#   card:\n")[1].split("card: {}")[0]
    lines = [line.removeprefix("#     ") for line in text.split("\n")]
    card = settings.with_defaults({"card": yaml.safe_load("\n".join(lines))})["card"]
    assert {"title", "license", "authors", "doi", "date_released"} <= set(card)
    check_card(card)
