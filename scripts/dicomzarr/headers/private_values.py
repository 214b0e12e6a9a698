"""Facts of MR images from private elements: diffusion of Siemens, GE, Philips and United Imaging, complex images of GE.

They stand in for Diffusion b-value (0018,9087), Diffusion Gradient Orientation (0018,9089) and Complex Image Component
(0008,9208) where these are missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from dicomzarr.dicom.plausible import is_plausible
from dicomzarr.headers.attribute_table import BLOCKS, PRIVATE

_GE_OFFSET: Final = 1_000_000_000  # added by newer GE software
_COMPONENTS_OF_GE: Final = {0: "MAGNITUDE", 1: "PHASE", 2: "REAL", 3: "IMAGINARY"}  # by (0043,102F)
_ISOTROPIC: Final = "I"  # Diffusion Direction (2001,1004) of an image without one direction, such as a trace
_B_VALUES: Final = ("b_value_siemens", "b_value_ge", "b_value_philips", "b_value_uih")


def add_private(facts: dict[str, object], private: Mapping[int, object], maker: str) -> tuple[str, str] | None:
    """Add b-value, direction and complex component to the facts of an MR image, if a private element holds them.

    Parameters
    ----------
    facts : dict
        Attributes by keyword; DiffusionBValue, DiffusionGradientOrientation, DiffusionDirectionality,
        direction_of_image and ComplexImageComponent may be added.
    private : dict
        Values of private elements and of private creators, by tag; None where a value is unusable.
    maker : str
        Manufacturer (0008,0070), upper case.

    Returns
    -------
    tuple of 2 str, or None
        Keywords that would have had a value, had it been a number, or a possible one; empty where there is none.

    References
    ----------
    DICOM PS3.5 7.8.1.
    """
    if facts.get("Modality") != "MR":
        return None
    values = _owned(private, maker)
    if not values:
        return None
    unreadable, implausible = "", ""
    for name in _B_VALUES:
        if name not in values or "DiffusionBValue" in facts:
            continue
        value = values[name]
        if value is None:
            unreadable = "DiffusionBValue"
            continue
        number = float(cast(float, value))
        number -= _GE_OFFSET if name == "b_value_ge" and number >= _GE_OFFSET else 0
        if is_plausible("DiffusionBValue", number):
            facts["DiffusionBValue"] = number
        else:
            implausible = "DiffusionBValue"
    component = _COMPONENTS_OF_GE.get(cast(int, values.get("component_ge", -1)))
    if component is not None:
        facts.setdefault("ComplexImageComponent", component)
    if len(values) > 1:
        _add_direction(facts, values)
    return (unreadable, implausible) if unreadable or implausible else None


def _add_direction(facts: dict[str, object], values: Mapping[str, object]) -> None:
    isotropic = values.get("word_philips") == _ISOTROPIC
    if isotropic:
        facts.setdefault("DiffusionDirectionality", "ISOTROPIC")
    directions = [values.get("direction_siemens"), values.get("direction_uih")]
    directions += [] if isotropic else [_three(values, "philips")]
    for direction in directions:
        if isinstance(direction, list) and len(direction) == 3 and facts.get("DiffusionBValue"):
            facts.setdefault("DiffusionGradientOrientation", direction)
    of_image = _three(values, "ge")
    if of_image is not None and "DiffusionGradientOrientation" not in facts:
        # In images without diffusion the elements may hold other numbers.
        facts["direction_of_image"] = of_image if facts.get("DiffusionBValue") else [0.0, 0.0, 0.0]


def _owned(private: Mapping[int, object], maker: str) -> dict[str, object]:
    """Return the values of the private elements whose creator, or else the manufacturer, is the right one."""
    values: dict[str, object] = {}
    for tag, value in private.items():
        element = _ELEMENTS.get(tag)
        if element is not None:
            creator = private.get((tag & 0xFFFF0000) | (tag >> 8 & 0xFF))
            if creator == element.creator or (
                not creator and tag >> 8 & 0xFF == BLOCKS[0] and maker.startswith(element.maker)
            ):
                values.setdefault(element.name, value)
    return values


_ELEMENTS: Final = {
    element.group << 16 | block << 8 | element.element: element for element in PRIVATE for block in BLOCKS
}


def _three(values: Mapping[str, object], maker: str) -> list[float] | None:
    parts = [values.get(f"direction_{maker}_{number}") for number in (1, 2, 3)]
    return None if any(part is None for part in parts) else [float(cast(float, part)) for part in parts]
