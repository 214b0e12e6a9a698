"""Search any folder for the names of a list, with the scanner of the privacy search; no record of the run is needed.

A finding is a code, a place and the number of a line of the list. It never holds the name.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicomzarr.dicom.standard_uids import is_standard_uid
from dicomzarr.privacy import grouped_numbers
from dicomzarr.privacy.bare_jpeg import is_bare_jpeg
from dicomzarr.privacy.export_readers import EXPORTS
from dicomzarr.privacy.file_contents import PICTURE, has_id_as_name, search_file
from dicomzarr.privacy.identifiers import hash_of_run, hash_of_words, identifiers_of, unspaced_names
from dicomzarr.privacy.scanner import Allowed, Leak, Scanner
from dicomzarr.privacy.search import FOLLOWED
from dicomzarr.privacy.words import WITHOUT_END, is_placeholder, words_of
from dicomzarr.privacy.xattrs import has_xattrs, search_xattrs
from dicomzarr.system import files, list_text
from dicomzarr.system.path_text import encode_path
from dicomzarr.vocabulary.errors import UserError

# Why a line of the list is not searched for as text.
NOT_SEARCHED = {
    "too_short": "fewer than five letters or eight digits, which occur everywhere; plain hashes of it are searched for",
    "no_words": "it has neither letters nor digits",
    "standard_uid": "a UID of the DICOM standard, which identifies nobody",
    "placeholder": "one character, repeated, or 9999-12-31: it stands where a value was removed",
}
# Letters of Chinese, Japanese and Korean: fewer than in the search of a run, since whoever asks looks at the place.
_SHORT_RUN, _SHORT_RUN_OF_KANA = 2, 3


@dataclass(frozen=True, slots=True)
class Needle:
    """A name of the list: the number of its line from 1, its identifiers, and its words in lower case."""

    line: int
    identifiers: frozenset[int]
    words: frozenset[str]
    grouped: frozenset[str] = frozenset()  # its forms if it is a date or a number in groups
    not_searched: str = ""  # a key of `NOT_SEARCHED`


@dataclass(frozen=True, slots=True)
class Hit:
    """A finding: a key of `scanner.CODES`, its place below the folder, its line there (0 where unknown), its needle.

    `needle` is the number of a line of the list. `own_word`: the needle is made of words
    of this project alone, which its pages and tables use themselves.
    """

    place: str
    code: str
    line: int
    needle: int
    own_word: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, the places that it could not read, and those of which it read a part, with the reason."""

    hits: tuple[Hit, ...]
    unread: tuple[str, ...]
    in_part: tuple[tuple[str, str], ...]
    files: int
    folders: int


def read_needles(path: Path, own_words: Container[str] = frozenset()) -> list[Needle]:
    """Read a list of names, one a line, in UTF-8, or UTF-16 with its mark; empty lines are left out.

    Parameters
    ----------
    path : Path
        Of the list.
    own_words : container of str
        Words of this project: they do not count alone where a name has other words too.

    Raises
    ------
    UserError
        If there is no such file, or it is no text, or holds no name.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"--needles: {path.name or str(path)!r} cannot be read ({os.strerror(error.errno or 0)})"
        ) from None
    try:
        text = list_text.decoded(data)
    except list_text.NoText as error:
        raise UserError(f"--needles: it is {error.problem}; needed is a text in UTF-8, one name a line") from None
    needles = [_needle(number, line.strip(), own_words) for number, line in enumerate(re.split("\r\n|\n|\r", text), 1)]
    found = [needle for needle in needles if needle]
    if not found:
        raise UserError("--needles: the list holds no name; needed is one a line")
    return found


def _needle(line: int, name: str, own_words: Container[str]) -> Needle | None:
    """Return the needle of a line; None if it is empty.

    A name is searched for if the search finds it in a text that holds nothing else.
    """
    if not name:
        return None
    forms = dict.fromkeys((name, name.upper(), name.lower()))
    identifiers = frozenset(number for form in forms for number in identifiers_of("PN", form.encode()))
    identifiers = identifiers.union(unspaced_names(name, _SHORT_RUN, _SHORT_RUN_OF_KANA))
    grouped = grouped_numbers.forms_of(name)
    identifiers = identifiers.union(hash_of_words([form]) for form in grouped if "-" not in form)
    words = frozenset(words_of(name))
    own = {word for word in words if word in own_words}
    if own != words:
        identifiers -= {number for word in own for number in (hash_of_words([word]), hash_of_run(word))}
    reason = ""
    if not words:
        reason = "no_words"
    elif all(is_standard_uid(word) for word in words):
        reason = "standard_uid"
    elif all(map(is_placeholder, words)) or WITHOUT_END in grouped:
        reason = "placeholder"
    elif Scanner(identifiers, frozenset(), grouped=grouped).name(name) is None:
        reason = "too_short"
    return Needle(line, identifiers, words, grouped, reason)


class NeedleSearch:
    """A search of a folder for needles.

    Parameters
    ----------
    needles : sequence of Needle
    own_words : container of str
        Words of this project: a needle of such words alone is searched too, and its hits are marked.
    shipped : sequence of bytes
        As of `Scanner`.
    with_voxels : bool
        Search compressed voxels too.
    """

    def __init__(
        self,
        needles: Sequence[Needle],
        own_words: Container[str],
        shipped: Sequence[bytes] = (),
        *,
        with_voxels: bool,
    ) -> None:
        self._needles, self._shipped, self._with_voxels = needles, shipped, with_voxels
        self._words = frozenset(word for needle in needles for word in needle.words)
        self._own = {needle.line for needle in needles if all(word in own_words for word in needle.words)}
        self._scanners: dict[tuple[int, ...], Scanner] = {}
        self._missed: set[str] = set()  # in the file that is searched

    def run(self, folder: Path) -> Found:
        """Search all names and files below a folder; of a results folder, all but `private/`.

        The target of a link is searched as a text. A link to a file is read; one to a folder is followed where the
        workflow has that folder, else it is reported as not read: it may lead anywhere.
        """
        top = _place_of(folder)
        hits: list[Hit] = []
        unread: list[str] = []
        in_part: list[tuple[str, str]] = []
        files = folders = 0
        waiting = [(str(folder), top, "")]
        while waiting:
            path, place, shown = waiting.pop()
            hits += self._hits_in_xattrs(shown or ".", path)
            try:
                with os.scandir(path) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError:
                unread.append(shown or ".")
                continue
            folders += 1
            for number, entry in enumerate(entries, 1):
                below, numbered = f"{place}{entry.name}", f"(entry {number} by name)"
                if below == "results/private":
                    continue
                named = [] if has_id_as_name(below) else self._hits_in_name(f"{shown}/ {numbered}", entry.name)
                hits += named
                where = f"{shown}/{numbered if named else self._shown(entry.name, number)}".lstrip("/")
                self._missed.clear()
                if entry.is_dir(follow_symlinks=below in FOLLOWED):
                    waiting.append((entry.path, f"{below}/", where))
                    if not entry.is_symlink():
                        continue
                elif _leads_to_folder(entry):
                    self._missed.add("linked_folder")
                hits += self._hits_in_xattrs(where, entry.path)
                try:
                    files += 1
                    hits += self._file(entry, below, where)
                except Exception:  # of any decoder; its message may quote the file
                    unread.append(where)
                in_part += [(where, reason) for reason in self._missed]
        order = sorted(hits, key=lambda hit: (hit.place, hit.line, hit.needle, hit.code))
        return Found(tuple(order), tuple(sorted(unread)), tuple(sorted(in_part)), files, folders)

    def _file(self, entry: os.DirEntry[str], place: str, shown: str) -> list[Hit]:
        """Return the hits in the content of a file, or in the target of a link."""
        mode = entry.stat(follow_symlinks=False).st_mode
        in_target: list[Hit] = []
        path = entry.path
        if stat.S_ISLNK(mode):
            target = os.readlink(entry.path)
            in_target = self._hits(shown, lambda scanner: scanner.name(target))
            path = os.path.realpath(path)  # files are opened without following links
            if not os.path.exists(path) or os.path.isdir(path):
                return in_target
            mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise OSError  # a pipe or a device: nothing is known about what it holds
        if PICTURE.fullmatch(place) and is_bare_jpeg(path):
            return in_target
        if entry.name.lower().endswith(".png"):  # anywhere: its pixels are one stream in several pieces
            place = f"{EXPORTS}{entry.name.lower()}"
        return in_target + self._hits(
            shown, lambda scanner: search_file(scanner, path, place, with_voxels=self._with_voxels)[0]
        )

    def _hits_in_name(self, place: str, name: str) -> list[Hit]:
        return self._hits(place.lstrip("/ "), lambda scanner: scanner.name(name))

    def _hits_in_xattrs(self, place: str, path: str) -> list[Hit]:
        return self._hits(place, lambda scanner: search_xattrs(scanner, path)) if has_xattrs(path) else []

    def _hits(self, place: str, search: Search) -> list[Hit]:
        """Return the hits of each needle: the whole list first, then halves of it while they have one."""
        hits = []
        waiting: list[Sequence[Needle]] = [self._needles]
        while waiting:
            needles = waiting.pop()
            leak = search(self._scanner(needles))
            if leak is None:
                continue
            if len(needles) > 1:
                middle = len(needles) // 2
                waiting += [needles[middle:], needles[:middle]]
                continue
            needle = needles[0].line
            hits.append(Hit(place, leak.code, leak.line, needle, needle in self._own))
        return hits

    def _scanner(self, needles: Sequence[Needle]) -> Scanner:
        """Return a scanner for some needles; of the whole list, always the same one, which remembers clean texts."""
        key = tuple(needle.line for needle in needles)
        if key not in self._scanners:
            if len(self._scanners) > _MAX_SCANNERS:
                self._scanners.clear()
            identifiers = frozenset().union(*(needle.identifiers for needle in needles))
            grouped = frozenset().union(*(needle.grouped for needle in needles))
            allowed = Allowed(shipped=self._shipped)
            scanner = Scanner(identifiers, frozenset(), allowed, with_dates=False, grouped=grouped)
            scanner.missed = self._missed
            self._scanners[key] = scanner
        return self._scanners[key]

    def _shown(self, name: str, number: int) -> str:
        """Return the name of an entry in printable characters, or its number if it shares a word with the list."""
        if self._words.intersection(words_of(name)):
            return f"(entry {number} by name)"
        return encode_path(os.fsencode(name))


Search = Callable[[Scanner], Leak | None]
_MAX_SCANNERS = 256


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and os.path.isdir(entry.path)


def _place_of(folder: Path) -> str:
    """Return the place of a folder as a run has it, which decides how its files are read."""
    if files.is_dir(folder / "dataset"):
        return "results/"
    is_dataset = any(files.exists(folder / name) for name in ("images.zarr", "volumes.csv", "dataset.json"))
    return "results/dataset/" if is_dataset else f"{folder.name}/"
