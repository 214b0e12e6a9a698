"""What makes values of the stored ones and is one for a file: lookup tables, and the scaling of a dose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blake3 import blake3

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.system import json_files


def digest_of_tables(
    facts: ImageFacts, palette: Mapping[str, Any] | None, modality_lut: Mapping[str, Any] | None
) -> str:
    """Return a digest of the tables of a file: frames whose tables differ never share an array.

    Parameters
    ----------
    facts : ImageFacts
    palette, modality_lut : mapping, optional
        Palette Color Lookup Tables (PS3.3 C.7.9), Modality LUT (C.11.1).

    Returns
    -------
    str
        Empty if it has none.
    """
    tables = [palette, modality_lut, facts.get("DoseGridScaling"), facts.get("DoseUnits")]
    return blake3(json_files.canonical_json(tables)).hexdigest(length=8) if any(tables) else ""
