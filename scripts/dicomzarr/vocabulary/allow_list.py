"""Allow lists: the only words of a header that may leave `results/private/`.

Transfer syntaxes and photometric interpretations are listed in `dicom/`.
"""

from __future__ import annotations

OTHER = "OTHER"

# PS3.3 C.7.3.1.1.1, current and retired defined terms of Modality (0008,0060).
_MODALITIES = """
    ANN AR AS ASMT AU BDUS BI BMD CD CF CFM CP CR CS CT CTPROTOCOL DD DF DG DM DMS DOC DS DX EC ECG EEG EMG EOG
    EPS ES FA FID FS GM HC HD IO IOL IVOCT IVUS KER KO LEN LP LS M3D MA MG MR MS NM OAM OCT OP OPM OPR OPT
    OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD
    RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF ST STAIN TEXTUREMAP TF TG US VA VF XA XAPROTOCOL XC
"""
MODALITIES = frozenset(_MODALITIES.split())

# PS3.3 C.8.8.3, Dose Units (3004,0002).
DOSE_UNITS = frozenset(("GY", "RELATIVE"))


def dose_units(value: str) -> str | None:
    """Return Dose Units (3004,0002) if it is a defined term, else None."""
    return value if value in DOSE_UNITS else None


def modality(value: str) -> str:
    """Return Modality (0008,0060) if it is a defined term or empty, else `OTHER`."""
    return value if value in MODALITIES or not value else OTHER
