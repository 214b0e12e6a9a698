"""Ranges that the numbers of a header can have; a number outside is dropped and flagged `implausible_number`.

Only attributes whose meaning bounds them are listed. The ranges are wide: they catch dates, sentinels and text that was
copied into the wrong attribute, not unusual protocols.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MAX_B_VALUE: Final = 100_000  # s/mm2
_MILLISECONDS: Final = (0.0, 1e5)
_LONG_MILLISECONDS: Final = (-1e8, 1e8)  # a day, and a few hours
_SPACING: Final = (1e-9, 1e3)  # mm; 0 is none

# Keyword to the least and the largest value, in the unit of the attribute (PS3.3 C.7.6, C.8.3, C.8.4, C.8.9, C.8.13).
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "DiffusionBValue": (0.0, MAX_B_VALUE),
    "EchoTime": _MILLISECONDS,
    "EffectiveEchoTime": _MILLISECONDS,
    "InversionTime": _MILLISECONDS,
    "InversionTimes": _MILLISECONDS,
    "RepetitionTime": (0.0, 1e6),
    "FlipAngle": (-360.0, 360.0),
    "TriggerTime": _LONG_MILLISECONDS,
    "NominalCardiacTriggerDelayTime": _LONG_MILLISECONDS,
    "NominalPercentageOfCardiacPhase": (-100.0, 200.0),
    "NominalPercentageOfRespiratoryPhase": (-100.0, 200.0),
    "FrameReferenceTime": (-1e9, 1e9),
    "FrameTime": (0.0, 1e6),
    "FrameTimeVector": (-1e6, 1e6),
    "PixelSpacing": _SPACING,
    "ImagerPixelSpacing": _SPACING,
    "NominalScannedPixelSpacing": _SPACING,
    "TemporalPositionTimeOffset": (-1e6, 1e6),
    "KVP": (0.0, 1e5),  # megavoltage images too
    "MonoenergeticEnergyEquivalent": (0.0, 1e5),
    "MagneticFieldStrength": (0.0, 1e6),  # some writers give gauss
    "SliceThickness": (0.0, 1e3),
    "SpacingBetweenSlices": (-1e3, 1e3),
    "RadionuclideHalfLife": (0.0, 1e12),
    "RadionuclideTotalDose": (0.0, 1e13),
    "ActualFrameDuration": (0.0, 1e9),
    "FrameAcquisitionDuration": (0.0, 1e9),
    "EstimatedRadiographicMagnificationFactor": (0.1, 100.0),
    "VelocityEncodingMaximumValue": (0.0, 1e5),
}


def is_plausible(keyword: str, value: float) -> bool:
    """Return whether an attribute can have a value.

    Parameters
    ----------
    keyword : str
    value : float
        In the unit of the attribute.

    Returns
    -------
    bool
        True for every attribute that is not in `RANGES`.
    """
    bounds = RANGES.get(keyword)
    return bounds is None or bounds[0] <= value <= bounds[1]
