"""The names of masks and their patterns, in a private file: a pattern may repeat a label, and so name a person.

`./run status` proposes such patterns. Snakemake notes params and logs those that changed, so that they are no params:
the main process writes this file and revokes the records of extraction if it changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dicomzarr.system import digested_json, files, shared_files
from dicomzarr.vocabulary.errors import Damaged

Names = tuple[tuple[str, tuple[str, ...]], ...]


def content_of(masks: Mapping[str, object]) -> bytes:
    """Return what the file holds: pairs, since the order of names counts.

    Parameters
    ----------
    masks : mapping
        The config key of this name.

    Returns
    -------
    bytes
        Empty if no mask has a name; then there is no file.
    """
    names = masks.get("names")
    if not isinstance(names, Mapping) or not names:
        return b""
    return digested_json.record_json({"names": [[name, list(entries)] for name, entries in names.items()]})


def read(path: Path, *, must_exist: bool) -> Names:
    """Return the names of masks and the patterns and codes of each.

    Parameters
    ----------
    path : Path
    must_exist : bool
        Names are configured. Else there are none, and no file.

    Returns
    -------
    tuple of (str, tuple of str)

    Raises
    ------
    Damaged
        If the file is lost, or has other bytes than were written: masks without their names would look whole.
    """
    if not must_exist:
        return ()
    try:
        data = shared_files.read_bytes(path, must_exist=True)
        pairs: Iterable[tuple[str, Sequence[str]]] = digested_json.parse_record(path, data)[0]["names"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        raise Damaged(path) from None
    return tuple((name, tuple(entries)) for name, entries in pairs)


def is_current(path: Path, content: bytes) -> bool:
    """Return whether the file holds this content, or is missing if there is none.

    Parameters
    ----------
    path : Path
    content : bytes
        Of `content_of`.

    Returns
    -------
    bool
    """
    try:
        return path.read_bytes() == content
    except OSError:
        return not content and not files.exists(path)
