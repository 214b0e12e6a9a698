"""Facts of MR images from private elements: diffusion of Siemens, GE, Philips and United Imaging, complex images of GE.

They stand in for Diffusion b-value (0018,9087), Diffusion Gradient Orientation (0018,9089) and Complex Image Component
(0008,9208) where these are missing, say of Philips how velocity was encoded, and of GE which of several quantities of
one series an image shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, cast

from dicomzarr.dicom.plausible import is_plausible
from dicomzarr.headers.attribute_table import BLOCKS, PRIVATE

_GE_OFFSET: Final = 1_000_000_000  # added by newer GE software
_COMPONENTS_OF_GE: Final = {0: "MAGNITUDE", 1: "PHASE", 2: "REAL", 3: "IMAGINARY"}  # by (0043,102F)
# By Vas Collapse Flag (0043,xx30) of images without diffusion. From 8 on directions are those of an oblique slab.
_QUANTITIES_OF_GE: Final = {
    number: quantity
    for first in (2, 8)
    for number, quantity in enumerate(("magnitude", "right_left", "anterior_posterior", "superior_inferior"), first)
}
_DIRECTIONS_OF_GE: Final = frozenset({3, 4, 5, 16})  # the same element of images with diffusion along one gradient
_FIELD_MAPS_OF_GE: Final = frozenset({"B0MAP", "B0RF", "3DB0MAP"})  # Pulse Sequence Name (0019,xx9C), in capitals
_ISOTROPIC: Final = "I"  # Diffusion Direction (2001,1004) of an image without one direction, such as a trace
_B_VALUES: Final = ("b_value_siemens", "b_value_ge", "b_value_philips", "b_value_uih")


class PrivateFacts(NamedTuple):
    """What the private elements of a header say, if it is that of an MR image and has no standard attributes for it."""

    b_value: float | None = None
    unreadable: bool = False  # a b-value that is no number
    implausible: bool = False  # a b-value that no image has
    direction: list[float] | None = None
    is_isotropic: bool = False
    of_image: list[float] | None = None  # direction of GE
    component: str = ""
    quantity: str = ""  # of GE: what an image shows, where one series shows several quantities
    is_directional: bool = False  # of GE: of images with diffusion, this one has a direction
    velocity: str = ""  # see `dicom.velocity`
    coil: str = ""
    run: int | None = None  # of GE: counts the images of each place where other counters do not


def private_facts(private: Mapping[int, object], maker: str) -> PrivateFacts:
    """Return what private elements say of an MR image.

    Parameters
    ----------
    private : dict
        Values of private elements and of private creators, by tag; None where a value is unusable.
    maker : str
        Manufacturer (0008,0070).

    Returns
    -------
    PrivateFacts

    References
    ----------
    DICOM PS3.5 7.8.1.
    """
    values = _owned(private, maker.upper())
    b_value, unreadable, implausible = None, False, False
    for name in _B_VALUES:
        if name not in values or b_value is not None:
            continue
        value = values[name]
        if value is None:
            unreadable = True
            continue
        number = float(cast(float, value))
        number -= _GE_OFFSET if name == "b_value_ge" and number >= _GE_OFFSET else 0
        if is_plausible("DiffusionBValue", number):
            b_value = number
        else:
            implausible = True
    is_isotropic = values.get("word_philips") == _ISOTROPIC
    directions = [values.get("direction_siemens"), values.get("direction_uih")]
    directions += [] if is_isotropic else [_three(values, "philips")]
    return PrivateFacts(
        b_value=b_value,
        unreadable=unreadable and b_value is None,
        implausible=implausible and b_value is None,
        direction=next((value for value in directions if isinstance(value, list) and len(value) == 3), None),
        is_isotropic=is_isotropic,
        of_image=_three(values, "ge"),
        component=_COMPONENTS_OF_GE.get(cast(int, values.get("component_ge", -1)), ""),
        quantity=_quantity(values),
        is_directional=values.get("quantity_ge") in _DIRECTIONS_OF_GE,
        velocity=_velocity(values.get("velocity_philips")),
        coil=str(values.get("coil_siemens") or ""),
        run=cast("int | None", values.get("run_ge")),
    )


def add_private(facts: dict[str, object], private: PrivateFacts) -> tuple[str, str] | None:
    """Add to the facts of an MR image what private elements say, where it lacks the standard attribute.

    Parameters
    ----------
    facts : dict
        Attributes by keyword; DiffusionBValue, DiffusionGradientOrientation, DiffusionDirectionality,
        direction_of_image, velocity_encoding, coil_string, raw_data_run, quantity_of_ge and ComplexImageComponent
        may be added.
    private : PrivateFacts

    Returns
    -------
    tuple of 2 str, or None
        Keywords of what is unreadable, and implausible; empty where there is none.
    """
    if facts.get("Modality") != "MR":
        return None
    wrong = None
    if "DiffusionBValue" not in facts:
        if private.b_value is not None:
            facts["DiffusionBValue"] = private.b_value
        elif private.unreadable or private.implausible:
            wrong = ("DiffusionBValue" * private.unreadable, "DiffusionBValue" * private.implausible)
    b_value = facts.get("DiffusionBValue")
    if private.is_isotropic:
        facts.setdefault("DiffusionDirectionality", "ISOTROPIC")
    if private.direction is not None and b_value:
        facts.setdefault("DiffusionGradientOrientation", private.direction)
    if private.of_image is not None and "DiffusionGradientOrientation" not in facts:
        # In images without diffusion the elements may hold other numbers.
        facts["direction_of_image"] = private.of_image if b_value else [0.0, 0.0, 0.0]
    elif private.is_directional and b_value and "DiffusionGradientOrientation" not in facts:
        facts.setdefault("DiffusionDirectionality", "DIRECTIONAL")
    if private.velocity:
        facts.setdefault("velocity_encoding", private.velocity)
    if private.coil:
        facts["coil_string"] = private.coil
    if private.run is not None:
        facts["raw_data_run"] = private.run
    quantity = "" if b_value else private.quantity
    if quantity:
        facts["quantity_of_ge"] = quantity
    # GE writes the number of a magnitude into images of every kind.
    if private.component and (private.component != "MAGNITUDE" or quantity in ("", "magnitude")):
        facts.setdefault("ComplexImageComponent", private.component)
    return wrong


def _quantity(values: Mapping[str, object]) -> str:
    """Return what an image of GE shows, where its series shows several quantities; empty where nothing says so."""
    number = values.get("quantity_ge")
    sequence = str(values.get("sequence_ge") or "").rpartition("/")[2].strip().upper()
    if number == 0 and sequence in _FIELD_MAPS_OF_GE:
        return "field_map"
    return _QUANTITIES_OF_GE.get(cast(int, number), "")


def _velocity(values: object) -> str:
    """Return the encoding of a PC Velocity (2001,xx1A): one of three directions, which are kept apart and not named."""
    found = [(axis, abs(value)) for axis, value in enumerate(values) if value] if isinstance(values, list) else []
    if len(found) != 1 or not 0.1 <= found[0][1] < 10_000:
        return ""
    axis, velocity = found[0]
    return f"{velocity:g}axis_{axis + 1}"


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
