"""Read the headers of files whose frames have functional groups, as far as possible without pydicom."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.prefix import is_within_a_value
from dicomzarr.headers.frame_items import Wanted, read_quickly, tag_of
from dicomzarr.headers.reading import Unclear
from dicomzarr.system import sandbox
from dicomzarr.volumes.functional_groups import PHILIPS, attributes_read, sequences_read


def read_frame_items(handle: int, facts: ImageFacts) -> tuple[Any, list[Any]]:
    """Return the header of an open file, without pixels, and the functional groups of each frame.

    Parameters
    ----------
    handle : int
        File descriptor; its position does not matter.
    facts : ImageFacts
        What the index holds of the header.

    Returns
    -------
    pydicom Dataset
        Without Per-Frame Functional Groups Sequence (5200,9230).
    list
        The items of that sequence, for `frames_of`.

    Raises
    ------
    Unclear
        If pydicom must read the whole header, because of its bytes or because it has no functional groups.
    OSError
        If the disk fails.
    """
    if not facts.get("has_functional_groups") or is_within_a_value(os.pread(handle, 134, 0)):
        raise Unclear
    most = facts["pixel"]["offset"] if "pixel" in facts else 0
    try:
        with os.fdopen(os.dup(handle), "rb") as stream:
            stream.seek(0)
            return read_quickly(stream, _wanted(), most)
    except (MemoryError, Unclear):
        raise
    except OSError as error:
        if error.errno in sandbox.DISK_ERRORS:
            raise
        raise Unclear from None
    except Exception:  # as pydicom raises it, too, where it can read the header at all
        raise Unclear from None


@cache
def _wanted() -> Wanted:
    sequences, values = (frozenset(map(tag_of, keywords())) for keywords in (sequences_read, attributes_read))
    return Wanted(sequences, values, PHILIPS.encode())
