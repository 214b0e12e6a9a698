"""`./run files`: print paths of source files by outcome, reason and array, from the private tables.

The tables have a line for each row, since a path in them has no line break (`system/path_text.py`), and the columns
after the path hold no comma. So they are read as lines of bytes, a million in less than a second.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from dicomzarr.commands.launcher import json_output
from dicomzarr.commands.launcher.command_table import BY_NAME
from dicomzarr.commands.launcher.help_texts import closest
from dicomzarr.commands.launcher.options import Options, no_dataset, note_unless_sealed, parse, results_of
from dicomzarr.commands.launcher.processes import say
from dicomzarr.source.inventory import read_roots
from dicomzarr.system import csv_tables
from dicomzarr.system.path_text import decode_path
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.reasons import REASONS

OUTCOMES = ("extracted", "skipped", "quarantined", "ignored")
WARNING = "These paths may identify patients: keep them on site."
_BLOCK = 1 << 20  # bytes
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # as in `path_text`

Row = tuple[bytes, bytes]  # the path, quoted as in the table, and the columns outcome and reason
Counts = Counter[tuple[str, str]]  # files by outcome and reason


def run_files(arguments: Sequence[str]) -> int:
    """Print the paths that are asked for, or the number of files by outcome and reason; return the exit status."""
    options = parse(BY_NAME["files"], arguments)
    outcome, reason, array = (options.last(f"--{name}") for name in ("outcome", "reason", "array"))
    if options.has("--json") and options.has("--null"):
        raise UserError("--json and -0 exclude each other. See ./run files --help")
    results = results_of(options)
    try:
        table = open(results.private / "files.csv", "rb")  # noqa: SIM115
    except (FileNotFoundError, NotADirectoryError):
        say(f"run: {no_dataset(results, options, 'private/files.csv')}")
        return 1
    except PermissionError:
        say(f"run: {str(results.private)!r} is not readable by this user; private/ belongs to who ran the workflow")
        return 1
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as in `./run files … | head -3`
    note_unless_sealed(results, "these may be the files")
    with table:
        _skip_header(table, csv_tables.FILES)
        if not (outcome or reason or array):
            _print_counts(_counts(table), as_json=options.has("--json"))
            return 0
        _refuse_unknown(outcome, reason, table)
        as_json = options.has("--json")
        blocks = _matching(table, outcome, reason)
        if array:
            paths = _paths_of(results, array)
            blocks = ([row for row in rows if row[0] in paths] for rows in blocks)
        say(WARNING)
        if as_json:
            _print_json(blocks)
        elif not _print_paths(blocks, options, results):
            say("No file matches. ./run files prints which outcomes and reasons there are")
        return 0


def _skip_header(table: BinaryIO, columns: Sequence[str]) -> None:
    if table.readline() != csv_tables.line(columns).encode():
        raise UserError("a table in private/ was written by another version; run the workflow again")


def _blocks(table: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a table in blocks of whole lines."""
    while block := table.read(_BLOCK):
        yield block + table.readline()


def _counts(table: BinaryIO) -> Counts:
    """Return the number of files by outcome and reason; the table is read from where it stands to its end."""
    found: Counter[bytes] = Counter()
    for block in _blocks(table):
        found.update(re.findall(rb",([a-z]*,[a-z0-9_]*),[0-9a-f]*$", block, re.MULTILINE))
    return _by_outcome_and_reason(found)


def _by_outcome_and_reason(found: Mapping[bytes, int]) -> Counts:
    """Return counts by the two columns of the table."""
    counts: Counts = Counter()
    for columns, count in found.items():
        outcome, _, reason = columns.decode().partition(",")
        counts[outcome, reason] = count
    return counts


def _as_json(counts: Counts) -> list[dict[str, Any]]:
    return [{"outcome": outcome, "reason": reason, "files": count} for outcome, reason, count in _sorted(counts)]


def _sorted(counts: Counts) -> list[tuple[str, str, int]]:
    """Return outcome, reason and files; outcomes in their order, then the most frequent reason first."""
    order = {outcome: number for number, outcome in enumerate(OUTCOMES)}
    rows = [(outcome, reason, count) for (outcome, reason), count in counts.items()]
    return sorted(rows, key=lambda row: (order.get(row[0], len(order)), -row[2], row[1]))


def _print_counts(counts: Counts, *, as_json: bool) -> None:
    if as_json:
        json_output.show({"files": counts.total(), "outcomes": _as_json(counts)})
        return
    for outcome, reason, count in _sorted(counts):
        print(f"{count:>11,}  {outcome:<12}{reason}".rstrip())
    print(f"{counts.total():>11,}  in all", flush=True)
    codes = [reason for _, reason, _ in _sorted(counts) if reason]
    if codes:
        say(f"Paths: ./run files --reason {codes[0]}, with the same arguments. What the codes mean: docs/reasons.md")


def _refuse_unknown(outcome: str, reason: str, table: BinaryIO) -> None:
    if outcome and outcome not in OUTCOMES:
        raise UserError(f"--outcome: found {outcome!r}, needed is one of {', '.join(OUTCOMES)}")
    if not reason or reason in REASONS:
        return
    place = table.tell()
    counts = _counts(table)
    table.seek(place)
    if reason not in {known for _, known in counts}:
        occurring = ", ".join(f"{known} {count:,}" for _, known, count in _sorted(counts) if known) or "none"
        near = closest(reason, [*REASONS])
        raise UserError(f"there is no reason {reason!r}{near}. In this dataset: {occurring}")


def _matching(table: BinaryIO, outcome: str, reason: str) -> Iterator[list[Row]]:
    """Yield the rows with this outcome and reason, where given, in blocks."""
    columns = b"%b,%b" % (outcome.encode() or b"[a-z]*", reason.encode() or b"[a-z0-9_]*")
    pattern = re.compile(rb",(%b),[0-9a-f]*$" % columns, re.MULTILINE)
    for block in _blocks(table):
        yield [(_before(block, match.start()), match[1]) for match in pattern.finditer(block)]


def _before(block: bytes, end: int) -> bytes:
    """Return what a line holds before a position in it."""
    return block[block.rfind(b"\n", 0, end) + 1 : end]


def _paths_of(results: Results, array: str) -> set[bytes]:
    """Return the paths, as in the table, of the source files of an array, or of all arrays of a series.

    Raises
    ------
    UserError
        If there is no such array, or if the beginning of an id is that of several series.
    """
    wanted = array.strip("/").removeprefix("images.zarr/").encode()
    if not re.fullmatch(rb"[0-9a-f]{16}(/[0-9a-f]{8})?|[0-9a-f]{1,15}", wanted):
        raise UserError(f"--array: found {array!r}, needed is an array, such as 0123456789abcdef/01234567, or a series")
    is_beginning = len(wanted) < 16
    ids = [wanted] if b"/" in wanted else [wanted + b"[0-9a-f]{%d}/[0-9a-f]{8}" % (16 - len(wanted))]
    if len(wanted) == 8:
        ids.append(b"[0-9a-f]{16}/" + wanted)
    pattern = re.compile(rb",(%b),\d*,\d*$" % b"|".join(ids), re.MULTILINE)
    paths: set[bytes] = set()
    series: set[bytes] = set()
    with open(results.private / "frames.csv", "rb") as table:
        _skip_header(table, csv_tables.FRAMES)
        for block in _blocks(table):
            for match in pattern.finditer(block):
                paths.add(_before(block, match.start()).rpartition(b",")[0])
                series.add(match[1][:16])
    if is_beginning and len(series) > 1:
        raise UserError(f"--array: {array!r} names arrays of {len(series)} series; give more of the id")
    if not paths:
        raise UserError(f"--array: there is no array {array!r} in this dataset; its arrays are in dataset/volumes.csv")
    return paths


# ---- Paths


def _print_paths(blocks: Iterable[list[Row]], options: Options, results: Results) -> int:
    """Print the paths of rows; return how many."""
    out, count = sys.stdout.buffer, 0
    roots = _roots(results) if options.has("--full") else {}
    end = b"\0" if options.has("--null") else b"\n"
    for rows in blocks:
        paths = [path for path, _ in rows]
        text = b"".join([path + end for path in paths])
        if roots or b'"' in text or b"%" in text:
            raw = (_below(roots, decode_path(_unquoted(path).decode())) for path in paths)
            text = b"".join((path if options.has("--null") else printable(path).encode()) + end for path in raw)
        out.write(text)
        count += len(paths)
    out.flush()
    return count


def _print_json(blocks: Iterable[list[Row]]) -> None:
    """Print one object, a file a line, without keeping all of them in memory."""
    out = sys.stdout.buffer
    json_output.note_printed()
    out.write(b'{"paths": [')
    counts: Counter[bytes] = Counter()
    for rows in blocks:
        separator = b",\n" if counts else b"\n"
        counts.update(columns for _, columns in rows)
        texts = []
        for path, columns in rows:
            quoted = _unquoted(path).replace(b"\\", b"\\\\").replace(b'"', b'\\"')  # all that JSON escapes here
            texts.append(b'{"path": "%b", "outcome": "%b", "reason": "%b"}' % (quoted, *columns.split(b",")))
        out.write((separator if texts else b"") + b",\n".join(texts))
    totals = _by_outcome_and_reason(counts)
    out.write(f'], "files": {totals.total()}, "outcomes": {json.dumps(_as_json(totals))}}}\n'.encode())
    out.flush()


def _unquoted(field: bytes) -> bytes:
    """Return a field of a CSV table without its quotation marks."""
    return field[1:-1].replace(b'""', b'"') if field[:1] == b'"' else field


def printable(raw: bytes) -> str:
    r"""Return a path for a terminal: control characters and bytes that are not UTF-8 become ``\n``, ``\xff``."""
    return _UNSAFE.sub(lambda match: _escape(match.group()), raw.decode("utf-8", "surrogateescape"))


def _escape(character: str) -> str:
    named = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}.get(character)
    return named or "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _roots(results: Results) -> dict[bytes, bytes]:
    """Return the source folders of the last run by label."""
    try:
        return {label.encode(): folder for label, folder in read_roots(results.inventory).items()}
    except (OSError, ValueError, KeyError, AttributeError):
        raise UserError("--full: private/ does not say where the source is; run the workflow again") from None


def _below(roots: dict[bytes, bytes], path: bytes) -> bytes:
    """Return a path below its source folder, where there are any; with several of these, it begins with a label."""
    if not roots:
        return path
    if b"" in roots:
        return os.path.join(roots[b""], path)
    label, _, rest = path.partition(b"/")
    return os.path.join(roots.get(label, label), rest)
