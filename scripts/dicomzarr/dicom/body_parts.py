"""Parts of the body whose scan holds no head: defined terms of Body Part Examined (0018,0015)."""

from __future__ import annotations

import re
from functools import lru_cache

# Defined terms of DICOM PS3.16 Annex L, and THORAX, which many scanners write for CHEST. Left out on purpose are terms
# of places next to the head (NECK, CSPINE, SHOULDER, CLAVICLE, THYROID ...), of those that may be anywhere (SPINE,
# TSPINE, AORTA, EXTREMITY, RIB ...), and of arms, which lie beside the head or above it when they are scanned.
WITHOUT_HEAD = frozenset({
    "ABDOMEN", "ABDOMENPELVIS", "ADRENAL", "ANKLE", "APPENDIX", "BILEDUCT", "BLADDER", "BREAST", "BUTTOCK",
    "CALCANEUS", "CALF", "CERVIX", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "COCCYX", "COLON", "CORONARYARTERY",
    "DUODENUM", "FEMUR", "FIBULA", "FOOT", "GALLBLADDER", "HEART", "HIP", "ILEUM", "ILIUM", "JEJUNUM", "KIDNEY",
    "KNEE", "LARGEINTESTINE", "LEG", "LIVER", "LSPINE", "LSSPINE", "LUNG", "MEDIASTINUM", "OVARY", "PANCREAS",
    "PATELLA", "PELVIS", "PENIS", "PROSTATE", "RECTUM", "SACRUM", "SCROTUM", "SIJOINT", "SMALLINTESTINE", "SPLEEN",
    "SSPINE", "STERNUM", "STOMACH", "TESTIS", "THIGH", "THORAX", "TIBIA", "TIBIAFIBULA", "TOE", "URETER", "URETHRA",
    "UTERUS", "VAGINA", "VULVA",
})  # fmt: skip


@lru_cache(maxsize=1024)
def excludes_head(text: str) -> bool:
    """Return whether a value of Body Part Examined names a part of the body whose scan holds no head.

    Parameters
    ----------
    text : str
        Its value; case, spaces, ``_``, ``-`` and ``/`` do not matter. Of several values each must be such a part.

    Returns
    -------
    bool
        False for an empty or unknown value.

    References
    ----------
    DICOM PS3.16 Annex L.
    """
    return all(re.sub(r"[\s_/-]", "", part).upper() in WITHOUT_HEAD for part in text.split("\\"))
