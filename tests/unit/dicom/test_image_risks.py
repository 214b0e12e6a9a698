"""Images that may identify the patient, judged by their headers."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from made_up_headers import Element, file, image, text

from dicomzarr.dicom import image_risks
from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.headers.classify import read_header

STORAGE = "1.2.840.10008.5.1.4.1.1."


def facts_of(folder: Path, **changes: Element | None) -> ImageFacts:
    """Return the attributes of an image that the header index holds."""
    path = folder / "image"
    path.write_bytes(file(image(**changes)))
    with open(path, "rb") as stream:
        header = read_header(partial(os.pread, stream.fileno()), path.stat().st_size)
    assert header.outcome == "image"
    return header.facts


def sop_class(suffix: str) -> dict[str, Element | None]:
    return {"SOPClassUID": text(0x00080016, "UI", STORAGE + suffix)}


def image_type(*words: str) -> dict[str, Element | None]:
    return {"ImageType": text(0x00080008, "CS", "\\".join(words))}


def modality(word: str) -> dict[str, Element | None]:
    return {"Modality": text(0x00080060, "CS", word)}


# Secondary captures, ultrasound and photographs by their class, retired ones and those of several frames included.
CLASSES = {
    **dict.fromkeys(("7", "7.1", "7.2", "7.3", "7.4"), "secondary_capture"),
    **dict.fromkeys(("3", "3.1", "6", "6.1", "6.2"), "ultrasound"),
    **dict.fromkeys(("77.1", "77.2", "77.1.1", "77.1.1.1", "77.1.2", "77.1.2.1"), "photograph"),
    **dict.fromkeys(("77.1.4", "77.1.4.1", "77.1.7"), "photograph"),
    **dict.fromkeys(("1", "1.1", "2", "2.1", "4", "4.1", "20", "12.1", "77.1.5.1", "77.1.6", "128", "481.2"), ""),
}


@pytest.mark.parametrize("suffix", CLASSES)
def test_kinds_by_class(tmp_path: Path, suffix: str) -> None:
    facts = facts_of(tmp_path, **sop_class(suffix), **modality("OT"))
    assert image_risks.burned_in(facts) == CLASSES[suffix]
    no, yes = (text(0x00280301, "CS", word) for word in ("NO", "YES"))
    assert image_risks.burned_in(facts_of(tmp_path, **sop_class(suffix), **modality("OT"), BurnedIn=no)) == ""
    assert image_risks.burned_in(facts_of(tmp_path, **sop_class(suffix), **modality("OT"), BurnedIn=yes)) == "declared"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        *[(modality(word), "ultrasound") for word in ("US", "IVUS", "BDUS")],
        *[(modality(word), "photograph") for word in ("XC", "ES", "GM", "DMS")],
        (modality("SC"), "secondary_capture"),
        *[
            ({"How": text(0x00080064, "CS", word)}, "secondary_capture")
            for word in ("WSD", "DV", "DI", "DF", "SD", "?")
        ],
        ({"How": text(0x00080064, "CS", "")}, ""),
        *[
            (image_type("DERIVED", "SECONDARY", word), "screen_save")
            for word in ("SCREEN SAVE", "SCREENSAVE", "Screen_Save", "SCREENSHOT", "SCREEN CAPTURE")
        ],
        (image_type("DERIVED", "SECONDARY", "MPR"), ""),
        *[(image_type("ORIGINAL", "PRIMARY", word) | modality("SM"), "slide_label") for word in ("LABEL", "OVERVIEW")],
        (image_type("ORIGINAL", "PRIMARY", "VOLUME") | modality("SM"), ""),
        ({"BurnedIn": text(0x00280301, "CS", "NO\\YES")} | modality("US"), "ultrasound"),
        ({"BurnedIn": text(0x00280301, "CS", "yes ")}, "declared"),
    ],
)
def test_kinds_by_other_attributes(tmp_path: Path, changes: dict[str, Element | None], kind: str) -> None:
    assert image_risks.burned_in(facts_of(tmp_path, **changes)) == kind
    assert not kind or kind in image_risks.BURNED_IN_KINDS


@pytest.mark.parametrize(
    "part",
    [
        *("HEAD", "BRAIN", "SKULL", "HEADNECK", "HEAD_NECK", "Head/Neck", "FACE", "ORBIT", "EYE", "SINUS", "JAW"),
        *("MAXILLA", "CSPINE AND HEAD", "WHOLEBODY", "TETE", "KOPF", "IAC"),
    ],
)
@pytest.mark.parametrize("kind", ["CT", "MR", "PT"])
def test_a_head_by_its_body_part(tmp_path: Path, part: str, kind: str) -> None:
    facts = facts_of(tmp_path, **modality(kind), Part=text(0x00180015, "CS", part))
    assert image_risks.shows_face([facts])
    assert image_risks.shows_face([facts_of(tmp_path, **sop_class("2"), Part=text(0x00180015, "CS", part))])
    mammogram = {**modality("MG"), **sop_class("1.2"), "Part": text(0x00180015, "CS", part)}
    assert not image_risks.shows_face([facts_of(tmp_path, **mammogram)])


@pytest.mark.parametrize("tag", [0x00081030, 0x0008103E, 0x00181030])
def test_a_head_by_its_descriptions(tmp_path: Path, tag: int) -> None:
    for words in ("t1_mprage_sag", "CT Brain w/o", "Schädel nativ", "AX FLAIR", "MRI HEAD", "Tête"):
        facts = facts_of(tmp_path, **modality("MR"), Description=text(tag, "LO", words))
        assert image_risks.shows_face([facts_of(tmp_path, **modality("MR")), facts]), words
        assert words not in repr(facts) or tag == 0x0008103E  # which is compared, too
    for words in ("Thorax", "ABDOMEN early arterial", "L facet joints", "Carat", "ahead", "T2 TSE", ""):
        facts = facts_of(tmp_path, **modality("MR"), Description=text(tag, "LO", words))
        assert not image_risks.shows_face([facts]), words


def test_recognizable_visual_features(tmp_path: Path) -> None:
    for value, kind, shows in (("YES", "OT", True), ("yes", "XC", True), ("NO", "OT", False), ("", "OT", False)):
        facts = facts_of(tmp_path, **modality(kind), Features=text(0x00280302, "CS", value))
        assert image_risks.shows_face([facts]) is shows
