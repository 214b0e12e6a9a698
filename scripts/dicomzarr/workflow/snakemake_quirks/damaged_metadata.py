"""Let Snakemake take damaged notes of a job for missing ones.

Purpose: a note in `.snakemake/metadata/` with a byte that is not UTF-8, or that is no object, ends every run with a
traceback. Without the note a job is judged by its files and its record, as in a new working folder.

Tested with 9.27.1: `FilePersistence._io_read`. With another version that has it, it is changed too.
"""

from __future__ import annotations

from typing import Any


def take_damaged_for_missing() -> None:
    """From now on, return no note where it cannot be read."""
    try:
        from snakemake.persistence.file import FilePersistence

        read = FilePersistence._io_read
    except (ImportError, AttributeError):
        return

    def _io_read(self: Any, subject: Any, id: Any) -> Any:
        try:
            found = read(self, subject, id)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    FilePersistence._io_read = _io_read
