"""The type of a line of the header index."""

from __future__ import annotations

from typing import TypedDict

from dicomzarr.dicom.facts import ImageFacts

# (size, mtime_ns, ctime_ns, inode): a file is not opened again while all four are unchanged.
StatKey = tuple[int, int, int, int]


class HeaderRow(TypedDict):
    """One line of the header index: one regular file of the source.

    `outcome` is `image` for a file that will be extracted, else the final outcome with its `reason`.
    """

    path: str  # percent-encoded as in manifest.csv
    stat: StatKey
    outcome: str
    reason: str
    flags: list[str]  # such as assumed_transfer_syntax
    facts: ImageFacts
