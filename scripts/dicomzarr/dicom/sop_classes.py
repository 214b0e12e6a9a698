"""Storage SOP classes that this program treats specially.

References
----------
DICOM PS3.4 B.5, retired classes included; PS3.6 table A-1.
"""

from __future__ import annotations

from typing import Final, NamedTuple

UID_ROOT: Final = "1.2.840.10008."  # PS3.6 annex A: UIDs that the standard itself assigns
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."

MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"
ULTRASOUND_MULTI_FRAME_RETIRED: Final = f"{_STORAGE}3"
ULTRASOUND_MULTI_FRAME: Final = f"{_STORAGE}3.1"
MR_SPECTROSCOPY: Final = f"{_STORAGE}4.2"
ULTRASOUND_RETIRED: Final = f"{_STORAGE}6"
ULTRASOUND: Final = f"{_STORAGE}6.1"
ENHANCED_US_VOLUME: Final = f"{_STORAGE}6.2"
SECONDARY_CAPTURE: Final = f"{_STORAGE}7"
PARAMETRIC_MAP: Final = f"{_STORAGE}30"
SEGMENTATION: Final = f"{_STORAGE}66.4"
LABEL_MAP_SEGMENTATION: Final = f"{_STORAGE}66.7"
VL_IMAGE_RETIRED: Final = f"{_STORAGE}77.1"
VL_MULTI_FRAME_IMAGE_RETIRED: Final = f"{_STORAGE}77.2"
VL_ENDOSCOPIC: Final = f"{_STORAGE}77.1.1"
VIDEO_ENDOSCOPIC: Final = f"{_STORAGE}77.1.1.1"
VL_MICROSCOPIC: Final = f"{_STORAGE}77.1.2"
VIDEO_MICROSCOPIC: Final = f"{_STORAGE}77.1.2.1"
VL_PHOTOGRAPHIC: Final = f"{_STORAGE}77.1.4"
VIDEO_PHOTOGRAPHIC: Final = f"{_STORAGE}77.1.4.1"
VL_WHOLE_SLIDE_MICROSCOPY: Final = f"{_STORAGE}77.1.6"
DERMOSCOPIC_PHOTOGRAPHY: Final = f"{_STORAGE}77.1.7"
RT_DOSE: Final = f"{_STORAGE}481.2"
DETACHED_STUDY_MANAGEMENT: Final = "1.2.840.10008.3.1.2.3.1"  # retired; structure sets refer to studies by it
RT_STRUCTURE_SET: Final = f"{_STORAGE}481.3"
NUCLEAR_MEDICINE: Final = f"{_STORAGE}20"
X_RAY_3D_CRANIOFACIAL: Final = f"{_STORAGE}13.1.2"
BREAST_TOMOSYNTHESIS: Final = f"{_STORAGE}13.1.3"

ULTRASOUNDS: Final = frozenset(
    (ULTRASOUND_MULTI_FRAME_RETIRED, ULTRASOUND_MULTI_FRAME, ULTRASOUND_RETIRED, ULTRASOUND, ENHANCED_US_VOLUME)
)
# Endoscopic, microscopic (not of slides), photographic and dermoscopic images, and videos of the first three.
PHOTOGRAPHS: Final = frozenset(
    (
        *(VL_IMAGE_RETIRED, VL_MULTI_FRAME_IMAGE_RETIRED, VL_ENDOSCOPIC, VIDEO_ENDOSCOPIC, VL_MICROSCOPIC),
        *(VIDEO_MICROSCOPIC, VL_PHOTOGRAPHIC, VIDEO_PHOTOGRAPHIC, DERMOSCOPIC_PHOTOGRAPHY),
    )
)
# CT, MR, PET, X-Ray 3D and tomosynthesis: slices, whatever Modality (0008,0060) says. The projections from which
# tomosynthesis computes slices (13.1.4, 13.1.5) are none.
SLICES: Final = frozenset(
    f"{_STORAGE}{suffix}"
    for suffix in ("2", "2.1", "2.2", "4", "4.1", "4.3", "4.4", "128", "128.1", "130", "13.1.1", "13.1.2", "13.1.3")
)
# Modality (0008,0060) that the class of an image implies, for files that lack it.
_MODALITIES: Final = {f"{_STORAGE}2": "CT", f"{_STORAGE}4": "MR", f"{_STORAGE}128": "PT", f"{_STORAGE}20": "NM"}
SEGMENTATIONS: Final = frozenset((SEGMENTATION, LABEL_MAP_SEGMENTATION))
MASK_CLASSES: Final = SEGMENTATIONS | {RT_STRUCTURE_SET}
# Images on which masks are drawn: not the masks themselves, and not doses and maps computed from the image.
NOT_MASKED: Final = SEGMENTATIONS | {RT_DOSE, PARAMETRIC_MAP}
TILED: Final = SEGMENTATIONS | {VL_WHOLE_SLIDE_MICROSCOPY}  # whose frames may be tiles of one plane


class WithoutPixels(NamedTuple):
    """A storage class without images: its UID (the beginning of several if it ends in a dot), and a reason code."""

    uid: str
    reason: str


_WITHOUT_PIXELS: Final = (
    WithoutPixels(f"{_STORAGE}88.", "structured_report"),
    WithoutPixels(RT_STRUCTURE_SET, "structure_set"),
    WithoutPixels(f"{_STORAGE}481.", "rt_object"),  # RT Dose among them, which may have pixels or not
    WithoutPixels(f"{_STORAGE}11.", "presentation_state"),
    WithoutPixels(f"{_STORAGE}104.", "encapsulated_document"),
    WithoutPixels(f"{_STORAGE}9.", "waveform"),
    WithoutPixels(MR_SPECTROSCOPY, "no_pixel_data"),  # has Rows and Columns (PS3.3 C.8.14.1)
)


def modality_of(modality: str | None, sop_class_uid: str | None) -> str:
    """Return Modality (0008,0060), or that which the SOP class implies.

    Parameters
    ----------
    modality, sop_class_uid : str, optional

    Returns
    -------
    str
        Empty if neither says it.
    """
    return modality or _MODALITIES.get(sop_class_uid or "", "")


def is_segmentation(modality: str, sop_class_uid: str) -> bool:
    """Return whether an image is a segmentation: by its class, or by its modality where that is no standard class.

    Label maps are also written as CT or MR images, or captures, with the modality SEG: these are images.

    Parameters
    ----------
    modality, sop_class_uid : str

    Returns
    -------
    bool
    """
    return sop_class_uid in SEGMENTATIONS or (modality == "SEG" and not sop_class_uid.startswith(UID_ROOT))


def reason_without_pixels(sop_class: str, *, has_rows: bool) -> str:
    """Return why a file has no pixel data, by its SOP class.

    Parameters
    ----------
    sop_class : str
        SOP Class UID (0008,0016).
    has_rows : bool
        Whether the header has Rows (0028,0010): an RT Dose with Rows should have pixel data.

    Returns
    -------
    str
        A reason code; empty if the SOP class does not explain it.
    """
    if sop_class == RT_DOSE and has_rows:
        return ""
    for kind in _WITHOUT_PIXELS:
        if sop_class == kind.uid or (kind.uid.endswith(".") and sop_class.startswith(kind.uid)):
            return kind.reason
    return ""


def is_secondary_capture(sop_class: str) -> bool:
    """Return whether a class is Secondary Capture Image Storage, or one of its multi-frame variants.

    Parameters
    ----------
    sop_class : str
        SOP Class UID (0008,0016).

    Returns
    -------
    bool
    """
    return sop_class == SECONDARY_CAPTURE or sop_class.startswith(f"{SECONDARY_CAPTURE}.")
