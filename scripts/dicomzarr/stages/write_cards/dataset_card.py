"""`DATASET_CARD.md`: front matter for the Hugging Face Hub, then the dataset in plain words.

Numbers are those of the report, by its functions: what the report suppresses as too small is not here either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicomzarr.stages.render_report.balance import UNDER, WITHHELD, balance, splits_of
from dicomzarr.stages.render_report.masks import Masks, name_lines, read_masks
from dicomzarr.stages.render_report.numbers import byte_size, count, grouped
from dicomzarr.stages.render_report.tables import RARE, Tables, by_modality, flag_counts, totals
from dicomzarr.stages.write_cards.card import NO_DESCRIPTION, Card
from dicomzarr.stages.write_cards.columns import Table
from dicomzarr.stages.write_cards.front_matter import front_matter
from dicomzarr.stages.write_cards.texts import markdown_of, yaml_of
from dicomzarr.vocabulary.faces import FACES_REASONS

_FACE, _BY_GEOMETRY = "face_risk", "face_by_geometry"
_READING = """```python
import csv
import zarr

rows = list(csv.DictReader(open("volumes.csv", encoding="utf-8")))
image = zarr.open_group("images.zarr", mode="r")[rows[0]["array"]]
voxels = image["0"][:]  # stored values, axes as in image["0"].metadata.dimension_names
facts = image.attrs["dicomzarr"]  # rescale, affine_lps, window ... where the source has them
```"""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration decided: images with text in their pixels and images with faces, and why they are kept."""

    burned_in: str = "skip"
    reason: str = ""
    small_cells: int = 1
    faces: str = "keep"
    faces_reason: str = "not_assessed"


def dataset_card(dataset: Path, read: Tables, card: Card, tables: Sequence[Table], policy: Policy) -> str:
    """Return the content of `DATASET_CARD.md`.

    Parameters
    ----------
    dataset : Path
        The folder with the tables.
    read : Tables
        What the report reads of them.
    card : Card
    tables : sequence of Table
        Those that the dataset has.
    policy : Policy
    """
    masks = read_masks(dataset, read.arrays, policy.small_cells)
    shown = [name for name in by_modality(read.arrays) if name not in (RARE, "unknown")]
    loaded = [table for table in tables if {"volumes": read.arrays, "masks": masks.rows}.get(table.name)]
    front = yaml_of(front_matter(card, loaded, len(read.arrays), shown))
    parts = [
        f"---\n{front}---",
        f"# {markdown_of(card.shown_title)}",
        markdown_of(card.description) or NO_DESCRIPTION,
        *_contents(read, masks, policy),
        *_origin(read),
        *_reading(masks),
        *_guarantees(read, policy),
        *_terms(card),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown; its first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _contents(tables: Tables, masks: Masks, policy: Policy) -> Iterator[str]:
    arrays = tables.arrays
    total = totals(arrays)
    yield "## What is in it"
    yield (
        f"{count(total.arrays, 'image array')} ({count(total.frames, 'frame')}) of "
        f"{count(total.series, 'series', 'series')}, {count(total.studies, 'study', 'studies')} and "
        f"{count(total.subjects, 'subject')}, {byte_size(total.stored_bytes)} on disk."
    )
    if not arrays:
        return
    groups = {name: totals(members) for name, members in by_modality(arrays).items()}
    yield _table(
        ("modality", "arrays", "frames", "stored"),
        [(name, grouped(of.arrays), grouped(of.frames), byte_size(of.stored_bytes)) for name, of in groups.items()],
    )
    if RARE in groups:
        yield (
            f"Modalities with fewer than {policy.small_cells} subjects are shown as one, *{RARE}*; `volumes.csv` names "
            "them."
        )
    if any(array.split or array.labels for array in arrays):
        yield from _subjects(tables, policy)
    if masks.rows:
        yield from _masks(masks, policy)


def _subjects(tables: Tables, policy: Policy) -> Iterator[str]:
    splits = splits_of(tables.arrays)
    head = [*splits, "in all"] if len(splits) > 1 else ["subjects"]
    rows = [
        (
            markdown_of(f"{line.kind}: {line.group}" if line.kind else "all images"),
            *(_number(number, policy.small_cells) for number in line.subjects),
        )
        for line in balance(tables.arrays, policy.small_cells)
    ]
    yield "Subjects of each group" + (" in each split; every subject is in one split." if len(splits) > 1 else ".")
    yield _table(("group", *map(markdown_of, head)), rows)
    if policy.small_cells > 1:
        yield (
            f"A subject counts in each group that it has images of. Numbers under {policy.small_cells} are not shown, "
            "nor those from which they would follow."
        )


def _number(number: int, small_cells: int) -> str:
    return {UNDER: f"under {small_cells}", WITHHELD: "withheld"}.get(number) or grouped(number)


def _masks(masks: Masks, policy: Policy) -> Iterator[str]:
    lines = name_lines(masks, policy.small_cells)
    yield "Masks, each an array beside its image:"
    yield _table(
        ("name", "images", "masks", "empty", "images without", "drawn"),
        [
            (
                markdown_of(line.name),
                grouped(line.images),
                grouped(line.masks),
                grouped(line.empty),
                line.absent,
                line.algorithms,
            )
            for line in lines
        ],
    )
    if any(line.name == RARE for line in lines):
        yield f"Names that fewer than {policy.small_cells} subjects have are shown as one, *{RARE}*."


def _origin(tables: Tables) -> Iterator[str]:
    yield "## How it was made"
    yield (
        "dicomzarr read DICOM files and wrote the stored values of their frames as OME-Zarr: nothing is rescaled, "
        "windowed, resampled or filled in. Frames that belong together are one array, in the order of their geometry. "
        "`provenance/` has what each step did, `reports/` the checks, `dataset.json` settings and versions of software."
    )
    outcomes = ", ".join(
        f"{grouped(tables.files(name))} {name}" for name in ("extracted", "skipped", "quarantined", "ignored")
    )
    yield f"Files of the source: {outcomes}. `reports/outcomes.csv` has the reasons."
    yield (
        "Patients, studies and series have keyed codes (HMAC-SHA256), whose key is not part of the dataset. Dates are "
        "left out; times along an axis count from the first."
    )


def _reading(masks: Masks) -> Iterator[str]:
    yield "## How to read it"
    yield "`volumes.csv` has one row for each array; its column `array` is the path inside `images.zarr`."
    yield _READING
    if masks.rows:
        yield (
            "`masks.csv` has one row for each mask: `images.zarr/<array>/labels/<mask>`, on the voxels of its image "
            "unless it has the flag `own_grid`."
        )
    yield (
        "`croissant.json` describes files and tables for `mlcroissant`, `datapackage.json` types and keys of every "
        "column for `frictionless`; the front matter of this card lets `datasets` load the tables."
    )


def _guarantees(tables: Tables, policy: Policy) -> Iterator[str]:
    exact = sum(1 for array in tables.arrays if array.depth and array.depth.read_back == "exact")
    failed = sum(array.verdict == "fail" for array in tables.arrays)
    warned = sum(array.verdict == "warn" for array in tables.arrays)
    yield "## What is guaranteed, and what is not"
    burned_in = (
        "Images that may have text burned into their pixels, by their headers, were **left out**. Pixels were not "
        "searched for text."
    )
    if policy.burned_in == "scan":
        burned_in = (
            "Frames were **searched for text** in their pixels; images with text, unless a person decided to "
            "keep them, were left out. No search finds every text."
        )
    if policy.burned_in == "keep":
        burned_in = (
            "Images that may have **text burned into their pixels were kept**. The reason given: "
            f"{markdown_of(' '.join(policy.reason.split()))}"
        )
    arrays = count(len(tables.arrays), "array")
    lines = (
        f"Of {arrays}, {grouped(exact)} were read back and equal, voxel by voxel, what was decoded.",
        f"The checks of depth and size failed for {grouped(failed)} and warn of {grouped(warned)}: `reports/depth.csv` "
        "and `reports/size.csv`.",
        "Everything but voxels was searched for texts of the source headers, and for names of its files and folders, "
        "before the dataset was sealed. Words of the configuration, such as names of authors, are here on purpose.",
        burned_in,
        _faces(tables, policy),
        "Labels and masks are as they were given; nobody checked them here.",
        "Keyed codes are pseudonyms. Whether the dataset may be shared is for those to decide who know its source.",
    )
    yield "\n".join(f"- {line}" for line in lines)


def _faces(tables: Tables, policy: Policy) -> str:
    """Return what the card states of faces: how many, by what they were found, and why they are here or not."""
    if policy.faces == "skip":
        return (
            "Series of images that may show a **face** were left out: by their headers, or by modality and field of "
            "view where no header names another part of the body. Pixels were not looked at."
        )
    flags = dict(flag_counts(tables.arrays))
    faces, by_geometry = flags.get(_FACE, 0), flags.get(_BY_GEOMETRY, 0)
    return (
        f"{count(faces, 'array')} may show a **face**, or one may be rendered from {'it' if faces == 1 else 'them'} "
        f"(flag `{_FACE}`): {grouped(faces - by_geometry)} by what the headers state, {grouped(by_geometry)} by "
        f"modality and field of view (`{_BY_GEOMETRY}`). No face was removed. Why they were kept: "
        f"{FACES_REASONS[policy.faces_reason]} (`{policy.faces_reason}`)."
    )


def _terms(card: Card) -> Iterator[str]:
    yield "## Licence"
    page = f": <{card.license_page}>" if card.license_page else ""
    yield f"{card.license_text[0].upper()}{card.license_text[1:]}{page}"
    yield "## Citation"
    yield markdown_of(card.citation)
    yield "`CITATION.cff` has the same for programs."
