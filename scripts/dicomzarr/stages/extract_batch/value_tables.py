"""What values of a file mean: lookup tables, the scaling of a dose, directions of flow and units that are not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.photometric import GREY, PALETTE
from dicomzarr.dicom.velocity import VELOCITY_DIRECTIONS, split_velocity
from dicomzarr.pixels.modality_lut import read_modality_lut
from dicomzarr.pixels.palette import read_palette
from dicomzarr.system import json_files
from dicomzarr.volumes.terms import unit_of

if TYPE_CHECKING:
    from pydicom import Dataset


def tables_that_count(facts: ImageFacts, photometric: str) -> frozenset[str]:
    """Return which tables give the values of an image their meaning.

    Palettes of grey images (supplemental ones, PS3.3 C.7.6.19, and remains) are not read, nor Modality LUTs of colours.

    Parameters
    ----------
    facts : ImageFacts
    photometric : str
        Photometric Interpretation (0028,0004).

    Returns
    -------
    frozenset of str
        Of ``palette`` and ``modality_lut``.
    """
    counts = {
        "palette": facts.get("has_palette") and photometric == PALETTE,
        "modality_lut": facts.get("has_modality_lut") and photometric in GREY,
    }
    return frozenset(name for name, is_wanted in counts.items() if is_wanted)


def read_tables(header: Dataset, names: frozenset[str]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the palette and the Modality LUT of an image, each as a dict, or None where it has none.

    Parameters
    ----------
    header : pydicom.Dataset
        Without the pixels.
    names : frozenset of str
        Those to read, see `tables_that_count`.

    Raises
    ------
    NotExtracted
        `invalid_attribute` where a table cannot be read.
    """
    palette = dict(read_palette(header)) if "palette" in names else None
    modality_lut = read_modality_lut(header) if "modality_lut" in names else None
    return palette, dict(modality_lut) if modality_lut else None


def digests_of_tables(
    facts: ImageFacts, palette: Mapping[str, Any] | None, modality_lut: Mapping[str, Any] | None
) -> dict[str, str]:
    """Return digests of the tables of a file by name: frames whose tables differ never share an array.

    Parameters
    ----------
    facts : ImageFacts
    palette, modality_lut : mapping, optional
        Palette Color Lookup Tables (PS3.3 C.7.9), Modality LUT (C.11.1).

    Returns
    -------
    dict of str to str
    """
    _, direction = split_velocity(facts["velocity_encoding"]) if "velocity_encoding" in facts else (0.0, "")
    unit = "".join(map(str, facts.get("real_world", [])[2:]))
    tables = {
        "palette": palette,
        "modality_lut": modality_lut,
        "dose_grid_scaling": facts.get("DoseGridScaling"),
        "dose_units": facts.get("DoseUnits"),
        "dose": _dose(facts),
        "velocity_component": "" if direction in VELOCITY_DIRECTIONS else direction,
        "real_world_units": "" if unit_of(unit) else unit,
    }
    return {
        name: blake3(json_files.canonical_json(table)).hexdigest(length=8) for name, table in tables.items() if table
    }


def _dose(facts: ImageFacts) -> list[str]:
    """Return what a dose of one plane is the dose of: kind, summation, plan and beam. One of several is an object."""
    if facts.get("NumberOfFrames", 1) > 1:
        return []
    words = [facts.get("DoseType", ""), facts.get("DoseSummationType", ""), facts.get("dose_references", "")]
    return words if any(words) else []
