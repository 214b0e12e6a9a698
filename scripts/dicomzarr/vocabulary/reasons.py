"""All reasons why a path is not extracted.

A reason is a fixed code and never contains a value of a header. `files.csv`, the report, `docs/reasons.md` and log
messages use this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["extracted", "skipped", "quarantined", "ignored"]


@dataclass(frozen=True, slots=True)
class Reason:
    """A fixed code, the outcome that it belongs to, its meaning and what the user can do."""

    code: str
    outcome: Outcome
    meaning: str
    remedy: str


_TABLE: tuple[tuple[str, Outcome, str, str], ...] = (
    # not DICOM, or not a regular file
    ("not_dicom", "ignored", "not DICOM: neither DICM at byte 128 nor a plausible data set without it", "nothing"),
    ("empty_file", "ignored", "the file has no bytes", "copy it again if it should be an image"),
    (
        "symbolic_link",
        "ignored",
        "a symbolic link, which is not followed; with follow_links: true, one that is broken or leads elsewhere",
        "add the folder it points to as a source",
    ),
    ("special_file", "ignored", "a FIFO, socket or device; never opened", "nothing"),
    (
        "archive_listed",
        "ignored",
        "an archive whose members are listed one by one, each with its own outcome; the archive itself is listed in "
        "private/archives.csv alone",
        "nothing",
    ),
    # valid, but not an image for the dataset
    ("dicomdir", "skipped", "a DICOMDIR: an index of files, not an image", "nothing"),
    ("no_pixel_data", "skipped", "DICOM without pixel data", "nothing"),
    ("structured_report", "skipped", "a structured report, no image", "nothing"),
    ("rt_object", "skipped", "a radiotherapy plan or treatment record, no image", "nothing"),
    ("structure_set", "skipped", "an RT structure set: its contours are masks of an image, see masks.csv", "nothing"),
    (
        "mask_without_image",
        "skipped",
        "an RT structure set whose image is not in the dataset, or that lies in another frame of reference than the "
        "image it names",
        "add the folder of the image as a source; if it is there, compare the Frame of Reference UIDs (0020,0052)",
    ),
    (
        "mask_ambiguous",
        "skipped",
        "an RT structure set that fits several images of the dataset, and names none of them",
        "ask the sender for a structure set that refers to its images",
    ),
    ("mask_unreadable", "skipped", "an RT structure set whose contours cannot be read", "ask the sender"),
    ("presentation_state", "skipped", "a presentation state, no image", "nothing"),
    ("encapsulated_document", "skipped", "an encapsulated document such as a PDF, no image", "nothing"),
    ("waveform", "skipped", "a waveform, no image", "nothing"),
    (
        "burned_in_risk",
        "skipped",
        "text may be burned into the pixels, and the configuration says to skip such images",
        "review them on site; if no text identifies anybody, set burned_in: keep with a burned_in_reason",
    ),
    (
        "text_in_pixels",
        "skipped",
        "text was found in the pixels (burned_in: scan), or somebody decided to set the image aside",
        "look at it with ./run review, and keep it if the text identifies nobody",
    ),
    (
        "face_risk",
        "skipped",
        "an image of its series may show a face, or a face may be rendered from it, and the configuration says to skip "
        "such series",
        "if faces may be in the dataset, set faces: keep, and say why in faces_reason",
    ),
    (
        "linked",
        "skipped",
        "a symbolic link to a file or folder of the source, which is read by its own path (follow_links: true)",
        "nothing",
    ),
    (
        "archive",
        "skipped",
        "an archive or a compressed file whose content is not read: of another kind than zip, tar, tar.gz, tar.zst and "
        "gz, or without the suffix of its kind, or with archives.content: ignore",
        "unpack it, or give it the suffix of its kind",
    ),
    ("nested_archive", "skipped", "an archive within an archive; it is not opened", "unpack the outer archive"),
    (
        "duplicate_member",
        "skipped",
        "a member whose name occurs again later in its archive: the last one counts, as when the archive is unpacked",
        "nothing",
    ),
    (
        "duplicate",
        "skipped",
        "the same image is in the dataset already: the same SOP Instance UID, or the same place and facts of "
        "acquisition under another UID, with equal pixels",
        "nothing",
    ),
    (
        "missing_pixel_data",
        "skipped",
        "a header without pixel data: it has Rows and Columns, and the file is not cut off",
        "ask the sender for the image, if it should be one",
    ),
    (
        "text_search_failed",
        "quarantined",
        "the search for text in its pixels (burned_in: scan) failed, so that it is not known whether there is any",
        "look at it with ./run review, and keep it if no text identifies anybody; or raise limits.seconds",
    ),
    # an archive or a member that cannot be read
    (
        "truncated_archive",
        "quarantined",
        "the archive ends too early; members before its end are read",
        "copy it again",
    ),
    (
        "unreadable_archive",
        "quarantined",
        "the archive is damaged: its list of members cannot be read, or a tar or gzip file cannot be decompressed",
        "copy the archive again",
    ),
    (
        "archive_bomb",
        "quarantined",
        "a member, or a compressed tar, inflates to more than archives.ratio times its compressed size",
        "raise archives.ratio if the file is right",
    ),
    ("encrypted_member", "quarantined", "a member of an archive that is encrypted", "unpack it with its password"),
    (
        "member_name",
        "quarantined",
        "a member whose name leads out of its folder (.., an absolute path, a drive letter), or that no file can have",
        "find out who made the archive; unpack it with care",
    ),
    (
        "damaged_member",
        "quarantined",
        "a member whose content differs from the size or checksum in its archive, or cannot be inflated",
        "copy the archive again",
    ),
    (
        "overlapping_member",
        "quarantined",
        "a member of a zip that shares bytes with another one, or with the list of members",
        "ask the sender",
    ),
    ("unsupported_member", "quarantined", "a member stored in a way that is not supported", "unpack the archive"),
    # an image that could not be extracted
    (
        "object_name",
        "quarantined",
        "an object whose key cannot be requested as it is: with an empty part, . or .., or a control character",
        "give the object another key",
    ),
    (
        "unreadable_folder",
        "quarantined",
        "the folder cannot be listed",
        "give the user of the run permission to read it",
    ),
    ("unreadable_file", "quarantined", "the file cannot be opened or read", "check permissions and the disk"),
    ("unreadable_header", "quarantined", "the header cannot be parsed", "ask the sender for the file again"),
    ("truncated_header", "quarantined", "the file ends inside its header", "copy the file again"),
    (
        "missing_attribute",
        "quarantined",
        "an attribute needed for decoding is missing",
        "ask the sender for the file again",
    ),
    ("invalid_attribute", "quarantined", "an attribute needed for decoding has an impossible value", "ask the sender"),
    (
        "truncated_pixel_data",
        "quarantined",
        "fewer bytes of pixel data than the header declares",
        "copy the file again",
    ),
    (
        "bad_encapsulation",
        "quarantined",
        "the fragments of the compressed pixel data are malformed",
        "ask the sender for the file again",
    ),
    (
        "several_pixel_data",
        "quarantined",
        "more than one of Pixel Data, Float Pixel Data and Double Float Pixel Data; which is the image is not known",
        "ask the sender",
    ),
    (
        "acr_nema",
        "quarantined",
        "written before DICOM (ACR-NEMA), in a form that cannot be read",
        "convert the file to DICOM",
    ),
    ("frame_count_mismatch", "quarantined", "the number of frames found differs from NumberOfFrames", "ask the sender"),
    (
        "frame_size_mismatch",
        "quarantined",
        "a decoded frame has another size than the header declares",
        "ask the sender",
    ),
    (
        "unsupported_transfer_syntax",
        "quarantined",
        "no decoder for the transfer syntax, or for pixels in private elements (PMSCT_RLE1), or on a JPIP server",
        "convert the file, or open an issue",
    ),
    (
        "unsupported_pixel_layout",
        "quarantined",
        "a combination of bits, samples and photometric interpretation that is not handled",
        "open an issue",
    ),
    ("decode_error", "quarantined", "the decoder refuses the compressed data", "ask the sender for the file again"),
    (
        "decoder_died",
        "quarantined",
        "the process that read the file, or extracted its series, died twice: malformed data, or out of memory",
        "ask the sender; if memory was short, add memory, then run once with --config paranoid=true",
    ),
    (
        "timeout",
        "quarantined",
        "its header, or one of its frames, took longer than limits.seconds",
        "raise limits.seconds if the file is right",
    ),
    (
        "internal_error",
        "quarantined",
        "a defect of this program while extracting the file's series; the log names the line of code",
        "open an issue with that line of the log",
    ),
    (
        "decoder_disagreement",
        "quarantined",
        "two decoders give different pixels",
        "open an issue with the transfer syntax",
    ),
    (
        "too_large",
        "quarantined",
        "its declared or inflated size, or the memory it needs, exceeds limits.megabytes or another limit",
        "raise limits.megabytes, or for archives the limits of archives, if the file is right",
    ),
    (
        "conflicting_instance",
        "quarantined",
        "the same SOP Instance UID with other pixels, or with a header that says something else of them: another "
        "place, spacing, rescaling, table or fact of acquisition",
        "find out which file is right and remove the other",
    ),
)

REASONS: dict[str, Reason] = {row[0]: Reason(*row) for row in _TABLE}

# Reasons of the images that `./run review` shows.
REVIEWED = ("text_in_pixels", "text_search_failed")


class NotExtracted(Exception):
    """A file or series is not extracted, with its reason code.

    Parameters
    ----------
    code : str
        A key of `REASONS`.
    found, needed : int, optional
        Numbers that explain the reason (bytes, frames, rows). Never a value copied from free text.

    Notes
    -----
    Its text is the code and the numbers, so that it may be logged.
    """

    def __init__(self, code: str, *, found: int | None = None, needed: int | None = None) -> None:
        self.reason = REASONS[code]
        self.found = found
        self.needed = needed
        text = code if found is None and needed is None else f"{code} (found {found}, needed {needed})"
        super().__init__(text)

    @property
    def code(self) -> str:
        """The fixed reason code."""
        return self.reason.code
