"""Open a member of an archive by its key: here where limits hold already, else by a child process."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from dicomzarr.source.archives import bounds, names, streams, tar_cache, zip_directory
from dicomzarr.source.archives.keys import fingerprint
from dicomzarr.source.archives.listing import Bytes, Descriptor
from dicomzarr.source.archives.members import PackedMember, ReceivedMember, TarMember, fits_in_memory
from dicomzarr.source.open_file import OpenFile
from dicomzarr.source.row import StatKey
from dicomzarr.system import files, limits, sandbox
from dicomzarr.vocabulary.errors import SourceChanged
from dicomzarr.vocabulary.reasons import NotExtracted

_ATTEMPTS = 3  # another process may delete a decompressed tar before it is opened
_BLOCK = 1 << 22


class _CachedTar(TarMember):
    """A member of a decompressed tar, whose descriptor is closed with it."""

    def __init__(self, archive: OpenFile, handle: int, key: StatKey) -> None:
        super().__init__(archive, Descriptor(handle), key, bounds.current().folder)
        self._handle = handle

    def close(self) -> None:
        """Close the tar."""
        super().close()
        os.close(self._handle)


def open_member(roots: Mapping[str, bytes], archive: OpenFile, path: str, key: StatKey) -> OpenFile:
    """Return a member of an open archive.

    Parameters
    ----------
    roots : mapping of str to bytes
        Roots by label, for the child process.
    archive : OpenFile
        The archive; it stays open as long as the member is.
    path : str
        Of the member, as in the manifest.
    key : StatKey
        Of the member.

    Raises
    ------
    NotExtracted
        With the reason why it cannot be unpacked.
    SourceChanged
        If the archive changed.
    OSError
        If the disk fails, or that of the results is full.
    """
    name, _ = names.split(path)
    kind, folder = names.kind_by_name(name), bounds.current().folder
    archive_key = archive.key()
    if archive_key is None or fingerprint(archive_key) != key[3]:
        return TarMember(archive, archive, (0, *key[1:3], 0), folder)  # its key says that it changed
    if kind == names.TAR:
        return TarMember(archive, archive, key, folder)
    if kind in names.COMPRESSED_TARS:
        return _CachedTar(archive, _tar_of(roots, archive, archive_key, name, kind), key)
    if not sandbox.is_confined():
        return _received(roots, archive, path, key)
    whole = Bytes(archive, archive_key[0])
    if kind == names.GZIP:
        return PackedMember(archive, streams.Inflated(whole, 0, is_gzip=True), key, folder)
    method, start = zip_directory.data_of(whole, key[2])
    return PackedMember(archive, streams.of_method(method, whole, start, key[0]), key, folder)


def _tar_of(roots: Mapping[str, bytes], archive: OpenFile, key: StatKey, path: str, kind: str) -> int:
    """Return a descriptor of a decompressed tar, from the cache or decompressed now."""
    in_force, name = bounds.current(), tar_cache.name_of(path, fingerprint(key))
    for _ in range(_ATTEMPTS):
        found = tar_cache.open_cached(in_force.folder, name)
        if found is not None:
            return found[0]
        if sandbox.is_confined():
            with limits.current().budget() as renew:
                return tar_cache.decompress(Bytes(archive, key[0]), kind, name, in_force, renew)[0]
        else:
            sandbox.call(_decompress, roots, path, key, fault="unreadable_archive")
    raise NotExtracted("too_large")


def _decompress(roots: Mapping[str, bytes], path: str, key: StatKey) -> None:
    from dicomzarr.source.opener import Opener

    with Opener(roots, whole=False) as opener, contextlib.closing(opener.open(path)) as archive:
        if archive.key() != key:
            raise SourceChanged(1)
        os.close(_tar_of(roots, archive, key, path, names.kind_by_name(path)))


def _received(roots: Mapping[str, bytes], archive: OpenFile, path: str, key: StatKey) -> OpenFile:
    """Return a member that a child process unpacks: into memory, or into a file of the private cache."""
    folder = bounds.current().folder
    if fits_in_memory(key):
        content: Any = sandbox.call(_unpack, roots, path, key, "", fault="damaged_member")
        return ReceivedMember(archive, key, folder, memoryview(content))
    files.make_private(folder)
    handle, name = tempfile.mkstemp(files.TEMPORARY, ".member.", folder)
    try:
        sandbox.call(_unpack, roots, path, key, name, fault="damaged_member")
    except BaseException:
        os.close(handle)
        raise
    finally:
        os.unlink(name)
    return ReceivedMember(archive, key, folder, handle)


def _unpack(roots: Mapping[str, bytes], path: str, key: StatKey, target: str) -> Any:
    """Return the content of a member as an array of bytes, or write it to a file."""
    from dicomzarr.source.opener import Opener

    with Opener(roots) as opener, contextlib.closing(opener.open(path, key)) as member:
        if member.key() != key or not isinstance(member, PackedMember):
            raise SourceChanged(1)
        content = np.empty(0 if target else key[0], np.uint8)
        offset = 0
        with contextlib.ExitStack() as stack:
            renew = stack.enter_context(limits.current().budget())
            out = stack.enter_context(open(target, "r+b", buffering=_BLOCK)) if target else None
            while offset < key[0]:
                block = member.read(_BLOCK, offset)
                if out is None:
                    content[offset : offset + len(block)] = np.frombuffer(block, np.uint8)
                else:
                    out.write(block)
                offset += len(block)
                renew()
        member.check()
        if member.key() != key:
            raise SourceChanged(1)
    return content
