"""The tables of docs/data-policy.md: options and attributes of PS3.15, against pydicom and the code."""

from __future__ import annotations

import json
import re

import pytest
from conftest import ROOT
from pydicom.datadict import dictionary_description, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr.codedict import codes

from dicomzarr.dicom import body_parts, image_risks
from dicomzarr.headers import attribute_table
from dicomzarr.stages.write_cards.columns import TABLES
from dicomzarr.vocabulary.attributes import OF_IMAGES, OF_MASKS, OF_OME
from dicomzarr.vocabulary.faces import FACES_REASONS
from dicomzarr.vocabulary.flags import FLAGS
from dicomzarr.vocabulary.reasons import REASONS
from dicomzarr.volumes import acquisition, field_of_view, t_axis

PAGE = (ROOT / "docs" / "data-policy.md").read_text()
CONFIG = json.loads((ROOT / "schemas" / "config.schema.json").read_text())["properties"]
CODE = "".join(path.read_text() for path in sorted((ROOT / "scripts" / "dicomzarr").rglob("*.py")))
# What the index reads; private elements are judged by 113111.
STANDARD = {tag: row for tag, row in attribute_table.ATTRIBUTES.items() if tag not in attribute_table.PRIVATE_TAGS}
# How an option can be met.
MET = ("by construction", "by leaving out", "no", "numbers and a closed list")
# VRs of texts, dates, times, people and UIDs. Of them only these are read that Table E.1-1 does not name.
TELLING = {"AE", "AS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UT"}
NOT_IN_PROFILE = {"SOPClassUID", "Manufacturer", "ConvolutionKernel", "ReceiveCoilName", "RescaleType", "SequenceName"}
NOT_IN_PROFILE |= {"RequestedProcedureCodeSequence", "AcquisitionProtocolName", "FilterType"}
# Groups that describe the patient, a trial, a request, a visit or an interpretation.
OF_PEOPLE = {0x0010, 0x0012, 0x0032, 0x0038, 0x4008}


def rows(heading: str) -> list[list[str]]:
    """Return the rows of the table with this first heading."""
    found = re.search(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.M)
    assert found, heading
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]


def profile() -> dict[int, tuple[str, str]]:
    """Return name and action of each attribute of the second table, by tag."""
    found = {}
    for name, action, _ in rows("attribute"):
        text, tag = re.fullmatch(r"(.+) \(([0-9A-F]{4},[0-9A-F]{4})\)", name).groups()
        found[int(tag.replace(",", ""), 16)] = (text, action)
    return found


# ---- Options


def test_the_options_are_those_of_cid_7050() -> None:
    keywords = cid_concepts[7050]["DCM"]
    standard = {(getattr(codes.DCM, keyword).value, getattr(codes.DCM, keyword).meaning) for keyword in keywords}
    stated = [tuple(row[0].split(" ", 1)) for row in rows("option of PS3.15 (CID 7050)")]
    assert stated == sorted(standard)


@pytest.mark.parametrize("row", rows("option of PS3.15 (CID 7050)"), ids=lambda row: row[0][:6])
def test_an_option_is_met_in_one_of_few_ways_and_names_what_exists(row: list[str]) -> None:
    assert row[1].startswith(MET) and row[2]
    for name in re.findall(r"`([a-z_]+)`", row[2]):
        assert name in REASONS or name in FLAGS, name
    for key, value in re.findall(r"`([a-z_]+): ([a-z_]+)`", " ".join(row)):
        assert value in CONFIG[key]["enum"]


def test_what_the_options_claim_of_the_code() -> None:
    tags = attribute_table.ATTRIBUTES
    of_patients = {tags[tag][0] for tag in tags if tag >> 16 in OF_PEOPLE}
    assert of_patients == {"PatientID", "IssuerOfPatientID", "describes_head"}  # 113108
    devices = ("DeviceSerialNumber", "StationName", "DeviceUID", "DetectorID", "InstitutionName", "InstitutionAddress")
    assert not {tag_for_keyword(word) for word in devices} & {*tags}  # 113109, 113112
    assert [name for name, allowed in OF_IMAGES.items() if "UID" in allowed] == ["transfer_syntax"]  # 113110
    private = {re.sub(r"_(siemens|ge|uih|philips)(_\d)?$", "", each.name) for each in attribute_table.PRIVATE}
    of_private = {"b_value", "direction", "velocity", "component", "quantity", "sequence", "word", "coil", "run"}
    assert private == of_private  # 113111
    clocks = {"acquisition_time_s", "reference_time_s", "content_time_s"}
    assert clocks == t_axis.CLOCKS  # 113107


# ---- Attributes


def test_the_attributes_are_named_as_in_the_standard() -> None:
    for tag, (name, action) in profile().items():
        assert name == dictionary_description(tag)
        assert re.fullmatch(r"[XZDU](/[XZDU]\*?)*", action), name


def test_no_other_attribute_is_read_that_may_tell_who_it_is() -> None:
    """A new attribute of the index with a text, a date or a UID has to be looked up in Table E.1-1 of PS3.15."""
    listed = profile()
    for tag, (keyword, vr, _) in STANDARD.items():
        if tag in listed or keyword_for_tag(tag) in NOT_IN_PROFILE:
            continue
        assert vr not in TELLING and tag >> 16 not in OF_PEOPLE, keyword
    for keyword in NOT_IN_PROFILE:
        assert tag_for_keyword(keyword) in STANDARD


def test_every_listed_attribute_is_read() -> None:
    for tag in profile():
        written = f"0x{tag:08X}" in CODE or re.search(rf"\b{keyword_for_tag(tag)}\b", CODE)
        assert written, keyword_for_tag(tag)


def test_nothing_of_the_profile_is_on_the_allow_list() -> None:
    """Names of attributes, columns and facts: none is an attribute of the profile but clocks, which count from 0."""
    names = {*OF_IMAGES, *OF_MASKS, *OF_OME, *(column.name for table in TABLES for column in table.columns)}
    names |= {fact.name for fact in acquisition.FACTS} | {key for cause in t_axis.CAUSES for key in cause.keys}
    plain = {re.sub("[^a-z]", "", re.sub("_(ms|s|mm|id)$", "", name)): name for name in names}
    attributes = {keyword_for_tag(tag).lower() for tag in profile()}
    clocks = {name for key, name in plain.items() if key in attributes}
    assert clocks == {"acquisition_time_s", "content_time_s"} and clocks < t_axis.CLOCKS
    people = re.compile(r"date|birth|patient|physician|operator|institution|station|serial|accession|comment|address")
    assert not [name for name in names if people.search(name)]


def test_vrs_of_the_index_are_those_of_the_standard() -> None:
    for tag, (keyword, vr, form) in STANDARD.items():
        if form not in ("pixel", "present"):  # US or SS, and texts of palettes
            assert dictionary_VR(tag) == vr, keyword


# ---- Faces


def test_the_section_on_faces_states_the_numbers_and_words_of_the_code() -> None:
    section = PAGE[PAGE.index("## Faces") : PAGE.index("## How it is checked")]
    for number, words in (
        (field_of_view.FACE_MM, "at least %d mm in two directions"),
        (field_of_view.THIRD_MM, "%d mm in the third"),
        (field_of_view.VOXEL_MM, "samples at most %d mm apart"),
        (field_of_view.TRUNK_MM, "longer than a trunk, %d mm"),
    ):
        assert words % number in section
    assert {row[0].strip("`") for row in rows("by")} == {*image_risks.FACE_KINDS}
    assert {re.match("`([a-z]+)`", row[0])[1] for row in rows("`faces:`")} == {*CONFIG["faces"]["enum"]}
    assert [*FACES_REASONS] == CONFIG["faces_reason"]["enum"] and all(f"`{word}`" in section for word in FACES_REASONS)
    assert len(body_parts.WITHOUT_HEAD) > 50
