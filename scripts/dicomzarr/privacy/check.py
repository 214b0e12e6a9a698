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
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dicomzarr import locks, provenance, storage
from dicomzarr.errors import UserError
from dicomzarr.paths import Results, decode_path
from dicomzarr.privacy import exported
from dicomzarr.privacy.leaks import CODES, LEAST_IN_PIXELS, Leak, Scanner, own_words, snakemakes_words
from dicomzarr.privacy.lookups import Lookups
from dicomzarr.privacy.memory import GROUP_DIGITS, Group, Memory, in_order, state_of, version_of
from dicomzarr.privacy.needles import LEAST, NEEDLES, needles_of, read_needles, words_of
from dicomzarr.privacy.tables import NoTable, search_table

PROJECT = Path(__file__).resolve().parents[3]
LEVELS = ("standard", "full")
SNAKEMAKES = (".snakemake/", "results/benchmarks/")  # what Snakemake writes, in words of its own
MOST_TOLD = 20  # findings in the message
_TICK = 0.02  # seconds: file systems tell times in steps of up to a hundredth
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
Placed: TypeAlias = tuple[str, os.DirEntry[str]]  # what lies below a folder, with its path from there


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
    cache = results.private / "cache"
    try:
        needles, gathered, whole = read_needles(cache / NEEDLES)
    except (OSError, ValueError, EOFError, IndexError):
        raise PrivacyProblem("what to look for is not there (private/cache): run the workflow again") from None
    own = own_words(PROJECT)
    prove(own, results)
    own |= {word for text in chosen for word in words_of(text)}
    lookups = Lookups(cache, needles)
    snakemakes = own | snakemakes_words()
    scanners = {
        "dataset": Scanner(lookups, own),
        "snakemake": Scanner(lookups, snakemakes, _known_places(results, work)),
    }
    time.sleep(_TICK)  # what is written from now on has another time than what was there
    version = [code, level, f"{gathered:x}", *chosen]
    memory = Memory(cache, version, (own, snakemakes), whole, lookups, _run_of(results))
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
        code, level, _, *chosen = version_of(results.private / "cache")
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


def _run_of(results: Results) -> str:
    """Return what tells this run of the workflow from others: who holds, or held, the lock of the main process."""
    try:
        return (results.private / locks.RUN).read_text("utf-8")
    except (OSError, ValueError):
        return ""


def _search_all(scanners: Mapping[str, Scanner], results: Results, work: Path, level: str, memory: Memory) -> Found:
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
                is_folder = entry.is_dir(follow_symlinks=False)
                if folder == _IMAGES and is_folder and _SERIES.fullmatch(entry.name):
                    continue  # with its group
                yield from _search(scanner, path, entry, level, memory)
                if is_folder:
                    waiting.append(path)
                if path == _IMAGES and is_folder:
                    yield from _search_arrays(scanner, entry.path, level, memory)


def _listed(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=_name_of)
    except OSError:
        return []


def _name_of(entry: os.DirEntry[str]) -> str:
    return entry.name


def _search_arrays(scanner: Scanner, images: str, level: str, memory: Memory) -> Found:
    """Yield the findings in the folders of series, group by group, unless all is as when it was found clean."""
    groups: dict[str, list[os.DirEntry[str]]] = {}
    for entry in _listed(images):
        if _SERIES.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            groups.setdefault(entry.name[:GROUP_DIGITS], []).append(entry)
    for name, series in groups.items():
        if memory.knows_group(name, images, [entry.name for entry in series]):
            continue
        below = {entry.name: list(_below(entry.path)) for entry in series}
        counted = {one: in_order(["", *_counted(one, found, level)]) for one, found in below.items()}
        group = Group(counted, state_of(images, counted))
        leaks = [leak for entry in series for leak in _search_series(scanner, entry, below[entry.name], level, memory)]
        yield from leaks
        if not leaks:
            memory.keep_group(name, group)


def _search_series(
    scanner: Scanner, series: os.DirEntry[str], below: Sequence[Placed], level: str, memory: Memory
) -> Found:
    """Yield the findings in the folder of a series; the ids of its volumes alone may look like a date."""
    for path, entry in [("", series), *below]:
        shown = f"{_IMAGES}/{series.name}{path}"
        if not (_VOLUME.fullmatch(shown) and entry.is_dir(follow_symlinks=False)):
            yield from _search(scanner, shown, entry, level, memory, keep=False)


def _counted(series: str, found: Sequence[Placed], level: str) -> Iterator[str]:
    """Yield what of a series is to be as it was: a file of voxels that is not read counts by its folder."""
    for path, entry in found:
        if level == "full" or entry.is_dir(follow_symlinks=False) or not _is_payload(f"{_IMAGES}/{series}{path}"):
            yield path


def _below(home: str) -> Iterator[Placed]:
    """Yield all that lies below a folder, with its path from there."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for entry in _listed(home + below):
            path = f"{below}/{entry.name}"
            yield path, entry
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)


def _search(
    scanner: Scanner, shown: str, entry: os.DirEntry[str], level: str, memory: Memory, *, keep: bool = True
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
        elif name.endswith(".csv"):
            leak = _search_rows(scanner, shown, entry.path, memory)
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


_IMAGES = "results/dataset/images.zarr"
_SERIES = re.compile(r"[0-9a-f]{16}")
_VOLUME = re.compile(r"results/dataset/images\.zarr/[0-9a-f]{16}/[0-9a-f]{8}")
# Series, volume, array, and the chunk's place in it: no other file of a store is one.
_PAYLOAD = re.compile(r"results/dataset/images\.zarr/[0-9a-f]{16}/[0-9a-f]{8}/\w+/c(/\d+)*")


def _search_rows(scanner: Scanner, shown: str, path: str, memory: Memory) -> Leak | None:
    """Search the rows of a table that are new or changed; where one gives something away, all, to tell its line."""
    try:
        found, blocks = search_table(scanner, Path(path), memory.blocks(shown))
    except NoTable:
        return _search_content(scanner, path, os.path.basename(path))
    if found:
        return _search_content(scanner, path, os.path.basename(path)) or Leak("value_in_file")
    memory.keep_blocks(shown, blocks)
    return None


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
