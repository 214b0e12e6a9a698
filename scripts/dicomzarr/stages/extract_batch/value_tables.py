"""What values of a file mean: lookup tables, the scaling of a dose, directions of flow and units that are not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blake3 import blake3

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.velocity import VELOCITY_DIRECTIONS, split_velocity
from dicomzarr.system import json_files
from dicomzarr.volumes.terms import unit_of


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
        "velocity_component": "" if direction in VELOCITY_DIRECTIONS else direction,
        "real_world_units": "" if unit_of(unit) else unit,
    }
    return {
        name: blake3(json_files.canonical_json(table)).hexdigest(length=8) for name, table in tables.items() if table
    }
