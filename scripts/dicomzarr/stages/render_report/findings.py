"""What needs attention: each finding in a sentence, with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dicomzarr.dicom.image_risks import BURNED_IN_KINDS
from dicomzarr.stages.render_report.numbers import count
from dicomzarr.stages.render_report.tables import Array, Joining, Tables, flag_counts
from dicomzarr.vocabulary.reasons import REASONS

MAX_NAMED, MAX_FLAGS = 12, 5
_DETAILS = "See private/labels/details.csv."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at.

    Attributes
    ----------
    level : str
        ``fail`` or ``warn``.
    title, advice : str
        What was found, with its count; what it means and what to do.
    arrays : tuple of str
        The first arrays it concerns; `more` says how many are left out.
    flags : tuple of pairs of str and int
        The commonest flags on those arrays, with the number of arrays that carry each.
    """

    level: str
    title: str
    advice: str
    arrays: tuple[str, ...] = ()
    more: int = 0
    flags: tuple[tuple[str, int], ...] = ()


# level, the arrays it concerns, words after "N arrays", advice; an array may appear under several.
_CHECKS: tuple[tuple[str, Callable[[Array], bool], str, str, str], ...] = (
    (
        "fail",
        lambda a: a.depth is not None and a.depth.read_back != "exact",
        "reads back other values than were decoded",
        "read back other values than were decoded",
        "The stored bytes are damaged. Do not use them: check the disk, remove the folder and run again.",
    ),
    (
        "fail",
        lambda a: a.depth is None or a.size is None,
        "has not been checked",
        "have not been checked",
        "A check has no row for them. Run the workflow again and look into its logs.",
    ),
    (
        "fail",
        lambda a: a.depth is not None and a.depth.read_back == "exact" and a.depth.verdict not in ("pass", "warn"),
        "fails the depth check",
        "fail the depth check",
        "Values lie outside what the header declares. See reports/depth.csv.",
    ),
    (
        "fail",
        lambda a: a.size is not None and a.size.verdict not in ("pass", "warn"),
        "fails the size check",
        "fail the size check",
        "Frames or bytes differ from what was expected. See reports/size.csv.",
    ),
    (
        "warn",
        lambda a: a.size is not None and a.size.missing_slices > 0,
        "has missing slices",
        "have missing slices",
        "The regular grid of slice positions has holes; nothing was filled in. Ask the sender whether all was sent.",
    ),
    (
        "warn",
        lambda a: a.depth is not None and a.depth.verdict == "warn",
        "has a warning on depth",
        "have a warning on depth",
        "Usable, but have a look first. See reports/depth.csv.",
    ),
    (
        "warn",
        lambda a: a.size is not None and a.size.verdict == "warn" and not a.size.missing_slices,
        "has a warning on size",
        "have a warning on size",
        "Usable, but have a look first. See reports/size.csv.",
    ),
)


def findings(tables: Tables, unseen: Sequence[str] = ()) -> list[Finding]:
    """Return what needs attention, failures first; empty where all is well.

    Parameters
    ----------
    tables : Tables
    unseen : sequence of str
        Arrays that should have had a preview and could not be opened.
    """
    found = []
    if unseen:
        title = f"{count(len(unseen), 'array')} of the contact sheet cannot be opened"
        advice = "The tables name them, images.zarr does not give them. Run the same command again to restore them."
        found.append(Finding("fail", title, advice, tuple(unseen[:MAX_NAMED]), max(0, len(unseen) - MAX_NAMED)))
    for level, concerns, one, many, advice in _CHECKS:
        those = [array for array in tables.arrays if concerns(array)]
        if those:
            title = f"{count(len(those), 'array')} {one if len(those) == 1 else many}"
            names = tuple(array.array for array in those[:MAX_NAMED])
            flags = tuple(flag_counts(those)[:MAX_FLAGS])
            found.append(Finding(level, title, advice, names, len(those) - len(names), flags))
    if tables.burned_in:
        number = sum(files for _, files in tables.burned_in)
        title = f"{count(number, 'file')} set aside because text may be burned into the pixels"
        kinds = "; ".join(f"{files}: {BURNED_IN_KINDS.get(kind, kind)}" for kind, files in tables.burned_in)
        advice = f"{kinds}. To keep them after looking at them, set burned_in: keep and a burned_in_reason."
        found.append(Finding("warn", title, advice))
    found += _of_labels(tables.joinings)
    for row in tables.outcomes:
        if row.outcome == "quarantined" and row.files:
            reason = REASONS.get(row.reason)
            meaning = reason.meaning if reason else f"reason {row.reason or 'unknown'}"
            remedy = f"What you can do: {reason.remedy}." if reason else "See private/files.csv for the paths."
            found.append(Finding("warn", f"{count(row.files, 'file')} quarantined: {meaning}", remedy))
    return sorted(found, key=lambda finding: finding.level != "fail")


def _of_labels(joinings: Sequence[Joining]) -> list[Finding]:
    conflicts = sum(row.conflicts for row in joinings)
    lines = sum(row.unmatched for row in joinings if not row.is_list)
    listed = sum(row.unmatched for row in joinings if row.is_list)
    found = []
    if conflicts:
        title = f"{count(conflicts, 'conflict')} between lines of label files that speak of one series"
        found.append(Finding("warn", title, f"The series is left without this label. {_DETAILS}"))
    if lines:
        title = f"{count(lines, 'label')} without an image"
        advice = f"What the lines speak of is mistyped, was not sent, or was set aside. {_DETAILS}"
        found.append(Finding("warn", title, advice))
    if listed:
        title = (
            f"{count(listed, 'line')} of the lists of splits {'names' if listed == 1 else 'name'} nobody with an image"
        )
        advice = f"If a number is mistyped, the patient it means is dealt to a split like everybody else. {_DETAILS}"
        found.append(Finding("warn", title, advice))
    return found
