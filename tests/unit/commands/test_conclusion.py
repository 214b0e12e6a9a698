"""What a run names as its next steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reviewed_results import content, write_results

from dicomzarr.commands import conclusion
from dicomzarr.records import decisions

CONFIG = ["--configfile", "my.yaml"]
DONE: dict[str, Any] = {"status": 0, "complete": True, "outcomes": {"extracted": 5, "quarantined": 0}}


def steps(**content: Any) -> list[str]:
    return conclusion._next_step(DONE | content, CONFIG).split("; ")


def test_what_nobody_has_decided_is_a_next_step() -> None:
    report = "open the report: ./run report --configfile my.yaml"
    assert steps() == steps(text_undecided=0, faces_undecided=0) == [report]
    assert steps(text_undecided=1, faces_undecided=2) == [
        report,
        "decide about 1 image with text in the pixels: ./run review --configfile my.yaml",
        "decide whether 2 arrays that may show a face may stay: keys faces and faces_reason",
    ]


def test_images_with_text_count_until_somebody_has_decided(tmp_path: Path) -> None:
    results = write_results(tmp_path)
    found: dict[str, Any] = {"set_aside": [{"reason": "text_in_pixels"}]}
    assert conclusion._text_undecided(results, found) == 3
    assert conclusion._text_undecided(results, {"set_aside": [{"reason": "not_dicom"}]}) == 0
    decisions.change(decisions.path_in(results.private), {content(1): "set_aside", content(9): "keep"})
    assert conclusion._text_undecided(results, found) == 2
    decisions.path_in(results.private).write_text("damaged")
    assert conclusion._text_undecided(results, found) == 0
