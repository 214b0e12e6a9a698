"""The functional groups of a frame: attributes are looked up in its own item, then in the one that all frames share."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from dicomzarr.dicom.decimals import read_nonstandard
from dicomzarr.dicom.head_words import bytes_name_head
from dicomzarr.dicom.header_values import first_of, items_of, number, numbers
from dicomzarr.dicom.plausible import RANGES, is_plausible
from dicomzarr.volumes.frame_attributes import Defects

_UNREADABLE: Final = object()  # stands for a value that pydicom cannot convert
_ANATOMY: Final = "FrameAnatomySequence"
_MAX_MEANING: Final = 4 * 64  # bytes: LO has up to 64 characters


class SharedGroups:
    """The shared functional groups; what has been looked up once is kept, for all frames."""

    def __init__(self, group: Any) -> None:
        self._group = group
        self._items: dict[str, Any] = {}
        self._values: dict[tuple[str, str], Any] = {}
        self._names_head: bool | None = None

    def item(self, sequence: str) -> Any:
        """Return the first item of a functional group, or None.

        Parameters
        ----------
        sequence : str
            Keyword of the sequence of the functional group.

        Returns
        -------
        pydicom Dataset or None
        """
        if sequence not in self._items:
            self._items[sequence] = None if self._group is None else first_of(self._group, sequence)
        return self._items[sequence]

    def all_items(self, sequence: str) -> list[Any]:
        """Return all items of a functional group.

        Parameters
        ----------
        sequence : str
            Keyword of the sequence of the functional group.

        Returns
        -------
        list of pydicom Dataset
        """
        return [] if self._group is None else items_of(self._group, sequence)

    def value(self, sequence: str, keyword: str) -> Any:
        """Return the value of an attribute; None without one.

        Parameters
        ----------
        sequence : str
            Keyword of the sequence of the functional group.
        keyword : str
            Keyword of the attribute.

        Returns
        -------
        object
        """
        key = (sequence, keyword)
        if key not in self._values:
            item = self.item(sequence)
            self._values[key] = None if item is None else _value(item, keyword)
        return self._values[key]

    def names_head(self) -> bool:
        """Return whether the anatomy that all frames share names the head.

        Returns
        -------
        bool
        """
        if self._names_head is None:
            self._names_head = _names_head(self.item(_ANATOMY))
        return self._names_head


class Groups:
    """The functional groups of one frame.

    Parameters
    ----------
    own : pydicom Dataset, optional
        The frame's item of Per-Frame Functional Groups Sequence (5200,9230).
    shared : SharedGroups
        The item of Shared Functional Groups Sequence (5200,9229).
    defects : Defects
        Collects what is wrong with numbers.
    """

    def __init__(self, own: Any, shared: SharedGroups, defects: Defects) -> None:
        self._own, self._shared, self._defects = own, shared, defects
        self._is_quick = own is not None and not hasattr(own, "items")  # a `FrameItem`, read without pydicom
        self._items: dict[str, Any] = {}

    def own_item(self, sequence: str) -> Any:
        """Return the frame's own item of a functional group, or None.

        Parameters
        ----------
        sequence : str
            Keyword of the sequence of the functional group.

        Returns
        -------
        pydicom Dataset or None
        """
        if sequence not in self._items:
            if self._is_quick:
                items = self._own.get(sequence)
                self._items[sequence] = items[0] if items else None
            else:
                has_it = self._own is not None and _has(self._own, sequence)
                self._items[sequence] = first_of(self._own, sequence) if has_it else None
        return self._items[sequence]

    def items(self, sequence: str) -> list[Any]:
        """Return the frame's own item of a functional group and the shared one, where they exist.

        Parameters
        ----------
        sequence : str
            Keyword of the sequence of the functional group.

        Returns
        -------
        list of pydicom Dataset
        """
        return [item for item in (self.own_item(sequence), self._shared.item(sequence)) if item is not None]

    def all_items(self, sequence: str) -> list[Any]:
        """Return all items of a functional group: the frame's own, else the shared ones.

        Parameters
        ----------
        sequence : str
            Keyword of the sequence of the functional group.

        Returns
        -------
        list of pydicom Dataset
        """
        own = items_of(self._own, sequence) if self.own_item(sequence) is not None else []
        return own or self._shared.all_items(sequence)

    def value(self, sequence: str, keyword: str) -> Any:
        """Return the value of an attribute, of the frame's own item if it has one; None if both lack it.

        Parameters
        ----------
        sequence : str
            Keyword of the sequence of the functional group.
        keyword : str
            Keyword of the attribute.

        Returns
        -------
        object
        """
        item = self.own_item(sequence)
        value = None if item is None else _value(item, keyword)
        return self._shared.value(sequence, keyword) if _is_empty(value) else value

    def number(self, sequence: str, keyword: str) -> float | None:
        """Return an attribute as a number; of several values the first.

        Parameters
        ----------
        sequence : str
            Keyword of the sequence of the functional group.
        keyword : str
            Keyword of the attribute.

        Returns
        -------
        float or None
        """
        return self.number_of(self.value(sequence, keyword), keyword)

    def number_of(self, value: Any, keyword: str) -> float | None:
        """Return a value of an attribute as a number, if it is one that the attribute can have.

        Parameters
        ----------
        value : object
            As pydicom gives it.
        keyword : str
            Keyword of the attribute.

        Returns
        -------
        float or None
        """
        if _is_empty(value):
            return None
        result = number(value)
        if result is None:
            read = self.nonstandard(value, keyword)
            if not isinstance(read, list):
                return None
            result = read[0]
        if is_plausible(keyword, result):
            return result
        self._defects.flags.add("implausible_number")
        return None

    def values(self, sequence: str, keyword: str) -> Any:
        """Return an attribute of several numbers as pydicom gives it, or as numbers where their form is nonstandard.

        Parameters
        ----------
        sequence : str
            Keyword of the sequence of the functional group.
        keyword : str
            Keyword of the attribute.

        Returns
        -------
        object
        """
        value = self.value(sequence, keyword)
        if _is_empty(value):
            return value
        parts = numbers(value)
        if parts is None:
            return self.plausible(self.nonstandard(value, keyword), keyword)
        return value if self._is_plausible(parts, keyword) else None

    def plausible(self, value: Any, keyword: str) -> Any:
        """Return several numbers if the attribute can have them, else None with the flag `implausible_number`.

        Parameters
        ----------
        value : object
            As pydicom gives it.
        keyword : str
            Keyword of the attribute.

        Returns
        -------
        object
        """
        parts = numbers(value)
        return value if parts is None or self._is_plausible(parts, keyword) else None

    def _is_plausible(self, parts: tuple[float, ...], keyword: str) -> bool:
        """Return whether an attribute can have these numbers; flag the file if not."""
        bounds = RANGES.get(keyword)
        if bounds is None or not parts or (bounds[0] <= min(parts) and max(parts) <= bounds[1]):
            return True
        self._defects.flags.add("implausible_number")
        return False

    def names_head(self) -> bool:
        """Return whether the anatomy of the frame names the head.

        Returns
        -------
        bool
            By a meaning of a code of Anatomic Region Sequence (0008,2218) in Frame Anatomy Sequence (0020,9071).

        References
        ----------
        DICOM PS3.3 C.7.6.16.2.8 (Frame Anatomy).
        """
        return _names_head(self.own_item(_ANATOMY)) or self._shared.names_head()

    def flag(self, code: str) -> None:
        """Flag the file.

        Parameters
        ----------
        code : str
            A code of `vocabulary.flags.FLAGS`.
        """
        self._defects.flags.add(code)

    def nonstandard(self, value: Any, keyword: str) -> list[float] | None:
        """Return numbers whose form DICOM does not allow, and flag them; or None, and note the keyword.

        Parameters
        ----------
        value : object
            As pydicom gives it.
        keyword : str
            Keyword of the attribute.

        Returns
        -------
        list of float or None
        """
        parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
        texts = [str(getattr(part, "original_string", part)) for part in parts]
        read = None if value is _UNREADABLE else read_nonstandard(texts, keyword)
        if read is None:
            self._defects.unreadable.add(keyword)
        else:
            self._defects.flags.add("nonstandard_number")
        return read


@lru_cache(maxsize=256)
def _tag_of(keyword: str) -> int:
    from pydicom.datadict import tag_for_keyword

    return tag_for_keyword(keyword) or 0


def _has(item: Any, keyword: str) -> bool:
    return _tag_of(keyword) in item.keys()  # noqa: SIM118 - `in` of a data set is slower


def _value(item: Any, keyword: str) -> Any:
    if not _has(item, keyword):
        return None
    try:
        return item.get(keyword)
    except MemoryError:  # the value is not unknown
        raise
    except Exception:  # the value cannot be converted
        return _UNREADABLE


def _names_head(anatomy: Any) -> bool:
    """Return whether a meaning of a region names the head, in one of the character sets that it may be in."""
    if anatomy is None or not _has(anatomy, "AnatomicRegionSequence"):
        return False
    elements = (region.get_item("CodeMeaning") for region in items_of(anatomy, "AnatomicRegionSequence"))
    values = (None if element is None else element.value for element in elements)
    # Bytes as in the file, since Specific Character Set may be wrong; a text where it was made and not read.
    texts = (value.encode() if isinstance(value, str) else value for value in values)
    return any(isinstance(text, bytes) and bytes_name_head(text[:_MAX_MEANING]) for text in texts)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, (str, bytes, list)) and not value)
