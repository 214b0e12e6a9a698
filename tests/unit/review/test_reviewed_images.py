"""Which images wait for a decision: from records, pictures and decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reviewed_results import CT, SECRET, US, content, everything, outcome, write_picture, write_record, write_results

from dicomzarr.records import decisions
from dicomzarr.review import read_results, review_page, reviewed_images
from dicomzarr.review.reviewed_images import Box, Reviewed, SetAside
from dicomzarr.system.results_folder import Results


def record(**changes: Any) -> dict[str, Any]:
    text = {content(1): [[0, 10, 30, 24, 120, "strokes"]]}
    return {
        "series_id": CT,
        "file_rows": [outcome(1), outcome(9, ""), outcome(8, "duplicate")],
        "text": text,
        **changes,
    }


def test_files_with_the_reason_are_taken_from_a_record() -> None:
    box = Box(0, 10, 30, 24, 120, "strokes")
    assert list(reviewed_images.set_aside(record())) == [SetAside(CT, f"{SECRET}/1.dcm", content(1), (box,))]
    old = {name: value for name, value in record().items() if name != "text"}  # of an earlier version
    assert [file.boxes for file in reviewed_images.set_aside(old)] == [()]


@pytest.mark.parametrize(
    "changes",
    [
        {"series_id": "../../etc"},
        {"series_id": None},
        {"file_rows": [["a", [1], "../../key", "skipped", "text_in_pixels", "", None, None]]},
        {"file_rows": [["a"]]},
        {"text": {content(1): [[0, 1, 2, 3, "strokes"]]}},
        {"text": {content(1): [[0, 1, 2, 3, "<b>", "strokes"]]}},
        {"text": {content(1): [[0, 1, 2, 3, True, "strokes"]]}},
        {"text": {content(1): [[0, 1, 2, 3, 4, 5]]}},
        {"text": []},
    ],
)
def test_a_malformed_record_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        list(reviewed_images.set_aside(record(**changes)))


def test_what_found_a_box_is_a_plain_word_or_nothing() -> None:
    text = {content(1): [[0, 1, 2, 3, 4, f"{SECRET}<script>"]]}
    assert [file.boxes[0].by for file in reviewed_images.set_aside(record(text=text))] == [""]


def test_each_content_is_listed_once_with_its_decision_sorted() -> None:
    files = [SetAside(US, "u", content(3), ()), SetAside(US, "a", content(1), ()), SetAside(CT, "b", content(1), ())]
    images = reviewed_images.reviewed(files, {(US, content(1))}, {"u": "US", "a": SECRET}, {content(3): "keep"})
    assert images == (
        Reviewed(content(1), US, "OTHER", (), True, ""),  # the series that has a picture
        Reviewed(content(3), US, "US", (), False, "keep"),
    )
    assert reviewed_images.undecided(images) == 1
    assert (
        reviewed_images.reviewed(reversed(files), {(US, content(1))}, {"u": "US", "a": SECRET}, {content(3): "keep"})
        == images
    )


def test_everything_is_found_and_nothing_is_changed(tmp_path: Path) -> None:
    results = write_results(tmp_path)
    decisions.write(decisions.path_in(results.private), {content(1): "set_aside", content(7): "keep"})
    before = everything(tmp_path)
    there = read_results.read(results)
    assert everything(tmp_path) == before
    assert [(image.content, image.modality, image.has_picture, image.decision) for image in there.images] == [
        (content(1), "CT", True, "set_aside"),
        (content(2), "CT", False, ""),  # only files.csv and the record name it
        (content(3), "OTHER", True, ""),
    ]
    assert (there.elsewhere, there.damaged) == ({content(7): "keep"}, 0)


def test_what_is_damaged_missing_or_planted_hides_nothing_else(tmp_path: Path) -> None:
    results = write_results(tmp_path)
    results.series_record("extract_batch", CT).write_text("{}")
    for plan in results.plans.iterdir():
        plan.write_text("cut off")
    (results.plans / "index.json").write_text("{}")
    write_picture(results, "ccc0000000000003", content(1))  # a series without a record
    folder = results.private / "text"
    (folder / "ddd0000000000004").symlink_to("/etc")
    (folder / US / f"{content(4)}.jpg").symlink_to("/etc/passwd")
    (folder / "notes.txt").write_text(SECRET)
    there = read_results.read(results)
    assert [(image.content, image.modality) for image in there.images] == [(content(3), "")]
    assert there.damaged == 1


def test_a_picture_alone_leads_to_the_record_of_an_unfinished_run(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_record(results, CT, [outcome(1)], {})
    write_picture(results, CT, content(1))
    assert [image.content for image in read_results.read(results).images] == [content(1)]
    (results.private / "decisions.csv").write_text("content,decision\n")
    assert read_results.read(results).elsewhere == {}


def test_nothing_there_is_nothing_to_decide(tmp_path: Path) -> None:
    assert read_results.read(Results(tmp_path / "none")) == ((), {}, 0)


def test_places_in_words() -> None:
    boxes = [Box(-1, 5, 6, 17, 80, "strokes"), *(Box(frame, 1, 2, 3, 4, "") for frame in range(5))]
    assert review_page.places(boxes) == [
        "what does not move: rows 5 to 17, columns 6 to 80, by strokes",
        *(f"frame {frame}: rows 1 to 3, columns 2 to 4" for frame in (1, 2, 3)),
        "and 2 more",
    ]
    assert review_page.places([]) == ["no place is recorded"]


def test_the_page_escapes_what_it_is_given() -> None:
    page = review_page.render([Reviewed("<b>", "<i>", "<script>", (Box(0, 1, 2, 3, 4, "<u>"),), True, "")])
    assert not [tag for tag in ("<b>", "<i>", "<script>", "<u>") if tag in page]
