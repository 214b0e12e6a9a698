"""The words of the table at the end of a run."""

from __future__ import annotations

from typing import Any

from dicomzarr.commands.run import summary
from dicomzarr.stages.render_report.findings import findings
from dicomzarr.stages.render_report.masks import MaskFiles, Masks
from dicomzarr.stages.render_report.tables import Tables
from dicomzarr.terminal.screen import Screen
from dicomzarr.vocabulary.flags import MASK_FILE_FLAGS

OUTCOMES = {"extracted": 0, "skipped": 0, "quarantined": 3, "ignored": 0}
FOUND = {"found": 3, "outcomes": OUTCOMES, "arrays": 0, "masks": 0, "bytes_in": 0, "bytes_out": 0, "set_aside": []}


def differences(*changed: str) -> dict[str, Any]:
    volumes: dict[str, Any] = {"added": [], "grown": {}, "retired": [], "rewritten": 0}
    volumes["changed"] = {f"{i}/a": {column: ["old", "new"]} for i, column in enumerate(changed)}
    return {"volumes": volumes, "counts": {}, "config": {"splits": [{}, {"seed": 1}]}, "software": {}}


def test_arrays_with_another_label_are_told_from_arrays_with_other_pixels() -> None:
    labels = summary.changes_in_short(differences("split", "label_a"))
    assert summary.in_words(labels) == "2 arrays changed in volumes.csv, with the same pixels, other configuration"
    pixels = summary.changes_in_short(differences("split", "pixel_digest"))
    assert (pixels["changed"], pixels["changed_pixels"]) == (2, 1)
    assert summary.in_words(pixels) == "2 arrays changed, other configuration"


def test_each_reason_of_masks_that_lie_on_no_image_is_told() -> None:
    masks = Masks(files=tuple(MaskFiles("SEG", "not_placed", reason, 2) for reason in MASK_FILE_FLAGS))
    titles = [finding.title for finding in findings(Tables((), ()), masks)]
    found = [{"title": title, "level": "warn"} for title in titles]
    lines = [line for line in summary.lines(FOUND | {"findings": found[:5]}, Screen()) if "mask on an image" in line]
    assert len(titles) > 2 and len(set(lines)) == len(titles[:5])


def test_each_reason_of_quarantine_is_told() -> None:
    titles = ["1 file quarantined: the file ends inside its header", "2 files quarantined: no pixels, and a hint"]
    found = [{"title": title, "level": "warn"} for title in (*titles, "3 arrays have a gap: see below")]
    lines = summary.lines(FOUND | {"findings": found}, Screen())
    texts = [line.removeprefix("attention").strip() for line in lines if "quarantined:" in line or "a gap" in line]
    assert texts == [titles[0], "2 files quarantined: no pixels", "3 arrays have a gap"]
