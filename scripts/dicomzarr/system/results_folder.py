"""Paths below the results folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dicomzarr.vocabulary.rules import BATCH_RULES

# Folders of the workflow, below the results folder. Any of them may be a link to a folder, or the place of a mount.
FOLDERS = (
    "private", *(f"private/{name}" for name in ("records", "plans", "cache", "attempts", "progress", "labels")),
    *(f"private/{name}" for name in ("retired", "removed", "surplus", "partitions", "last_build", "text")),
    "dataset", "dataset/images.zarr", "dataset/reports", "dataset/reports/pictures", "dataset/provenance",
    "logs", "benchmarks", "exports",
    *(f"{place}/{rule}" for place in ("private/records", "dataset/provenance", "logs", "benchmarks")
      for rule in BATCH_RULES),
)  # fmt: skip
EXPORT_FOLDERS = tuple(f"exports/{name}" for name in ("png", "npz", "nifti", "preview_lossy", "nnunet", "monai"))


@dataclass(frozen=True, slots=True)
class Results:
    """The folders and files of one results folder; see docs/outputs.md."""

    root: Path

    @property
    def private(self) -> Path:
        """Data that may identify a patient: mode 0700, stays on site."""
        return self.root / "private"

    @property
    def dataset(self) -> Path:
        """The dataset, which may be shared."""
        return self.root / "dataset"

    @property
    def exports(self) -> Path:
        """Copies of the arrays in other formats, made on request."""
        return self.root / "exports"

    @property
    def images(self) -> Path:
        """The Zarr group of all images."""
        return self.dataset / "images.zarr"

    @property
    def pictures(self) -> Path:
        """Pictures of the arrays, in a folder for each series."""
        return self.dataset / "reports" / "pictures"

    @property
    def records(self) -> Path:
        """The private records, which decide what is still to be done."""
        return self.private / "records"

    @property
    def revoked(self) -> Path:
        """Log of revoked records with reasons: one JSON object per line."""
        return self.private / "revoked.jsonl"

    @property
    def inventory(self) -> Path:
        """The inventory of the source: path, kind and stat of each directory entry."""
        return self.private / "inventory.jsonl"

    @property
    def restored(self) -> Path:
        """Files of a source that was copied back, with the keys under which they were verified."""
        return self.private / "restored.jsonl"

    @property
    def publish_config(self) -> Path:
        """The config key `publish`: it names a bucket or folder, so that it is in no config of a job."""
        return self.private / "publish.json"

    @property
    def members(self) -> Path:
        """The archives of the source and their members: rows like those of the inventory."""
        return self.private / "members.jsonl"

    @property
    def plans(self) -> Path:
        """One plan per batch, and their table of contents."""
        return self.private / "plans"

    @property
    def unplaced_masks(self) -> Path:
        """The segmentations and structure sets of which no image of the source is known, with reasons."""
        return self.plans / "unplaced_masks.json"

    @property
    def mask_vocabulary(self) -> Path:
        """The config key `masks.names`: its patterns may repeat labels, so that they are in no config of a job."""
        return self.private / "mask_vocabulary.json"

    @property
    def mask_names(self) -> Path:
        """Labels, descriptions and codes of all masks, with the names that they got."""
        return self.private / "mask_names.csv"

    @property
    def temporary(self) -> Path:
        """Folder where arrays are written before they are renamed into the dataset."""
        return self.private / "temporary"

    @property
    def sealed(self) -> Path:
        """The last file of a complete dataset."""
        return self.dataset / "dataset.json"

    @property
    def checksums(self) -> Path:
        """Sizes and digests of the files of a complete dataset."""
        return self.dataset / "checksums"

    def series_record(self, rule: str, series_id: str) -> Path:
        """Return the path of a rule's record of a series, in a folder named by the first three digits of the id."""
        return self.records / rule / series_id[:3] / f"{series_id}.json"

    def plan(self, batch: str) -> Path:
        """Return the path of the plan of a batch."""
        return self.plans / f"{batch}.json"
