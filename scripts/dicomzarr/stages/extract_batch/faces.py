"""Whether a volume may show a face: by what its headers state, else by its size and modality; and what is done then."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dicomzarr.dicom import body_parts, image_risks
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.extract_batch.series_files import SourceFile
from dicomzarr.volumes import field_of_view
from dicomzarr.volumes.model import Volume

FACE = "face_risk"  # flag of a volume, and reason of a file
BY_GEOMETRY = "face_by_geometry"  # flag


def face_risks(volumes: Sequence[Volume], files: Sequence[SourceFile]) -> dict[tuple[str, ...], str]:
    """Return by what each volume of a series may show a face.

    Parameters
    ----------
    volumes : sequence of Volume
        All volumes of the series.
    files : sequence of SourceFile
        Of the series.

    Returns
    -------
    dict of tuple of str to str
        By the discriminators of the volume a key of `FACE_KINDS`: ``header`` where a header names the head or says that
        a face can be recognised, else ``geometry`` where an image of a kind that may show one is large enough, by
        itself or with other volumes of the series, and no header names a part of the body without a head. Empty if
        neither holds.
    """
    together = field_of_view.holding_face_together(volumes)
    return {volume.discriminators: _risk(volume, files, together) for volume in volumes}


def _risk(volume: Volume, files: Sequence[SourceFile], together: frozenset[tuple[str, ...]]) -> str:
    facts = [files[source].row["facts"] for source in sorted({place.frame.source for place in volume.places})]
    of_head = {place.frame.source for place in volume.places if place.frame.names_head}
    if image_risks.shows_face(facts) or any(image_risks.is_of_faces(files[source].row["facts"]) for source in of_head):
        return "header"
    if not any(map(image_risks.is_of_faces, facts)):
        return ""
    is_elsewhere = all(body_parts.excludes_head(image.get("BodyPartExamined", "")) for image in facts)
    if is_elsewhere and not field_of_view.is_longer_than_trunk(volume):
        return ""
    return "geometry" if volume.discriminators in together or field_of_view.can_hold_face(volume) else ""


def flags_of(risk: str) -> frozenset[str]:
    """Return the flags of a volume with this risk."""
    return frozenset({"header": (FACE,), "geometry": (FACE, BY_GEOMETRY)}.get(risk, ()))


def set_aside(risks: Collection[str], files: Sequence[SourceFile]) -> bool:
    """Set the reason of all files of a series if one of its volumes may show a face; return whether that is so.

    A duplicate gets the same reason as the image that it repeats. Files that could not be used keep their reasons.

    Parameters
    ----------
    risks : collection of str
        Of `face_risks`.
    files : sequence of SourceFile
        Of the series; changed.
    """
    if not any(risks):
        return False
    for file in files:
        if file.own and file.reason in ("", "duplicate"):
            file.reason, file.risk = FACE, "header" if "header" in risks else "geometry"
    return True


def is_outdated(record: SeriesRecord, faces: str) -> bool:
    """Return whether a series was extracted or left out under the other policy.

    A series without a face is the same under both, so that its record does not depend on the policy.

    Parameters
    ----------
    record : SeriesRecord
    faces : str
        ``keep`` or ``skip``, as configured.
    """
    if faces == "skip":
        return any(FACE in volume.flags for volume in record.volumes)
    return any(file.reason == FACE for file in record.files)
