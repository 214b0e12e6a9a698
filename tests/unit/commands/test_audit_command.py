"""The page of `./run audit` on a dataset made without Snakemake: what it states, and that it changes nothing."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import CHROMIUM, chromium, patient
from conftest import ROOT

from dicomzarr.commands.audit import command as audit
from dicomzarr.commands.audit import facts as audit_facts
from dicomzarr.commands.audit import page as audit_page
from dicomzarr.commands.launcher.json_forms import FORMS
from dicomzarr.privacy import scanner
from dicomzarr.privacy.identifiers import IDENTIFIERS, IdentifierFile, identifiers_of
from dicomzarr.stages import check_privacy
from dicomzarr.system import csv_tables
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.attributes import OF_IMAGES, OF_MASKS
from dicomzarr.vocabulary.errors import ConfigProblem


def row(number: int, **cells: str) -> str:
    fixed = {"array": f"{number:016x}/{number:08x}", "subject_id": f"{number:016x}", "modality": "CT"} | cells
    return csv_tables.line([fixed.get(name, "") for name in csv_tables.VOLUMES])


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folders = Results(tmp_path / "results")
    (folders.private / "cache").mkdir(parents=True)
    identifiers = IdentifierFile(folders.private / "cache" / IDENTIFIERS, "code")
    identifiers.add([*identifiers_of("PN", b"Zyxwolf^Canaria")])
    identifiers.save()
    group = folders.images / "0123456789abcdef" / "01234567"
    group.mkdir(parents=True)
    attributes = {"dicomzarr": {"modality": "CT", "window": [40.0, 400.0]}, "ome": {"version": "0.5"}}
    (group / "zarr.json").write_text(json.dumps({"node_type": "group", "attributes": attributes}))
    (folders.images / "0123456789abcdef" / "zarr.json").write_text('{"node_type": "group", "attributes": {}}')
    (folders.images / "zarr.json").write_text('{"node_type": "group", "attributes": {}}')
    rows = [
        row(
            n,
            flags="face_by_geometry face_risk" if n < 1 else "face_risk gap" if n < 3 else "",
            modality="MR" if n < 2 else "CT",
        )
        for n in range(8)
    ]
    (folders.dataset / "volumes.csv").write_text(csv_tables.line(csv_tables.VOLUMES) + "".join(rows))
    (folders.dataset / "reports").mkdir()
    (folders.dataset / "reports/policy.csv").write_text("policy,kind,files\nburned_in,ultrasound,12\n")
    check_privacy.check_privacy(folders, tmp_path, "standard", "code")
    folders.sealed.write_text(json.dumps({"seal": "5ea1" * 16, "config": {"burned_in": "skip"}}))
    return folders


def page(results: Results) -> str:
    return (results.private / audit.PAGE).read_text()


def test_what_the_page_states(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in results.dataset.rglob("*") if path.is_file()}
    assert audit.run_audit(["--results", str(results.root)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(results.private / audit.PAGE)
    text = re.sub(r"\s+", " ", page(results))
    for words in (
        "8 image arrays of 8 subjects", "5ea1" * 16, "12 images that may have text", "12 ultrasound, where the scanner",
        "3 arrays of 3 subjects are flagged", "1 group of fewer than 5 subjects", '<th scope="row">modality</th><td>MR',
        "2 by what headers state and 1 by modality and field of view", "no reason is recorded", "Linkage.",
        "<code>[40.0, 400.0]</code>", "Columns of reports/policy.csv",
        "./run audit --needles names.txt --dataset FOLDER", "Voxels were not searched",
    ):  # fmt: skip
        assert words in text, words
    assert text.count(">found</span>") == 29 and ">missed<" not in text
    for absent in ("<script", "http://", "https://", "src=", "zyxwolf", str(results.root)):
        assert absent not in text.lower()
    assert "prefers-color-scheme: dark" in text and "@media print" in text
    assert oct((results.private / audit.PAGE).stat().st_mode)[-3:] == "600"
    first = page(results)
    assert audit.run_audit(["--results", str(results.root)]) == 0 and page(results) == first
    assert before == {path: path.read_bytes() for path in results.dataset.rglob("*") if path.is_file()}


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: the page is not seen by a browser")
def test_the_page_fits_a_phone_and_its_parts_have_names_of_their_own(results: Results) -> None:
    assert audit.run_audit(["--results", str(results.root)]) == 0
    with chromium() as browser:
        page = patient(browser.new_page(viewport={"width": 320, "height": 800}, bypass_csp=True))
        page.goto((results.private / audit.PAGE).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_what_is_not_on_the_list_is_marked(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    attributes = {"dicomzarr": {"physician": "somebody"}, "other": 1}
    path = results.images / "0123456789abcdef" / "01234567" / "zarr.json"
    path.write_text(json.dumps({"node_type": "group", "attributes": attributes}))
    (results.dataset / "note.csv").write_text("remark\nx\n")
    assert audit.run_audit(["--results", str(results.root), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["unlisted"] == ["images: other", "images: physician", "note.csv: remark"]
    assert answer["values"] > 0 and (answer["face_risk"], answer["burned_in_skipped"], answer["small_groups"]) == (
        3,
        12,
        1,
    )
    assert "3 are not on the list" in page(results)
    documented = [name.split("[")[0] for name, _ in FORMS["audit"]]
    assert [*answer] == sorted(documented[: documented.index("found")])


def test_who_looked_for_text_in_pixels(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    lines = results.dataset / "provenance/extract_batch"
    lines.mkdir(parents=True)
    looked = [{"detector": "1-ab-cd", "frames": 40}, {"detector": "1-ab-cd", "frames": 2}, None]
    (lines / "01.jsonl").write_text("".join(json.dumps({"looked": each} if each else {}) + "\n" for each in looked))
    results.sealed.write_text(json.dumps({"seal": "5ea1" * 16, "config": {"burned_in": "scan"}}))
    audit.run_audit(["--results", str(results.root), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (answer["frames_looked"], answer["detectors"]) == (42, ["1-ab-cd"])
    text = re.sub(r"\s+", " ", page(results))
    assert "42 frames were looked at, by detector <code>1-ab-cd</code>" in text
    assert "Text in pixels that the detector misses" in text and "pixels are not read" not in text


def test_a_control_that_fails_or_a_lost_record_is_no_success(
    results: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.move(results.private / "cache", results.private / "elsewhere")
    assert audit.run_audit(["--results", str(results.root)]) == 1
    assert "is lost" in page(results)
    shutil.move(results.private / "elsewhere", results.private / "cache")
    monkeypatch.setattr(scanner, "inflated", lambda *_: iter(()))
    assert audit.run_audit(["--results", str(results.root)]) == 1
    assert ">missed</span>" in page(results)
    results.sealed.unlink()
    assert audit.run_audit(["--results", str(results.root)]) == 1
    assert "finished dataset" in capsys.readouterr().err


def test_texts_of_the_configuration_are_escaped(results: Results) -> None:
    facts = audit_facts.gather(results, 5, audit._control(frozenset()))
    text = audit_page.render(replace(facts, burned_in="keep", burned_in_reason="<script>alert(1)</script>"))
    assert "&lt;script&gt;" in text and "<script>" not in text


def test_the_policy_on_faces(results: Results) -> None:
    config = {"burned_in": "skip", "faces": "keep", "faces_reason": "consent"}
    results.sealed.write_text(json.dumps({"seal": "5ea1" * 16, "config": config}))
    control = audit._control(frozenset())
    assert "agreed to it (<code>consent</code>)" in audit_page.render(audit_facts.gather(results, 5, control))
    results.sealed.write_text(json.dumps({"seal": "5ea1" * 16, "config": {"burned_in": "skip", "faces": "skip"}}))
    (results.dataset / "reports/policy.csv").write_text("policy,kind,files\nfaces,geometry,4\nfaces,header,3\n")
    text = audit_page.render(audit_facts.gather(results, 5, control))
    assert "7 images of series that may show a face are not in it" in text and "Why they were kept" not in text


def test_small_groups_are_those_of_the_command_line(results: Results) -> None:
    arguments = ["--results", str(results.root), "--config", "small_cells="]
    pages = []
    for size in ("1", "7"):
        assert audit.run_audit([*arguments[:-1], arguments[-1] + size]) == 0
        pages.append((results.private / audit.PAGE).read_text())
    assert "fewer than 7" in pages[1] and "fewer than 7" not in pages[0]
    assert "They were not looked for" in pages[0] and "fewer than 1" not in pages[0]  # true of every dataset
    with pytest.raises(ConfigProblem, match="'small_cells': found 'few'"):
        audit.run_audit([*arguments[:-1], arguments[-1] + "few"])


def table_after(words: str) -> set[str]:
    """Return the names in the first column of the first table after some words of docs/outputs.md."""
    page = (ROOT / "docs" / "outputs.md").read_text()
    rows = re.search(r"\n\|.*?\n\|[-|]+\n((?:\|.*\n)+)", page[page.index(words) :])
    assert rows
    return {name for line in rows[1].splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_the_list_is_that_of_the_documentation() -> None:
    assert table_after("**`dicomzarr`.**") == {*OF_IMAGES}
    assert table_after("**`labels/`.**") == {*OF_MASKS}
