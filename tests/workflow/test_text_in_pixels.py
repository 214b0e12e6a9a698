"""`burned_in: scan` in the real workflow: images with text are set aside and decided about; nothing gets out."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from burned_in_text import TEXT, body, save_scan, with_text
from conftest import Launch, Run, Workflow, in_ci, leftovers
from dicoms import ct_slice, save
from folders import state_of_array_files
from from_scratch import digest_of_workflow

from dicomzarr.records import decisions
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages import verify_dataset
from dicomzarr.system.results_folder import Results

SCAN = {"burned_in": "scan", "burned_in_reason": ""}
ASIDE, EXTRACTED = ("skipped", "text_in_pixels"), ("extracted", "")


@pytest.fixture
def scanning(workflow: Workflow) -> Workflow:
    workflow.config = dict(SCAN)
    return workflow


def content_of(path: Path) -> str:
    return blake3(path.read_bytes()).hexdigest()


def table_of(workflow: Workflow) -> Path:
    return decisions.path_in(workflow.results / "private")


def from_scratch(workflow: Workflow) -> str:
    """Return the digest of a build from scratch with the decisions that there are."""
    return digest_of_workflow(workflow, decisions.read(table_of(workflow)))


def pictures(results: Path) -> set[str]:
    return {path.stem for path in results.glob("private/text/*/*.jpg")}


def outcomes(run: Run, name: str) -> dict[str, tuple[str, str]]:
    """Return the outcomes of the files of a folder of the source, by name."""
    return {Path(path).name: end for path, end in run.outcome().items() if path.startswith(f"{name}/")}


def test_an_image_with_text_is_decided_about_and_the_next_run_follows(scanning: Workflow, launch: Launch) -> None:
    one, *_ = save_scan(scanning.source / "chest", "chest", text=(0,))
    save_scan(scanning.source / "other", "other")
    content = content_of(one)
    first = scanning.run()
    aside = {"0.dcm": ASIDE, "1.dcm": EXTRACTED, "2.dcm": EXTRACTED}
    assert outcomes(first, "chest") == aside and pictures(first.results) == {content}
    assert {*outcomes(first, "other").values()} == {EXTRACTED}
    digest = first.sealed["digest"]
    assert digest == from_scratch(scanning) and scanning.run().nothing_to_do
    assert first.table("dataset/reports/policy.csv") == [
        {"policy": "burned_in", "kind": "text_in_pixels", "files": "1"}
    ]
    page = (first.results / "dataset/reports/report.html").read_text()
    assert "1 file not extracted because of text in the pixels" in page and "./run review" in page

    listed = json.loads(launch(scanning, "review", "--json", config=False).stdout)
    assert [(image["content"], image["modality"]) for image in listed["images"]] == [(content, "CT")]
    assert listed["images"][0]["boxes"] and (first.results / "private" / listed["images"][0]["picture"]).is_file()
    assert launch(scanning, "review", "--keep", content[:8], config=False).returncode == 0
    kept = scanning.run()
    assert {*kept.outcome().values()} == {EXTRACTED} and not pictures(kept.results)
    assert kept.extracted_series() == 1
    assert kept.sealed["digest"] == from_scratch(scanning) != digest
    assert scanning.run().nothing_to_do

    assert launch(scanning, "review", "--undo", content[:8], config=False).returncode == 0
    undone = scanning.run()
    assert outcomes(undone, "chest") == aside and pictures(undone.results) == {content}
    assert undone.extracted_series() == 1 and undone.sealed["digest"] == digest

    clean = content_of(scanning.source / "other" / "1.dcm")
    decisions.change(table_of(scanning), {clean: "set_aside"})
    fewer = scanning.run()
    assert outcomes(fewer, "other")["1.dcm"] == ASIDE and pictures(fewer.results) == {content, clean}
    assert fewer.sealed["digest"] == from_scratch(scanning)


def test_files_that_come_and_go_give_the_dataset_of_a_run_from_scratch(scanning: Workflow) -> None:
    save_scan(scanning.source / "chest", "chest", slices=2)
    save_scan(scanning.source / "other", "other")
    first = scanning.run()
    before = state_of_array_files(first.results)
    assert not pictures(first.results)
    added = save(ct_slice("chest", 2, pixels=with_text(body(2))), scanning.source / "chest" / "2.dcm")
    copy = shutil.copy(added, scanning.source / "chest" / "copy.dcm")
    more = scanning.run()
    assert outcomes(more, "chest") == {"0.dcm": EXTRACTED, "1.dcm": EXTRACTED, "2.dcm": ASIDE, "copy.dcm": ASIDE}
    assert pictures(more.results) == {content_of(added)}
    assert more.sealed["digest"] == from_scratch(scanning)
    assert (
        more.extracted_series() == 1 and len(state_of_array_files(more.results).items() & before.items()) >= 3
    )  # the other series
    added.rename(added.with_name("renamed.dcm"))
    assert outcomes(scanning.run(), "chest")["renamed.dcm"] == ASIDE
    (scanning.source / "chest" / "renamed.dcm").unlink()
    Path(copy).unlink()
    assert scanning.run().sealed["digest"] == first.sealed["digest"] and not pictures(first.results)
    save_scan(scanning.source / "other", "other", text=(1,))
    assert len(pictures(scanning.run().results)) == 1
    shutil.rmtree(scanning.source / "other")
    last = scanning.run(confirm_drop=True)
    assert not pictures(last.results) and not list(last.results.glob("private/text/*"))
    assert last.sealed["digest"] == from_scratch(scanning)


def test_a_palette_hides_no_text(scanning: Workflow) -> None:
    """A grey image is shown in grey whatever palette it carries; of a palette image the indices are stored."""
    ramp = np.arange(256)

    def write(name: str, table: np.ndarray, first: int, pixels: np.ndarray, **attributes: object) -> None:
        tables: dict[str, object] = {}
        for colour in ("Red", "Green", "Blue"):
            tables[f"{colour}PaletteColorLookupTableDescriptor"] = [256, first, 16]
            tables[f"{colour}PaletteColorLookupTableData"] = (table * 257).astype("<u2").tobytes()
        image = ct_slice(name, 0, pixels=pixels, **tables, **attributes)
        save(image, scanning.source / "images" / name)

    write("above", ramp, 4000, with_text(body(0)), PixelPresentation="COLOR")  # a supplemental palette
    write("below", ramp[::-1], -5000, with_text(body(0)))
    write("clean", ramp, 4000, body(0))
    text = with_text(np.zeros_like(body(0))) > 0
    indices = np.clip(body(0) // 30, 0, 15).astype("u1")
    depth = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    for name, values in (("hidden", np.where(text, 255, indices)), ("plain", indices)):
        table = np.where(ramp < 16, ramp * 16, 0)
        stored = {**depth, "PixelData": values.astype("u1").tobytes(), "PhotometricInterpretation": "PALETTE COLOR"}
        write(name, table, 0, body(0), **stored)
    run = scanning.run()
    aside = {"above": ASIDE, "below": ASIDE, "hidden": ASIDE}
    assert outcomes(run, "images") == {**aside, "clean": EXTRACTED, "plain": EXTRACTED}
    assert pictures(run.results) == {content_of(scanning.source / "images" / name) for name in aside}


def test_of_several_frames_one_with_text_sets_the_file_aside(scanning: Workflow) -> None:
    def write(name: str, frames: list[np.ndarray], **attributes: object) -> Path:
        data = np.stack(frames)
        attributes = {"NumberOfFrames": len(frames), "PixelData": data.tobytes(), **attributes}
        return save(ct_slice(name, 0, pixels=frames[0], **attributes), scanning.source / name / "a.dcm")

    clean = [body(index) for index in range(4)]
    write("clean", clean)
    one = write("one", [*clean[:2], with_text(clean[2]), clean[3]])
    still = write("still", [with_text(frame) for frame in clean])
    first = scanning.run()
    ends = {name: outcomes(first, name)["a.dcm"] for name in ("clean", "one", "still")}
    assert ends == {"clean": EXTRACTED, "one": ASIDE, "still": ASIDE}
    assert pictures(first.results) == {content_of(one), content_of(still)}
    records = map(SeriesRecord.load, first.results.glob("private/records/extract_batch/*/*.json"))
    places = {content: {row[0] for row in rows} for record in records for content, rows in record.text.items()}
    assert 2 in places[content_of(one)]  # what one frame shows brightest is also in the largest values of all
    assert first.sealed["digest"] == from_scratch(scanning)


@pytest.mark.parametrize(("call", "when"), in_ci(1, [("rename", "1"), ("rename", "2")]))
def test_a_kill_between_the_pictures_and_the_record_loses_nothing(
    scanning: Workflow, shim: Path, call: str, when: str
) -> None:
    (one,) = [path for path in save_scan(scanning.source / "chest", "chest", text=(1,)) if path.stem == "1"]
    scanning.forks = None  # the library is loaded by each process
    scanning.config["results"] = str(scanning.results)
    scanning.write_config()
    counter = scanning.folder / "count"
    counter.write_bytes(bytes(8))
    faults = {"LD_PRELOAD": str(shim), "FAULT_COUNT": str(counter), "FAULT_CALL": call, "FAULT_AT": "1"}
    below = {"FAULT_BELOW": str(scanning.results / "private/text/"), "FAULT_KILL": when}
    assert scanning.snakemake("--cores", "2", **faults, **below).returncode == -9
    assert pictures(scanning.results) == ({content_of(one)} if when == "2" else set())
    assert not list(scanning.results.glob("private/records/extract_batch/*/*.json"))
    run = scanning.run()
    assert outcomes(run, "chest")["1.dcm"] == ASIDE and pictures(run.results) == {content_of(one)}
    assert run.sealed["digest"] == from_scratch(scanning)
    assert verify_dataset.verify(Results(run.results)).good and not leftovers(run.results)
    assert scanning.run().nothing_to_do


def test_places_pictures_and_decisions_stay_in_private(scanning: Workflow, launch: Launch) -> None:
    one, two, _ = save_scan(scanning.source / "chest", "chest", text=(0, 1))
    scanning.run()
    decisions.change(table_of(scanning), {content_of(two): "keep"})
    run = scanning.run()
    picture = next(run.results.glob("private/text/*/*.jpg"))
    record = SeriesRecord.load(next(run.results.glob("private/records/extract_batch/*/*.json")))
    ((place, *_),) = record.text.values()
    private = [f"[{','.join(map(str, place[1:5]))}", content_of(one), content_of(two), TEXT]
    for text in private:
        found = files_with(scanning.folder, text.encode())
        assert all("private" in path.parts or path.parts[0] == "source" for path in found), (text, found)
    assert files_with(scanning.folder, picture.read_bytes()[-64:]) == [picture.relative_to(scanning.folder)]
    for path in (picture, table_of(scanning)):
        assert path.stat().st_mode & 0o077 == 0
    line = json.loads(next((run.results / "dataset/provenance/extract_batch").glob("*.jsonl")).read_text())
    assert line["looked"]["frames"] == 2 and {*line["looked"]} == {
        "detector", "code", "thresholds", "allow_short", "frames",
    }  # fmt: skip
    array = run.table("dataset/volumes.csv")[0]["array"]
    said = launch(scanning, "explain", array, config=False).stdout
    assert "Searched for text" in said and "text_in_pixels" in said
    said = launch(scanning, "files", "--reason", "text_in_pixels", config=False).stdout
    assert said == f"chest/{one.name}\n"


def files_with(folder: Path, text: bytes) -> list[Path]:
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path.relative_to(folder) for path in paths if text in path.read_bytes() or os.fsencode(path.name) == text]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("content\n", "line 1, needed are the columns"),
        ("content,decision\nMILLER,keep\n", "line 2, column content"),
        (f"content,decision\n{'0' * 64},MILLER\n", "line 2, column decision"),
        (f"content,decision\n{'0' * 64},keep\n{'0' * 64},set_aside\n", "line 3, column decision"),
    ],
)
def test_a_table_of_decisions_with_a_mistake_ends_the_run_before_it_begins(
    scanning: Workflow, table: str, says: str
) -> None:
    save_scan(scanning.source / "chest", "chest", slices=1)
    table_of(scanning).parent.mkdir(parents=True)
    table_of(scanning).write_text(table)
    run = scanning.run(ok=False)
    assert run.process.returncode == 1 and f"Error: private/decisions.csv, {says}" in run.output
    assert "MILLER" not in run.output and "Traceback" not in run.output
    assert not (run.results / "dataset").exists()
    table_of(scanning).unlink()
    assert {*scanning.run().outcome().values()} == {EXTRACTED}


def test_the_decisions_alone_need_no_text_to_be_found(workflow: Workflow) -> None:
    paths = save_scan(workflow.source / "chest", "chest")
    digest = workflow.run(**SCAN).sealed["digest"]
    decisions.change(table_of(workflow), {content_of(paths[0]): "set_aside"})
    aside = workflow.run(**SCAN)
    assert sorted(aside.outcome().values()) == [EXTRACTED, EXTRACTED, ASIDE]
    assert workflow.run(**SCAN).nothing_to_do
    decisions.change(table_of(workflow), {content_of(paths[0]): "keep"})
    kept = workflow.run(**SCAN)
    assert kept.sealed["digest"] == digest and not pictures(kept.results)


def test_a_series_of_which_nothing_is_left_has_no_array(scanning: Workflow) -> None:
    paths = save_scan(scanning.source / "chest", "chest", slices=2, text=(0, 1))
    save_scan(scanning.source / "other", "other", slices=2)
    run = scanning.run()
    assert {*outcomes(run, "chest").values()} == {ASIDE} and len(run.table("dataset/volumes.csv")) == 1
    assert pictures(run.results) == {content_of(path) for path in paths}
    assert scanning.run().nothing_to_do
