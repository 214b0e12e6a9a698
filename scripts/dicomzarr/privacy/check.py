"""The search for leaks over a results folder: what is new or changed, after a proof that the search can find.

`results/private/` is where identities may be, and is not looked at.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import re
import secrets
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dicomzarr import provenance, storage
from dicomzarr.errors import UserError
from dicomzarr.paths import Results, decode_path
from dicomzarr.privacy import exported
from dicomzarr.privacy.leaks import CODES, LEAST_IN_PIXELS, Leak, Scanner, own_words, snakemakes_words
from dicomzarr.privacy.needles import LEAST, NEEDLES, needles_of, read_needles, words_of

PROJECT = Path(__file__).resolve().parents[3]
LEVELS = ("standard", "full")
SNAKEMAKES = (".snakemake/", "results/benchmarks/")  # what Snakemake writes, in words of its own
MOST_TOLD = 20  # findings in the message
_LARGEST = 256 << 20  # bytes of a file that are looked at in one piece
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class PrivacyProblem(UserError):
    """Something of the source stands where it must not, or the search cannot be trusted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A leak and its place: a path below the results or the working folder, without the part that gives it away."""

    place: str
    leak: Leak

    def __str__(self) -> str:
        line = f", line {self.leak.line}" if self.leak.line else ""
        return f"{self.leak.code} in {self.place}{line}"


Found: TypeAlias = Iterator[Finding]


def check_privacy(results: Results, work: Path, level: str, code: str, chosen: Sequence[str] = ()) -> int:
    """Look for identities in all that is new or changed; return how many files were looked at.

    Parameters
    ----------
    results : Results
        Searched but for `private/`.
    work : Path
        The folder in which Snakemake runs: its `.snakemake/` is searched too.
    level : str
        ``standard``, or ``full`` to search decompressed pixels as well.
    code : str
        Digest of the code that searches: what other code found clean is searched again.
    chosen : sequence of str
        Texts of the configuration that are to stand in the dataset, such as the values of labels: no leak.

    Raises
    ------
    PrivacyProblem
        With the codes and places of what was found; or if a planted value is not found.
    """
    try:
        needles, gathered = read_needles(results.private / "cache" / NEEDLES)
    except (OSError, ValueError, EOFError, IndexError):
        raise PrivacyProblem("what to look for is not there (private/cache): run the workflow again") from None
    own = own_words(PROJECT)
    prove(own, results)
    own |= {word for text in chosen for word in words_of(text)}
    scanners = {
        "dataset": Scanner(needles, own),
        "snakemake": Scanner(needles, own | snakemakes_words(), _known_places(results, work)),
    }
    memory = _Memory(_memory_of(results), [code, level, f"{gathered:x}", *chosen])
    found = list(_search_all(scanners, results, work, level, memory))
    memory.save()
    if found:
        more = f" and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
        codes = sorted({finding.leak.code for finding in found})
        raise PrivacyProblem(
            "; ".join(map(str, found[:MOST_TOLD]))
            + more
            + ". That means: "
            + "; ".join(f"{code}: {CODES[code]}" for code in codes)
            + ". Do not share this folder. If the workflow did not write that file, remove it and run again; "
            "else please open an issue with this line, which holds no value. About false alarms: docs/data-policy.md"
        )
    return memory.searched


def search_afterwards(results: Results, work: Path) -> None:
    """Search what was written after the last job, as that job did; where it never ran, all that there is.

    Raises
    ------
    PrivacyProblem
        As `check_privacy`.
    """
    if not (results.private / "cache" / NEEDLES).exists():
        return  # no header was read
    try:
        code, level, _, *chosen = storage.read_json(_memory_of(results))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        code, level, chosen = "", LEVELS[0], []
    check_privacy(results, work, level, code, chosen)


def main(arguments: Sequence[str]) -> int:
    """Search a results folder when Snakemake has ended: the launcher calls this."""
    try:
        search_afterwards(Results(Path(arguments[0])), Path.cwd())
    except UserError as error:
        said = str(error)
    except Exception as error:  # its text could hold what was being searched
        said = f"internal error, {provenance.where(error)}; please open an issue with this line"
    else:
        return 0
    print(f"Error: check_privacy: {said}", file=sys.stderr)
    return 1


# ---- what is searched


def _memory_of(results: Results) -> Path:
    return results.private / "cache" / "searched.json"


def _search_all(scanners: Mapping[str, Scanner], results: Results, work: Path, level: str, memory: _Memory) -> Found:
    """Yield the findings in all files and folders of the results and of `.snakemake/`."""
    for base, shown, without in (
        (str(results.root), "results", "results/private"),
        (str(work / ".snakemake"), ".snakemake", ".snakemake/conda"),
    ):
        waiting = [shown]
        while waiting:
            folder = waiting.pop()
            for entry in _listed(base + folder[len(shown) :]):
                path = f"{folder}/{entry.name}"
                if path == without:
                    continue
                scanner = scanners["snakemake" if path.startswith(SNAKEMAKES) else "dataset"]
                if _VOLUME.fullmatch(path):
                    yield from _search_volume(scanner, path, entry, level, memory)
                    continue
                yield from _search(scanner, path, entry, level, memory)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)


def _listed(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=_name_of)
    except OSError:
        return []


def _name_of(entry: os.DirEntry[str]) -> str:
    return entry.name


def _search_volume(scanner: Scanner, shown: str, volume: os.DirEntry[str], level: str, memory: _Memory) -> Found:
    """Yield the findings in the folder of a volume, unless all in it is as it was when it was found clean.

    It is remembered as one: most files of a large dataset lie in such folders, and look the same from outside.
    """
    if not volume.is_dir(follow_symlinks=False):
        yield from _search(scanner, shown, volume, level, memory)
        return
    if memory.knows_volume(shown, volume.path):
        return
    entries: list[tuple[str, os.DirEntry[str]]] = []
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for entry in _listed(volume.path + below):
            path = f"{below}/{entry.name}"
            entries.append((path, entry))
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
    # A file of voxels that is not read counts by its folder, which knows its name.
    unread = level != "full"
    layout = [
        "",
        *(
            path
            for path, one in entries
            if one.is_dir(follow_symlinks=False) or not (unread and _is_payload(shown + path))
        ),
    ]
    state = _state(volume.path, layout)
    found = [one for path, entry in entries for one in _search(scanner, shown + path, entry, level, memory, keep=False)]
    yield from found
    if not found:
        memory.keep_volume(shown, layout, state)


def _state(folder: str, layout: Sequence[str]) -> str:
    """Return a digest of the stats of a folder and of what is below it; empty where one of these is gone."""
    try:
        stats = [_key(os.lstat(folder + path)) for path in layout]
    except OSError:
        return ""
    return hashlib.blake2b(repr(stats).encode(), digest_size=12).hexdigest()


def _search(
    scanner: Scanner, shown: str, entry: os.DirEntry[str], level: str, memory: _Memory, *, keep: bool = True
) -> Found:
    """Yield what the name and the content of a file or folder give away."""
    name = entry.name
    leak = memory.name(name, scanner)
    if leak:
        folder = os.path.dirname(entry.path)
        number = 1 + sorted(os.listdir(folder)).index(name)
        yield Finding(f"{shown.rpartition('/')[0]}/ (entry {number} by name)", leak)
        return
    if entry.is_dir(follow_symlinks=False):
        return
    try:
        status = os.lstat(entry.path)
        if stat.S_ISLNK(status.st_mode):
            leak = scanner.name(os.readlink(entry.path))
        elif not stat.S_ISREG(status.st_mode) or (keep and memory.knows(shown, status)):
            return
        elif read := exported.reader_of(shown):
            leak = _search_parts(scanner, read(Path(entry.path), level == "full"))
        elif not _is_payload(shown):
            leak = _search_content(scanner, entry.path, name)
        elif level == "full":
            leak = _search_pixels(scanner, entry.path)
    except FileNotFoundError:
        return  # it went while we looked
    if leak:
        yield Finding(shown, leak)
    elif keep:
        memory.keep(shown, status)
    else:
        memory.searched += 1


def _is_payload(shown: str) -> bool:
    """Whether a file holds nothing but compressed voxels, each of which is proven equal to a decoded one."""
    return bool(_PAYLOAD.fullmatch(shown))


_VOLUME = re.compile(r"results/dataset/images\.zarr/[0-9a-f]{16}/[0-9a-f]{8}")  # an id, which may look like a date
# Series, volume, array, and the chunk's place in it: no other file of a store is one.
_PAYLOAD = re.compile(r"results/dataset/images\.zarr/[0-9a-f]{16}/[0-9a-f]{8}/\w+/c(/\d+)*")


def _search_content(scanner: Scanner, path: str, name: str) -> Leak | None:
    with open(os.open(path, _OPEN), "rb") as stream:
        while data := stream.read(_LARGEST):
            if leak := scanner.content(data, name):
                return leak
    return None


def _search_parts(scanner: Scanner, parts: Iterator[exported.Part]) -> Leak | None:
    """Search an exported file; its voxels as those of the arrays, where that is asked for."""
    for part in parts:
        for start in range(0, len(part.data), _LARGEST):
            data = part.data[start : start + _LARGEST]
            if leak := scanner.content(data, "", LEAST_IN_PIXELS if part.voxels else LEAST):
                return Leak(leak.code)  # lines of a binary file say nothing
    return None


def _search_pixels(scanner: Scanner, path: str) -> Leak | None:
    """Search the voxels of the array that a shard belongs to, chunk by chunk."""
    import zarr

    parts = Path(path).parts
    depth = len(parts) - 1 - parts[::-1].index("c")
    array: Any = zarr.open_array(str(Path(*parts[:depth])), mode="r")
    sizes = array.shards or array.chunks
    starts = [int(part) * size for part, size in zip(parts[depth + 1 :], sizes, strict=True)]
    ends = [min(start + size, whole) for start, size, whole in zip(starts, sizes, array.shape, strict=True)]
    first, *rest = map(range, starts, ends)
    for begin in first[:: array.chunks[0]]:
        region = (slice(begin, min(begin + array.chunks[0], first.stop)), *(slice(one.start, one.stop) for one in rest))
        if leak := scanner.content(array[region].tobytes(), "", LEAST_IN_PIXELS):
            return leak
    return None


def _known_places(results: Results, work: Path) -> tuple[str, ...]:
    """Return texts that may stand in `.snakemake/`, and nowhere else: where things lie, as typed and as it is."""
    own = (work, results.root, results.root.absolute(), PROJECT, Path.home(), sys.prefix)
    places = [str(place) for place in own]
    try:
        with open(results.inventory, "rb") as stream:
            roots = json.loads(stream.readline())["roots"]
        places += [os.fsdecode(decode_path(root)) for root in roots.values()]
    except (OSError, ValueError, KeyError):
        pass
    return tuple(place for place in places if len(place) > 2)


class _Memory:
    """Which files were found clean, by their stat, so that a run searches only what is new or changed."""

    def __init__(self, path: Path, version: list[str]) -> None:
        self._path, self._version = path, version
        self._names: dict[tuple[Scanner, str], Leak | None] = {}
        self._kept: dict[str, list[int]] = {}
        self._kept_volumes: dict[str, list[Any]] = {}
        self._layouts: dict[tuple[str, ...], int] = {}
        self.searched = 0
        known: dict[str, Any] = {}
        try:
            said = storage.read_json(path)
            known = said if said["version"] == version else {}
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self._known: Mapping[str, Any] = known.get("files", {})
        self._known_volumes: Mapping[str, Any] = known.get("volumes", {})
        self._known_layouts: Sequence[Sequence[str]] = known.get("layouts", [])

    def name(self, name: str, scanner: Scanner) -> Leak | None:
        """Search a name; the same names come again in every series."""
        if (scanner, name) not in self._names:
            self._names[scanner, name] = scanner.name(name)
        return self._names[scanner, name]

    def knows(self, shown: str, status: os.stat_result) -> bool:
        """Return whether the file was found clean and is as it was then."""
        if self._known.get(shown) != _key(status):
            self.searched += 1
            return False
        self._kept[shown] = _key(status)
        return True

    def keep(self, shown: str, status: os.stat_result) -> None:
        """Note that a file is clean."""
        self._kept[shown] = _key(status)

    def knows_volume(self, shown: str, folder: str) -> bool:
        """Return whether the folder of a volume was found clean, and all in it is as it was then."""
        number, state = self._known_volumes.get(shown, (-1, ""))
        if number < 0 or _state(folder, self._known_layouts[number]) != state:
            return False
        self.keep_volume(shown, self._known_layouts[number], state)
        return True

    def keep_volume(self, shown: str, layout: Sequence[str], state: str) -> None:
        """Note that the folder of a volume is clean: what lies in it, as a number, and the digest of the stats."""
        if state:
            number = self._layouts.setdefault(tuple(layout), len(self._layouts))
            self._kept_volumes[shown] = [number, state]

    def save(self) -> None:
        """Write it whole, for the owner alone."""
        content: dict[str, Any] = {"version": self._version, "files": self._kept}
        content |= {"volumes": self._kept_volumes, "layouts": [*self._layouts]}
        storage.write_if_changed(self._path, storage.canonical_json(content), private=True)


def _key(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


# ---- the proof that the search can find


def prove(own: frozenset[str], results: Results) -> None:
    """Plant a value that nobody knows in every form there is, and find each.

    Raises
    ------
    PrivacyProblem
        If one is not found.
    """
    value = f"Canary{secrets.token_hex(6)}^Wren{secrets.token_hex(4)}".encode()
    scanner = Scanner(frozenset(needles_of("PN", value)), own)
    folder = storage.make_private(results.temporary / f"canary.{os.getpid()}")
    try:
        for form, data in _forms(value).items():
            path = folder / f"{form}.planted"
            path.write_bytes(data)
            if _search_content(scanner, str(path), path.name) is None:
                raise PrivacyProblem(f"the search for leaks is blind to a planted value ({form}): please open an issue")
        for name, data in exported.planted(value).items():
            path = folder / name
            path.write_bytes(data)
            read = exported.reader_of(exported.EXPORTS + name)
            if read is None or _search_parts(scanner, read(path, False)) is None:
                raise PrivacyProblem(f"the search for leaks is blind to a planted value ({name}): please open an issue")
        if scanner.name(f"series-{value.decode()}.csv") is None:
            raise PrivacyProblem("the search for leaks is blind to a planted value (name): please open an issue")
    finally:
        storage.remove_tree(folder)


def _forms(value: bytes) -> dict[str, bytes]:
    """Return files that hold a value, by the way in which they do."""
    import imagecodecs

    text = b"The value is " + value + b", and it stands in a sentence.\n"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("inside.txt", text)
    return {
        "plain": text,
        "upper": text.upper(),
        "utf-16": text.decode().encode("utf-16"),
        "base64": base64.b64encode(text),
        "hex": text.hex().encode(),
        "gzip": gzip.compress(text, mtime=0),
        "zlib": b"\0\1\2" + zlib.compress(text),
        "zstd": bytes(imagecodecs.zstd_encode(text)),
        "blosc": bytes(imagecodecs.blosc_encode(text * 8, typesize=1)),
        "zip": archive.getvalue(),
        "sha256": hashlib.sha256(value).hexdigest().encode(),
        "md5": b'{"id":"' + hashlib.md5(value).hexdigest().encode() + b'"}',
        "path": b"".join(b"%%%02X" % byte for byte in value),
        "escaped": b"".join(b"\\x%02x" % byte for byte in value),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
