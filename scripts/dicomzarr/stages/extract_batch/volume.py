"""One volume: its frames decoded in order, cross-checked, digested and written, and what the record keeps of it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.arrays.write_image import Decoded, write_image
from dicomzarr.dicom import image_risks
from dicomzarr.dicom.photometric import known_photometric
from dicomzarr.dicom.transfer_syntaxes import known_transfer_syntax
from dicomzarr.pixels import reader as pixels
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import FrameRow, VolumeRecord
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series_files import Readers, Roots, SourceFile, numbers_of
from dicomzarr.system.thread_pool import ThreadPool
from dicomzarr.vocabulary import allow_list
from dicomzarr.vocabulary.reasons import SetAside
from dicomzarr.volumes.model import Place, Volume

Answer = TypeVar("Answer")


@dataclasses.dataclass(slots=True)
class _Seen:
    """What decoding the frames of a volume taught: their digests, decoders, flags, and how cross-checks came out."""

    frames: list[str] = dataclasses.field(default_factory=list)
    decoders: set[str] = dataclasses.field(default_factory=set)
    flags: set[str] = dataclasses.field(default_factory=set)
    cross_checks: Counter[str] = dataclasses.field(default_factory=Counter)

    def take(self, frame: _Frame) -> NDArray[Any]:
        """Note a frame and return its pixels."""
        self.frames.append(frame.digest)
        self.decoders.add(frame.decoder)
        self.flags.update(frame.flags)
        if frame.cross_check:
            self.cross_checks[frame.cross_check] += 1
        return frame.pixels


class _ReaderPool:
    """Readers of the same files for as many threads as ask for one at a time."""

    def __init__(self, files: Sequence[SourceFile], roots: Roots) -> None:
        self._files, self._roots = files, roots
        self._idle: list[Readers] = []

    def use(self, work: Callable[[Readers], Answer]) -> Answer:
        """Return what `work` makes of readers that nobody else uses meanwhile; the file they have open stays so."""
        try:
            readers = self._idle.pop()
        except IndexError:
            readers = Readers(self._files, self._roots)
        try:
            answer = work(readers)
        except BaseException:
            readers.close()
            raise
        self._idle.append(readers)
        return answer

    def close(self) -> None:
        """Close all files; tells of one that changed while it was open."""
        with contextlib.ExitStack() as stack:
            for readers in self._idle:
                stack.callback(readers.close)


class _Frame(NamedTuple):
    """A decoded frame, and what decoding it taught."""

    pixels: NDArray[Any]
    digest: str
    decoder: str
    flags: frozenset[str]
    cross_check: str


def _decode(place: Place, readers: _ReaderPool, options: Options, *, always: bool = False) -> _Frame:
    """Read one frame; cross-check it if it is a sample, or in any case."""
    said, flags = "", set[str]()
    source, number = place.frame.source, place.frame.number

    def read(readers: Readers) -> pixels.DecodedFrame:
        nonlocal said
        reader = readers.of(source)
        decoded = reader[number]
        if always or pixels.is_sampled(place.frame.content, number, options.cross_check):
            checked = reader.cross_check(number, decoded)
            said = f"{checked.outcome} {checked.decoder}".strip()
            flags.update({"not_cross_checked"} if checked.outcome == "refused" else ())
        flags.update(reader.flags, decoded.flags)
        return decoded

    try:
        decoded = readers.use(read)
    except pixels.DecoderDisagreement as error:
        raise BadFile(source, error, error.digests) from None
    except SetAside as error:
        raise BadFile(source, error) from None
    digest = blake3(decoded.pixels.data.cast("B")).hexdigest()
    return _Frame(decoded.pixels, digest, decoded.decoder, frozenset(flags), said)


def _decode_all(
    places: Sequence[Place], readers: _ReaderPool, options: Options, pool: ThreadPool, seen: _Seen
) -> Iterator[NDArray[Any]]:
    """Yield the frames of a volume in array order."""
    first, *others = places
    # The first alone: it is always cross-checked, and what its kind of frame needs is imported by one thread.
    opening = _decode(first, readers, options, always=True)
    size = opening.pixels.nbytes
    yield seen.take(opening)
    for frame in pool.map(lambda place: _decode(place, readers, options), others, size):
        yield seen.take(frame)


class BadFile(Exception):
    """A file that failed while its frames were written; with digests, two decoders disagree on one of them."""

    def __init__(self, source: int, error: SetAside, digests: tuple[str, str] | None = None) -> None:
        super().__init__(error.code)
        self.source = source
        self.reason = error.code
        self.numbers = numbers_of(error)
        self.digests = digests


def _bits_stored(formats: Sequence[pixels.PixelFormat], flags: set[str]) -> int:
    """Return the largest Bits Stored; where lossy compression overshot it, Bits Allocated holds the values."""
    if "beyond_bits_stored" in flags:
        return max(form.bits_allocated for form in formats)
    return max(form.bits_stored for form in formats)


def _pixel_facts(volume: Volume, files: Sequence[SourceFile], decoders: set[str], flags: set[str]) -> dict[str, Any]:
    sources = sorted({place.frame.source for place in volume.places})
    formats = [form for i in sources if (form := files[i].format) is not None]
    headers = [files[i].row["facts"] for i in sources]
    first = volume.places[0].frame
    found: dict[str, Any] = {
        "modality": allow_list.modality(first.modality),
        "photometric": known_photometric(first.photometric),
        "photometric_source": sorted({known_photometric(form.photometric_source) for form in formats}),
        "bits_allocated": max(form.bits_allocated for form in formats),
        "bits_stored": _bits_stored(formats, flags),
        "transfer_syntax": sorted({known_transfer_syntax(facts.get("TransferSyntaxUID", "")) for facts in headers}),
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
        ("dose_units", {allow_list.dose_units(facts.get("DoseUnits", "")) for facts in headers}),
    ):
        if len(values) == 1 and None not in values:
            found[name] = values.pop()
    return found


def _declared(files: Sequence[SourceFile], sources: Sequence[int], key: str, pick: Any) -> int | None:
    values = [files[i].row["facts"].get(key) for i in sources]
    return None if any(value is None for value in values) else int(pick(values))


def _flags(volume: Volume, files: Sequence[SourceFile], sources: Sequence[int]) -> set[str]:
    """Return the flags of geometry, headers and formats."""
    found = set(volume.flags).union(*(files[i].row["flags"] for i in sources))
    found |= {"face_risk"} if image_risks.shows_face([files[i].row["facts"] for i in sources]) else set()
    return found.union(*(form.flags for i in sources if (form := files[i].format)))


def write_volume(
    volume: Volume,
    store: Path,
    name: str,
    files: Sequence[SourceFile],
    roots: Roots,
    options: Options,
    expected: int,
    pool: ThreadPool,
) -> VolumeRecord:
    """Write one volume below `store` and return its record; raises `BadFile`."""
    sources = sorted({place.frame.source for place in volume.places})
    seen = _Seen()
    pixel_facts: dict[str, Any] = {}
    flags: set[str] = set()

    def decoded() -> Decoded:
        pixel_facts.update(_pixel_facts(volume, files, seen.decoders, seen.flags))
        flags.update(_flags(volume, files, sources), seen.flags)
        flags.update({"incomplete"} if expected > len(volume.places) else ())
        return Decoded(sorted(flags), pixel_facts)

    with contextlib.closing(_ReaderPool(files, roots)) as readers:
        digests = write_image(
            store / name.split("/")[1],
            volume,
            _decode_all(volume.places, readers, options, pool, seen),
            decoded,
            compression=options.compression,
            layout=options.layout,
            pool=pool,
        )
    first = volume.places[0].frame
    form = files[first.source].format
    return VolumeRecord(
        array=name,
        kind=volume.kind,
        why=volume.why,
        axes="".join(volume.axes),
        shape=volume.shape,
        dtype=first.dtype,
        signed=bool(form and form.signed),
        spacing_mm=dict(volume.spacing_mm),
        missing_slices=volume.missing_slices,
        flags=tuple(sorted(flags)),
        frames_expected=expected,
        declared_min=_declared(files, sources, "SmallestImagePixelValue", min),
        declared_max=_declared(files, sources, "LargestImagePixelValue", max),
        source_bytes=sum(files[i].row["stat"][0] for i in sources),
        stored_bytes=sum(size for size, _ in digests.values()),
        pixel_digest=blake3(bytes.fromhex("".join(seen.frames))).hexdigest(),
        modality=pixel_facts["modality"],
        photometric=pixel_facts["photometric"],
        bits_allocated=pixel_facts["bits_allocated"],
        bits_stored=pixel_facts["bits_stored"],
        padding_value=pixel_facts.get("padding_value"),
        padding_range_limit=pixel_facts.get("padding_range_limit"),
        cross_checks=dict(sorted(seen.cross_checks.items())),
        files={path: FileClaim(*claim) for path, claim in sorted(digests.items())},
        frame_rows=tuple(
            FrameRow(place.frame.source, place.frame.number, place.t, place.z, digest)
            for place, digest in zip(volume.places, seen.frames, strict=True)
        ),
    )
