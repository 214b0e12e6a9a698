"""Diffusion from private elements: by creator, in any block."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from headers_of_bytes import both, read_texts
from made_up_headers import BIG, EXPLICIT, IMPLICIT, Element, file, image, text

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.headers.attribute_table import PRIVATE_TAGS, is_searched

PHILIPS, PHILIPS_MR, UIH = "Philips Imaging DD 001", "Philips MR Imaging DD 001", "Image Private Header"


def mr(*private: Element, syntax: str = EXPLICIT, maker: str = "", modality: str = "MR") -> ImageFacts:
    elements = image(syntax, Modality=text(0x00080060, "CS", modality), Maker=text(0x00080070, "LO", maker))
    answer = both(file(sorted([*elements, *private], key=lambda element: element.tag), syntax))
    assert answer.outcome == "image"
    return answer.facts


def creator(group: int, block: int, name: str) -> Element:
    return text(group << 16 | block, "LO", name)


def reals(group: int, block: int, element: int, *values: float, syntax: str = EXPLICIT, vr: str = "FL") -> Element:
    order = ">" if syntax == BIG else "<"
    code = {"FL": "f", "FD": "d"}[vr]
    return Element(group << 16 | block << 8 | element, vr, struct.pack(f"{order}{len(values)}{code}", *values))


def philips(
    b: float, direction: tuple[float, ...] = (), word: str = "", block: int = 0x10, **more: Any
) -> list[Element]:
    elements = [creator(0x2001, block, PHILIPS), reals(0x2001, block, 0x03, b, **more)]
    if word:
        elements.append(text(0x20010004 | block << 8, "CS", word))
    if direction:
        elements.append(creator(0x2005, block, PHILIPS_MR))
        elements += [reals(0x2005, block, 0xB0 + n, value, **more) for n, value in enumerate(direction)]
    return elements


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("block", [0x10, 0x14, 0x1F])
def test_philips_by_creator_in_any_block(syntax: str, block: int) -> None:
    facts = mr(*philips(800.0, (0.5, -0.5, 0.25), "O", block, syntax=syntax), syntax=syntax)
    assert facts["DiffusionBValue"] == 800
    assert facts["DiffusionGradientOrientation"] == [0.5, -0.5, 0.25]
    assert "creator" not in str(facts) and "philips" not in str(facts)


def test_an_isotropic_image_of_philips_has_no_direction() -> None:
    facts = mr(*philips(1000.0, (0.0, 0.0, 1.0), "I"))
    assert facts["DiffusionBValue"] == 1000
    assert facts["DiffusionDirectionality"] == "ISOTROPIC"
    assert "DiffusionGradientOrientation" not in facts


def test_an_image_without_diffusion_has_no_direction() -> None:
    facts = mr(*philips(0.0, (0.0, 0.0, 0.0)))
    assert facts["DiffusionBValue"] == 0
    assert "DiffusionGradientOrientation" not in facts


@pytest.mark.parametrize("name", ["Philips MR Imaging DD 005", "SOMEBODY ELSE", PHILIPS.upper()])
def test_a_creator_of_another_name_rules_the_element_out(name: str) -> None:
    elements = [creator(0x2001, 0x10, name), reals(0x2001, 0x10, 0x03, 500.0)]
    assert "DiffusionBValue" not in mr(*elements, maker="Philips Medical Systems")


@pytest.mark.parametrize(("maker", "expected"), [("Philips Medical Systems", 500.0), ("SIEMENS", None), ("", None)])
def test_without_a_creator_the_manufacturer_decides(maker: str, expected: float | None) -> None:
    assert mr(reals(0x2001, 0x10, 0x03, 500.0), maker=maker).get("DiffusionBValue") == expected
    assert "DiffusionBValue" not in mr(reals(0x2001, 0x11, 0x03, 500.0), maker=maker)


def test_the_standard_element_comes_first() -> None:
    standard = Element(0x00189087, "FD", struct.pack("<d", 700.0))
    assert mr(standard, *philips(0.0))["DiffusionBValue"] == 700


def test_siemens_ge_and_united_imaging() -> None:
    facts = mr(
        creator(0x0019, 0x11, "SIEMENS MR HEADER"),
        text(0x0019110C, "IS", "1000"),
        reals(0x0019, 0x11, 0x0E, 0.6, 0.0, -0.8, vr="FD"),
    )
    assert (facts["DiffusionBValue"], facts["DiffusionGradientOrientation"]) == (1000, [0.6, 0.0, -0.8])
    facts = mr(
        creator(0x0065, 0x10, UIH),
        reals(0x0065, 0x10, 0x09, 600.0, vr="FD"),
        reals(0x0065, 0x10, 0x37, 0.0, 1.0, 0.0, vr="FD"),
    )
    assert (facts["DiffusionBValue"], facts["DiffusionGradientOrientation"]) == (600, [0.0, 1.0, 0.0])
    facts = mr(
        creator(0x0043, 0x10, "GEMS_PARM_01"),
        text(0x00431039, "IS", "1000000700\\8\\0\\0"),
        creator(0x0019, 0x10, "GEMS_ACQU_01"),
        *(text(0x001910BB + n, "DS", value) for n, value in enumerate(("0.5", "-0.5", "0.7"))),
    )
    # GE writes the direction in the frame of the image: not the same as Diffusion Gradient Orientation.
    assert (facts["DiffusionBValue"], facts["direction_of_image"]) == (700, [0.5, -0.5, 0.7])
    assert "DiffusionGradientOrientation" not in facts


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "MAGNITUDE"), (1, "PHASE"), (2, "REAL"), (3, "IMAGINARY"), (6, None), (-1, None)]
)
def test_complex_images_of_ge(number: int, expected: str | None) -> None:
    component = Element(0x0043102F, "SS", struct.pack("<h", number))
    assert mr(creator(0x0043, 0x10, "GEMS_PARM_01"), component).get("ComplexImageComponent") == expected
    assert "ComplexImageComponent" not in mr(creator(0x0043, 0x10, "OTHER"), component)
    standard = text(0x00089208, "CS", "MIXED")
    assert mr(standard, creator(0x0043, 0x10, "GEMS_PARM_01"), component)["ComplexImageComponent"] == "MIXED"


def test_a_direction_of_ge_counts_with_diffusion_alone() -> None:
    elements = [creator(0x0043, 0x10, "GEMS_PARM_01"), creator(0x0019, 0x10, "GEMS_ACQU_01")]
    elements += [text(0x001910BB + n, "DS", "7") for n in range(3)]
    facts = mr(*elements, text(0x00431039, "IS", "0\\8\\0\\0"))
    assert facts["direction_of_image"] == [0.0, 0.0, 0.0]


def test_other_modalities_have_no_b_value() -> None:
    assert "DiffusionBValue" not in mr(*philips(500.0), modality="CT")


def test_unusable_private_numbers_are_named() -> None:
    facts = mr(creator(0x0019, 0x10, "SIEMENS MR HEADER"), text(0x0019100C, "IS", "many"))
    assert facts["unreadable_numbers"] == ["DiffusionBValue"]
    facts = mr(*philips(20031117.0))
    assert facts["implausible_numbers"] == ["DiffusionBValue"]
    assert "DiffusionBValue" not in facts


def test_texts_of_private_blocks_reach_the_privacy_search() -> None:
    assert all(is_searched(tag, vr) for tag in PRIVATE_TAGS for vr in ("", "UN", "LO"))
    hidden = text(0x20011103, "LO", "CANARY^NAME")
    for syntax in (EXPLICIT, IMPLICIT):
        texts = read_texts(file(sorted([*image(syntax), hidden], key=lambda element: element.tag), syntax))
        assert any(b"CANARY" in value for _, value in texts)
    number = reals(0x2001, 0x10, 0x03, 500.0)
    texts = read_texts(file(sorted([*image(), number], key=lambda element: element.tag)))
    assert not any(vr == "FL" for vr, _ in texts)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((0.0, 0.0, 150.0), "150axis_3"),
        ((87.5, 0.0, 0.0), "87.5axis_1"),
        ((0.0, 0.0, 0.0), None),
        ((100.0, 100.0, 100.0), None),
        ((20031117.0, 0.0, 0.0), None),
        ((float("nan"), 0.0, 0.0), None),
    ],
)
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_velocity_encoding_of_philips(values: tuple[float, ...], found: str | None, syntax: str) -> None:
    private = [creator(0x2001, 0x11, PHILIPS), reals(0x2001, 0x11, 0x1A, *values, syntax=syntax)]
    assert mr(*private, syntax=syntax).get("velocity_encoding") == found
    assert "velocity_encoding" not in mr(*private, syntax=syntax, modality="CT")
    named = text(0x00180024, "SH", "fl3d1_v80in")
    assert mr(*private, named, syntax=syntax)["velocity_encoding"] == "80in"


# ------------------------------------------------------------------------------------------------------------ coils


def coil(value: str, block: int = 0x10, name: str = "SIEMENS MR HEADER") -> list[Element]:
    found = [creator(0x0051, block, name)] if name else []
    return [*found, text(0x0051000F | block << 8, "LO", value)]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("block", [0x10, 0x12])
@pytest.mark.parametrize("has_b_value", [False, True])
def test_the_coil_string_of_siemens_by_creator_in_any_block(syntax: str, block: int, has_b_value: bool) -> None:
    """Alone, the element is read without the rest of the private facts: it says the same beside them."""
    more = [creator(0x0019, 0x10, "SIEMENS MR HEADER"), text(0x0019100C, "IS", "800")] if has_b_value else []
    facts = mr(*more, *coil("H12", block), syntax=syntax, maker="SIEMENS")
    assert facts["coil_string"] == "H12"
    assert facts.get("DiffusionBValue") == (800 if has_b_value else None)


def test_without_its_creator_the_maker_decides() -> None:
    assert mr(*coil("H12", name=""), maker="SIEMENS")["coil_string"] == "H12"
    assert "coil_string" not in mr(*coil("H12", name=""), maker="GE MEDICAL SYSTEMS")
    assert "coil_string" not in mr(*coil("H12", 0x12, name=""), maker="SIEMENS")


@pytest.mark.parametrize("name", ["SOMEBODY ELSE", "SIEMENS MR HEADER 2"])
def test_a_coil_string_of_another_creator_is_not_read(name: str) -> None:
    assert "coil_string" not in mr(*coil("H12", name=name), maker="SIEMENS")


def test_only_mr_images_have_coils() -> None:
    assert "coil_string" not in mr(*coil("H12"), maker="SIEMENS", modality="PT")
    assert "coil_string" not in mr(*coil(""), maker="SIEMENS")


# ------------------------------------------------------------------------------------------------------------- runs


def run(number: int, syntax: str, block: int = 0x10, name: str = "GEMS_ACQU_01") -> list[Element]:
    order = ">" if syntax == BIG else "<"
    value = Element(0x001900A2 | block << 8, "SL", struct.pack(f"{order}i", number))
    return [*([creator(0x0019, block, name)] if name else []), value]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("block", [0x10, 0x13])
def test_the_raw_data_run_of_ge(syntax: str, block: int) -> None:
    assert mr(*run(1507, syntax, block), syntax=syntax)["raw_data_run"] == 1507
    assert "raw_data_run" not in mr(*run(1507, syntax, block, "SIEMENS MR HEADER"), syntax=syntax)
    assert "raw_data_run" not in mr(*run(1507, syntax, block), syntax=syntax, modality="CT")


def test_the_raw_data_run_without_its_creator() -> None:
    assert mr(*run(7, EXPLICIT, name=""), maker="GE MEDICAL SYSTEMS")["raw_data_run"] == 7
    assert "raw_data_run" not in mr(*run(7, EXPLICIT, name=""), maker="SIEMENS")


# ------------------------------------------------------------------------------------------------------- quantities


def quantity(number: int, sequence: str = "", syntax: str = EXPLICIT) -> list[Element]:
    order = ">" if syntax == BIG else "<"
    named = [creator(0x0019, 0x10, "GEMS_ACQU_01"), text(0x0019109C, "LO", sequence)] if sequence else []
    return [
        *named,
        creator(0x0043, 0x10, "GEMS_PARM_01"),
        Element(0x0043102F, "SS", struct.pack(f"{order}h", 0)),
        Element(0x00431030, "SS", struct.pack(f"{order}h", number)),
    ]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize(
    ("number", "sequence", "found"),
    [
        (2, "", "magnitude"),
        (3, "", "right_left"),
        (5, "cine", "superior_inferior"),
        (8, "", "magnitude"),
        (10, "", "anterior_posterior"),
        (2, "B0map", "magnitude"),
        (0, "B0map", "field_map"),
        (0, "research/3db0map", "field_map"),
        (0, "epi", None),
        (0, "", None),
        (14, "epi2", None),  # of diffusion: no direction, and many directions
        (16, "epi2", None),
        (-7, "", None),
    ],
)
def test_what_an_image_of_ge_shows(number: int, sequence: str, found: str | None, syntax: str) -> None:
    facts = mr(*quantity(number, sequence, syntax), syntax=syntax)
    assert facts.get("quantity_of_ge") == found
    # The other element says magnitude in all of them: a velocity or a field is none.
    assert facts.get("ComplexImageComponent") == ("MAGNITUDE" if found in (None, "magnitude") else None)
    assert "quantity_of_ge" not in mr(*quantity(number, sequence, syntax), syntax=syntax, modality="CT")


@pytest.mark.parametrize("of_ge", [True, False])
def test_a_direction_of_diffusion_is_no_quantity(of_ge: bool) -> None:
    standard = Element(0x00189087, "FD", struct.pack("<d", 800.0))
    facts = mr(*quantity(3), text(0x00431039, "IS", "800\\8\\0\\0") if of_ge else standard)
    assert (facts["DiffusionBValue"], facts["ComplexImageComponent"]) == (800, "MAGNITUDE")
    assert "quantity_of_ge" not in facts


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize(
    ("number", "found"),
    [(3, "DIRECTIONAL"), (5, "DIRECTIONAL"), (16, "DIRECTIONAL"), (15, None), (43, None), (14, None)],
)
def test_a_direction_of_ge_is_known_without_its_vector(number: int, found: str | None, syntax: str) -> None:
    weighted = [*quantity(number, "", syntax), text(0x00431039, "IS", "800\\8\\0\\0")]
    assert mr(*weighted, syntax=syntax).get("DiffusionDirectionality") == found
    assert "DiffusionDirectionality" not in mr(*quantity(number, "", syntax), syntax=syntax)
    stated = text(0x00189075, "CS", "BMATRIX")
    assert mr(stated, *weighted, syntax=syntax)["DiffusionDirectionality"] == "BMATRIX"
