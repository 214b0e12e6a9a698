"""What can be wrong with a private folder: a file system that keeps no permissions, or another owner."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

from dicomzarr.system import files
from dicomzarr.system.path_text import encode_path
from dicomzarr.vocabulary.errors import UserError

_OTHERS = 0o077  # mode bits of group and others


def close_to_others(folder: Path, what: str) -> None:
    """Let only the owner read a folder; print a note where its file system does not keep that.

    Parameters
    ----------
    folder : Path
        It exists.
    what : str
        What the note calls it.
    """
    files.close_to_others(folder)
    if folder.stat().st_mode & _OTHERS:
        print(
            f"note: {what} identifies patients, and its file system keeps no permissions: whoever can reach the folder "
            "can read it. Mount it for you alone (umask=077 or the like), or name a folder on another file system",
            file=sys.stderr,
        )


def refuse_special_files(private: Path, *, only_kept: bool = False) -> None:
    """Refuse a FIFO, a socket or a device in the place of a file: whoever opens a FIFO waits for ever.

    Parameters
    ----------
    private : Path
        The private folder of the results, which may be missing.
    only_kept : bool
        Look at the files alone that no run makes again, the key and the decisions: a run removes what is in the place
        of others.

    Raises
    ------
    UserError
        If there is one; it names the file. Not looked for among the records of batches and series, which are many,
        are read without waiting and are made again; and among arrays of series that are gone, which nothing reads.
    """
    waiting = [(os.fspath(private), "")]
    while waiting:
        folder, below = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError:
            continue  # whoever reads there says so
        for entry in entries:
            place = f"{below}{entry.name}"
            if only_kept and place not in _KEPT:
                continue
            if entry.is_dir(follow_symlinks=False):
                if place not in _NOT_LISTED and not below.startswith("records/"):
                    waiting.append((entry.path, f"{place}/"))
            elif not entry.is_file(follow_symlinks=False) and _is_special(entry.path):
                raise UserError(
                    f"private/{encode_path(os.fsencode(place))} in the results is no file but a FIFO, a socket or a "
                    "device: put the file back, or remove this"
                )


_NOT_LISTED = ("removed",)
_KEPT = ("key", "decisions.csv")


def _is_special(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode  # of what a link leads to
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def in_words(error: OSError, private: Path) -> str:
    """Return what the system says of a results folder and of which file or folder, and what to do.

    Parameters
    ----------
    error : OSError
        That of a file or folder below the results.
    private : Path
        The private folder of the results, which may be missing.
    """
    says = os.strerror(error.errno or 0)
    if isinstance(error.filename, str | bytes | os.PathLike):
        path = os.path.relpath(os.fsdecode(error.filename), private.parent)
        if path != os.curdir and not path.startswith(os.pardir):  # the source has names of its own
            says = f"{'/'.join(Path(path).parts[:2])}: {says}"  # below these, names may be UIDs
    if error.errno in (errno.EACCES, errno.EPERM) and _is_of_another_user(private):
        return (
            f"{says}: private/, or something in it, belongs to another user. One user runs a results folder: be that "
            "user, or let an administrator give you all of it, and .snakemake/ too (chown -R)"
        )
    return f"{says}; check its permissions and the free space on its disk"


def _is_of_another_user(private: Path) -> bool:
    try:
        if private.stat().st_uid != os.getuid():
            return True
        with os.scandir(private) as entries:
            return any(entry.stat(follow_symlinks=False).st_uid != os.getuid() for entry in entries)
    except OSError:
        return False
