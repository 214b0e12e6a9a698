"""What a run names as its next steps."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from reviewed_results import content, write_results

from dicomzarr.commands.run import conclusion, summary
from dicomzarr.records import decisions
from dicomzarr.system.results_folder import Results
from dicomzarr.terminal.screen import Screen

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


def test_a_seal_that_failed_is_not_complete(tmp_path: Path) -> None:
    failed = {"failed": [{"rule": "seal_dataset", "batch": "", "log": ""}]}
    shown = conclusion.Conclusion(Results(tmp_path), failed, tmp_path).content(1, CONFIG)
    assert {"rule": "seal_dataset"} in shown["incomplete"]


def test_the_rest_is_built_without_what_ended_the_run(tmp_path: Path) -> None:
    """That is --until, or a target such as `all_checked`."""
    shown = conclusion.Conclusion(Results(tmp_path), {"planned": 1}, tmp_path).content(0, CONFIG)
    assert not shown["complete"] and shown["next"].startswith(
        "start it without --until, and without the name of a rule"
    )


@pytest.mark.parametrize(
    ("was_sealed", "changes"),
    [(False, "the first build"), (True, "not known, since no earlier ./run ended with 0")],
)
def test_a_build_without_a_copy_of_the_one_before_is_the_first_only_if_there_was_none(
    tmp_path: Path, was_sealed: bool, changes: str
) -> None:
    """Plain `snakemake` makes no copy for comparison."""
    end = conclusion.Conclusion(Results(tmp_path), {"planned": 1, "was_sealed": was_sealed}, tmp_path)
    end.is_new_build = True
    end.dataset = {"found": 1, "outcomes": dict.fromkeys(summary.OUTCOMES, 1), "set_aside": [], "findings": []}
    end.dataset |= {"arrays": 1, "masks": 0, "bytes_in": 1, "bytes_out": 1}
    facts = end.content(0, CONFIG)
    assert facts["is_first_build"] is not was_sealed
    text = "\n".join(end.lines(facts, Screen.of(io.StringIO())))
    assert f"changes       {changes}" in text


def test_images_with_text_count_until_somebody_has_decided(tmp_path: Path) -> None:
    results = write_results(tmp_path)
    found: dict[str, Any] = {"set_aside": [{"reason": "text_in_pixels"}]}
    assert conclusion._text_undecided(results, found) == 3
    assert conclusion._text_undecided(results, {"set_aside": [{"reason": "not_dicom"}]}) == 0
    decisions.change(decisions.path_in(results.private), {content(1): "set_aside", content(9): "keep"})
    assert conclusion._text_undecided(results, found) == 2
    decisions.path_in(results.private).write_text("damaged")
    assert conclusion._text_undecided(results, found) == 0
