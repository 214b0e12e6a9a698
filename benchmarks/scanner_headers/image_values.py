"""The values that differ for each patient, study, series or image."""

from __future__ import annotations

from .encoding import ROOT, Place


def mixed(*numbers: int) -> int:
    """Return 32 bits that look random, the same for the same numbers."""
    value = 0x9E3779B9
    for number in numbers:
        value = ((value ^ (number & 0xFFFFFFFF)) * 0x85EBCA6B + 0x27D4EB2F) & 0xFFFFFFFF
        value ^= value >> 15
    return value


NAMES = (
    *("ALDER", "BIRCH", "CEDAR", "DOGWOOD", "ELM", "FIR", "GINKGO", "HAZEL", "IVY"),
    *("JUNIPER", "LARCH", "MAPLE", "OAK", "PINE", "ROWAN", "SPRUCE", "TEAK", "YEW"),
)
GIVEN = (
    *("ADA", "BRUNO", "CLARA", "DAVID", "EMMA", "FELIX", "GRETA", "HUGO", "INES"),
    *("JONAS", "KLARA", "LEO", "MARTA", "NILS", "OLGA", "PAUL", "ROSA", "TOM"),
)
DESCRIPTIONS = {
    "MR": (
        b"localizer",
        b"t1_tse_sag",
        b"t2_tse_tra_512",
        b"t2_fl3d_dark-fluid_sag",
        b"ep2d_diff_tra",
        b"t1_mpr_p2_iso",
    ),
    "CT": (b"Scout", b"CHEST 2.5mm STD", b"CHEST 1.25mm LUNG", b"Recon 2: ABD W/C", b"SMART PREP", b"CHEST 5mm SAG"),
}


def time_text(seconds: float) -> bytes:
    """Return a time of the day as TM."""
    minutes, second = divmod(seconds % 86400, 60)
    hour, minute = divmod(int(minutes), 60)
    return b"%02d%02d%09.6f" % (hour, minute, second)


def date_text(day: int) -> bytes:
    """Return a made-up date of a number as DA."""
    return b"20%02d%02d%02d" % (10 + day % 15, 1 + day // 15 % 12, 1 + day // 180 % 28)


# The elements that differ between patients, studies, series or images, and the names of their values.
COMMON = {
    0x00080012: "date", 0x00080013: "created", 0x00080018: "instance", 0x00080020: "date", 0x00080021: "date",
    0x00080022: "date", 0x00080023: "date", 0x00080030: "study_time", 0x00080031: "series_time",
    0x00080032: "acquired", 0x00080033: "created", 0x00080050: "accession", 0x00080090: "doctor",
    0x0008103E: "description", 0x00081050: "doctor", 0x00081070: "operator", 0x00100010: "name", 0x00100020: "patient",
    0x00100030: "birth", 0x00100040: "sex", 0x00101010: "age", 0x00101030: "weight", 0x00181030: "description",
    0x0020000D: "study", 0x0020000E: "series", 0x00200010: "study_id", 0x00200011: "series_number",
    0x00200012: "acquisition_number", 0x00200013: "number", 0x00200032: "position", 0x00200052: "frame_of_reference",
    0x00201041: "location", 0x00281050: "center", 0x00281051: "width", 0x00400244: "date", 0x00400245: "study_time",
    0x00400253: "study_id",
}  # fmt: skip


def common(place: Place, modality: str, device: int, seconds: float) -> dict[str, bytes]:
    """Return the values of `COMMON` for the image at a place.

    Parameters
    ----------
    place : Place
    modality : str
    device : int
        Number of the scanner; part of the UIDs.
    seconds : float
        Between two images.
    """
    study, series, index = place.study, place.series, place.index
    person = mixed(study, 1)
    date, start = date_text(study), 25_000 + person % 40_000
    begin = start + 90 + series % 12 * 240
    acquired = begin + index * seconds
    depth = place.spacing * index - 123.4567
    low, high = place.extremes
    uid = b"%s.%d.%s" % (ROOT.encode(), device, date)
    family, given = NAMES[person % len(NAMES)], GIVEN[person // 32 % len(GIVEN)]
    return {
        "date": date,
        "created": time_text(acquired + 31.25 + mixed(series, index) % 1000 / 1000),
        "instance": b"%s%05d.%d.%d.%d" % (uid, start, study, series, index + 1),
        "study_time": time_text(start),
        "series_time": time_text(begin),
        "acquired": time_text(acquired),
        "accession": b"A%09d" % (study * 7919 + 1234),
        "doctor": f"{NAMES[person // 7 % len(NAMES)]}^{GIVEN[person // 11 % len(GIVEN)]}^^DR".encode(),
        "operator": GIVEN[person // 13 % len(GIVEN)].encode(),
        "description": DESCRIPTIONS[modality][series % len(DESCRIPTIONS[modality])],
        "name": f"{family}^{given}".encode(),
        "patient": b"PAT%07d" % study,
        "birth": b"19%02d%02d%02d" % (20 + person % 70, 1 + person % 12, 1 + person % 28),
        "sex": b"FM"[person % 2 : person % 2 + 1],
        "age": b"%03dY" % (20 + person % 70),
        "weight": b"%d" % (45 + person % 60),
        "study": b"%s%05d.%d" % (uid, start, study),
        "series": b"%s%05d.%d.%d.0.0.0" % (uid, start, study, series),
        "study_id": b"%d" % (study + 1),
        "series_number": b"%d" % (series % 12 + 1),
        "acquisition_number": b"1",
        "number": b"%d" % (index + 1),
        "position": f"-119.53125\\-{110 + series % 9}.25\\{depth:.10g}".encode(),
        "frame_of_reference": b"%s%05d.%d.0.0.0.0.1" % (uid, start, study),
        "location": f"{depth:.8g}".encode(),
        "center": b"%d" % ((low + high) // 2 + mixed(series, index, 3) % 7),
        "width": b"%d" % max(1, (high - low) * 3 // 4 + mixed(series, index, 4) % 9),
    }
