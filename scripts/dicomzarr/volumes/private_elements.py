"""Read private elements of a parsed header by their private creator (PS3.5 7.8.1)."""

from __future__ import annotations

from typing import Any


def private_value(item: Any, group: int, element: int, creator: str, maker: str = "") -> Any:
    """Return the value of a private element of a creator.

    Some archives remove private creators and leave the elements. If the group has no creator, an element of block 10 is
    taken where Manufacturer (0008,0070) begins with `maker`.

    Parameters
    ----------
    item : pydicom Dataset
        A header, or an item of a sequence.
    group, element : int
        Group, and the last two hexadecimal digits of the element.
    creator : str
        Private creator that owns the element.
    maker : str
        Beginning of Manufacturer (0008,0070), upper case; empty if it does not decide.

    Returns
    -------
    object
        None if the element is absent, or pydicom cannot convert it.
    """
    try:
        # The keys, not a question for each of 240 possible creators: a file of 500 frames has a thousand such items.
        creators = sorted(int(tag) for tag in item.keys() if group << 16 | 0x10 <= tag < group << 16 | 0x100)  # noqa: SIM118
        blocks = [(tag & 0xFF, str(item[tag].value).strip()) for tag in creators]
        for block, owner in blocks:
            if owner == creator and (group, block << 8 | element) in item:
                return item[group, block << 8 | element].value
        plain = (group, 0x1000 | element)
        if maker and not blocks and plain in item and str(item.get("Manufacturer", "")).upper().startswith(maker):
            return item[plain].value
    except MemoryError:  # the value is not unknown
        raise
    except Exception:  # whatever pydicom cannot read counts as unknown
        return None
    return None
