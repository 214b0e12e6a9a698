"""Ranges that the numbers of a header can have; a number outside is dropped and flagged `implausible_number`.

Only attributes whose meaning bounds them are listed. The ranges are wide: they catch dates, sentinels and text that was
copied into the wrong attribute, not unusual protocols.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dicomzarr.dicom.header_values import FARTHEST_MM, LONGEST_DIRECTION

MAX_B_VALUE: Final = 100_000  # s/mm2
_MILLISECONDS: Final = (0.0, 1e5)
_LONG_MILLISECONDS: Final = (-1e8, 1e8)  # a day, and a few hours
_SPACING: Final = (1e-9, 1e3)  # mm; 0 is none
_PLACE: Final = (-FARTHEST_MM, FARTHEST_MM)
_DIRECTION: Final = (-LONGEST_DIRECTION, LONGEST_DIRECTION)
_PIXELS: Final = (-999_999.0, 999_999.0)  # places on a slide: the largest have some 300,000 pixels a side
_DURATION: Final = (0.0, 1e7)  # ms; 2.8 hours

# Keyword to the least and the largest value, in the unit of the attribute (PS3.3 C.7.6, C.8.3, C.8.4, C.8.9, C.8.13).
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "DiffusionBValue": (0.0, MAX_B_VALUE),
    "DiffusionGradientOrientation": _DIRECTION,
    "VelocityEncodingDirection": _DIRECTION,
    "ImagePositionPatient": _PLACE,
    "ImagePositionVolume": _PLACE,
    "ImageOrientationPatient": _DIRECTION,
    "ImageOrientationVolume": _DIRECTION,
    "GridFrameOffsetVector": _PLACE,
    "RowPositionInTotalImagePixelMatrix": _PIXELS,
    "ColumnPositionInTotalImagePixelMatrix": _PIXELS,
    "ZOffsetInSlideCoordinateSystem": _PLACE,
    "DoseGridScaling": (-1e6, 1e6),  # Gy, or per cent of a dose
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
    "ActualFrameDuration": _DURATION,
    "FrameAcquisitionDuration": _DURATION,
    "EstimatedRadiographicMagnificationFactor": (0.1, 100.0),
    "VelocityEncodingMaximumValue": (0.0, 1e5),
}
_LONGEST_HALF_LIFE: Final = 1e7  # s, of what is given to patients
# Half-lives of sealed sources and phantoms, s: Gd-153, Ge-68, Co-57, Na-22, Co-60, Ba-133, Cs-137.
_OF_SOURCES: Final = (2.077e7, 2.341e7, 2.348e7, 8.21e7, 1.663e8, 3.327e8, 9.49e8)
# Bq; a dose in the other unit lies outside.
_DOSES: Final = (1e4, 5e10)


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


def is_half_life(seconds: float) -> bool:
    """Return whether a number can be a Radionuclide Half Life (0018,1075).

    Parameters
    ----------
    seconds : float

    Returns
    -------
    bool
        True up to 10 million seconds, and for what is within 1 % of the half-life of a sealed source.
    """
    is_short = 0 < seconds < _LONGEST_HALF_LIFE
    return is_short or any(abs(seconds - known) <= 0.01 * known for known in _OF_SOURCES)


def is_dose(becquerel: float) -> bool:
    """Return whether a number can be a Radionuclide Total Dose (0018,1074).

    Parameters
    ----------
    becquerel : float

    Returns
    -------
    bool
        True from 10 kBq to 50 GBq.
    """
    return _DOSES[0] <= becquerel <= _DOSES[1]
