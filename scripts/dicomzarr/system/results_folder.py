"""Where things are below the results folder, and how paths of the source are written down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Results:
    """The folders and files of one results folder; see docs/outputs.md."""

    root: Path

    @property
    def private(self) -> Path:
        """What may identify a patient: 0700, stays on site."""
        return self.root / "private"

    @property
    def dataset(self) -> Path:
        """What may be shared."""
        return self.root / "dataset"

    @property
    def exports(self) -> Path:
        """Copies of the arrays in other formats, where they were asked for."""
        return self.root / "exports"

    @property
    def images(self) -> Path:
        """The Zarr group of all images."""
        return self.dataset / "images.zarr"

    @property
    def records(self) -> Path:
        """The private records that drive the work."""
        return self.private / "records"

    @property
    def revoked(self) -> Path:
        """Which records were revoked, and why: one JSON object a line."""
        return self.private / "revoked.jsonl"

    @property
    def inventory(self) -> Path:
        """What the scan found: path, kind and stat of each directory entry."""
        return self.private / "inventory.jsonl"

    @property
    def plans(self) -> Path:
        """One plan a batch and their table of contents."""
        return self.private / "plans"

    @property
    def temporary(self) -> Path:
        """Where arrays are written before they are renamed into the dataset."""
        return self.private / "temporary"

    @property
    def sealed(self) -> Path:
        """The last file of a complete dataset."""
        return self.dataset / "dataset.json"

    def series_record(self, rule: str, series_id: str) -> Path:
        """Return where a rule that works on series keeps what it knows of one: a folder by a fixed prefix of its id."""
        return self.records / rule / series_id[:3] / f"{series_id}.json"

    def plan(self, batch: str) -> Path:
        """Return the plan of a batch."""
        return self.plans / f"{batch}.json"
