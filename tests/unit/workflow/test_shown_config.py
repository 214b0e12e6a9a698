"""What the dataset shows of the configuration: which keys, which words, and no path."""

from __future__ import annotations

import json
from typing import Any

from dicomzarr.workflow import settings, shown_config

CONFIG: dict[str, Any] = settings.with_defaults(
    {
        "source": "zyxsource",
        "results": "zyxresults",
        "labels": [
            {
                "file": "zyxa.csv",
                "by": "patient",
                "columns": {"dx": {"values": ["a", 3]}, "age": {"range": [0, 10]}},
            },
            {
                "file": "zyxb.csv",
                "by": "series",
                "columns": {"age": {"range": [-3, 7]}, "dx": {"values": ["b", "a"]}},
            },
            {"by": "folder", "folder": 2, "name": "site", "values": ["north"]},
        ],
        "splits": {"fractions": {"train": 1.0, "val": 0.0}, "seed": "s", "fixed": {"test": "zyxc.csv"}},
        "masks": {"names": {"liver": ["zyxpattern"]}, "expected": ["lung"]},
        "nnunet": {"dataset": "Dataset001_Liver", "labels": ["liver"]},
        "faces": "skip",
        "faces_reason": "consent",
    }
)


def test_settings_labels_and_splits_are_shown_and_no_path() -> None:
    shown = shown_config.settings(CONFIG)
    assert shown["labels"] == ["age", "dx", "site"]
    assert shown["splits"] == {"fractions": {"train": 1.0, "val": 0.0}, "seed": "s"}
    assert {"compression", "layout", "pictures"} <= shown.keys()
    assert not {"source", "results", "faces_reason"} & shown.keys()  # no face is kept, so no reason
    assert shown_config.settings(CONFIG | {"faces": "keep"})["faces_reason"] == "consent"
    assert "zyx" not in json.dumps([shown, shown_config.label_sources(CONFIG), shown_config.words(CONFIG)])


def test_what_a_label_may_be_is_what_any_of_its_sources_allows() -> None:
    allowed = shown_config.allowed_labels(shown_config.label_sources(CONFIG))
    assert allowed == {
        "dx": {"values": ["a", "3", "b"]},
        "age": {"range": [-3, 10]},
        "site": {"values": ["north"]},
    }


def test_words_of_the_dataset() -> None:
    words = ["3", "Dataset001_Liver", "a", "age", "b", "dx", "liver", "lung", "north", "site", "test", "train", "val"]
    assert shown_config.words(CONFIG) == words
    assert shown_config.words(settings.with_defaults({})) == []
