"""What a release rests on: one number in three files, a changelog that says what is rebuilt, a valid CITATION.cff."""

import re
import tomllib
from typing import Any

import jsonschema
import pytest
from card_validators import CITATION_SCHEMA, citation_of
from conftest import ROOT

SECTIONS = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M | re.S)
HEADING = re.compile(r"Unreleased — (\d+\.\d+\.\d+)|(\d+\.\d+\.\d+) — (\d{4}-\d\d-\d\d)")


@pytest.fixture
def citation() -> Any:
    return citation_of((ROOT / "CITATION.cff").read_text("utf-8"))


def test_the_number_of_the_version_is_the_same_everywhere(citation: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    heading = HEADING.fullmatch(SECTIONS[0][0])
    assert heading, SECTIONS[0][0]
    assert project["version"] == citation["version"] == (heading[1] or heading[2])
    assert citation.get("date-released") == heading[3]
    assert (citation["title"], citation["license"]) == (project["name"], project["license"])


def test_the_citation_is_valid(citation: Any) -> None:
    assert not [error.message for error in jsonschema.Draft202012Validator(CITATION_SCHEMA).iter_errors(citation)]
    assert citation["type"] == "software"


def test_each_version_says_what_is_rebuilt() -> None:
    assert SECTIONS
    for heading, text in SECTIONS:
        assert HEADING.fullmatch(heading), heading
        assert "**To rebuild:**" in text, heading
    assert not any(heading.startswith("Unreleased") for heading, _ in SECTIONS[1:])
