"""One table of VRs, one of transfer syntaxes, one of SOP classes: equal to pydicom's, and used by all of the core."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT
from pydicom import valuerep
from pydicom.uid import UID, UID_dictionary

from dicomzarr.dicom import sop_classes, transfer_syntaxes, vr
from dicomzarr.dicom.photometric import known_photometric
from dicomzarr.dicom.transfer_syntaxes import DECODED, TRANSFER_SYNTAXES, TransferSyntax, known_transfer_syntax
from dicomzarr.vocabulary.reasons import REASONS

CORE = ROOT / "scripts" / "dicomzarr"
NEWER = {"1.2.840.10008.1.2.8.1", *(f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112))}  # than pydicom
NO_FILES = ("RFC 2557", "XML", "SMPTE", "Papyrus")  # transfer syntaxes of the web, of streams, of another standard


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES.values(), ids=lambda syntax: syntax.uid)
def test_a_transfer_syntax_agrees_with_pydicom(syntax: TransferSyntax) -> None:
    official = UID(syntax.uid)
    if syntax.uid in NEWER:
        assert syntax.uid not in UID_dictionary
        return
    assert (official.type, official.name) == ("Transfer Syntax", syntax.name)
    assert (official.is_implicit_VR, official.is_little_endian) == (syntax.implicit_vr, not syntax.big_endian)
    assert official.is_deflated == (syntax.deflated and syntax.family == "native") or "JPIP" in syntax.name
    if syntax.family and not syntax.deflated:
        assert official.is_encapsulated == (syntax.family != "native")
    assert ("Lossless" not in syntax.name) or not syntax.lossy


def test_no_transfer_syntax_is_missing() -> None:
    official = {
        uid for uid, row in UID_dictionary.items() if row[1] == "Transfer Syntax" and not row[0].startswith(NO_FILES)
    }
    assert official | NEWER == set(TRANSFER_SYNTAXES)
    assert all(syntax.family for syntax in DECODED.values())
    compressed = {uid for uid, syntax in DECODED.items() if syntax.family != "native"}
    assert compressed - {"1.2.840.10008.1.2.1.98"} == set(transfer_syntaxes.DECODING_COST)


def test_sop_classes_have_the_names_of_the_standard() -> None:
    alike = {"RETIRED", "IMAGE", "LABEL_MAP_SEGMENTATION", "UID_ROOT"}  # Label Map Segmentation is newer than pydicom
    for name, value in vars(sop_classes).items():
        if name.isupper() and isinstance(value, str) and not name.startswith("_") and name not in alike:
            official = set(re.findall("[A-Z0-9]+", UID(value).name.upper()))
            assert set(name.split("_")) - alike <= official, (name, official)
    assert {kind.reason for kind in sop_classes._WITHOUT_PIXELS} <= set(REASONS)


def test_vrs_are_those_of_the_standard() -> None:
    assert set(vr.VRS) == {str(name) for name in valuerep.STANDARD_VR}
    long_vrs = {str(name) for name in valuerep.EXPLICIT_VR_LENGTH_32}
    assert {name for name, row in vr.VRS.items() if row.is_long} == long_vrs
    strings = {str(name) for name in valuerep.STR_VR}
    assert {name for name, row in vr.VRS.items() if row.is_string} == strings


def test_uids_and_lists_of_vrs_are_in_these_tables_only() -> None:
    allowed = {CORE / "dicom" / "transfer_syntaxes.py", CORE / "dicom" / "sop_classes.py"}
    uids = [path for path in CORE.rglob("*.py") if path not in allowed and "1.2.840.10008" in path.read_text()]
    assert not uids
    long_list = re.compile(rf'(b?"({"|".join(vr.VRS)})"[, ]+){{7}}')
    assert not [path for path in CORE.rglob("*.py") if path.name != "vr.py" and long_list.search(path.read_text())]


def test_only_known_words_leave() -> None:
    assert known_transfer_syntax("1.2.840.10008.1.2.4.70") == "1.2.840.10008.1.2.4.70"
    assert known_photometric("YBR_FULL_422") == "YBR_FULL_422"
    assert {known_transfer_syntax("1.2.3.4"), known_photometric("SMITH^JOHN"), known_photometric("")} == {"OTHER"}
