"""`./run status` proposes lines of the configuration for masks without a name."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from launched_project import Project

from dicomzarr.commands.status.mask_names import NO_MASKS, lines_of, unnamed_masks
from dicomzarr.masks.model import Description
from dicomzarr.masks.names import Vocabulary
from dicomzarr.records.mask_record import MaskText
from dicomzarr.stages.consolidate_dataset.mask_rows import name_lines

FORMULAS = (
    '=HYPERLINK("http://x/?"&A1;"y")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "a\r\n=1",
    "PTV 95%",
    "%41",
    "x;=1+1",
)
COLUMNS = ("array", "mask", "name", "label", "description", "codes")


def write_table(path: Path, *rows: tuple[str, str, str, str]) -> Path:
    """Write name, label, description and codes of masks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((f"{at:016x}/00000000", row[0] or f"unnamed_{at}", *row) for at, row in enumerate(rows))
    return path


def proposed(path: Path) -> dict[str, list[str]]:
    """Return the lines as the configuration would read them."""
    lines = [line for line in lines_of(unnamed_masks(path), path) if line.startswith("    ")]
    return yaml.safe_load("\n".join(lines)) or {}


def test_labels_are_counted_and_the_most_frequent_comes_first(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", *[("", "PTV 60", "", "")] * 2, *[("", "Bolus", "", "")] * 3, ("liver",) * 4)
    first, _, *lines = lines_of(unnamed_masks(table), table)
    assert first.startswith("masks unnamed in the last run: 5, of 2 labels in ") and "may identify people" in first
    assert lines == [
        '    name_1: ["(?i)^Bolus$"] # 3 masks',
        '    name_2: ["(?i)^PTV 60$"] # 2 masks',
    ]


def test_a_name_of_the_vocabulary_is_proposed_where_the_label_is_like_one(tmp_path: Path) -> None:
    labels = ["Lung_L", "LungLeft", "Kidney R", "kidneys", "Liver.", "vertebra L3", "Maria's tumour", "Rib 13", "Femur"]
    table = write_table(tmp_path / "t.csv", *[("", label, "", "") for label in labels], ("bolus", "b", "", ""))
    names = {name: len(patterns) for name, patterns in proposed(table).items()}
    assert {name: count for name, count in names.items() if not name.startswith("name_")} == {
        "left_lung": 2,
        "right_kidney": 1,
        "kidney": 1,
        "liver": 1,
        "femur": 1,
        "vertebra_l3": 1,
    }
    assert sum(name.startswith("name_") for name in names) == 2


def test_a_name_of_the_configuration_is_proposed_too(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", ("bolus", "x", "", ""), ("", "BOLUS", "", ""))
    assert proposed(table) == {"bolus": ["(?i)^BOLUS$"]}


@pytest.mark.parametrize(
    "label",
    [
        "GTV (1.5 cm)",
        "a+b*c?",
        "[x]",
        "back\\slash",
        "quote\"'",
        "Überweisung",
        "# x: y",
        "tab\tlf\n",
        "\x1b[31mred",
        "^$",
    ],
)
def test_a_proposed_pattern_matches_its_label_alone(label: str, tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", ("", label, "", ""))
    patterns = proposed(table)
    vocabulary = Vocabulary(patterns)
    assert vocabulary.name_of(Description("SEG", 1, label=label)) == next(iter(patterns)) == "name_1"
    assert not vocabulary.name_of(Description("SEG", 1, label=label + "x"))
    assert all(line.isprintable() for line in lines_of(unnamed_masks(table), table))


def test_without_a_label_the_description_or_a_code_is_used(tmp_path: Path) -> None:
    codes = "SCT:85756007 99MINE:polyp SCT:49755003"  # tissue, ours, category of findings
    table = write_table(tmp_path / "t.csv", ("", "", "a polyp", codes), ("", " ", "", codes), ("", "", "", ""))
    assert proposed(table) == {"name_1": ["99MINE:polyp"], "name_2": ["(?i)^a polyp$"]}
    assert unnamed_masks(table).masks == 3


def test_a_code_that_the_configuration_would_take_for_a_pattern_is_not_proposed(tmp_path: Path) -> None:
    codes = ("9:x", ":10200004", "SCT:", "\x1b[31m:1", "SCT:(a+)+$", "99MINE:a%20long%20value", "a:#", "x" * 17 + ":1")
    table = write_table(tmp_path / "t.csv", *[("", "", "", code) for code in codes], ("", "", "", '"]: SCT:1'))
    assert proposed(table) == {"name_1": ["SCT:1"]}
    assert unnamed_masks(table).masks == len(codes) + 1


def test_the_list_is_cut_at_twenty(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", *[("", f"thing {number:02}", "", "") for number in range(23)])
    lines = lines_of(unnamed_masks(table), table)
    assert len(lines) == 2 + 20 + 1 and lines[-1] == "    # and 3 more"
    assert len(proposed(table)) == 20


def test_without_masks_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert unnamed_masks(tmp_path / "none.csv") == NO_MASKS
    table = write_table(tmp_path / "t.csv", ("liver", "Liver", "", ""))
    assert unnamed_masks(table) == NO_MASKS and lines_of(NO_MASKS, table) == []


def test_status_prints_them_and_they_are_no_reason_for_a_run(tmp_path: Path) -> None:
    project = Project(tmp_path).with_environment()
    results = tmp_path / "results"
    table = write_table(results / "private" / "mask_names.csv", ("", "GTV Doe", "", ""), ("liver", "Liver", "", ""))
    before = table.stat().st_mtime_ns
    done = project.run("status", REASONS="[]", RESULTS_ARE=str(results))
    assert (done.returncode, done.stderr) == (0, "")
    said, masks, *lines = done.stdout.splitlines()
    assert said == "Nothing to do" and masks.startswith(f"masks unnamed in the last run: 1, of 1 label in {table}; ")
    assert lines[-1] == '    name_1: ["(?i)^GTV Doe$"] # 1 mask'
    as_json = json.loads(project.run("status", "--json", REASONS="[]", RESULTS_ARE=str(results)).stdout)
    proposal = {"label": "GTV Doe", "name": "", "pattern": "(?i)^GTV Doe$", "masks": 1}
    assert as_json["pending"] is False
    assert as_json["unnamed_masks"] == {"masks": 1, "labels": 1, "proposals": [proposal]}
    assert table.stat().st_mtime_ns == before and sorted(results.rglob("*")) == [results / "private", table]


def test_labels_that_a_spreadsheet_takes_for_formulas_are_written_safely_and_read_back_exactly(tmp_path: Path) -> None:
    texts = [MaskText(f"{at:016x}/0", "unnamed_1", "", text, text, "") for at, text in enumerate(FORMULAS)]
    texts.append(MaskText("f" * 16 + "/0", "unnamed_1", "", "", "", "=cmd:1 99X:a%20b 99X:a-7"))
    lines = list(name_lines(SimpleNamespace(masks=SimpleNamespace(texts=texts))))  # type: ignore[arg-type]
    table = tmp_path / "mask_names.csv"
    table.write_bytes(b"".join([f"{','.join(COLUMNS)}\n".encode(), *lines]))
    for separator in ",;\t":  # spreadsheets end cells at the separator of their country
        with open(table, newline="", encoding="utf-8") as stream:
            cells = [cell for row in csv.reader(stream, delimiter=separator) for cell in row]
        assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@") or not cell.isprintable()]
    read = {proposal.text for proposal in unnamed_masks(table).proposals}
    assert read == {*FORMULAS, "99X:a-7"}
