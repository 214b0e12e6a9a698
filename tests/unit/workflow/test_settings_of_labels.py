"""The config keys `labels` and `splits`: what is wrong is named, with what is allowed."""

from __future__ import annotations

from typing import Any

import pytest
from label_sources import KINDS

from dicomzarr.vocabulary.errors import ConfigProblem
from dicomzarr.workflow import settings

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"labels": [{"by": "patient"}]}, "'labels.0': found neither 'file' nor 'folder'; needed are file, by, key and"),
    ({"labels": [{"folder": 1}]}, "'labels.0.name' is missing"),
    (
        {"labels": [{"file": "a", "by": "path", "key": "i", "columns": {}}]},
        "'labels.0.columns': found an empty mapping, allowed is a mapping from the names of labels",
    ),
    ({"labels": [{"file": "a", "by": "patient", "columns": {"x": KINDS}}]}, "'labels.0.key' is missing"),
    ({"labels": [{"file": "a", "by": "name", "key": "i", "columns": {"x": KINDS}}]}, "'labels.0.by'"),
    (
        {"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"x": {}}}]},
        "found neither 'values' nor 'range', needed",
    ),
    (
        {"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"x": KINDS | {"range": [0, 1]}}}]},
        "found both 'values' and 'range', needed is one of them",
    ),
    (
        {"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"Bad name": KINDS}}]},
        "found the name 'Bad name' (text)",
    ),
    ({"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"x": {"range": [2, 1]}}}]}, "range"),
    ({"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"x": {"values": ["a\nb"]}}}]}, "values"),
    ({"labels": [{"folder": 1, "name": "x", "values": [True]}]}, "in quotes"),  # YAML's yes
    ({"labels": [{"folder": 0, "name": "x", "values": ["a"]}]}, "'labels.0.folder'"),
    ({"labels": [{"folder": 1, "name": "x", "values": ["a", 1, "a"]}]}, "found 'a' (text) twice, allowed is a list of"),
    ({"labels": [{"folder": 1, "name": "x", "values": []}]}, "found a list of 0 entries, allowed is a list of 1 to"),
    ({"labels": [{"folder": 1, "name": "x", "values": ["groß"]}]}, "a word of up to 64 letters (a to z, A to Z)"),
    (
        {"labels": [{"folder": 1, "name": "x", "values": ["a"], "key": "y"}]},
        "'labels.0.key' is not possible with 'folder'",
    ),
    ({"splits": {"fractions": {"train": 0.5, "val": 0.4}}}, "add up to 0.9, needed is 1"),
    ({"splits": {"fractions": {"train": float("nan")}}}, "needed is a number"),
    ({"splits": None}, "'splits': found nothing, allowed is a mapping with fractions, seed, fixed"),
    ({"splits": {"seed": 3}}, "'splits.fractions' is missing"),
    (
        {"splits": {"fixed": {"test": "t.csv"}}},
        "or beside lists {unlisted: 1}",
    ),
    ({"splits": {"kfold": 5}}, "'splits.kfold' is not known; known keys: fixed, fractions, seed"),
    ({"splits": {"fractions": {"train": 1.0}, "stratify": "sex"}}, "'splits.stratify'"),
    ({"splits": {"fractions": {"train": 2}}}, "'splits.fractions.train'"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_a_wrong_configuration_is_refused(change: dict[str, Any], words: str) -> None:
    import yaml
    from conftest import ROOT

    defaults = yaml.safe_load((ROOT / "config.yaml").read_text())
    with pytest.raises(ConfigProblem, match="config key") as caught:
        settings.check_keys(defaults | change)
    assert words in str(caught.value)
