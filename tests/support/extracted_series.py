"""Extract the files of a folder as one series, without Snakemake."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3
from folders import stat_key

from dicomzarr.privacy.identifiers import Gatherer
from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.plan import SeriesPlan
from dicomzarr.records.series_record import SeriesRecord, VolumeRecord
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.check_batch.verdicts import size_row
from dicomzarr.stages.extract_batch.contents import SeriesContents
from dicomzarr.stages.extract_batch.extraction import Extraction
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series import extract
from dicomzarr.stages.extract_batch.series_files import UNREADABLE, Roots
from dicomzarr.stages.index_headers.read_chunk import read_files

OPTIONS = Options("balanced", "slice", 1e-3, 0.01, "keep", ("a 1",), "c")


@dataclass
class Extracted:
    """The record of a series, and the folder with its arrays."""

    record: SeriesRecord
    store: Path

    @property
    def outcomes(self) -> dict[str, str]:
        """The reason of each file by path; empty where it was extracted."""
        return {file.path: file.reason for file in self.record.files}

    @property
    def frames(self) -> dict[str, list[str]]:
        """The paths of the frames of each array, in array order."""
        paths = [file.path for file in self.record.files]
        return {volume.array: [paths[frame.source] for frame in volume.frames] for volume in self.record.volumes}

    @property
    def volume(self) -> VolumeRecord:
        """The only volume."""
        (volume,) = self.record.volumes
        return volume

    def verdict(self, volume: VolumeRecord) -> str:
        """Return the verdict on the size of a volume."""
        return size_row(volume, {path: claim.size for path, claim in volume.files.items()}).verdict


def read_headers(folder: Path) -> tuple[list[HeaderRow], dict[str, str]]:
    """Return the rows of the header index of the files in a folder, and the digests of the files by path."""
    rows, contents = [], {}
    for path in sorted(folder.iterdir()):
        if path.is_file():
            (line,) = read_files({"": str(folder)}, [(path.name, stat_key(path))], Gatherer())
            rows.append(json.loads(line))
            contents[path.name] = blake3(path.read_bytes()).hexdigest()
    return rows, contents


def extract_folder(source: Path, *unreadable: str) -> Extracted:
    """Extract the files of a folder, all of one series; `unreadable` are those that the disk no longer reads."""
    store = source.with_name(f"{source.name}.zarr")
    shutil.rmtree(store, ignore_errors=True)
    rows, contents = read_headers(source)
    rows = [row for row in rows if row["outcome"] == "image" or row["facts"].get("SeriesInstanceUID")]
    contents |= dict.fromkeys(unreadable, UNREADABLE)
    plan = SeriesPlan("s", "t", "u", (), tuple(rows))
    roots = Roots({"": os.fsencode(source)})
    extraction = Extraction(plan, store, roots, Pseudonyms(b"k" * 32), OPTIONS)
    return Extracted(extract(extraction, SeriesContents(contents)), store)
