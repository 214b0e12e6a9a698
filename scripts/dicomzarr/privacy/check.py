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
import secrets
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomzarr import provenance, storage
from dicomzarr.errors import UserError
from dicomzarr.paths import Results, decode_path
from dicomzarr.privacy import exported
from dicomzarr.privacy.leaks import CODES, LEAST_IN_PIXELS, Leak, Scanner, own_words
from dicomzarr.privacy.needles import LEAST, NEEDLES, needles_of, read_needles

PROJECT = Path(__file__).resolve().parents[3]
LEVELS = ("standard", "full")
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


def check_privacy(results: Results, work: Path, level: str, code: str) -> int:
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

    Raises
    ------
    PrivacyProblem
        With the codes and places of what was found; or if a planted value is not found.
    """
    try:
        needles = read_needles(results.private / "cache" / NEEDLES)
    except (OSError, ValueError, EOFError):
        raise PrivacyProblem("what to look for is not there (private/cache): run the workflow again") from None
    own = own_words(PROJECT)
    scanner = Scanner(needles, own, _known_places(results, work))
    prove(own, results)
    memory = _Memory(_memory_of(results), f"{code} {level}")
    found: list[Finding] = []
    for shown, path in _files(results, work):
        found += _search(scanner, shown, path, level, memory)
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
    """Search what was written after the last job, as that job did; where it never ran there is nothing to go by.

    Raises
    ------
    PrivacyProblem
        As `check_privacy`.
    """
    try:
        code, level = storage.read_json(_memory_of(results))["version"].split()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    check_privacy(results, work, level, code)


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


def _files(results: Results, work: Path) -> Iterator[tuple[str, Path]]:
    """Yield every file of the results and of `.snakemake/`, with the path that is shown."""
    for base, shown, without in ((results.root, "results", "private"), (work / ".snakemake", ".snakemake", "conda")):
        waiting = [""]
        while waiting:
            below = waiting.pop()
            try:
                listing = sorted(os.scandir(base / below), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in listing:
                path = f"{below}/{entry.name}" if below else entry.name
                if path == without:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                yield f"{shown}/{path}", base / path


def _search(scanner: Scanner, shown: str, path: Path, level: str, memory: _Memory) -> list[Finding]:
    """Return what the name and the content of a file or folder give away."""
    folder, _, name = shown.rpartition("/")
    try:
        status = path.lstat()
    except OSError:
        return []  # it went while we looked
    leak = memory.name(name, scanner)
    if leak:
        number = 1 + sorted(os.listdir(path.parent)).index(path.name)
        return [Finding(f"{folder}/ (entry {number} by name)", leak)]
    if stat.S_ISLNK(status.st_mode):
        leak = scanner.name(os.readlink(path))
        return [Finding(shown, leak)] if leak else []
    if not stat.S_ISREG(status.st_mode) or memory.knows(shown, status):
        return []
    if _is_payload(shown):
        leak = _search_pixels(scanner, path) if level == "full" else None
    elif read := exported.reader_of(shown):
        leak = _search_parts(scanner, read(path, level == "full"))
    else:
        leak = _search_content(scanner, path, name)
    if leak:
        return [Finding(shown, leak)]
    memory.keep(shown, status)
    return []


def _is_payload(shown: str) -> bool:
    """Whether a file holds nothing but compressed voxels, each of which is proven equal to a decoded one."""
    return shown.startswith("results/dataset/images.zarr/") and not shown.endswith("zarr.json")


def _search_content(scanner: Scanner, path: Path, name: str) -> Leak | None:
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


def _search_pixels(scanner: Scanner, path: Path) -> Leak | None:
    """Search the voxels of the array that a shard belongs to, chunk by chunk."""
    import zarr

    parts = path.parts
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
    """Return texts that may stand in `.snakemake/`: where things lie, as the user typed it and as it is."""
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

    def __init__(self, path: Path, version: str) -> None:
        self._path, self._version = path, version
        self._names: dict[str, Leak | None] = {}
        self._kept: dict[str, list[int]] = {}
        self.searched = 0
        try:
            known = storage.read_json(path)
            self._known: Mapping[str, Any] = known["files"] if known["version"] == version else {}
        except (OSError, ValueError, KeyError, TypeError):
            self._known = {}

    def name(self, name: str, scanner: Scanner) -> Leak | None:
        """Search a name; the same names come again in every series."""
        if name not in self._names:
            self._names[name] = scanner.name(name)
        return self._names[name]

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

    def save(self) -> None:
        """Write it whole, for the owner alone."""
        content = {"version": self._version, "files": self._kept}
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
            if _search_content(scanner, path, path.name) is None:
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
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
