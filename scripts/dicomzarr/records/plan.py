"""The plan file of a batch: its format, the names of batches, and which series ids each batch owns."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from dicomzarr.source.row import HeaderRow
from dicomzarr.system import json_files, shared_files
from dicomzarr.vocabulary import errors

PREFIX_BITS = 12  # three hex digits of a series id: a batch owns whole prefixes


_NAME = re.compile(r"(\d{4})-(\d{4})")


def batch_name(number: int, batches: int) -> str:
    """Return the name of batch `number` of `batches`."""
    return f"{batches:04d}-{number:04d}"


def batches_in(name: str) -> int:
    """Return the total number of batches that the name of one states; 0 if it is not the name of a batch."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0


def batch_of(series_id: str, batches: int) -> str:
    """Return the name of the batch that owns a series."""
    return batch_name(int(series_id[:3], 16) * batches >> PREFIX_BITS, batches)


def owned_prefixes(batch: str) -> list[str]:
    """Return the three-digit prefixes of the series ids that a batch owns."""
    match = _NAME.fullmatch(batch)
    if match is None:
        raise ValueError(f"not the name of a batch: {batch!r}")
    batches, number = map(int, match.groups())
    width = (1 << PREFIX_BITS) // batches
    return [f"{prefix:03x}" for prefix in range(number * width, (number + 1) * width)]


class UnplacedMask(NamedTuple):
    """A segmentation or structure set of which no image of the source is known."""

    path: str  # percent-encoded as in manifest.csv
    kind: str  # SEG or RTSTRUCT
    reason: str  # mask_without_image, mask_ambiguous or mask_unreadable
    series: Sequence[str] = ()  # on which it may lie, unless it names images that are not in the source


@dataclasses.dataclass(frozen=True, slots=True)
class SeriesPlan:
    """Plan of one series: the files to extract.

    Attributes
    ----------
    series_id, study_id, subject_id : str
        Keyed ids; `study_id` is empty if the headers name no study.
    flags : tuple of str
        Codes of `SERIES_FLAGS`.
    files : tuple of HeaderRow
        Sorted by path.
    same_uid_elsewhere : tuple of HeaderRow
        Files of other series with a SOP Instance UID (0008,0018) that also occurs in this one.
    masks : tuple of HeaderRow
        Segmentations and structure sets of other series that refer to images of this one.
    """

    series_id: str
    study_id: str
    subject_id: str
    flags: tuple[str, ...]
    files: tuple[HeaderRow, ...]
    same_uid_elsewhere: tuple[HeaderRow, ...] = ()
    masks: tuple[HeaderRow, ...] = ()

    def all_files(self) -> tuple[HeaderRow, ...]:
        """Return the files of the series, then those of other series."""
        return self.files + self.same_uid_elsewhere + self.masks


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedSeries:
    """A series in the plan file, not yet parsed: most have not changed since the last run.

    Attributes
    ----------
    series_id : str
    raw : bytes
        The JSON of its plan.
    """

    series_id: str
    raw: bytes

    def parse(self) -> SeriesPlan:
        """Return the plan of the series."""
        fields = json_files.loads(self.raw)
        for name in ("flags", "files", "same_uid_elsewhere", "masks"):
            fields[name] = tuple(fields[name])
        return SeriesPlan(**fields)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        # Neither pattern can occur inside a JSON string, where a quotation mark is escaped.
        return sum(map(int, _STAT.findall(self.raw, 0, self.raw.rindex(b',"same_uid_elsewhere":['))))

    @property
    def has_masks(self) -> bool:
        """Whether segmentations or structure sets refer to it."""
        return not self.raw.startswith(b',"masks":[]', self.raw.rindex(b',"masks":['))


_STAT = re.compile(rb'"stat":\[(\d+),')


def series_json(
    files: Sequence[bytes], same_uid_elsewhere: Sequence[bytes], masks: Sequence[bytes], ids: bytes
) -> bytes:
    """Return the line of a series in a plan file.

    Parameters
    ----------
    files, same_uid_elsewhere, masks : sequence of bytes
        Lines of the header index, without line feeds.
    ids : bytes
        A JSON object with `flags`, `series_id`, `study_id` and `subject_id`, in this order.
    """
    lists = (b",".join(files), b",".join(same_uid_elsewhere), b",".join(masks))
    return b'{"files":[%b],"same_uid_elsewhere":[%b],"masks":[%b],%b' % (*lists, ids[1:])


def plan_json(batch: str, series: Sequence[bytes]) -> bytes:
    """Return the bytes of a plan file; `series` are lines of `series_json`."""
    return b'{"batch":"%b","series":[\n%b\n]}\n' % (batch.encode(), b",\n".join(series))


_SERIES = re.compile(rb'"series_id":"([0-9a-f]{16})"')


def read_plan(plan: Path) -> tuple[str, list[PlannedSeries]]:
    """Return the name of a batch and its series, by increasing id.

    Raises
    ------
    Damaged
        If it is not a complete plan file.
    """
    head, *lines = shared_files.read_bytes(plan, must_exist=True).split(b"\n")
    name = re.fullmatch(rb'\{"batch":"(\d{4}-\d{4})","series":\[', head)
    if name is None or lines[-2:] != [b"]}", b""]:
        raise errors.Damaged(plan)
    planned = []
    for line in lines[:-2]:
        if line:  # a batch without series has one empty line
            raw = line.removesuffix(b",")
            series = _SERIES.search(raw, raw.rindex(b',"series_id":'))
            if series is None:
                raise errors.Damaged(plan)
            planned.append(PlannedSeries(series[1].decode(), raw))
    return name[1].decode(), planned


def planned_series(plans: Sequence[Path]) -> Iterator[SeriesPlan]:
    """Yield the series of several plan files; errors as `read_plan`."""
    for plan in plans:
        for planned in read_plan(plan)[1]:
            yield planned.parse()
