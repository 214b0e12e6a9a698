"""The key of a member: size, checksum, position in the archive, and fingerprint of the archive."""

from __future__ import annotations

import hashlib

from dicomzarr.source.row import StatKey

UNLISTED = -1  # in place of the inode in the key of an archive that changed while it was listed: no file has it
_31_BITS, _32_BITS = (1 << 31) - 1, (1 << 32) - 1


def fingerprint(archive: StatKey) -> int:
    """Return 63 bits that say whether an archive changed, from its own key."""
    return int.from_bytes(hashlib.sha256(",".join(map(str, archive)).encode()).digest()[:8], "big") >> 1


def member_key(size: int, crc: int, compressed: int, offset: int, archive: int) -> StatKey:
    """Return the key of a member.

    Parameters
    ----------
    size, crc, compressed, offset : int
        Bytes, CRC-32 (0 in a tar, which has none), compressed bytes (0 if not known), and position in the archive; in a
        compressed tar, that in the tar.
    archive : int
        Fingerprint of the archive.

    Returns
    -------
    StatKey
        The second integer holds the checksum and the last 31 bits of the compressed size.
    """
    return size, crc | (compressed & _31_BITS) << 32, offset, archive


def crc_of(key: StatKey) -> int:
    """Return the CRC-32 in a key."""
    return key[1] & _32_BITS


def fits(key: StatKey, compressed: int) -> bool:
    """Return whether a key may be that of a member with so many compressed bytes; -1 if these are not known."""
    return compressed < 0 or not key[1] >> 32 or key[1] >> 32 == compressed & _31_BITS
