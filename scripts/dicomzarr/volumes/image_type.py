"""Classify images by Image Type (0008,0008): frames of different classes never share a volume.

From the third value on, only words of a fixed vocabulary are read: vendors write free remarks there, and a remark must
not split a volume (PS3.3 C.7.6.1.1.2, C.8.3.1.1.1, C.8.16.1).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from dicomzarr.dicom import sop_classes

# Modalities of projections: never stacked, even where the header gives a position (PS3.3 C.8.1, C.8.7, C.8.11).
PROJECTIONS: Final = frozenset(
    {"CR", "DX", "MG", "PX", "IO", "XA", "RF", "RG", "ES", "XC", "GM", "OP", "DG", "TG", "RTIMAGE"}
)
# Complex Image Component (0008,9208), lower case (PS3.3 C.8.13.3.1.1).
COMPONENTS: Final = frozenset({"magnitude", "phase", "real", "imaginary", "mixed"})
# Component of a complex image: the same anatomy, another quantity.
_PARTS: Final = {
    "M": "magnitude",
    "MAGNITUDE": "magnitude",
    "P": "phase",
    "PHASE": "phase",
    "PHASE MAP": "phase",
    "VELOCITY MAP": "phase",
    "VELOCITY": "phase",
    "R": "real",
    "REAL": "real",
    "I": "imaginary",
    "IMAGINARY": "imaginary",
}
# What the pixels mean, where it is not the plain signal.
_DIFFUSION: Final = {"ADC", "EADC", "FA", "COLFA", "TRACE", "TRACEW", "ISOTROPIC", "TENSOR"}
_DIXON: Final = {"WATER", "FAT", "IN_PHASE", "OUT_PHASE", "FAT_FRACTION", "WATER_FRACTION"}
_PERFUSION: Final = {"CBF", "CBV", "MTT", "TTP", "TMAX"}
_MAPS: Final = {"T1_MAP", "T2_MAP", "T2STAR_MAP", "R2_MAP", "R2STAR_MAP", "UNI", "INV1", "INV2", "SWI"}
# Maps made of phases: no phase image of the plain signal, and not each other.
_FIELDS: Final = {"FIELD_MAP", "B1_MAP", "VELOCITY_MAP", "PHASE_MAP", "PHASE_DIFFERENCE"}
# Of multi-energy CT (PS3.3 C.8.2.1.1.1.2): the same anatomy, other quantities.
_ENERGIES: Final = {
    *("VMI", "MAT_SPECIFIC", "MAT_REMOVED", "MAT_FRACTIONAL", "MAT_MODIFIED", "MAT_VALUE_BASED"),
    *("EFF_ATOMIC_NUM", "ELECTRON_DENSITY"),
}
_DERIVED: Final = {"MIP", "MINIP", "MPR", "PROJECTION", "MEAN", "MEDIAN", "STDEV", "ADDITION", "SUBTRACTION", "MASK"}
_CONTRASTS: Final = frozenset(_DIFFUSION | _DIXON | _PERFUSION | _MAPS | _DERIVED | _FIELDS | _ENERGIES)
_SYNONYMS: Final = {
    "W": "WATER",
    "F": "FAT",
    "IP": "IN_PHASE",
    "OP": "OUT_PHASE",
    "OPP_PHASE": "OUT_PHASE",
    "OPPOSED_PHASE": "OUT_PHASE",
    "RCBF": "CBF",
    "RCBV": "CBV",
    "PROJECTION_IMAGE": "PROJECTION",
    "VELOCITY": "VELOCITY_MAP",
    "B0_MAP": "FIELD_MAP",
    "B0MAP": "FIELD_MAP",
    "FIELDMAP": "FIELD_MAP",
    "FIELDMAPHZ": "FIELD_MAP",
    "B1MAP": "B1_MAP",
    "PHASE_DIFF": "PHASE_DIFFERENCE",
    "T2*_MAP": "T2STAR_MAP",
    "T2_STAR": "T2STAR_MAP",
    "T2_STAR_MAP": "T2STAR_MAP",
    "R2*_MAP": "R2STAR_MAP",
    "R2_STAR": "R2STAR_MAP",
    "R2_STAR_MAP": "R2STAR_MAP",
    "MAX_IP": "MIP",
    "MIN_IP": "MINIP",
}
_RELAXATION: Final = frozenset({"T1", "T2", "R1", "R2"})
_LOCALIZERS: Final = frozenset({"LOCALIZER", "SCOUT", "LOCALISER"})
MOSAICS: Final = frozenset({"MOSAIC", "VFRAME"})


class KindOfImage(NamedTuple):
    """The class of an image; frames of different classes never share a volume."""

    origin: str  # original or derived; secondary: made after the examination; capture: by its SOP class
    part: str  # magnitude, phase, real, imaginary or nothing
    contrast: str  # words of the vocabulary, joined by +
    localizer: str  # localizer or nothing
    sheet: str  # mosaic or nothing

    @property
    def mosaic(self) -> bool:
        """Whether the slices of a volume are tiles of the image."""
        return bool(self.sheet)


def makes_projections(modality: str, sop_class_uid: str) -> bool:
    """Return whether images of a modality are projections; slices may be written with that of their machine.

    Parameters
    ----------
    modality : str
        Modality (0008,0060).
    sop_class_uid : str
        SOP Class UID (0008,0016).

    Returns
    -------
    bool
    """
    return modality in PROJECTIONS and sop_class_uid not in sop_classes.SLICES


@lru_cache(maxsize=4096)
def kind_of_image(image_type: tuple[str, ...], sop_class_uid: str = "") -> KindOfImage:
    """Return the class of an image.

    Parameters
    ----------
    image_type : tuple of str
        Values of Image Type (0008,0008).
    sop_class_uid : str
        SOP Class UID (0008,0016).

    Returns
    -------
    KindOfImage
        Empty words where Image Type does not name them.

    References
    ----------
    DICOM PS3.3 C.7.6.1.1.2.
    """
    values = [value.strip().upper() for value in image_type]
    origin = "derived" if values[:1] == ["DERIVED"] else "original"
    if values[1:2] == ["SECONDARY"]:
        origin += "+secondary"
    if sop_classes.is_secondary_capture(sop_class_uid):
        origin += "+capture"
    words = values[2:]
    parts = {_PARTS[word] for word in words if word in _PARTS}
    # Philips names the component and the technique in one word: M_FFE, PHASE_MAP ...
    parts |= {_PARTS[word[0]] for word in words if word[1:] in ("_FFE", "_SE", "_IR", "_PCA", "_B0", "_B1")}
    underscored = [word.replace(" ", "_") for word in words]
    plain = {_SYNONYMS.get(word, word) for word in underscored}
    # Philips writes B0 for a field map as the third value, and as the fourth the word for its technique.
    plain |= {"FIELD_MAP"} if words[:1] == ["B0"] else set()
    return KindOfImage(
        origin=origin,
        part="+".join(sorted(parts)),
        contrast="+".join(sorted(plain & _CONTRASTS)),
        localizer="localizer" if plain & _LOCALIZERS else "",
        sheet="mosaic" if plain & MOSAICS else "",
    )


def is_derived(image_type: tuple[str, ...]) -> bool:
    """Return whether Image Type (0008,0008) calls an image derived.

    Parameters
    ----------
    image_type : tuple of str

    Returns
    -------
    bool
    """
    return kind_of_image(image_type).origin.startswith("derived")


def words_of_quantity(image_type: tuple[str, ...]) -> frozenset[str]:
    """Return the words of Image Type (0008,0008), from the third on, that may name a quantity.

    Parameters
    ----------
    image_type : tuple of str

    Returns
    -------
    frozenset of str
        Without the number at the end of a word, which may count images, unless it is one of T1, T2, R1 and R2.
    """
    words = (word.strip().upper() for word in image_type[2:])
    return frozenset(word if word in _RELAXATION else word.rstrip("0123456789 _-") for word in words) - {""}
