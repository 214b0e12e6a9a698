"""The cards: valid by the validators of their formats, which find a planted fault in each of them."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from card_validators import FAULTS, citation_of, front_matter_of, offline, read_croissant
from made_up_tables import LABELS, SPLITS, Row, six_and_two, write_tables

from dicomzarr.stages.write_cards import columns
from dicomzarr.stages.write_cards.front_matter import size_category
from dicomzarr.system import csv_tables
from dicomzarr.vocabulary.faces import FACES_REASONS
from write_cards import write_cards

assert offline  # a fixture of every test here
CARD: dict[str, Any] = {
    "title": "Livers",
    "description": "CT of the liver.",
    "license": "CC-BY-4.0",
    "authors": [
        {"name": "Wolf, Anna", "orcid": "0000-0002-1825-0097", "affiliation": "Example Institute"},
        {"name": "Liver Group"},
    ],
    "version": "1.0.0",
    "url": "https://example.org/liver",
    "doi": "10.5281/zenodo.123456",
    "keywords": ["liver", "tumour"],
    "date_released": "2026-11-30",
    "task_categories": ["image-segmentation"],
}


def write(dataset: Path, card: dict[str, Any] = CARD, small_cells: int = 5, **policy: str) -> Path:
    """Write the cards of a dataset and return its folder."""
    tables = [dataset / "volumes.csv", dataset / "masks.csv", *sorted((dataset / "reports").glob("*.csv"))]
    vocabularies = {"labels": LABELS, "splits": SPLITS}
    write_cards(dataset, tables, card, vocabularies, {"small_cells": small_cells, **policy})
    return dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(write_tables(tmp_path_factory.mktemp("cards") / "dataset", six_and_two()))


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "dataset"))


@pytest.mark.parametrize("name", FAULTS)
def test_a_card_is_valid(made: Path, name: str) -> None:
    assert FAULTS[name](made) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_card_without_any_configuration_is_valid(tmp_path: Path, name: str) -> None:
    dataset = write(write_tables(tmp_path / "dataset", [Row(1, split="", kind="", score="")]), {})
    assert FAULTS[name](dataset) == []
    assert FAULTS[name](write(write_tables(tmp_path / "empty", []), {})) == []


def place(content: Any, keys: tuple[str | int, ...]) -> Any:
    """Return what lies below some keys of a JSON value; an element of a list has the id or the name."""
    for key in keys:
        is_named = isinstance(content, list) and isinstance(key, str)
        content = next(one for one in content if key in (one.get("@id"), one["name"])) if is_named else content[key]
    return content


def planted(keys: tuple[str | int, ...], value: Any) -> Callable[[Path], None]:
    """Return an edit of a JSON file that sets a value, or removes it where `value` is None."""

    def edit(path: Path) -> None:
        content = json.loads(path.read_text("utf-8"))
        parent = place(content, keys[:-1])
        if value is None:
            del parent[keys[-1]]
        else:
            parent[keys[-1]] = value
        path.write_text(json.dumps(content))

    return edit


def replaced(old: str, new: str) -> Callable[[Path], None]:
    """Return an edit of a text file."""

    def edit(path: Path) -> None:
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


FILES, SETS, VOLUMES = "distribution", "recordSet", ("recordSet", "volumes", "field")
FIELDS = ("resources", "volumes", "schema", "fields")
PLANTED: list[tuple[str, str, Callable[[Path], None]]] = [
    ("croissant.json", "no address of a file", planted((FILES, "volumes.csv", "contentUrl"), None)),
    ("croissant.json", "no digest of a file", planted((FILES, "volumes.csv", "sha256"), None)),
    ("croissant.json", "another digest", planted((FILES, "masks.csv", "sha256"), "0" * 64)),
    ("croissant.json", "no pattern of the images", planted((FILES, "images.zarr", "includes"), None)),
    ("croissant.json", "a field of no file", planted((*VOLUMES, "axes", "source", "fileObject", "@id"), "x")),
    ("croissant.json", "a field of no column", planted((*VOLUMES, "axes", "source", "extract", "column"), "x")),
    ("croissant.json", "a field without a type", planted((*VOLUMES, "axes", "dataType"), None)),
    ("croissant.json", "a word that is a number", planted((*VOLUMES, "modality", "dataType"), "sc:Integer")),
    ("croissant.json", "a reference to nothing", planted((*VOLUMES, "split", "references", "field", "@id"), "x/y")),
    ("croissant.json", "a split without a name", planted((SETS, "splits", "data", 0), {"x": "y"})),
    ("datapackage.json", "another name of a column", planted((*FIELDS, "axes", "name"), "x")),
    ("datapackage.json", "a word that is a number", planted((*FIELDS, "modality", "type"), "integer")),
    ("datapackage.json", "a type that does not exist", planted((*FIELDS, "frames", "type"), "whole")),
    ("datapackage.json", "another digest", planted(("resources", "size", "hash"), "sha256:" + "0" * 64)),
    ("datapackage.json", "no such file", planted(("resources", "size", "path"), "reports/x.csv")),
    ("datapackage.json", "a key that no column has", planted(("resources", "masks", "schema", "primaryKey"), ["x"])),
    ("DATASET_CARD.md", "a licence that the Hub lacks", replaced('license: "cc-by-4.0"', "license: CC-BY-4")),
    ("DATASET_CARD.md", "a size that the Hub lacks", replaced('"n<1K"', '"8"')),
    ("DATASET_CARD.md", "no front matter", replaced("---\n", "")),
    ("DATASET_CARD.md", "a column twice", replaced('- name: "study_id"', '- name: "series_id"')),
    ("DATASET_CARD.md", "a date in place of a text", replaced('pretty_name: "Livers"', "pretty_name: 2026-11-30")),
    ("CITATION.cff", "no title", replaced("title:", "name:")),
    ("CITATION.cff", "another version of the format", replaced("1.2.0", "1.3.0")),
    ("CITATION.cff", "an ORCID without its address", replaced("https://orcid.org/", "")),
    ("CITATION.cff", "a day that is none", replaced("2026-11-30", "30.11.2026")),
    ("CITATION.cff", "a licence that SPDX lacks", replaced("CC-BY-4.0", "CC-BY-4")),
]


@pytest.mark.parametrize(("name", "fault", "plant"), PLANTED, ids=[f"{name}: {fault}" for name, fault, _ in PLANTED])
def test_a_planted_fault_is_found(copied: Path, name: str, fault: str, plant: Callable[[Path], None]) -> None:
    plant(copied / name)
    assert FAULTS[name](copied), fault


CELLS = [
    ("volumes.csv", ",MR,", ",XX,", "constraint-error"),
    ("volumes.csv", ",2x32x32,", ",2×32×32,", "constraint-error"),
    ("volumes.csv", ",train,", ",holdout,", "constraint-error"),
    ("volumes.csv", ",malignant,", ",unclear,", "constraint-error"),
    ("volumes.csv", ",benign,0.5", ",benign,7", "constraint-error"),
    ("volumes.csv", ",4096,", ",many,", "type-error"),
    ("volumes.csv", "00000003c0ffee00/2d957980", "00000002c0ffee00/2d957980", "primary-key"),
    ("masks.csv", "00000000c0ffee00/2d957980", "000000ffc0ffee00/2d957980", "foreign-key"),
    ("masks.csv", ",tumour_2,", ",Tumour,", "constraint-error"),
    ("reports/depth.csv", ",false,", ",no,", "type-error"),
    ("reports/outcomes.csv", "not_dicom", "not_known", "constraint-error"),
]


def test_changed_cells_are_found(copied: Path) -> None:
    for path, old, new, _ in CELLS:
        replaced(old, new)(copied / path)
        digest = hashlib.sha256((copied / path).read_bytes()).hexdigest()
        planted(("resources", Path(path).stem, "hash"), f"sha256:{digest}")(copied / "datapackage.json")
    faults = FAULTS["datapackage.json"](copied)
    for path, _, new, kind in CELLS:
        found = [fault for fault in faults if fault.startswith(kind)]
        assert [fault for fault in found if new.strip(",").split(",")[-1] in fault or "key" in kind], (
            path,
            new,
            faults,
        )


def test_every_column_of_the_code_has_a_type_and_a_meaning() -> None:
    known = {table.name: {column.name for column in table.columns} for table in columns.TABLES}
    assert all(column.meaning for table in columns.TABLES for column in table.columns)
    for name in ("VOLUMES", "MASKS", "DEPTH", "SIZE", "OUTCOMES", "POLICY", "PICTURES"):
        assert set(getattr(csv_tables, name)) <= known[name.lower()]
    assert set(csv_tables.MASK_OUTCOMES) <= known["mask_files"]


def test_a_table_and_a_column_that_are_not_known_are_texts(copied: Path) -> None:
    replaced("array,", "array,novel,")(copied / "reports" / "size.csv")
    (copied / "reports" / "novel.csv").write_text("array,count\na/b,007\n")
    for line in (size := copied / "reports" / "size.csv").read_text().split("\n")[1:-1]:
        size.write_text(size.read_text().replace(line, line.replace(",", ",x,", 1)))
    write(copied)
    assert FAULTS["datapackage.json"](copied) == [] and FAULTS["croissant.json"](copied) == []
    package = json.loads((copied / "datapackage.json").read_text())
    assert place(package, ("resources", "size", "schema", "fields", 1)) == {"name": "novel", "type": "string"}
    assert place(package, ("resources", "novel", "schema", "fields", "count", "type")) == "string"


def test_records_have_the_types_and_the_rows_of_the_tables(made: Path) -> None:
    read = read_croissant(made)
    volumes, masks = read["volumes"], read["masks"]
    with open(made / "volumes.csv", newline="") as stream:
        assert [row["array"] for row in csv.DictReader(stream)] == [row["volumes/array"].decode() for row in volumes]
    assert volumes[0]["volumes/frames"] == 2 and volumes[0]["volumes/label_score"] == 0.5
    assert [row["masks/mask"] for row in masks] == [b"liver", b"tumour_2"] and masks[0]["masks/volume_ml"] == 0.5
    assert [row["splits/name"] for row in read["splits"]] == ["test", "train"]


def test_words_of_the_configuration_are_where_each_format_has_them(made: Path) -> None:
    croissant = json.loads((made / "croissant.json").read_text())
    assert croissant["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert croissant["creator"][0]["name"] == "Anna Wolf" and croissant["creator"][1]["@type"] == "sc:Organization"
    assert croissant["distribution"][0]["sha256"] == hashlib.sha256((made / "volumes.csv").read_bytes()).hexdigest()
    text = (made / "DATASET_CARD.md").read_text()
    front = front_matter_of(text)
    assert front["pretty_name"] == "Livers" and front["task_categories"] == ["image-segmentation"]
    assert front["tags"] == ["liver", "tumour", "medical", "dicom", "ome-zarr", "ct"]  # MR is of two subjects
    assert "Wolf, Anna; Liver Group (2026). Livers (version 1.0.0)" in text
    citation = citation_of((made / "CITATION.cff").read_text())
    assert citation["authors"][0]["family-names"] == "Wolf" and citation["authors"][1] == {"name": "Liver Group"}
    package = json.loads((made / "datapackage.json").read_text())
    assert package["licenses"][0]["name"] == "CC-BY-4.0" and package["contributors"][0]["title"] == "Anna Wolf"


def test_what_is_not_configured_is_said_to_be_missing(tmp_path: Path) -> None:
    dataset = write(write_tables(tmp_path / "dataset", six_and_two()), {})
    text = (dataset / "DATASET_CARD.md").read_text()
    assert "No licence stated" in text and "No author stated" in text and "without a title" in text
    assert front_matter_of(text)["license"] == "unknown"
    assert "license" not in json.loads((dataset / "croissant.json").read_text())
    assert "license" not in citation_of((dataset / "CITATION.cff").read_text())


def test_a_licence_that_a_format_lacks_is_given_by_its_address(made: Path, tmp_path: Path) -> None:
    own = write(write_tables(tmp_path / "own", six_and_two()), {"license": "other", "license_url": "https://x.org/l"})
    front = front_matter_of((own / "DATASET_CARD.md").read_text())
    assert (front["license"], front["license_link"]) == ("other", "https://x.org/l")
    assert citation_of((own / "CITATION.cff").read_text())["license-url"] == "https://x.org/l"
    rare = write(write_tables(tmp_path / "rare", six_and_two()), {"license": "DL-DE-BY-2.0"})
    page = "https://spdx.org/licenses/DL-DE-BY-2.0.html"
    front = front_matter_of((rare / "DATASET_CARD.md").read_text())
    assert (front["license"], front["license_name"], front["license_link"]) == ("other", "dl-de-by-2.0", page)
    assert citation_of((rare / "CITATION.cff").read_text())["license-url"] == page


def test_small_numbers_are_not_in_the_card(made: Path, tmp_path: Path) -> None:
    """Five CT-only facts: 6 subjects with CT, 2 with MR; 4 benign and 2 malignant of them in train."""
    text = (made / "DATASET_CARD.md").read_text()
    assert "| rare | 2 |" in text and "| CT | 6 |" in text and "MR" not in text.split("## How")[0].split("# Livers")[1]
    assert "malignant" not in text and "under 5" in text and "liver" not in text.split("Masks, each")[1].split("##")[0]
    all_numbers = write(write_tables(tmp_path / "dataset", six_and_two()), small_cells=1)
    shown = (all_numbers / "DATASET_CARD.md").read_text()
    assert "| kind: malignant | 0 | 2 | 2 |" in shown and "| MR | 2 |" in shown and "| liver | 1 | 1 |" in shown
    assert "under" not in shown.split("## How it was made")[0]


def test_the_card_states_text_in_pixels_and_faces(made: Path, tmp_path: Path) -> None:
    text = (made / "DATASET_CARD.md").read_text()
    assert "**left out**" in text and "1 array may show a **face**" in text
    kept = write(write_tables(tmp_path / "dataset", six_and_two()), burned_in="keep", reason="checked\nby *hand*")
    assert r"kept**. The reason given: checked by \*hand\*" in (kept / "DATASET_CARD.md").read_text()


def test_the_card_states_why_faces_were_kept_or_that_they_were_left_out(made: Path, tmp_path: Path) -> None:
    text = (made / "DATASET_CARD.md").read_text()
    assert "1 by what the headers state, 0 by modality and field of view" in text and "(`not_assessed`)" in text
    tables = write_tables(tmp_path / "dataset", six_and_two())
    for reason, words in FACES_REASONS.items():
        kept = write(tables, faces="keep", faces_reason=reason)
        assert f"Why they were kept: {words} (`{reason}`)." in (kept / "DATASET_CARD.md").read_text()
    left_out = (write(tables, faces="skip", faces_reason="") / "DATASET_CARD.md").read_text()
    assert (
        "Series of images that may show a **face** were left out" in left_out and "Why they were kept" not in left_out
    )


def test_equal_tables_give_equal_bytes_and_no_digest_of_the_whole(made: Path, tmp_path: Path) -> None:
    again = write(write_tables(tmp_path / "elsewhere" / "dataset", six_and_two()))
    for name in FAULTS:
        assert (again / name).read_bytes() == (made / name).read_bytes()
        assert str(tmp_path) not in (again / name).read_text()


@pytest.mark.parametrize(
    ("rows", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**6 - 1, "100K<n<1M"), (10**6, "1M<n<10M"), (10**12, "n>1T")],
)
def test_a_size_has_the_name_of_the_hub(rows: int, name: str) -> None:
    assert size_category(rows) == name
