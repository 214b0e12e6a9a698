"""Move folders into the dataset, and check before a run that the file system keeps what is in them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from dicomzarr.system import files, flush
from dicomzarr.vocabulary.errors import UserError

_CONTENT = b"kept when its folder is renamed\n"


def move(path: Path, target: Path) -> None:
    """Rename a file, link or folder; if it cannot be renamed to that place, copy it, and remove it then.

    A folder cannot be renamed to another mount, from a lower layer of a container, or between branches of mergerfs.

    Parameters
    ----------
    path : Path
    target : Path
        Does not exist; its folder does. It appears complete, whichever way it comes there.
    """
    try:
        os.replace(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.{os.getpid()}{files.TEMPORARY}")
        files.remove_tree(beside)
        if files.is_dir(path) and not files.is_symlink(path):
            shutil.copytree(path, beside, symlinks=True)
            written = [Path(folder) / name for folder, _, names in os.walk(beside) for name in names]
        else:
            shutil.copy2(path, beside, follow_symlinks=False)
            written = [beside]
        for copy in written:
            if not files.is_symlink(copy):
                flush.sync_file(copy)
        os.replace(beside, target)
        files.sync_folder(target.parent)
        files.remove_tree(path)


def refuse_loss(folder: Path) -> None:
    """Rename a folder with a new file in it, twice, and read the file.

    Mounts of object storage (FUSE) may refuse to rename a folder, or lose what its files hold, without an error.

    Parameters
    ----------
    folder : Path
        In which the folder is made; it is created if it is missing.

    Raises
    ------
    UserError
        If the folder cannot be renamed, or the file then holds something else.
    OSError
        If the file cannot be written.
    """
    written, renamed = (folder / f"renamed.{os.getpid()}.{name}" for name in ("before", "after"))
    try:
        for _ in range(2):  # the second time with a name that was in use, as when a series is extracted again
            files.make_private(written)
            (written / "file").write_bytes(_CONTENT)
            problem = _lost(written, renamed)
            if problem:
                raise UserError(
                    f"config key 'results': its file system does not keep files whose folder is renamed ({problem}). "
                    "No array can be written there. Mounts of object storage are such (rclone, gcsfuse and others). "
                    "Name a folder on a disk or a network file system, and copy the finished dataset: ./run publish"
                )
    finally:
        for path in (written, renamed):
            with contextlib.suppress(OSError):
                files.remove_tree(path)


def _lost(written: Path, renamed: Path) -> str:
    """Rename a folder with a file in it; return what was lost, nothing if the file is there as it was written."""
    try:
        files.remove_tree(renamed)
        os.replace(written, renamed)
        found = (renamed / "file").read_bytes()
        return "" if found == _CONTENT else f"{len(found)} bytes are left of {len(_CONTENT)}"
    except OSError as error:
        return os.strerror(error.errno or 0)
