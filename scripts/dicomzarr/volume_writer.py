"""One volume: its frames decoded in order, cross-checked, digested and written, and what the record keeps of it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3

from dicomzarr import ome, risks, shards, vocabulary
from dicomzarr.model import Options, Volume
from dicomzarr.pixels import reader as pixels
from dicomzarr.reasons import SetAside
from dicomzarr.source_files import Readers, SourceFile, numbers_of


@dataclasses.dataclass(slots=True)
class _Written:
    """What writing a volume taught: digests of its files and frames, decoders, flags, and how cross-checks came out."""

    digests: shards.Digests = dataclasses.field(default_factory=dict)
    frames: list[str] = dataclasses.field(default_factory=list)
    decoders: set[str] = dataclasses.field(default_factory=set)
    flags: set[str] = dataclasses.field(default_factory=set)
    cross_checks: Counter[str] = dataclasses.field(default_factory=Counter)


def _write_array(folder: Path, volume: Volume, readers: Readers, options: Options) -> _Written:
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
                raise BadFile(place.frame.source, error, error.digests) from None
            except SetAside as error:
                raise BadFile(place.frame.source, error) from None
            done.flags.update(reader.flags)
            writer.put(decoded.pixels)
            done.frames.append(blake3(decoded.pixels.data.cast("B")).hexdigest())
            done.decoders.add(decoded.decoder)
            done.flags.update(decoded.flags)
        done.digests = {f"0/{name}": said for name, said in writer.close().items()}
    except BaseException:
        writer.abandon()
        raise
    return done


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


def _declared(files: Sequence[SourceFile], sources: Sequence[int], key: str, pick: Any) -> int | None:
    values = [files[i].row["facts"].get(key) for i in sources]
    return None if any(value is None for value in values) else int(pick(values))


def write_volume(
    volume: Volume,
    store: Path,
    name: str,
    files: Sequence[SourceFile],
    readers: Readers,
    options: Options,
    expected: int,
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
        "pixel_digest": blake3(bytes.fromhex("".join(written.frames))).hexdigest(),
        "facts": {k: v for k, v in pixel_facts.items() if k not in ("palette", "modality_lut")},
        "cross_checks": dict(sorted(written.cross_checks.items())),
        "files": {path: list(said) for path, said in sorted(digests.items())},
        "frames": [
            [place.frame.source, place.frame.number, place.t, place.z, digest]
            for place, digest in zip(volume.places, written.frames, strict=True)
        ],
    }
