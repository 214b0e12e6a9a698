"""The size of source files as it may be shared: rounded up, since an exact size is a key to the files."""

from __future__ import annotations

UNIT = 1_000  # bytes: what `source_bytes` is a multiple of


def shared_size(size: int) -> int:
    """Return the size of source files, rounded up to whole kB of 1,000 bytes.

    The exact size of the files of a series is nearly unique: whoever has a list of sizes could find the series of a
    patient without its pixels. It is rounded where the record of the array is made, so that nothing later has it.

    Parameters
    ----------
    size : int
        Bytes, 0 or more.

    Returns
    -------
    int
        Bytes, a multiple of 1,000.
    """
    return -(-size // UNIT) * UNIT
