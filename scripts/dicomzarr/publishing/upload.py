"""Publish a sealed dataset: `versions/<seal>/` in the target, then a pointer to it, `latest.json`.

A version is written once and never changed. The pointer is the last object that is written, so that a reader sees one
whole version or another. Objects whose content an earlier version has are copied within the target.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr.publishing import checklist, stores
from dicomzarr.publishing.checklist import Checklist, NotSealed
from dicomzarr.publishing.sent_objects import SentObjects
from dicomzarr.publishing.stores import Stored
from dicomzarr.records.digests import CHECKSUMS, SEALED, SIGNATURE
from dicomzarr.records.record_file import FileClaim
from dicomzarr.remote import POINTER
from dicomzarr.system import files, json_files
from dicomzarr.system.heartbeat import Progress
from dicomzarr.vocabulary.errors import UserError

log = logging.getLogger("dicomzarr")

VERSIONS = "versions/"
PART = 16 << 20  # bytes of a part of a large object; smaller ones are sent at once
_THREADS, _AT_ONCE = 16, 4096  # requests at the same time; objects whose sending is planned at once
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MD5 = 32  # hex digits
_UNFINISHED = re.compile(r"#\d+\Z")  # of names under which `obstore` writes files of a folder, before it renames them
_VERSION = re.compile(r"[0-9a-f]{16}")  # other folders there are of somebody else, and stay
_TYPES = {
    "html": "text/html; charset=utf-8", "json": "application/json", "csv": "text/csv; charset=utf-8",
    "jpg": "image/jpeg", "md": "text/markdown; charset=utf-8", "jsonl": "application/x-ndjson",
}  # fmt: skip


@dataclass(slots=True)
class Work:
    """What a publication did: numbers of objects, and bytes sent.

    Attributes
    ----------
    uploaded, copied, unchanged, removed : int
        Objects that were sent, copied within the target, there already, and deleted with old versions.
    bytes : int
        Bytes sent.
    proven : int
        Objects of this version whose tag in the target is the MD5 of the recorded bytes.
    """

    uploaded: int = 0
    copied: int = 0
    unchanged: int = 0
    removed: int = 0
    bytes: int = 0
    proven: int = 0


@dataclass(slots=True)
class Pointer:
    """The content of `latest.json`: the version that readers see, and all whole versions, the newest first."""

    version: str = ""
    versions: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, store: Any) -> Pointer:
        """Return the pointer of a target; an empty one if nothing was published yet.

        Raises
        ------
        UserError
            If the target holds another `latest.json`.
        """
        content = stores.read(store, POINTER)
        if content is None:
            return cls()
        try:
            stated = json.loads(content)
            return cls(str(stated["version"]), [str(version) for version in stated["versions"]])
        except (ValueError, LookupError, TypeError):
            raise UserError(
                f"the target holds a {POINTER} that ./run publish did not write: name another prefix in publish.target"
            ) from None

    def to_bytes(self, published: Checklist) -> bytes:
        """Return the content of the object."""
        content = {
            "schema_version": 1,
            "path": f"{VERSIONS}{self.version}",
            "version": self.version,
            "seal": published.seal,
            "digest": published.digest,
            "dataset_json": published.claims[SEALED].digest,
            "versions": self.versions,
        }
        return json_files.canonical_json(content)


class Differs(UserError):
    """A file of the dataset is not as recorded."""

    def __init__(self) -> None:
        super().__init__(
            "a file of the dataset differs from its record: ./run verify --repair rebuilds it; then repeat"
        )


@dataclass(frozen=True, slots=True)
class _Earlier:
    """An object of an earlier version: its path and tag; `is_known` if that is the tag of what was sent."""

    path: str
    etag: str
    is_known: bool
    is_md5: bool


def phase_of(path: str) -> int:
    """Return when a file is sent: voxels first, then tables and pages, then metadata of Zarr, which lead to voxels."""
    if path.startswith("images.zarr/"):
        return 2 if path.endswith("zarr.json") else 0
    return 1


class Publication:
    """One version of the dataset on its way into a target.

    Parameters
    ----------
    dataset : Path
        The sealed dataset.
    store : obstore store
    sent : SentObjects
        The objects that earlier publications sent.
    progress : Progress
    """

    def __init__(self, dataset: Path, store: Any, sent: SentObjects, progress: Progress) -> None:
        self._dataset, self._store, self._sent, self._progress = dataset, store, sent, progress
        self.work = Work()
        self.expected = read_sealed(dataset)
        self.version = self.expected.seal[:16]
        self._folder = f"{VERSIONS}{self.version}/"
        self._earlier: dict[FileClaim, _Earlier] = {}  # by content
        self._is_plain_md5: set[bool] = set()  # whether tags of what was sent are MD5 of its bytes

    def publish(self, keep: int | None = None) -> None:
        """Bring the target up to date; if this is interrupted and repeated, the result is the same.

        Parameters
        ----------
        keep : int, optional
            Number of versions to keep, this one included; all by default.
        """
        pointer = Pointer.read(self._store)
        there = stores.listed(self._store, self._folder)
        claims = {path: claim for path, claim in self.expected.claims.items() if path != SEALED}
        signature = self._signature()
        if signature:
            claims[SIGNATURE] = signature
        waiting = [path for path, claim in claims.items() if not self._is_there(path, claim, there.get(path))]
        self.work.unchanged = len(claims) - len(waiting)
        self._progress.add(self.work.unchanged, 0, is_new=False)
        if waiting:
            self._find_earlier(pointer)
        first = [path for path in waiting if path not in checklist.UNLISTED]
        for phase in range(3):
            self._send_all([path for path in first if phase_of(path) == phase], claims)
        self._send_all([path for path in (CHECKSUMS, SIGNATURE) if path in waiting], claims)
        self._check_all(claims)
        sealed = self.expected.claims[SEALED]
        if self._is_there(SEALED, sealed, there.get(SEALED)):
            self.work.unchanged += 1
        else:
            self._send_all([SEALED], {SEALED: sealed})
        self._point(pointer)
        if keep is not None:
            self._prune(keep)
        self._sent.keep({self.version})

    def _signature(self) -> FileClaim | None:
        try:
            content = (self._dataset / SIGNATURE).read_bytes()
        except FileNotFoundError:
            return None
        return FileClaim(len(content), files.sha256_of_bytes(content))

    # ---- What is there

    def _is_there(self, path: str, claim: FileClaim, found: Stored | None) -> bool:
        """Return whether an object has the recorded content: by the tag that it got when it was sent, or by MD5."""
        if found is None or found.size != claim.size:
            return False
        if self._sent.etag_of(self.version, path, claim) == found.etag != "":
            return True
        if found.etag not in self._etags(path, claim):
            return False
        self._sent.add(self.version, path, claim, found.etag, is_md5=True)
        return True

    def _etags(self, path: str, claim: FileClaim) -> set[str]:
        """Return the tags that S3 gives to an object with the content of a file, which is read and compared."""
        digests = Digests()
        for _ in self._blocks(path, claim, digests):
            pass
        return digests.etags()

    def _find_earlier(self, pointer: Pointer) -> None:
        """Find the objects of the version that readers see now, by content; only of those that it holds whole."""
        version = pointer.version
        if not version or version == self.version:
            return
        folder = f"{VERSIONS}{version}/"
        sealed, checksums = (stores.read(self._store, folder + name) for name in (SEALED, CHECKSUMS))
        try:
            claims = checklist.read(sealed or b"", checksums or b"").claims
        except NotSealed:
            return  # it is damaged: everything is sent
        there = stores.listed(self._store, folder)
        for path, claim in claims.items():
            found, known = there.get(path), self._sent.etag_of(version, path, claim)
            if found and found.size == claim.size and found.etag and known in ("", found.etag):
                is_md5 = self._sent.is_md5(version, path)
                self._earlier[claim] = _Earlier(folder + path, found.etag, bool(known), is_md5)

    def _check_all(self, claims: Mapping[str, FileClaim]) -> None:
        """Compare a new listing of the version with the records: sizes, tags, and nothing else in it."""
        remove_unfinished(self._store, self._folder)
        there = stores.listed(self._store, self._folder)
        for path in set(there) - {*claims, SEALED}:
            if path != SIGNATURE:  # of a signature that no longer holds
                raise UserError(
                    "the target holds objects among those of this version that ./run publish did not write: remove "
                    "them, or name another prefix in publish.target"
                )
            self._delete([self._folder + path])
        wrong = sum(
            path not in there
            or there[path].size != claim.size
            or self._sent.etag_of(self.version, path, claim) != there[path].etag
            for path, claim in claims.items()
        )
        if wrong:
            words = (
                "1 object in the target is not as it was"
                if wrong == 1
                else f"{wrong} objects in the target are not as they were"
            )
            raise UserError(f"{words} sent; run the same command again")
        self.work.proven = self._sent.proven(self.version)

    # ---- Sending

    def _send_all(self, paths: Sequence[str], claims: Mapping[str, FileClaim]) -> None:
        with ThreadPoolExecutor(_THREADS) as pool:
            try:
                for start in range(0, len(paths), _AT_ONCE):
                    part = paths[start : start + _AT_ONCE]
                    answers = pool.map(lambda path: self._send(path, claims[path]), part)
                    for path, (how, etag, is_md5) in zip(part, answers, strict=True):
                        self._progress.add(1, claims[path].size)
                        self._sent.add(self.version, path, claims[path], etag, is_md5=is_md5)
                        self.work.copied += how == "copied"
                        self.work.uploaded += how == "uploaded"
                        self.work.bytes += claims[path].size if how == "uploaded" else 0
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _send(self, path: str, claim: FileClaim) -> tuple[str, str, bool]:
        """Copy an object from an earlier version, or send it; return how, its tag, and whether that is its MD5."""
        import obstore

        target, earlier = self._folder + path, self._earlier.get(claim)
        if earlier and (earlier.is_known or earlier.etag in self._etags(path, claim)):
            with stores.errors("copy an object within the target"):
                try:
                    obstore.copy(self._store, earlier.path, target)
                    copied = obstore.head(self._store, target)
                except stores.not_copied():
                    copied = None
            etag = stores.plain(copied["e_tag"]) if copied else ""
            # A copy of an object of several parts has one part, and so another tag.
            if copied and copied["size"] == claim.size and (etag == earlier.etag or "-" in earlier.etag):
                return "copied", etag, etag == earlier.etag and (earlier.is_md5 or not earlier.is_known)
        digests = Digests()
        try:
            with stores.errors("write to the target"):
                answer = obstore.put(
                    self._store, target, self._content(path, claim, digests), attributes=self._attributes(path),
                    use_multipart=claim.size > PART, chunk_size=PART, max_concurrency=2,
                )  # fmt: skip
        except Exception:
            if digests.differs:  # raised while parts were being sent, and perhaps wrapped
                raise Differs from None
            raise
        etag = stores.plain(answer["e_tag"])
        is_md5 = etag in digests.etags()
        if len(etag) == _MD5 and claim.size <= PART:
            self._is_plain_md5.add(is_md5)
            if len(self._is_plain_md5) > 1:
                raise UserError("an object arrived in the target with other bytes; run the same command again")
        return "uploaded", etag, is_md5

    def _content(self, path: str, claim: FileClaim, digests: Digests) -> Any:
        if claim.size > PART:
            return self._blocks(path, claim, digests)
        return b"".join(self._blocks(path, claim, digests))

    def _blocks(self, path: str, claim: FileClaim, digests: Digests) -> Iterator[bytes]:
        """Yield the content of a file of the dataset.

        Raises
        ------
        Differs
            Before the last block, if it is not as recorded: then nothing is stored.
        """
        try:
            handle = os.open(self._dataset / path, _OPEN)
        except OSError:
            raise Differs from None
        with open(handle, "rb", buffering=0) as stream:
            status = os.fstat(handle)
            digests.differs = not stat.S_ISREG(status.st_mode) or status.st_size != claim.size
            block = b"" if digests.differs else _read(stream, PART)
            while block:
                digests.update(block)
                following = _read(stream, PART)
                digests.differs = not following and digests.sha256 != claim.digest
                if digests.differs:
                    break
                yield block
                block = following
        if digests.differs or digests.sha256 != claim.digest:  # or an empty file
            digests.differs = True
            raise Differs

    def _attributes(self, path: str) -> dict[str, str] | None:
        kind = _TYPES.get(path.rpartition(".")[2], "application/octet-stream")
        return {"Content-Type": kind} if stores.has_attributes(self._store) else None

    # ---- The pointer, and old versions

    def _point(self, pointer: Pointer) -> None:
        """Let the pointer name this version, unless it does."""
        versions = [self.version, *(version for version in pointer.versions if version != self.version)]
        self._write_pointer(Pointer(self.version, versions))

    def _write_pointer(self, pointer: Pointer) -> None:
        import obstore

        content = pointer.to_bytes(self.expected)
        if stores.read(self._store, POINTER) == content:
            return
        attributes = {"Content-Type": "application/json", "Cache-Control": "no-cache"}
        with stores.errors("write the pointer to the new version"):
            obstore.put(
                self._store, POINTER, content, use_multipart=False,
                attributes=attributes if stores.has_attributes(self._store) else None,
            )  # fmt: skip

    def _prune(self, keep: int) -> None:
        """Delete old versions, and what interrupted publications left: first the pointer forgets them."""
        pointer = Pointer.read(self._store)
        kept = pointer.versions[:keep]
        if kept != pointer.versions:
            self._write_pointer(Pointer(self.version, kept))
        remove_unfinished(self._store, VERSIONS)
        folders = ((path, path.partition("/")[0]) for path in stores.listed(self._store, VERSIONS))
        paths = [path for path, name in folders if name not in kept and _VERSION.fullmatch(name)]
        paths.sort(key=lambda path: not path.endswith(f"/{SEALED}"))  # what marks a version as whole goes first
        self._delete([VERSIONS + path for path in paths])
        self.work.removed = len(paths)

    def _delete(self, paths: Sequence[str]) -> None:
        import obstore

        with stores.errors("delete objects in the target"):
            for start in range(0, len(paths), 1000):
                obstore.delete(self._store, paths[start : start + 1000])


def remove_unfinished(store: Any, prefix: str) -> None:
    """Delete what an interrupted write or copy left in versions in a folder, of which lists of the store have nothing.

    So does a copy onto a link to the same file, which is no rename. A bucket shows objects that are whole alone.

    Parameters
    ----------
    store : obstore store
    prefix : str
        `VERSIONS`, or the folder of a version below it; beside the pointer, too.
    """
    from obstore.store import LocalStore

    if not isinstance(store, LocalStore):
        return
    root = Path(str(store.prefix))
    versions = [path for path in (root / VERSIONS).glob("*") if _VERSION.fullmatch(path.name)]
    folders = versions if prefix == VERSIONS else [root / prefix]
    try:
        for path in (*root.glob(f"{POINTER}#*"), *(path for folder in folders for path in folder.rglob("*#*"))):
            if _UNFINISHED.search(path.name) and files.is_file(path):
                path.unlink()
    except OSError as error:
        raise UserError(
            f"could not delete what an interrupted publication left in the target: {error.strerror}; check its disk "
            "and its permissions, then run the same command again to continue"
        ) from None


def read_sealed(dataset: Path) -> Checklist:
    """Return the files of a dataset on disk.

    Raises
    ------
    UserError
        If it is not sealed, or its seal and its checksums do not belong together.
    """
    try:
        return checklist.read((dataset / SEALED).read_bytes(), (dataset / CHECKSUMS).read_bytes())
    except FileNotFoundError:
        raise UserError("the dataset is not sealed: finish a run first; nothing was published") from None
    except NotSealed as error:
        raise UserError(f"{error}; nothing was published. ./run verify --repair rebuilds what is damaged") from None


class Digests:
    """Digests of a file that is read in blocks of `PART` bytes; `differs` if it is found not to be as recorded."""

    def __init__(self) -> None:
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self._parts: list[bytes] = []
        self.differs = False

    def update(self, block: bytes) -> None:
        """Add a block."""
        self._sha256.update(block)
        self._md5.update(block)
        self._parts.append(hashlib.md5(block, usedforsecurity=False).digest())

    @property
    def sha256(self) -> str:
        """SHA-256 of the blocks so far, in hex."""
        return self._sha256.hexdigest()

    def etags(self) -> set[str]:
        """Return the tags that S3 gives to an object with this content: sent at once, or in parts of `PART` bytes."""
        of_parts = hashlib.md5(b"".join(self._parts), usedforsecurity=False).hexdigest()
        return {self._md5.hexdigest(), f"{of_parts}-{len(self._parts)}"}


def _read(stream: Any, length: int) -> bytes:
    """Return as many bytes of a file, or those up to its end."""
    blocks, missing = [], length
    while missing and (block := stream.read(missing)):
        blocks.append(block)
        missing -= len(block)
    return b"".join(blocks)
