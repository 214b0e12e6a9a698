"""Write one volume: decode its frames in order, cross-check and hash them, write the array, return its record."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.arrays.write_image import Decoded, write_image
from dicomzarr.dicom.dates_in_numbers import may_be_date
from dicomzarr.dicom.photometric import known_photometric
from dicomzarr.dicom.transfer_syntaxes import known_transfer_syntax
from dicomzarr.pixels import reader as pixels
from dicomzarr.privacy.source_sizes import shared_size
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import FrameRow, VolumeRecord
from dicomzarr.stages.extract_batch.extraction import Extraction
from dicomzarr.stages.extract_batch.look_for_text import Looker
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.reader_pool import ReaderPool
from dicomzarr.stages.extract_batch.series_files import Readers, SourceFile, numbers_of
from dicomzarr.system.thread_pool import ThreadPool
from dicomzarr.vocabulary import allow_list
from dicomzarr.vocabulary.reasons import NotExtracted
from dicomzarr.volumes.model import Place, Volume


@dataclasses.dataclass(slots=True)
class _Decoding:
    """Results of decoding a volume's frames: digests, decoders, flags, loss, and counts of cross-check outcomes."""

    digests: list[str] = dataclasses.field(default_factory=list)
    decoders: set[str] = dataclasses.field(default_factory=set)
    flags: set[str] = dataclasses.field(default_factory=set)
    lossy: set[bool] = dataclasses.field(default_factory=set)
    cross_checks: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, frame: _Frame) -> NDArray[Any]:
        """Add the results of a frame and return its pixels."""
        self.digests.append(frame.digest)
        self.decoders.add(frame.decoder)
        self.flags.update(frame.flags)
        self.lossy.add(frame.lossy)
        if frame.cross_check:
            self.cross_checks[frame.cross_check] += 1
        return frame.pixels


class _Frame(NamedTuple):
    """A decoded frame with its digest (BLAKE3, hex), decoder, flags, loss, and the outcome of its cross-check."""

    pixels: NDArray[Any]
    digest: str
    decoder: str
    flags: frozenset[str]
    lossy: bool
    cross_check: str


def _decode(place: Place, readers: ReaderPool, options: Options, looker: Looker, *, always: bool = False) -> _Frame:
    """Decode one frame and look for text in it; cross-check it if it is in the sample, or always."""
    cross_check, flags = "", set[str]()
    source, number = place.frame.source, place.frame.number

    def read(readers: Readers) -> pixels.DecodedFrame:
        nonlocal cross_check
        reader = readers.of(source)
        decoded = reader[number]
        if always or pixels.is_sampled(readers.content(source), number, options.cross_check):
            checked = reader.cross_check(number, decoded)
            cross_check = f"{checked.outcome} {checked.decoder}".strip()
            flags.update({"not_cross_checked"} if checked.outcome == "refused" else ())
        flags.update(reader.flags, decoded.flags)
        return decoded

    try:
        decoded = readers.use(read)
    except pixels.DecoderDisagreement as error:
        raise BadFile(source, error, error.digests) from None
    except NotExtracted as error:
        raise BadFile(source, error) from None
    if reason := looker.add(source, number, decoded.pixels):
        raise BadFile(source, NotExtracted(reason))
    digest = blake3(decoded.pixels.data.cast("B")).hexdigest()
    return _Frame(decoded.pixels, digest, decoded.decoder, frozenset(flags), decoded.lossy, cross_check)


def _decode_all(
    places: Sequence[Place],
    readers: ReaderPool,
    options: Options,
    pool: ThreadPool,
    decoding: _Decoding,
    looker: Looker,
) -> Iterator[NDArray[Any]]:
    """Yield the frames of a volume in array order."""
    first, *others = places
    # The first frame by itself: it is always cross-checked, and one thread imports the decoders.
    first_frame = _decode(first, readers, options, looker, always=True)
    size = first_frame.pixels.nbytes
    yield decoding.add(first_frame)
    for frame in pool.map(lambda place: _decode(place, readers, options, looker), others, size):
        yield decoding.add(frame)


class BadFile(Exception):
    """A file whose frames could not be decoded while they were written.

    Attributes
    ----------
    source : int
        Number of the file in its series.
    reason : str
    numbers : dict of str to int
        `found` and `needed`, if the reason has numbers.
    digests : tuple of str, optional
        Digests of the two results, if two decoders disagree on a frame.
    """

    def __init__(self, source: int, error: NotExtracted, digests: tuple[str, str] | None = None) -> None:
        super().__init__(error.code)
        self.source = source
        self.reason = error.code
        self.numbers = numbers_of(error)
        self.digests = digests


def _bits_stored(formats: Sequence[pixels.PixelFormat], flags: set[str]) -> int:
    """Return the largest Bits Stored (0028,0101); Bits Allocated (0028,0100) if lossy values exceed it."""
    if "beyond_bits_stored" in flags:
        return max(form.bits_allocated for form in formats)
    return max(form.bits_stored for form in formats)


def _pixel_facts(volume: Volume, files: Sequence[SourceFile], decoding: _Decoding) -> dict[str, Any]:
    """Return the attributes of the array that come from its pixel formats and headers."""
    sources = sorted({place.frame.source for place in volume.places})
    formats = [form for i in sources if (form := files[i].format) is not None]
    headers = [files[i].row["facts"] for i in sources]
    first = volume.places[0].frame
    attributes: dict[str, Any] = {
        "modality": allow_list.modality(first.modality),
        "photometric": known_photometric(first.photometric),
        "photometric_source": sorted({known_photometric(form.photometric_source) for form in formats}),
        "bits_allocated": max(form.bits_allocated for form in formats),
        "bits_stored": _bits_stored(formats, decoding.flags),
        "transfer_syntax": sorted({known_transfer_syntax(facts.get("TransferSyntaxUID", "")) for facts in headers}),
        "decoder": sorted(decoding.decoders),
        "lossy": any(decoding.lossy),
    }
    if len(attributes["photometric_source"]) == 1:
        attributes["photometric_source"] = attributes["photometric_source"][0]
    for name, tables in (
        ("palette", [files[i].palette for i in sources]),
        ("modality_lut", [files[i].modality_lut for i in sources]),
    ):
        if tables[0] is not None and all(table == tables[0] for table in tables):
            attributes[name] = dict(tables[0])
    for name, values in (
        ("padding_value", {facts.get("PixelPaddingValue") for facts in headers}),
        ("padding_range_limit", {facts.get("PixelPaddingRangeLimit") for facts in headers}),
        ("dose_grid_scaling", {facts.get("DoseGridScaling") for facts in headers}),
        ("dose_units", {allow_list.dose_units(facts.get("DoseUnits", "")) for facts in headers}),
    ):
        if any(isinstance(value, (int, float)) and may_be_date(value) for value in values):
            decoding.flags.add("implausible_number")
        elif len(values) == 1 and None not in values:
            attributes[name] = values.pop()
        elif name.startswith("padding") and len(values) > 1:
            decoding.flags.add("padding_differs")
    if volume.kind == "dose" and "dose_grid_scaling" not in attributes:
        decoding.flags.add("dose_scaling_missing")
        attributes.pop("dose_units", None)
    return attributes


def _declared(files: Sequence[SourceFile], sources: Sequence[int], key: str, pick: Any) -> int | None:
    """Return the smallest or largest (`pick`) value of an attribute; None if a file lacks it, or has a date there."""
    values = [files[i].row["facts"].get(key) for i in sources]
    known = [value for value in values if isinstance(value, int) and not may_be_date(value)]
    return int(pick(known)) if len(known) == len(values) else None


def _flags(volume: Volume, files: Sequence[SourceFile], sources: Sequence[int]) -> set[str]:
    """Return the flags of the geometry, the headers and the pixel formats."""
    flags = set(volume.flags).union(*(files[i].row["flags"] for i in sources))
    return flags.union(*(form.flags for i in sources if (form := files[i].format)))


def write_volume(
    extraction: Extraction, volume: Volume, name: str, files: Sequence[SourceFile], expected: int, looker: Looker
) -> VolumeRecord:
    """Write one volume and return its record.

    Parameters
    ----------
    extraction : Extraction
        The image becomes a folder in its store.
    volume : Volume
        The frames and their places in the array.
    name : str
        Ids of the series and the volume, separated by a slash.
    files : sequence of SourceFile
        The files that the frames refer to.
    expected : int
        Number of frames if no file had failed.
    looker : Looker
        Looks for text in each frame.

    Returns
    -------
    VolumeRecord

    Raises
    ------
    BadFile
        At the first file with a frame that cannot be decoded or looked at, that has text, or on which two decoders
        disagree.
    """
    options, pool = extraction.options, extraction.pool
    sources = sorted({place.frame.source for place in volume.places})
    decoding = _Decoding()
    pixel_facts: dict[str, Any] = {}
    flags: set[str] = set()

    def decoded() -> Decoded:
        pixel_facts.update(_pixel_facts(volume, files, decoding))
        flags.update(_flags(volume, files, sources), decoding.flags)
        flags.update({"incomplete"} if expected > len(volume.places) else ())
        return Decoded(sorted(flags), pixel_facts)

    with contextlib.closing(ReaderPool(files, extraction.roots)) as readers:
        digests = write_image(
            extraction.store / name.split("/")[1],
            volume,
            _decode_all(volume.places, readers, options, pool, decoding, looker),
            decoded,
            name=name,
            compression=options.compression,
            layout=options.layout,
            levels=options.levels,
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
        source_bytes=shared_size(sum(files[i].row["stat"][0] for i in sources)),
        stored_bytes=sum(size for size, _ in digests.values()),
        pixel_digest=blake3(bytes.fromhex("".join(decoding.digests))).hexdigest(),
        modality=pixel_facts["modality"],
        photometric=pixel_facts["photometric"],
        bits_allocated=pixel_facts["bits_allocated"],
        bits_stored=pixel_facts["bits_stored"],
        padding_value=pixel_facts.get("padding_value"),
        padding_range_limit=pixel_facts.get("padding_range_limit"),
        cross_checks=dict(sorted(decoding.cross_checks.items())),
        files={path: FileClaim(*claim) for path, claim in sorted(digests.items())},
        frame_rows=tuple(
            FrameRow(place.frame.source, place.frame.number, place.t, place.z, digest)
            for place, digest in zip(volume.places, decoding.digests, strict=True)
        ),
    )
