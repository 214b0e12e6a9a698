"""Images that may show who the patient is: text burned into the pixels, or the face.

Nothing here looks at pixels. It judges by what the header says and by what kind of image it is, and errs on the side of
setting aside.
"""

from __future__ import annotations

from collections.abc import Sequence

from dicomzarr.model import ImageFacts

# Why an image may have text in its pixels: kind -> in words, for the report.
BURNED_IN_KINDS: dict[str, str] = {
    "declared": "Burned In Annotation (0028,0301) says YES",
    "secondary_capture": "a secondary capture, which often is a screenshot or a scanned paper",
    "screen_save": "a screen save of a workstation",
    "ultrasound": "ultrasound, where the scanner writes into the image",
    "photograph": "a photograph or video of the patient",
}
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_SECONDARY_CAPTURE = frozenset(_STORAGE + suffix for suffix in ("7", "7.1", "7.2", "7.3", "7.4"))
# PS3.3 C.7.3.1.1.1: ultrasound, intravascular ultrasound; external camera and the visible-light modalities beside it.
_ULTRASOUND = frozenset({"US", "IVUS", "BDUS"})
_PHOTOGRAPH = frozenset({"XC", "ES", "GM", "DMS"})

# PS3.16 CID 4031 and what scanners write into Body Part Examined (0018,0015).
_WITH_FACE = frozenset({"HEAD", "BRAIN", "SKULL", "FACE", "HEADNECK", "HEAD AND NECK", "ORBIT", "EYE", "SINUS", "JAW"})
_FACE_MODALITIES = frozenset({"CT", "MR", "PT"})


def burned_in(facts: ImageFacts) -> str:
    """Return why text may be burned into an image, a key of `BURNED_IN_KINDS`, or nothing.

    Parameters
    ----------
    facts : ImageFacts
        BurnedInAnnotation, SOPClassUID, ImageType and Modality count.

    References
    ----------
    DICOM PS3.3 C.7.6.1.1.1 (Burned In Annotation), C.8.6.1; PS3.15 E.3.1 (Clean Pixel Data Option).
    """
    said = facts.get("BurnedInAnnotation", "").strip().upper()
    if said == "YES":
        return "declared"
    if said == "NO":
        return ""
    words = " ".join(facts.get("ImageType", ())).upper()
    modality = facts.get("Modality", "").strip().upper()
    if "SCREEN SAVE" in words or "SCREENSAVE" in words:
        return "screen_save"
    if facts.get("SOPClassUID") in _SECONDARY_CAPTURE or modality == "SC":
        return "secondary_capture"
    if modality in _ULTRASOUND:
        return "ultrasound"
    return "photograph" if modality in _PHOTOGRAPH else ""


def shows_face(facts: Sequence[ImageFacts]) -> bool:
    """Return whether a head scan may let the face be rendered (PS3.15 E.3.2, Clean Recognizable Visual Features)."""
    return any(
        one.get("Modality") in _FACE_MODALITIES and one.get("BodyPartExamined", "").strip().upper() in _WITH_FACE
        for one in facts
    )
