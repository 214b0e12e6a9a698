"""Find images that may identify the patient: text burned into the pixels, or the face.

Pixels are not examined. The header and the kind of image decide; in doubt an image counts as a risk.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from dicomzarr.dicom import head_words, sop_classes
from dicomzarr.dicom.facts import ImageFacts

# Why an image may have text in its pixels: kind -> text for the report.
BURNED_IN_KINDS: dict[str, str] = {
    "declared": "Burned In Annotation (0028,0301) says YES",
    "secondary_capture": "a secondary capture, which often is a screenshot or a scanned paper",
    "screen_save": "a screen save of a workstation",
    "ultrasound": "ultrasound, where the scanner writes into the image",
    "photograph": "a photograph or video of the patient",
    "slide_label": "the label of a slide, or an overview with the label in it",
    "text_in_pixels": "text was found in the pixels, or somebody decided to set the image aside",
}
# By what a series may show a face: kind -> text for the report.
FACE_KINDS: dict[str, str] = {
    "header": "a header names the head, or says that a face can be recognised",
    "geometry": "a CT, MR, PET or X-Ray 3D is large enough for a face, and no header says that it shows another part",
}
# PS3.3 C.7.3.1.1.1: ultrasound, intravascular ultrasound; external camera and the visible-light modalities beside it.
_ULTRASOUND = frozenset({"US", "IVUS", "BDUS"})
_PHOTOGRAPH = frozenset({"XC", "ES", "GM", "DMS"})
_SCREEN_SAVES = ("SCREENSAVE", "SCREENSHOT", "SCREENCAPTURE")
_SLIDE_LABELS = frozenset({"LABEL", "OVERVIEW"})  # PS3.3 C.8.12.4.1.1, value 3 of Image Type

_FACE_MODALITIES = frozenset({"CT", "MR", "PT"})
_FACE_CLASSES = sop_classes.SLICES - {sop_classes.BREAST_TOMOSYNTHESIS}


def burned_in(facts: ImageFacts) -> str:
    """Return why text may be burned into an image.

    Parameters
    ----------
    facts : ImageFacts
        BurnedInAnnotation, SOPClassUID, ImageType, Modality and ConversionType are read.

    Returns
    -------
    str
        A key of `BURNED_IN_KINDS`; empty if there is no sign of a risk.

    References
    ----------
    DICOM PS3.3 C.7.6.1.1.1 (Burned In Annotation), C.8.6.1 (Conversion Type: an image that has one is a secondary
    capture, whatever its class); PS3.15 E.3.1 (Clean Pixel Data Option).
    """
    declared = facts.get("BurnedInAnnotation", "").strip().upper()
    if declared == "YES":
        return "declared"
    if declared == "NO":
        return ""
    modality, sop_class = facts.get("Modality", ""), facts.get("SOPClassUID", "")
    return _burned_in(tuple(facts.get("ImageType", ())), modality, sop_class, bool(facts.get("ConversionType")))


@lru_cache(maxsize=1024)
def _burned_in(image_type: tuple[str, ...], modality: str, sop_class: str, converted: bool) -> str:
    words = [re.sub("[^A-Z]", "", word.upper()) for word in image_type]
    modality = modality.strip().upper()
    if any(word.startswith(_SCREEN_SAVES) for word in words):
        return "screen_save"
    if sop_classes.is_secondary_capture(sop_class) or modality == "SC" or converted:
        return "secondary_capture"
    if sop_class in sop_classes.ULTRASOUNDS or modality in _ULTRASOUND:
        return "ultrasound"
    if (sop_class == sop_classes.VL_WHOLE_SLIDE_MICROSCOPY or modality == "SM") and not _SLIDE_LABELS.isdisjoint(words):
        return "slide_label"
    return "photograph" if sop_class in sop_classes.PHOTOGRAPHS or modality in _PHOTOGRAPH else ""


def is_of_faces(facts: ImageFacts) -> bool:
    """Return whether an image is of a kind from which faces are rendered: CT, MR, PET or X-Ray 3D.

    Parameters
    ----------
    facts : ImageFacts
        SOPClassUID and Modality are read. Either is enough: Modality may be missing, OT, or DX as in X-Ray 3D.

    Returns
    -------
    bool

    References
    ----------
    DICOM PS3.3 C.7.3.1.1.1: Modality (0008,0060) may be another than that of the class.
    """
    modality = facts.get("Modality", "").strip().upper()
    return modality in _FACE_MODALITIES or facts.get("SOPClassUID") in _FACE_CLASSES


def shows_face(facts: Sequence[ImageFacts]) -> bool:
    """Return whether the face may be seen in images, or rendered from them.

    It may if Recognizable Visual Features (0028,0302) is YES, and in X-Ray 3D Craniofacial. It also may in other images
    of `is_of_faces` if Body Part Examined (0018,0015), which is often empty, a description or a code names the head.

    Parameters
    ----------
    facts : sequence of ImageFacts
        One per file of the series.

    Returns
    -------
    bool

    References
    ----------
    DICOM PS3.15 E.3.2 (Clean Recognizable Visual Features Option).
    """
    return any(
        image.get("RecognizableVisualFeatures", "").strip().upper() == "YES"
        or image.get("SOPClassUID") == sop_classes.X_RAY_3D_CRANIOFACIAL
        or is_of_faces(image)
        and (
            image.get("describes_head", False)
            or _names_head(image.get("BodyPartExamined", ""))
            or _names_head(image.get("SeriesDescription", ""))
        )
        for image in facts
    )


def _names_head(text: str) -> bool:
    """Return whether a value names the head; the header index has one character for each of its bytes."""
    return head_words.bytes_name_head(text.encode("latin-1", "replace"))
