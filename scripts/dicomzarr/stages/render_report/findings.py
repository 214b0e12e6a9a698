"""The findings of the report: what needs attention, each with a remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from dicomzarr.dicom.image_risks import BURNED_IN_KINDS, FACE_KINDS
from dicomzarr.stages.render_report.masks import Mask, Masks
from dicomzarr.stages.render_report.numbers import count
from dicomzarr.stages.render_report.tables import OUTCOMES, Array, Joining, Tables, flag_counts
from dicomzarr.vocabulary.reasons import REASONS

MAX_NAMED, MAX_FLAGS = 12, 5
FINDINGS_IN_FULL = 8  # of further warnings, the report shows the advice on a click
_DETAILS = "See private/labels/details.csv."
_SPREADSHEETS = "Spreadsheets remove leading zeros, and shorten long numbers."


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of the report.

    Attributes
    ----------
    level : str
        ``fail`` or ``warn``.
    title, advice : str
        The finding with its count; what it means and what to do.
    arrays : tuple of str
        The first arrays that have it; `more` is the number of those left out.
    flags : tuple of pairs of str and int
        The most frequent flags of these arrays, with the number of arrays that have each.
    select : tuple of (str, str)
        Filter of the table of volumes that shows these arrays, such as ``("flag", "gap")``; empty if there is none.
    command : str
        Lists the paths of its files, on site; else empty.
    """

    level: str
    title: str
    advice: str
    arrays: tuple[str, ...] = ()
    more: int = 0
    flags: tuple[tuple[str, int], ...] = ()
    select: tuple[str, str] = ("", "")
    command: str = ""


# Level, name in the filter of the page, condition, words after "1 array" and "N arrays", advice. An array may have
# several findings.
_CHECKS: tuple[tuple[str, str, Callable[[Array], bool], str, str, str], ...] = (
    (
        "fail",
        "values differ",
        lambda a: a.depth is not None and a.depth.read_back != "exact",
        "has values that differ from those decoded",
        "have values that differ from those decoded",
        "The stored bytes are damaged. Do not use them: check the disk, remove the folder of the array and run again.",
    ),
    (
        "fail",
        "not checked",
        lambda a: a.depth is None or a.size is None,
        "has not been checked",
        "have not been checked",
        "A check has no row for them. Run the workflow again and read its logs.",
    ),
    (
        "fail",
        "depth",
        lambda a: a.depth is not None and a.depth.read_back == "exact" and a.depth.verdict not in ("pass", "warn"),
        "fails the depth check",
        "fail the depth check",
        "Values lie outside what the header declares. See reports/depth.csv.",
    ),
    (
        "fail",
        "size",
        lambda a: a.size is not None and a.size.verdict not in ("pass", "warn"),
        "fails the size check",
        "fail the size check",
        "Frames or bytes differ from what was expected. See reports/size.csv.",
    ),
    (
        "warn",
        "missing slices",
        lambda a: a.size is not None and a.size.missing_slices > 0,
        "has missing slices",
        "have missing slices",
        "The regular grid of slice positions has gaps; nothing was filled in. Ask the sender whether all was sent.",
    ),
    (
        "warn",
        "depth",
        lambda a: a.depth is not None and a.depth.verdict == "warn",
        "has a warning on depth",
        "have a warning on depth",
        "Usable, but inspect them first. See reports/depth.csv.",
    ),
    (
        "warn",
        "size",
        lambda a: a.size is not None and a.size.verdict == "warn" and not a.size.missing_slices,
        "has a warning on size",
        "have a warning on size",
        "Usable, but inspect them first. See reports/size.csv.",
    ),
)


# Flags that a user should know of: flag, words after "1 array" and "N arrays", advice.
_FLAGS: tuple[tuple[str, str, str, str], ...] = (
    (
        "incomplete",
        "lacks frames that were not extracted",
        "lack frames that were not extracted",
        "reports/size.csv has the number of frames expected and written; the reasons of the files are below.",
    ),
    (
        "series_incomplete",
        "belongs to a series that lost other images",
        "belong to series that lost other images",
        "Images of their series were quarantined that would be arrays of their own. Their reasons are below.",
    ),
    (
        "contested_place",
        "has several images at one position",
        "have several images at one position",
        "Their pixels differ, and nothing in the headers distinguishes them. Inspect that slice first.",
    ),
    (
        "incomplete_grid",
        "is one part of a series that lacks slices",
        "are parts of series that lack slices",
        "Slices are missing at some times (or echoes, b-values …), so that each is an array of its own. "
        "Ask the sender whether all was sent.",
    ),
    (
        "surplus_frames",
        "has a source with more frames than its header says",
        "have a source with more frames than its header says",
        "Whole frames follow in the pixel data that were not extracted. Ask the sender for the right number of frames.",
    ),
    (
        "trailing_bytes",
        "has a source with unknown bytes behind its pixels",
        "have a source with unknown bytes behind its pixels",
        "Most are harmless. If bytes were inserted before the pixels, all voxels are shifted: look at the images.",
    ),
    (
        "rescale_incomplete",
        "has frames without a rescale",
        "have frames without a rescale",
        "Their pairs of slope and intercept are null: what their values mean is not known.",
    ),
    (
        "unreadable_number",
        "has a header with a number that cannot be read",
        "have a header with a number that cannot be read",
        "It counts as absent; the attribute unreadable_numbers of the array names it. Ask the sender to correct it.",
    ),
    (
        "implausible_number",
        "has a header with a number that cannot be true",
        "have a header with a number that cannot be true",
        "A position, a scale, a counter or a clock has a value that it cannot have, and was not used. Spacing, values "
        "in units or the order along t may be missing.",
    ),
    (
        "rounded_positions",
        "has positions with few decimals",
        "have positions with few decimals",
        "The affine is fitted to all slices; affine_residual_mm is its largest distance from a written position.",
    ),
)
_TIED = "same_pixels_elsewhere"
_TEXT = "text_in_pixels"
NO_MASKS = Masks()
# Level, condition, words after "1 mask has" and "N masks have", advice.
_MASK_CHECKS: tuple[tuple[str, Callable[[Mask], bool], str, str], ...] = (
    (
        "fail",
        lambda mask: mask.read_back != "exact",
        "values that differ from those placed",
        "The stored bytes are damaged. Do not use them: check the disk, remove the folder of the array and run again.",
    ),
    (
        "fail",
        lambda mask: mask.read_back == "exact" and mask.verdict == "fail",
        "files that differ from the record",
        "Remove the folder of the array and run again.",
    ),
    (
        "warn",
        lambda mask: mask.verdict == "warn",
        "a warning",
        "A part of what the file describes is not in the mask, or lies elsewhere. Look at it before you use it; "
        "masks.csv has its flags, the section on masks says what they mean.",
    ),
)


def findings(tables: Tables, masks: Masks = NO_MASKS, splits: Collection[str] = ()) -> list[Finding]:
    """Return the findings of a dataset; `splits` are those that get a share of the patients.

    Failures come first, then what is wrong with labels and splits: a run names three findings at its end, and these
    spoil a training without a trace.
    """
    found = _label_findings(tables.joinings) + _empty_splits(tables, splits)
    for level, name, applies, singular, plural, advice in _CHECKS:
        arrays = [array for array in tables.arrays if applies(array)]
        if arrays:
            found.append(_finding(arrays, singular, plural, advice, level, ("verdict", f"{level} {name}")))
    for flag, singular, plural, advice in _FLAGS:
        arrays = [array for array in tables.arrays if flag in array.flags]
        if arrays:
            found.append(_finding(arrays, singular, plural, advice, select=("flag", flag)))
    found += _ties(tables)
    found += _mask_findings(masks)
    found += _text_in_pixels(tables)
    if tables.faces:
        title = f"{count(sum(files for _, files in tables.faces), 'file')} not extracted because a face may be seen"
        kinds = "; ".join(f"{files}: {FACE_KINDS.get(kind, kind)}" for kind, files in tables.faces)
        advice = f"{kinds}. To extract them, set faces: keep and a faces_reason."
        found.append(Finding("warn", title, advice, command=files_command(reason="face_risk")))
    for row in tables.outcomes:
        if row.outcome == "quarantined" and row.files:
            reason = REASONS.get(row.reason)
            meaning = reason.meaning if reason else f"reason {row.reason or 'unknown'}"
            remedy = f"What you can do: {reason.remedy}." if reason else "See private/files.csv for the paths."
            title = f"{count(row.files, 'file')} quarantined: {meaning}"
            found.append(Finding("warn", title, remedy, command=files_command(reason=row.reason)))
    return sorted(found, key=lambda finding: finding.level != "fail")


def of_checks(array: Array) -> tuple[str, ...]:
    """Return level and name of each finding of the two checks on an array, such as ``warn missing slices``."""
    if array.verdict == "pass" and array.size and not array.size.missing_slices:
        return ()
    return tuple(f"{level} {name}" for level, name, applies, *_ in _CHECKS if applies(array))


def _text_in_pixels(tables: Tables) -> Iterator[Finding]:
    """Yield what was left out for text in the pixels: by kind, and where text was found or somebody decided so."""
    kinds = [(kind, files) for kind, files in tables.burned_in if kind != _TEXT]
    if kinds:
        number = sum(files for _, files in kinds)
        title = f"{count(number, 'file')} not extracted because text may be burned into the pixels"
        advice = "; ".join(f"{files}: {BURNED_IN_KINDS.get(kind, kind)}" for kind, files in kinds)
        advice += ". To extract them after inspecting them, set burned_in: keep and a burned_in_reason."
        yield Finding("warn", title, advice, command=files_command(reason="burned_in_risk"))
    number = sum(files for kind, files in tables.burned_in if kind == _TEXT)
    if number:
        title = f"{count(number, 'file')} not extracted because of text in the pixels"
        advice = (
            "Text was found in them, or somebody decided to set them aside. Look at each and decide: the next run "
            "extracts what you keep."
        )
        yield Finding("warn", title, advice, command="./run review")


def files_command(reason: str, outcome: str = "") -> str:
    """Return the command that lists the paths of the files with a reason or an outcome; empty for unknown ones."""
    if reason in REASONS:
        return f"./run files --reason {reason}"
    return f"./run files --outcome {outcome}" if outcome in OUTCOMES and not reason else ""


def _finding(
    arrays: Sequence[Array],
    singular: str,
    plural: str,
    advice: str,
    level: str = "warn",
    select: tuple[str, str] = ("", ""),
) -> Finding:
    """Return a finding on some arrays, which names the first of them; that of a check names their flags, too."""
    title = f"{count(len(arrays), 'array')} {singular if len(arrays) == 1 else plural}"
    names = tuple(array.array for array in arrays[:MAX_NAMED])
    flags = tuple(flag_counts(arrays)[:MAX_FLAGS]) if select[0] == "verdict" else ()
    return Finding(level, title, advice, names, len(arrays) - len(names), flags, select)


def _ties(tables: Tables) -> list[Finding]:
    """Return the finding of equal pixels under several subjects, if there are any."""
    arrays = [array for array in tables.arrays if _TIED in array.flags]
    if not arrays:
        return []
    splits: dict[str, set[str]] = {}
    for array in arrays:
        splits.setdefault(array.pixel_digest, set()).update({array.split} - {""})
    across = sum(len(names) > 1 for names in splits.values())
    advice = (
        "One patient may have two identifiers, or an image may be filed under the wrong one; arrays with equal "
        "pixel_digest in volumes.csv belong together. "
    )
    if across:
        advice += (
            f"{count(across, 'image')} of them {'stands' if across == 1 else 'stand'} in more than one split: name one "
            "split for all of these patients under splits.fixed."
        )
    words = "the pixels of another subject's array"
    return [_finding(arrays, f"has {words}", f"have {words}", advice, select=("flag", _TIED))]


def _mask_findings(masks: Masks) -> list[Finding]:
    found = []
    for level, applies, words, advice in _MASK_CHECKS:
        rows = [mask for mask in masks.rows if applies(mask)]
        if rows:
            verb = "has" if len(rows) == 1 else "have"
            names = tuple(mask.path for mask in rows[:MAX_NAMED])
            flags = Counter(flag for mask in rows for flag in mask.flags) if level == "warn" else Counter()
            ranked = sorted(flags.items(), key=lambda item: (-item[1], item[0]))[:MAX_FLAGS]
            title = f"{count(len(rows), 'mask')} {verb} {words}"
            found.append(Finding(level, title, advice, names, len(rows) - len(names), tuple(ranked)))
    unnamed = sum(not mask.name for mask in masks.rows)
    if unnamed:
        title = f"{count(unnamed, 'mask')} {'has' if unnamed == 1 else 'have'} no name"
        advice = (
            "Labels are free text and stay private. ./run status proposes lines for masks.names of the configuration; "
            "then only these masks get another name."
        )
        found.append(Finding("warn", title, advice))
    for file in masks.files:
        if file.outcome != "placed" and file.reason != "duplicate" and file.files:
            kind = {"SEG": "segmentation", "RTSTRUCT": "structure set"}.get(file.kind, "file of masks")
            title = f"{count(file.files, kind)} without a mask on an image: {file.meaning}"
            found.append(Finding("warn", title, "private/mask_files.csv has their paths and what was found."))
    return found


def _empty_splits(tables: Tables, splits: Collection[str]) -> list[Finding]:
    empty = sorted({*splits} - {array.split for array in tables.arrays}) if tables.arrays else []
    if not empty:
        return []
    title = f"{'Split' if len(empty) == 1 else 'Splits'} {' and '.join(empty)} without a patient"
    advice = (
        "Each patient is in a split by chance, so that with few patients a split may get none. Name patients for it "
        "under splits.fixed, or choose another seed before you train: it moves patients between splits."
    )
    return [Finding("warn", title, advice)]


def _label_findings(joinings: Sequence[Joining]) -> list[Finding]:
    conflicts = sum(row.conflicts for row in joinings)
    lines = sum(row.unmatched for row in joinings if not row.is_list)
    listed = sum(row.unmatched for row in joinings if row.is_list)
    found = []
    if listed:
        verb = "names" if listed == 1 else "name"
        title = f"{count(listed, 'line')} of the lists of splits {verb} no patient with an image"
        advice = f"If a number is mistyped, that patient gets a split like all others. {_SPREADSHEETS} {_DETAILS}"
        found.append(Finding("warn", title, advice))
    if lines:
        verb = "matches" if lines == 1 else "match"
        labels = sum(row.unmatched > 0 for row in joinings if not row.is_list)
        # A line counts for each label that it gives: lines of a table of several labels would be counted several times.
        what = count(lines, "line") if labels == 1 else f"{count(lines, 'cell')} for {labels} labels"
        title = f"{what} of the label files {verb} no image"
        advice = f"The identifier is mistyped, or its images were not sent or not extracted. {_SPREADSHEETS} {_DETAILS}"
        found.append(Finding("warn", title, advice))
    if conflicts:
        title = f"{count(conflicts, 'conflict')} between lines of label files for the same series"
        found.append(Finding("warn", title, f"The series gets no such label. {_DETAILS}"))
    for row in joinings:
        if row.unlabelled:
            verb = "has" if row.unlabelled == 1 else "have"
            is_all = not row.matched + row.conflicts
            title = f"{'All ' * is_all}{count(row.unlabelled, 'series', 'series')} {verb} no label {row.label}"
            advice = "No line of a label file, and no folder name that the configuration lists, gives them one."
            found.append(Finding("warn", title, f"{advice} {_DETAILS}"))
    return found
