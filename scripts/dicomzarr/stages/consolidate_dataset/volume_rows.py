"""Rows of `volumes.csv`: the record of a volume, with the labels and the split of its series."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dicomzarr.records.series_record import SeriesRecord, VolumeRecord
from dicomzarr.stages.consolidate_dataset.mask_rows import masks_of
from dicomzarr.stages.consolidate_dataset.splits import split_of
from dicomzarr.system import csv_tables


def spacing_text(axes: str, spacing: Mapping[str, float]) -> str:
    """Return the spacing of the spatial axes joined by `x`; unknown ones are empty, and so is the text if all are."""
    cells = [repr(float(spacing[axis])) if axis in spacing else "" for axis in axes if axis in "zyx"]
    return "x".join(cells) if any(cells) else ""


@dataclass(frozen=True, slots=True)
class Joined:
    """Labels and splits, joined to the volumes by series.

    Attributes
    ----------
    labels : sequence of str
        Names of the labels: columns ``label_…`` of `volumes.csv`.
    splits : mapping
        ``fractions`` and ``seed``; empty where there are no splits.
    expected_masks : sequence of str
        `masks: expected` of the configuration.
    series : mapping of str to mapping
        For each series id its ``labels``, and its ``split`` where a list fixes it.
    uncertain : collection of str
        Series ids on which a mask file may lie that could not be placed.
    """

    labels: Sequence[str] = ()
    splits: Mapping[str, Any] = field(default_factory=dict)
    expected_masks: Sequence[str] = ()
    series: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    uncertain: Collection[str] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `volumes.csv`."""
        return (*csv_tables.VOLUMES, *(f"label_{name}" for name in self.labels))

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to join."""
        return bool(self.labels or self.splits or self.series)

    def of(self, series_id: str, subject_id: str) -> dict[str, str]:
        """Return the cells of a series: its split and its labels."""
        entry = self.series.get(series_id, {})
        split = entry.get("split", "")
        if not split and self.splits:
            split = split_of(subject_id, self.splits["fractions"], self.splits.get("seed", 0))
        values = entry.get("labels", {})
        return {"split": split} | {f"label_{name}": values.get(name, "") for name in self.labels}


def volume_line(record: SeriesRecord, volume: VolumeRecord, joined: Joined) -> str:
    """Return the row of a volume in `volumes.csv` as CSV text.

    Parameters
    ----------
    record : SeriesRecord
        Of its series.
    volume : VolumeRecord
    joined : Joined
    """
    return csv_tables.row(
        joined.columns,
        {
            **joined.of(record.series_id, record.subject_id),
            **masks_of(record, volume.array, joined.expected_masks, is_lost=record.series_id in joined.uncertain),
            "array": volume.array,
            "series_id": record.series_id,
            "study_id": record.study_id,
            "subject_id": record.subject_id,
            "modality": volume.modality,
            "axes": volume.axes,
            "shape": "x".join(map(str, volume.shape)),
            "dtype": np.dtype(volume.dtype).name,
            "bits_stored": volume.bits_stored,
            "photometric": volume.photometric,
            "spacing_mm": spacing_text(volume.axes, volume.spacing_mm),
            "frames": len(volume.frame_rows),
            "source_bytes": volume.source_bytes,
            "stored_bytes": volume.stored_bytes,
            "pixel_digest": volume.pixel_digest,
            "flags": " ".join(volume.flags),
            "kind": volume.kind,
            "why": volume.why,
        },
    )
