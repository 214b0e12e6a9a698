"""`./run audit`: a page for a data protection officer; with --needles, a search for the names of a list."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dicomzarr.commands.audit.facts import gather
from dicomzarr.commands.audit.page import render
from dicomzarr.commands.launcher import json_output
from dicomzarr.commands.launcher.command_table import BY_NAME
from dicomzarr.commands.launcher.options import Options, configuration_of, folder_of_copy, no_dataset, parse, results_of
from dicomzarr.commands.launcher.processes import say
from dicomzarr.privacy import needles, positive_control, unread
from dicomzarr.privacy.plain_words import own_words, shipped_parts
from dicomzarr.system import files
from dicomzarr.system.project import ROOT
from dicomzarr.system.results_folder import Results
from dicomzarr.terminal.screen import counted
from dicomzarr.vocabulary.errors import UserError

PAGE = "audit.html"  # in private/: it has counts of small groups, and it is no part of what is sealed


def run_audit(arguments: Sequence[str]) -> int:
    """Write the page, or search for the names of a list.

    Returns
    -------
    int
        Of the page: 0 if all is as it should be, 1 if not or if there is no finished dataset. Of a search: 0 if nothing
        is found, 1 if something is, 2 if a file cannot be read, or only in part.
    """
    options = parse(BY_NAME["audit"], arguments)
    if options.has("--needles"):
        return _search(options)
    for name, value in (("--dataset", " FOLDER"), ("--without-voxels", "")):
        if options.has(name):
            raise UserError(f"{name} belongs to a search: ./run audit --needles names.txt {name}{value}")
    return _write_page(options)


# ---- The page


def _write_page(options: Options) -> int:
    from dicomzarr.workflow import settings

    results = results_of(options)
    if not files.is_file(results.sealed) or not files.is_dir(results.private):
        say(f"run: {no_dataset(results, options, 'finished dataset with its private/')}")
        return 1
    control = _control(own_words(ROOT))
    config = settings.with_defaults(configuration_of(options))
    settings.check_keys(config)
    try:
        facts = gather(results, config["small_cells"], control)
    except (ValueError, KeyError, TypeError):
        say("run: a table or record of the dataset is damaged; ./run verify says which")
        return 1
    page = Path(os.path.abspath(results.private / PAGE))
    files.write_private_if_changed(page, render(facts).encode())
    is_good = not facts.unlisted and not control.missed and facts.is_searched
    if options.has("--json"):
        content = {"good": is_good, "page": str(page), "unlisted": facts.unlisted, "values": facts.values}
        content |= {"searched": facts.searched, "control": asdict(control), "face_risk": facts.faces}
        content |= {"face_by_geometry": facts.faces_by_geometry, "faces": facts.face_policy}
        content |= {"faces_reason": facts.face_reason, "faces_skipped": facts.faces_skipped}
        content |= {"frames_looked": facts.frames_looked, "detectors": facts.detectors}
        content |= {"burned_in_skipped": sum(files for *_, files in facts.skipped), "small_groups": len(facts.small)}
        json_output.show(content)
        return 0 if is_good else 1
    print(f"{page}\n{page.as_uri()}", flush=True)
    if not is_good:
        say("Not all is as it should be: the page says what")
    return 0 if is_good else 1


def _control(own: frozenset[str]) -> positive_control.Control:
    """Return the outcome of the positive control, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        return positive_control.run(own, Path(folder) / "control", with_voxels=True)


# ---- The search


def _search(options: Options) -> int:
    own = own_words(ROOT)
    listed = needles.read_needles(Path(options.last("--needles")), own)
    folder = _folder(options)
    missed = _control(frozenset()).missed
    if missed:
        raise UserError(f"the search does not find a planted value ({', '.join(missed)}): please open an issue")
    with_voxels = not options.has("--without-voxels")
    search = needles.NeedleSearch(listed, own, shipped_parts(ROOT), with_voxels=with_voxels)
    found = search.run(folder)
    if not found.files:
        raise UserError(f"there is no file to search in {str(folder)!r}")
    left_out = [needle for needle in listed if needle.not_searched]
    if options.has("--json"):
        content = {
            "found": bool(found.hits),
            "hits": [asdict(hit) for hit in found.hits],
            "not_searched": [{"line": needle.line, "reason": needle.not_searched} for needle in left_out],
            "names": len(listed),
            "files": found.files,
            "unread": found.unread,
            "in_part": [{"place": place, "reason": reason} for place, reason in found.in_part],
        }
        json_output.show(content)
    else:
        print("\n".join(_lines(found, listed)), flush=True)
    is_incomplete = bool(found.unread or found.in_part)
    if is_incomplete and not found.hits:
        say("run: some files could not be read, or only in part: nothing can be said about the rest of them")
    return 1 if found.hits else 2 if is_incomplete else 0


def _lines(found: needles.Found, listed: Sequence[needles.Needle]) -> list[str]:
    """Return what was found and what was left out, as lines of text; no line holds a name of the list."""
    lines = [_line(hit) for hit in found.hits]
    for reason, meaning in needles.NOT_SEARCHED.items():
        numbers = [str(needle.line) for needle in listed if needle.not_searched == reason]
        if numbers:
            noun = "line" if len(numbers) == 1 else "lines"
            lines.append(f"not searched: {noun} {', '.join(numbers)} of the list: {reason} ({meaning})")
    lines += [f"not read: {place}" for place in found.unread]
    lines += [f"read in part: {place}: {unread.REASONS[reason]}" for place, reason in found.in_part]
    searched = sum(not needle.not_searched for needle in listed)
    names = {hit.needle for hit in found.hits}
    lines.append(
        f"{searched} of {counted(len(listed), 'name')} searched in {counted(found.files, 'file')} and "
        f"{counted(found.folders, 'folder')}: "
        + (f"{len(names)} of them found, at {counted(len(found.hits), 'place')}" if names else "none of them found")
    )
    return lines


def _line(hit: needles.Hit) -> str:
    at = f", line {hit.line}" if hit.line else ""
    own = "; a word of this project too, perhaps its own text" if hit.own_word else ""
    return f"{hit.code} in {hit.place}{at}: line {hit.needle} of the list{own}"


def _folder(options: Options) -> Path:
    """Return the folder to search: of --dataset, of what ./run publish wrote there the latest version; or the results.

    Raises
    ------
    UserError
        If there is no such folder.
    """
    if not options.has("--dataset"):
        results: Results = results_of(options)
        if not files.is_dir(results.root):
            raise no_dataset(results, options, "dataset")
        return results.root
    place = options.last("--dataset")
    folder = folder_of_copy(place, "--dataset")
    if not files.is_dir(folder):
        found = f"{place!r} is a file" if files.exists(folder) else f"there is no folder {place!r}"
        raise UserError(f"--dataset: {found}; needed is a dataset folder, or one that ./run publish wrote to")
    return folder
