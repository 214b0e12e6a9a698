"""Find equal pixels under several subjects: one patient with two identifiers, or an image filed under the wrong one.

Only the whole dataset shows them, so that they are flagged in `volumes.csv`, never in the attributes of an array. An
array whose voxels are all equal says nothing and ties nobody.
"""

from __future__ import annotations

import csv
import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dicomzarr.records.check_record import DepthRow
from dicomzarr.records.series_record import VolumeRecord
from dicomzarr.system import csv_tables

FLAG = "same_pixels_elsewhere"


def digest_rows(volumes: Sequence[VolumeRecord], depth: Sequence[DepthRow], subject_id: str) -> Iterator[bytes]:
    """Yield a line for each volume of a series that is not constant: digest of its pixels, subject and array.

    Parameters
    ----------
    volumes : sequence of VolumeRecord
    depth : sequence of DepthRow
        The verdicts on the same volumes.
    subject_id : str
        Of the series.

    Yields
    ------
    bytes
    """
    constant = {row.array for row in depth if row.observed_min is None or row.observed_min == row.observed_max}
    for volume in volumes:
        if volume.array not in constant:
            yield f"{volume.pixel_digest}\t{subject_id}\t{volume.array}\n".encode()


def tied_arrays(parts: Sequence[Iterable[bytes]]) -> set[bytes]:
    """Return the arrays whose pixels another subject has too.

    Parameters
    ----------
    parts : sequence of iterables of bytes
        Lines of `digest_rows`, each iterable sorted.

    Returns
    -------
    set of bytes
        Paths of arrays in `images.zarr`.
    """
    tied: set[bytes] = set()
    lines = (line.rstrip(b"\n").split(b"\t") for line in heapq.merge(*parts))
    for _, group in itertools.groupby(lines, key=lambda fields: fields[0]):
        members = list(group)
        if len({subject for _, subject, _ in members}) > 1:
            tied.update(array for _, _, array in members)
    return tied


def flagged(rows: Iterable[bytes], columns: Sequence[str], flags: Mapping[bytes, set[str]]) -> Iterator[bytes]:
    """Yield the rows of `volumes.csv` with the flags that only the whole dataset shows.

    Parameters
    ----------
    rows : iterable of bytes
        As `volume_rows.volume_line` returns them, encoded; `array` is the first column.
    columns : sequence of str
        Of `volumes.csv`.
    flags : mapping of bytes to set of str
        By array.

    Yields
    ------
    bytes
    """
    for row in rows:
        added = flags.get(row[: row.index(b",")])
        if not added:
            yield row
            continue
        (cells,) = csv.reader([row.decode("utf-8", "surrogateescape")])
        values = dict(zip(columns, cells, strict=True))
        values["flags"] = " ".join(sorted({*values["flags"].split(), *added}))
        yield csv_tables.row(columns, values).encode("utf-8", "surrogateescape")
