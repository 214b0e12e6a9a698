"""Facts from closed vocabularies that keep frames apart, and which of them say nothing where they are missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

# Rescale Type (0028,1054): what values are once slope and intercept are applied (PS3.3 C.11.1.1.2).
RESCALE_TYPES: Final = frozenset({"OD", "HU", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"})
# Laterality (0020,0060), Image Laterality (0020,0062) and Frame Laterality (0020,9072) of paired body parts.
LATERALITIES: Final = frozenset({"L", "R", "B"})
# Magnetization Transfer (0018,9020); without one it is as good as missing.
MAGNETIZATION_TRANSFERS: Final = frozenset({"ON_RESONANCE", "OFF_RESONANCE"})
# ASL Context (0018,9257): PS3.3 C.8.13.5.14.
ASL_CONTEXTS: Final = frozenset({"CONTROL", "LABEL", "M_ZERO_SCAN"})
# Data Type (0018,9808) of ultrasound volumes: PS3.3 C.7.6.16.2.24.1.
DATA_TYPES: Final = frozenset(
    (
        *("TISSUE_INTENSITY", "TISSUE_VELOCITY", "FLOW_VELOCITY", "FLOW_POWER", "DIRECTION_POWER", "FLOW_VARIANCE"),
        *("ELASTICITY", "PERFUSION", "SOUND_SPEED", "ATTENUATION"),
    )
)
# Units of real world values: codes of UCUM in PS3.16 CID 83 (values of images), 84 (PET) and 7181 (maps).
UNITS: Final = frozenset(
    (
        *("1", "%", "/cm", "/min", "/s", "[arb'U]", "[hnsf'U]", "{counts}", "{counts}/s", "{propcounts}"),
        *("{propcounts}/s", "{ratio}", "ppm", "Bq/ml", "Gy", "Sv", "kPa", "mT", "Hz", "Cel", "dB", "ms", "s", "s/mm2"),
        *("um", "mm", "cm", "um2", "mm2", "cm2", "um3", "mm3", "cm3", "dm3", "cm/s", "mm/s", "ml/s", "ml/min"),
        *("ml/g", "ml/min/g", "ml/[100]g/min", "ml/[100]ml", "mg/min/ml", "umol/ml", "umol/min/ml"),
        *("10-6.mm2/s", "mm2/s", "um2/s", "um2/ms", "mmol/kg{WetWeight}", "cm2/ml", "cm2/ml{SUVbsa}", "g/ml{SUVbw}"),
        *("g/ml{SUVibw}", "g/ml{SUVlbm}", "g/ml{SUVlbm(James128)}", "g/ml{SUVlbm(Janma)}"),
    )
)
# A frame that lacks one of these may be like the others. Of the rest, what is missing is a value.
_MAY_BE_LEFT_OUT: Final = frozenset({"rescale_type", "laterality", "attenuation_correction", "real_world_units"})


def terms_that_differ(terms: Iterable[Mapping[str, str]]) -> frozenset[str]:
    """Return the names of terms that may keep frames of a series apart.

    Parameters
    ----------
    terms : iterable of mapping of str to str
        Name to term, of each frame.

    Returns
    -------
    frozenset of str
        Those with several known values, and all that mean something where they are missing.
    """
    known: dict[str, set[str]] = {}
    for of_frame in terms:
        for name, value in of_frame.items():
            known.setdefault(name, set()).add(value)
    return frozenset(name for name, values in known.items() if len(values) > 1 or name not in _MAY_BE_LEFT_OUT)


def unit_of(code: str) -> str:
    """Return a code of UCUM if it is one of `UNITS`, else nothing.

    Parameters
    ----------
    code : str
        Coding scheme and value, such as ``UCUM:Bq/ml``.

    Returns
    -------
    str
    """
    scheme, _, unit = code.partition(":")
    return unit if scheme == "UCUM" and unit in UNITS else ""
