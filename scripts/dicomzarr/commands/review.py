"""`./run review`: look at images that were set aside for text in their pixels, and decide about them."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dicomzarr.commands.launcher import json_output
from dicomzarr.commands.launcher.command_table import BY_NAME, CONFIGFILE, DECIDE, NO_OPEN
from dicomzarr.commands.launcher.options import Options, no_dataset, parse, results_of
from dicomzarr.commands.launcher.processes import Stopped, say
from dicomzarr.system import files
from dicomzarr.terminal.screen import counted
from dicomzarr.vocabulary.errors import UserError

if TYPE_CHECKING:
    from dicomzarr.review.read_results import ReviewList
    from dicomzarr.system.results_folder import Results

WARNING = "These digests and pictures may identify patients: keep them on site."
LEAST = 8  # digits of a content that are enough
_DECISIONS = {"--keep": "keep", "--set-aside": "set_aside", "--undo": ""}


def run_review(arguments: Sequence[str]) -> int:
    """List images, take decisions, or serve the page until Ctrl-C; return the exit status.

    Raises
    ------
    UserError
        If an argument or the table of decisions is wrong, or the port is in use.
    Stopped
        When SIGINT or SIGTERM ends the page.
    """
    from dicomzarr.commands import serving

    options = parse(BY_NAME["review"], arguments)
    wanted_port = serving.port_of(options.last("--port") or "0")
    decides = any(options.has(option.name) for option in DECIDE)
    if decides and options.has("--list"):
        raise UserError("--list and decisions exclude each other. See ./run review --help")
    results = results_of(options)
    from dicomzarr.review import read_results

    try:
        if not files.is_dir(results.records / read_results.EXTRACT):
            say(f"run: {no_dataset(results, options, 'private/records')}")
            return 1
        there = read_results.read(results)
    except PermissionError:
        say(f"run: {str(results.private)!r} is not readable by this user; private/ belongs to who ran the workflow")
        return 1
    if there.damaged:
        records = "1 record is" if there.damaged == 1 else f"{there.damaged} records are"
        say(f"note: {records} damaged, and images may be missing here; the next run repairs them")
    if decides or options.has("--list") or options.has("--json"):
        changed = _decide(results, there, options) if decides else 0
        there = read_results.read(results) if decides else there
        if options.has("--json"):
            json_output.show(_as_json(there, changed))
        elif not decides:
            _print(there)
        if decides:
            say(_in_words(there, options, changed))
        return 0
    if not there.images:
        say("No image is set aside for text in its pixels")
        return 0
    raise Stopped(_serve(results, there, options, wanted_port))


# ---- Without a browser


def _decide(results: Results, there: ReviewList, options: Options) -> int:
    """Write the decisions that the options name; return how many changed."""
    from dicomzarr.records import decisions

    before = {image.content: image.decision for image in there.images} | there.elsewhere
    changes: dict[str, str] = {}
    for name, decision in _DECISIONS.items():
        for text in options.values.get(name, ()):
            content = _content(text, before)
            if changes.setdefault(content, decision) != decision:
                raise UserError(f"{name}: another option decides otherwise about the same image; nothing was written")
    decisions.change(decisions.path_in(results.private), changes)
    return sum(before[content] != decision for content, decision in changes.items())


def _content(text: str, known: dict[str, str]) -> str:
    """Return the content that an argument names, by all of its digits or the first ones."""
    matching = [content for content in known if content.startswith(text)] if len(text) >= LEAST else []
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UserError(f"{len(matching)} images begin with {text!r}: give more digits; nothing was written")
    if len(text) < LEAST:
        raise UserError(f"found {text!r}, needed are {LEAST} digits of a content or more; nothing was written")
    raise UserError(f"no image {text!r} is listed: see ./run review --list; nothing was written")


def _print(there: ReviewList) -> None:
    """Print the images, one a line: content, decision, modality, series, places."""
    from dicomzarr.review.review_page import IN_WORDS, places

    if there.images or there.elsewhere:
        say(WARNING)
    for image in there.images:
        decision, modality = IN_WORDS[image.decision], image.modality or "-"
        print(f"{image.content}  {decision:<9}  {modality:<4}  {image.series_id}  {'; '.join(places(image.boxes))}")
    for content, decision in sorted(there.elsewhere.items()):
        print(f"{content}  {IN_WORDS[decision]:<9}  -     -                 not set aside now")
    if not (there.images or there.elsewhere):
        say("No image is set aside for text in its pixels")


def _as_json(there: ReviewList, changed: int) -> dict[str, object]:
    """Return what there is, as `--json` prints it."""
    from dicomzarr.review.reviewed_images import undecided

    return {
        "images": [
            {
                "content": image.content,
                "series_id": image.series_id,
                "modality": image.modality,
                "decision": image.decision,
                "boxes": [box._asdict() for box in image.boxes],
                "picture": f"text/{image.series_id}/{image.content}.jpg" if image.has_picture else "",
            }
            for image in there.images
        ],
        "undecided": undecided(there.images),
        "elsewhere": [
            {"content": content, "decision": decision} for content, decision in sorted(there.elsewhere.items())
        ],
        "damaged_records": there.damaged,
        "changed": changed,
    }


def _in_words(there: ReviewList, options: Options, changed: int) -> str:
    """Return what was decided, and what comes next."""
    from dicomzarr.review.reviewed_images import undecided

    config = f" --configfile {shlex.quote(options.last(CONFIGFILE.name))}" if options.has(CONFIGFILE.name) else ""
    applies = (
        f"the next run applies {'it' if changed == 1 else 'them'}: ./run{config}" if changed else "nothing to apply"
    )
    return f"{counted(changed, 'decision')} changed, {undecided(there.images):,} undecided; {applies}"


# ---- The page


def _serve(results: Results, there: ReviewList, options: Options, wanted_port: int) -> int:
    """Serve the page until a signal ends it; return the number of the signal."""
    from dicomzarr.commands import serving
    from dicomzarr.review import read_results, server
    from dicomzarr.review.reviewed_images import undecided
    from dicomzarr.viewer import local_server

    served = server.Served(results, there, secrets.token_urlsafe(12))

    def announce(port: int) -> str:
        address = f"http://{local_server.HOST}:{port}/{served.token}/"
        images = counted(len(there.images), "image")
        print(f"{images}, {undecided(there.images):,} undecided\n{address}\nCtrl-C ends the page", flush=True)
        return address

    number = serving.serve(
        lambda port: server.start(served, port), wanted_port, announce, opens=not options.has(NO_OPEN.name)
    )
    before = {image.content: image.decision for image in there.images}
    now = read_results.read(results)
    after = {image.content: image.decision for image in now.images}
    changed = sum(after.get(content, decision) != decision for content, decision in before.items())
    say(_in_words(now, options, changed))
    return number
