"""Changes of the bytes of a header: of single bytes, of lengths, of VRs; bytes that are missing, added or moved."""

from __future__ import annotations

import random

_LENGTHS = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xff\xff", b"\0\0", b"\x02\0", b"\x10\0\0\0")
_WORDS = (
    b"SQ",
    b"UN",
    b"OB",
    b"UT",
    b"US",
    b"LO",
    b"??",
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\x0d\xe0",
    b"\xfe\xff\xdd\xe0",
)


def mutated(data: bytes, random_: random.Random, behind: int | None = None) -> bytes:
    """Return bytes with one to sixteen changes before the offset `behind`."""
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 1, 2, 4, 16))):
        place = random_.randrange(min(len(changed), behind or len(changed)))
        match random_.randrange(8):
            case 0:
                changed[place] = random_.randrange(256)
            case 1:
                changed[place] ^= 1 << random_.randrange(8)
            case 2:
                word = random_.choice(_LENGTHS)
                changed[place : place + len(word)] = word
            case 3:
                word = random_.choice(_WORDS)
                changed[place : place + len(word)] = word
            case 4:
                del changed[place : place + random_.randrange(1, 40)]
            case 5:
                changed[place:place] = random_.randbytes(random_.randrange(1, 40))
            case 6:  # a part that is moved or doubled
                length, to = random_.randrange(1, 60), random_.randrange(len(changed))
                part = changed[place : place + length]
                if random_.randrange(2):
                    del changed[place : place + length]
                changed[to:to] = part
            case _:
                if not random_.randrange(4):
                    del changed[place:]
        if not changed:
            return b""
    return bytes(changed)
