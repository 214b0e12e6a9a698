"""The folder that is filled: a file for each instance, private, complete and durable once it has its name.

Names are hashes of UIDs, so that no path holds an identity: ``<study>/<series>/<instance>.dcm``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dicomzarr.system import files, private_folder
from dicomzarr.system.flush import Disk
from dicomzarr.vocabulary.errors import UserError

_DOMAIN = b"dicomzarr retrieval\0"
_STUDY = re.compile(r"[0-9a-f]{16}")
_LEFT_BEHIND = re.compile(r"\.[0-9]+\.[0-9]+\.partial")
GROUP_FILES, GROUP_BYTES = 512, 256 << 20  # files, and their bytes, that one flush makes durable


@dataclass(frozen=True, slots=True)
class Received:
    """A file that was received and has no name yet."""

    path: Path
    size: int
    sha256: str


def name_of_study(study: str) -> str:
    """Return the name of the folder of a study."""
    return _hash(16, study)


def relative_path(study: str, series: str, instance: str) -> str:
    """Return the path of an instance below the source folder."""
    return f"{name_of_study(study)}/{_hash(16, study, series)}/{_hash(24, study, series, instance)}.dcm"


def _hash(digits: int, *uids: str) -> str:
    return hashlib.sha256(_DOMAIN + "\0".join(uids).encode()).hexdigest()[:digits]


class Folder:
    """The source folder while it is filled.

    Parameters
    ----------
    root : Path
        Created with its missing parents, for the owner alone.

    Raises
    ------
    UserError
        If it holds files that were not retrieved, or another retrieval fills it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        refuse_foreign(root)
        is_new = not root.exists()
        files.make_private(root)
        if is_new:  # the mode of another one is the user's choice; its folders and files are private
            private_folder.close_to_others(root, "the source")
        self._lock = _lock(root)
        for name in os.listdir(root):
            if _LEFT_BEHIND.fullmatch(name):  # of a run that was killed
                (root / name).unlink(missing_ok=True)
        self._disk = Disk(root)
        self._waiting: dict[Path, Path] = {}
        self._bytes = self._number = 0

    def size_of(self, path: str) -> int:
        """Return the size of a file that is there; -1 if none is."""
        try:
            found = os.lstat(self.root / path)
        except OSError:
            return -1
        return found.st_size if stat.S_ISREG(found.st_mode) else -1

    def receive(self, blocks: Iterable[bytes]) -> Received:
        """Write what arrives to a file without a name yet.

        Raises
        ------
        BrokenOff
            If it ends early; nothing is left.
        """
        self._number += 1
        path = self.root / f".{os.getpid()}.{self._number}.partial"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        digest, size = hashlib.sha256(), 0
        try:
            with open(os.open(path, flags, files.PRIVATE_FILE), "wb", buffering=0) as stream:
                for block in blocks:
                    digest.update(block)
                    size += len(block)
                    while block:
                        block = block[stream.write(block) :]
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Received(path, size, digest.hexdigest())

    def discard(self, received: Received) -> None:
        """Remove a received file."""
        received.path.unlink(missing_ok=True)

    def keep(self, received: Received, path: str) -> None:
        """Give a received file its name, together with others once they are durable."""
        self._waiting[self.root / path] = received.path
        self._bytes += received.size
        if len(self._waiting) >= GROUP_FILES or self._bytes >= GROUP_BYTES:
            self.commit()

    def remove(self, path: str) -> None:
        """Remove a file, named or about to be."""
        beside = self._waiting.pop(self.root / path, None)
        for each in (beside, self.root / path):
            if each is not None:
                each.unlink(missing_ok=True)

    def commit(self) -> None:
        """Make all that waits durable, then name it."""
        if not self._waiting:
            return
        self._disk.flush(self._waiting.values())
        for path, beside in self._waiting.items():
            files.make_private(path.parent)
            os.replace(beside, path)
        self._waiting, self._bytes = {}, 0

    def make_names_durable(self) -> None:
        """Make the names durable: before an account says that the files are there."""
        self.commit()
        self._disk.flush()

    def close(self) -> None:
        """Name what waits, and remove what is not complete."""
        self.commit()
        self._disk.close()
        with contextlib.suppress(OSError):  # unlocked, not only closed: the process that reads headers inherited it
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        os.close(self._lock)


def _lock(root: Path) -> int:
    """Lock the folder itself until this process ends, or unlocks it.

    The lock of the results does not suffice: two configurations with other results may name one source, and each
    retrieval removes what looks like the remains of another one.
    """
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    "config key 'source': another ./run retrieve fills this folder; wait for it to end, or name "
                    "another folder"
                ) from None
    except UserError:
        os.close(handle)
        raise
    return handle


def refuse_foreign(root: Path) -> None:
    """Refuse a folder with anything in it that was not retrieved.

    Raises
    ------
    UserError
        Names the number of such entries.
    """
    try:
        names = os.listdir(root)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"config key 'source': it cannot be read: {os.strerror(error.errno or 0)}") from None
    foreign = sum(1 for name in names if not _STUDY.fullmatch(name) and not _LEFT_BEHIND.fullmatch(name))
    if foreign:
        entries = "1 entry" if foreign == 1 else f"{foreign} entries"
        raise UserError(
            f"config key 'source': the folder holds {entries} that ./run retrieve did not write; name an empty folder, "
            "or one that does not exist yet"
        )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file; empty if it cannot be read."""
    try:
        return files.sha256_of(path)
    except OSError:
        return ""
