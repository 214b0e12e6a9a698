"""One series: from its files to arrays in a temporary store and a record of all that happened.

A pure function of the files' contents, the configuration and the key: file names, times and places decide nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr import ome, risks, shards, storage, vocabulary
from dicomzarr.errors import SourceChanged
from dicomzarr.identity import Pseudonyms
from dicomzarr.model import Frame, HeaderRow, Volume
from dicomzarr.paths import decode_path
from dicomzarr.pixels import reader as pixels
from dicomzarr.pixels import sources
from dicomzarr.pixels.modality_lut import read_modality_lut
from dicomzarr.pixels.palette import read_palette
from dicomzarr.reasons import REASONS, SetAside
from dicomzarr.volumes import frames as frames_module
from dicomzarr.volumes import layout

_BLOCK = 1 << 22
# Reasons that leave no hole in a volume: the frame is there already, or is left out on purpose.
DELIBERATE = frozenset({"duplicate", "burned_in_risk"})
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """What of the configuration shapes arrays, and the code and libraries that make them."""

    compression: str
    layout: str
    tolerance: float
    cross_check: float
    burned_in: str
    software: tuple[str, ...]
    code: str


@dataclasses.dataclass(frozen=True, slots=True)
class Roots:
    """The absolute source folders by label, as bytes."""

    folders: Mapping[str, bytes]

    def locate(self, path: str) -> bytes:
        """Return the absolute path of a manifest path."""
        raw = decode_path(path)
        if "" in self.folders:
            return os.path.join(self.folders[""], raw)
        label, _, rest = raw.partition(b"/")
        return os.path.join(self.folders[label.decode()], rest)


@contextlib.contextmanager
def opened(row: HeaderRow, roots: Roots) -> Iterator[int]:
    """Open a source file, read only and without following a link; it is the one the scan saw until it is closed.

    Raises
    ------
    SourceChanged
        If it is not there or another one, also where the block failed: what was read of it is worth nothing.
    """
    try:
        handle = os.open(roots.locate(row["path"]), _OPEN)
    except OSError:
        raise SourceChanged(1) from None
    try:
        _refuse_change(handle, row)
        try:
            yield handle
        finally:
            _refuse_change(handle, row)
    finally:
        os.close(handle)


def _refuse_change(handle: int, row: HeaderRow) -> None:
    status = os.fstat(handle)
    if (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) != tuple(row["stat"]):
        raise SourceChanged(1)


def content_of(row: HeaderRow, roots: Roots) -> str:
    """Return the SHA-256 of a source file's bytes, in hex."""
    digest = hashlib.sha256()
    with opened(row, roots) as handle:
        offset = 0
        while block := os.pread(handle, _BLOCK, offset):
            digest.update(block)
            offset += len(block)
    if offset != row["stat"][0]:
        raise SourceChanged(1)
    return digest.hexdigest()


@dataclasses.dataclass(slots=True)
class _File:
    """A file of the series while it is worked on."""

    row: HeaderRow
    content: str
    own: bool = True
    reason: str = ""
    risk: str = ""
    numbers: dict[str, int] = dataclasses.field(default_factory=dict)
    format: pixels.PixelFormat | None = None
    frames: list[Frame] = dataclasses.field(default_factory=list)
    palette: dict[str, Any] | None = None
    modality_lut: dict[str, Any] | None = None

    @property
    def instance(self) -> str:
        return self.row["facts"].get("SOPInstanceUID") or self.content


class _Readers:
    """The frames of the files, one file open at a time."""

    def __init__(self, files: Sequence[_File], roots: Roots) -> None:
        self._files = files
        self._roots = roots
        self._stack = contextlib.ExitStack()
        self._current: int | None = None
        self._reader: pixels.FrameReader | None = None

    def of(self, source: int) -> pixels.FrameReader:
        if self._current != source or self._reader is None:
            self.close()
            row = self._files[source].row
            handle = self._stack.enter_context(opened(row, self._roots))
            opened_source = sources.open_source(handle, row["stat"][0], row["facts"])
            self._reader = pixels.FrameReader(opened_source, row["facts"])
            self._current = source
        return self._reader

    def frame(self, source: int, number: int) -> pixels.DecodedFrame:
        return self.of(source)[number]

    def close(self) -> None:
        self._stack.close()
        self._current, self._reader = None, None


def fingerprint(entry: Mapping[str, Any], contents: Mapping[str, str], options: Options) -> str:
    """Return the digest of everything the arrays of a series depend on.

    Parameters
    ----------
    entry : mapping
        The plan of the series.
    contents : mapping of str to str
        SHA-256 of each of its files and rivals, by path.
    options : Options
    """
    files = sorted((contents[row["path"]], row["outcome"], row["reason"]) for row in entry["files"])
    rivals = sorted(contents[row["path"]] for row in entry["rivals"])
    ids = [entry["series_id"], entry["study_id"], entry["subject_id"], entry["flags"]]
    whole = [files, rivals, ids, dataclasses.asdict(options)]
    return storage.sha256_of_bytes(storage.canonical_json(whole))


def _read_header(handle: int, row: HeaderRow) -> Any:
    """Return the data set without its pixels, for what the index does not keep; None where it cannot be read."""
    import pydicom

    try:
        with os.fdopen(os.dup(handle), "rb") as stream:
            stream.seek(0)
            return pydicom.dcmread(stream, stop_before_pixels=True, force=True)
    except Exception:
        return None


def _understand(index: int, file: _File, roots: Roots) -> None:
    """Fill in the pixel format and the frames of a file, or the reason why it has none."""
    facts = file.row["facts"]
    try:
        file.format = pixels.pixel_format(facts)
        _refuse_impossible_count(file)
        header = None
        if frames_module.needs_header(facts) or facts.get("has_palette") or facts.get("has_modality_lut"):
            with opened(file.row, roots) as handle:
                header = _read_header(handle, file.row)
        if facts.get("has_palette") and header is not None:
            file.palette = dict(read_palette(header))
        if facts.get("has_modality_lut") and header is not None:
            file.modality_lut = dict(read_modality_lut(header))
        file.frames = frames_module.frames_of(index, file.content, facts, file.format, header)
        if file.reason == "truncated_pixel_data" and facts["TransferSyntaxUID"] != sources.DEFLATED_EXPLICIT_LITTLE:
            # The header reader found that out without counting; here the numbers are at hand.
            pixels.FrameReader(_Hollow(file.row["stat"][0]), facts)
    except SetAside as error:
        file.numbers = _numbers(error) if file.reason in ("", error.code) else {}
        file.reason = file.reason or error.code
    except Exception:
        if not file.reason:
            raise
        # A header that is known to be broken need not tell where its slice would have been.
        file.frames = []


class _Hollow:
    """A source of so many bytes that nobody reads: enough to measure it."""

    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        raise SetAside("truncated_pixel_data")

    def read_into(self, offset: int, buffer: memoryview) -> None:
        raise SetAside("truncated_pixel_data")


def _numbers(error: SetAside) -> dict[str, int]:
    """Return the numbers that explain a reason: what was found and what was needed."""
    pairs = (("found", error.found), ("needed", error.needed))
    return {key: number for key, number in pairs if number is not None}


def _refuse_impossible_count(file: _File) -> None:
    """Refuse more encapsulated frames than the file has room for: each takes an item header of 8 bytes (PS3.5 A.4)."""
    room = file.row["stat"][0] // 8
    pixel = file.row["facts"].get("pixel")
    if file.format and pixel and pixel["length"] < 0 and file.format.frames > room:
        raise SetAside("frame_count_mismatch", found=room, needed=file.format.frames)


def _pixel_digest(files: Sequence[_File], index: int, readers: _Readers) -> str | None:
    """Return the digest of all pixels of a file, or None, with its reason noted, where they cannot be decoded."""
    file = files[index]
    digest = hashlib.sha256()
    try:
        for frame in file.frames:
            decoded = readers.frame(index, frame.number).pixels
            digest.update(f"{decoded.shape}{decoded.dtype.str}".encode())
            digest.update(decoded.data)
    except SetAside as error:
        _condemn(files, file.content, error.code, _numbers(error))
        return None
    return digest.hexdigest()


def _condemn(files: Sequence[_File], content: str, reason: str, numbers: dict[str, int]) -> None:
    """Note a reason for every file of this content: equal bytes fail alike."""
    for file in files:
        if file.content == content and (not file.reason or file.reason == "duplicate"):
            file.reason, file.numbers = reason, numbers


def _settle_duplicates(files: Sequence[_File], readers: _Readers) -> None:
    """Keep one file of each SOP Instance UID; set the others aside, or all where their pixels differ."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        if not file.reason:
            groups[file.instance].append(index)
    for members in groups.values():
        if len(members) < 2:
            continue
        if len({files[i].content for i in members}) > 1:
            digests = {i: _pixel_digest(files, i, readers) for i in members}
            members = [i for i in members if digests[i] is not None]
            if len({digests[i] for i in members}) > 1:
                for i in members:
                    files[i].reason = "conflicting_instance"
                continue
        for loser in sorted(members, key=lambda i: (files[i].content, i))[1:]:
            files[loser].reason = "duplicate"


def _validate_rest(files: Sequence[_File], readers: _Readers) -> None:
    """Decode every file that still stands, so that one more pass is enough."""
    for index, file in enumerate(files):
        if file.own and not file.reason:
            _pixel_digest(files, index, readers)


@dataclasses.dataclass(slots=True)
class _Written:
    """What writing a volume taught: digests of its files and frames, decoders, flags, and how cross-checks came out."""

    digests: shards.Digests = dataclasses.field(default_factory=dict)
    frames: list[str] = dataclasses.field(default_factory=list)
    decoders: set[str] = dataclasses.field(default_factory=set)
    flags: set[str] = dataclasses.field(default_factory=set)
    cross_checks: Counter[str] = dataclasses.field(default_factory=Counter)


def _write_array(folder: Path, volume: Volume, readers: _Readers, options: Options) -> _Written:
    first = volume.places[0].frame
    grid = shards.chunk_grid(volume.axes, volume.shape, first.dtype, options.layout)
    writer = shards.ShardWriter(folder / "0", grid, first.dtype, options.compression)
    done = _Written()
    try:
        for place in volume.places:
            try:
                reader = readers.of(place.frame.source)
                decoded = reader[place.frame.number]
                if not done.frames or pixels.is_sampled(place.frame.content, place.frame.number, options.cross_check):
                    checked = reader.cross_check(place.frame.number, decoded)
                    done.cross_checks[f"{checked.outcome} {checked.decoder}".strip()] += 1
                    done.flags.update({"not_cross_checked"} if checked.outcome == "refused" else ())
            except pixels.DecoderDisagreement as error:
                raise _BadFile(place.frame.source, error, error.digests) from None
            except SetAside as error:
                raise _BadFile(place.frame.source, error) from None
            done.flags.update(reader.flags)
            writer.put(decoded.pixels)
            done.frames.append(hashlib.sha256(decoded.pixels.data).hexdigest())
            done.decoders.add(decoded.decoder)
            done.flags.update(decoded.flags)
        done.digests = {f"0/{name}": said for name, said in writer.close().items()}
    except BaseException:
        writer.abandon()
        raise
    return done


class _BadFile(Exception):
    """A file that failed while its frames were written; with digests, two decoders disagree on one of them."""

    def __init__(self, source: int, error: SetAside, digests: tuple[str, str] | None = None) -> None:
        super().__init__(error.code)
        self.source = source
        self.reason = error.code
        self.numbers = _numbers(error)
        self.digests = digests


def _bits_stored(formats: Sequence[pixels.PixelFormat], flags: set[str]) -> int:
    """Return the largest Bits Stored; where lossy compression overshot it, Bits Allocated holds the values."""
    if "beyond_bits_stored" in flags:
        return max(form.bits_allocated for form in formats)
    return max(form.bits_stored for form in formats)


def _pixel_facts(volume: Volume, files: Sequence[_File], decoders: set[str], flags: set[str]) -> dict[str, Any]:
    sources = sorted({place.frame.source for place in volume.places})
    formats = [form for i in sources if (form := files[i].format) is not None]
    headers = [files[i].row["facts"] for i in sources]
    first = volume.places[0].frame
    found: dict[str, Any] = {
        "modality": vocabulary.modality(first.modality),
        "photometric": vocabulary.photometric(first.photometric),
        "photometric_source": sorted({vocabulary.photometric(form.photometric_source) for form in formats}),
        "bits_allocated": max(form.bits_allocated for form in formats),
        "bits_stored": _bits_stored(formats, flags),
        "transfer_syntax": sorted(
            {vocabulary.transfer_syntax(facts.get("TransferSyntaxUID", "")) for facts in headers}
        ),
        "decoder": sorted(decoders),
        "lossy": any(form.lossy for form in formats),
    }
    if len(found["photometric_source"]) == 1:
        found["photometric_source"] = found["photometric_source"][0]
    for name, tables in (
        ("palette", [files[i].palette for i in sources]),
        ("modality_lut", [files[i].modality_lut for i in sources]),
    ):
        if tables[0] is not None and all(table == tables[0] for table in tables):
            found[name] = dict(tables[0])
    for name, values in (
        ("padding_value", {facts.get("PixelPaddingValue") for facts in headers}),
        ("padding_range_limit", {facts.get("PixelPaddingRangeLimit") for facts in headers}),
        ("dose_grid_scaling", {facts.get("DoseGridScaling") for facts in headers}),
        ("dose_units", {vocabulary.dose_units(facts.get("DoseUnits", "")) for facts in headers}),
    ):
        if len(values) == 1 and None not in values:
            found[name] = values.pop()
    return found


def _declared(files: Sequence[_File], sources: Sequence[int], key: str, pick: Any) -> int | None:
    values = [files[i].row["facts"].get(key) for i in sources]
    return None if any(value is None for value in values) else int(pick(values))


def _write_volume(
    volume: Volume, store: Path, name: str, files: Sequence[_File], readers: _Readers, options: Options, expected: int
) -> dict[str, Any]:
    """Write one volume below `store` and return what the record keeps of it."""
    folder = store / name.split("/")[1]
    folder.mkdir()
    written = _write_array(folder, volume, readers, options)
    sources = sorted({place.frame.source for place in volume.places})
    pixel_facts = _pixel_facts(volume, files, written.decoders, written.flags)
    row_flags = {flag for i in sources for flag in files[i].row["flags"]}
    row_flags |= {"face_risk"} if risks.shows_face([files[i].row["facts"] for i in sources]) else set()
    format_flags = {flag for i in sources if (form := files[i].format) for flag in form.flags}
    flags = set(volume.flags) | written.flags | row_flags | format_flags
    flags |= {"incomplete"} if expected > len(volume.places) else set()
    volume = dataclasses.replace(volume, flags=tuple(sorted(flags)))
    digests = written.digests | ome.write_image_group(folder, volume, pixel_facts)
    first = volume.places[0].frame
    form = files[first.source].format
    return {
        "array": name,
        "kind": volume.kind,
        "why": volume.why,
        "axes": "".join(volume.axes),
        "shape": list(volume.shape),
        "dtype": first.dtype,
        "signed": bool(form and form.signed),
        "spacing_mm": dict(volume.spacing_mm),
        "missing_slices": volume.missing_slices,
        "flags": list(volume.flags),
        "frames_expected": expected,
        "declared_min": _declared(files, sources, "SmallestImagePixelValue", min),
        "declared_max": _declared(files, sources, "LargestImagePixelValue", max),
        "source_bytes": sum(files[i].row["stat"][0] for i in sources),
        "stored_bytes": sum(size for size, _ in digests.values()),
        "pixel_digest": storage.sha256_of_bytes(bytes.fromhex("".join(written.frames))),
        "facts": {k: v for k, v in pixel_facts.items() if k not in ("palette", "modality_lut")},
        "cross_checks": dict(sorted(written.cross_checks.items())),
        "files": {path: list(said) for path, said in sorted(digests.items())},
        "frames": [
            [place.frame.source, place.frame.number, place.t, place.z, digest]
            for place, digest in zip(volume.places, written.frames, strict=True)
        ],
    }


def _expected_frames(volumes: Sequence[Volume], files: Sequence[_File], options: Options) -> dict[tuple[str, ...], int]:
    """Return how many frames each volume would have if no file of it had failed, by discriminators."""
    lost = [f for f in files if f.own and f.frames and f.reason and f.reason not in DELIBERATE]
    kept = {f.instance for f in files if f.own and not f.reason}
    lost = [f for f in lost if f.instance not in kept]
    standing = [frame for f in files if f.own and not f.reason for frame in f.frames]
    if not lost or not standing:
        return {v.discriminators: len(v.places) for v in volumes}
    whole = layout.lay_out([*standing, *(frame for f in lost for frame in f.frames)], tolerance=options.tolerance)
    would = {v.discriminators: len(v.places) for v in whole}
    return {v.discriminators: max(len(v.places), would.get(v.discriminators, 0)) for v in volumes}


def name_volumes(series_id: str, volumes: Sequence[Volume], pseudonyms: Pseudonyms) -> dict[str, Volume]:
    """Return the volumes of a series by id; where two of thousands would share one, the later is hashed once more."""
    named: dict[str, Volume] = {}
    for volume in sorted(volumes, key=lambda volume: volume.discriminators):
        name, again = pseudonyms.volume_id(series_id, volume.discriminators), 0
        while name in named:
            again += 1
            name = pseudonyms.volume_id(series_id, (*volume.discriminators, f"again {again}"))
        named[name] = volume
    return named


def _attempt(
    entry: Mapping[str, Any],
    files: Sequence[_File],
    store: Path,
    roots: Roots,
    pseudonyms: Pseudonyms,
    options: Options,
) -> list[dict[str, Any]]:
    """Lay out and write the files that still stand; raises `_BadFile` at the first that fails."""
    readers = _Readers(files, roots)
    try:
        standing = [frame for file in files if file.own and not file.reason for frame in file.frames]
        if not standing:
            return []
        volumes = layout.lay_out(standing, tolerance=options.tolerance)
        expected = _expected_frames(volumes, files, options)
        named = name_volumes(entry["series_id"], volumes, pseudonyms)
        done = []
        for volume_id, volume in sorted(named.items()):
            flagged = dataclasses.replace(volume, flags=tuple(sorted({*volume.flags, *entry["flags"]})))
            name = f"{entry['series_id']}/{volume_id}"
            known = expected[volume.discriminators]
            done.append(_write_volume(flagged, store, name, files, readers, options, known))
        return done
    finally:
        readers.close()


def extract(
    entry: Mapping[str, Any],
    contents: Mapping[str, str],
    store: Path,
    roots: Roots,
    pseudonyms: Pseudonyms,
    options: Options,
) -> dict[str, Any]:
    """Write the arrays of one series into a temporary store and return its record.

    Parameters
    ----------
    entry : mapping
        The plan of the series: ids, files and rivals.
    contents : mapping of str to str
        SHA-256 of each file, by path.
    store : Path
        A folder that does not exist yet; each volume becomes a folder in it.
    roots : Roots
        Where the source is.
    pseudonyms : Pseudonyms
        Makes the ids of volumes.
    options : Options

    Returns
    -------
    dict
        The record: files with outcome and reason, volumes with digests and the place of every frame.
    """
    own = [_File(row, contents[row["path"]]) for row in entry["files"]]
    rivals = [_File(row, contents[row["path"]], own=False) for row in entry["rivals"]]
    # By content first: equal inputs give equal bytes wherever the files lie.
    files = sorted([*own, *rivals], key=lambda f: (not f.own, f.content, f.row["path"]))
    for index, file in enumerate(files):
        file.reason = "" if file.row["outcome"] == "image" else file.row["reason"]
        if not file.reason and options.burned_in == "skip":
            file.risk = risks.burned_in(file.row["facts"])
            file.reason = "burned_in_risk" if file.risk else ""
        _understand(index, file, roots)
    readers = _Readers(files, roots)
    _settle_duplicates(files, readers)
    readers.close()
    disagreement: dict[str, Any] | None = None
    for repeated in (False, True, True):
        storage.remove_tree(store)
        store.mkdir(parents=True)
        try:
            volumes = _attempt(entry, files, store, roots, pseudonyms, options)
            break
        except _BadFile as bad:
            if repeated and not bad.digests:
                raise ValueError("a file failed that had decoded before") from None
            if bad.digests:
                # One frame that two decoders read differently puts every frame of the series in doubt.
                disagreement = {"content": files[bad.source].content, "digests": list(bad.digests)}
                for file in files:
                    file.reason = file.reason or bad.reason
                continue
            _condemn(files, files[bad.source].content, bad.reason, bad.numbers)
            readers = _Readers(files, roots)
            _validate_rest(files, readers)
            readers.close()
    return {
        "series_id": entry["series_id"],
        "study_id": entry["study_id"],
        "subject_id": entry["subject_id"],
        "flags": entry["flags"],
        "options": dataclasses.asdict(options),
        "fingerprint": fingerprint(entry, contents, options),
        "files": [_account(file) for file in files if file.own],
        "volumes": volumes,
        "disagreement": disagreement,
    }


def set_aside(entry: Mapping[str, Any], contents: Mapping[str, str], options: Options, reason: str) -> dict[str, Any]:
    """Return the record of a series of which nothing can be extracted, each file for the same reason."""
    files = [_File(row, contents[row["path"]], reason=reason) for row in entry["files"]]
    return {
        **{key: entry[key] for key in ("series_id", "study_id", "subject_id", "flags")},
        "options": dataclasses.asdict(options),
        "fingerprint": fingerprint(entry, contents, options),
        "files": [_account(file) for file in sorted(files, key=lambda file: (file.content, file.row["path"]))],
        "volumes": [],
        "disagreement": None,
    }


def _account(file: _File) -> dict[str, Any]:
    return {
        "path": file.row["path"],
        "stat": list(file.row["stat"]),
        "content": file.content,
        "outcome": REASONS[file.reason].outcome if file.reason else "extracted",
        "reason": file.reason,
        "risk": file.risk,
        **file.numbers,
    }
