"""The text of `./run explain`, in lines that fit a screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dicomzarr.commands.files import printable
from dicomzarr.system.path_text import decode_path
from dicomzarr.terminal.screen import Screen, counted

_SHOWN = 6  # ids, paths or other arrays; --json has all
_VALUES = 12  # of a list in a sentence
_INDENT = 19  # column of what stands beside a label
_NO_OPTIONS = ("code", "software", "mask_names")  # digests, and what has a line of its own
_COLOURS = {"pass": "green", "exact": "green", "warn": "yellow", "fail": "red", "mismatch": "red"}


def lines_of(found: Mapping[str, Any], screen: Screen) -> list[str]:
    """Return the lines for what `facts.explain` returned.

    Parameters
    ----------
    found : mapping
    screen : Screen
        Where they are shown.
    """
    name = found["array"] + (f"/labels/{found['mask']}" if found["mask"] else "")
    text = [screen.coloured_text(name, "bold"), *_entry(screen, "", _what(found))]
    if not found["sealed"]:
        text += _entry(screen, "", "The dataset is not finished: this may change with the next run.")
    sections = (
        ("Made from", _files(found, screen)),
        ("Why it is one array", () if found["mask"] else _grouping(found["grouping"], screen)),
        ("Decoded by", () if found["mask"] else _decoding(found["decoding"], screen)),
        ("Checked", [*_checks(found["checks"], screen), *(() if found["mask"] else _looked(found["looked"], screen))]),
        ("Configuration and software", _made_by(found["made_by"], screen)),
        ("Steps", _chain(found["chain"], screen)),
    )
    for title, lines in sections:
        section = list(lines)
        if section:
            text += ["", screen.coloured_text(title, "bold"), *section]
    return text


def _entry(screen: Screen, label: str, text: str, indent: int = _INDENT) -> list[str]:
    """Return a label with its text beside it; without a label, the text alone."""
    return screen.wrapped(f"  {label}" if label else "  ", text, indent if label else 2)


def _what(found: Mapping[str, Any]) -> str:
    row = found["what"]
    if found["mask"]:
        words = [row.get("kind", ""), row.get("form", "").lower(), row.get("algorithm", "")]
        words += [row.get("shape", ""), counted(int(row["voxels"]), "voxel") if row.get("voxels") else ""]
    else:
        words = [row.get("modality", ""), row.get("kind", ""), f"{row.get('axes', '')} {row.get('shape', '')}".strip()]
        words += [row.get("dtype", ""), counted(int(row["frames"]), "frame") if row.get("frames") else ""]
        spacing = "x".join(part or "?" for part in row.get("spacing_mm", "").split("x"))
        words += [f"spacing {spacing} mm" if row.get("spacing_mm") else ""]
    flags = [f"flags {row['flags']}"] if row.get("flags") else []
    return ", ".join([*filter(None, words), *flags])


def _some(items: Sequence[str], screen: Screen) -> Iterator[str]:
    for item in items[:_SHOWN]:
        yield f"    {item}"
    if len(items) > _SHOWN:
        yield from _more(len(items), screen)


def _files(found: Mapping[str, Any], screen: Screen) -> Iterator[str]:
    files = found["files"]
    kind = "image file" if not found["mask"] else f"file of kind {found['what'].get('kind', '')}"
    text = f"{counted(files['count'], kind, kind.replace('file', 'files'))}; keyed digests of their content:"
    if found["mask"] and files["count"] > 1:
        text = f"one of {text}"
    yield from _entry(screen, "", text)
    yield from _some(files["digests"], screen)
    if "paths" in files:
        yield from _entry(screen, "", "Paths in the source, which may identify patients:")
        yield from _some([_shown(path) for path in files["paths"]], screen)
    if files["of_series"]:
        counts = ", ".join(f"{number:,} {outcome}" for outcome, number in files["of_series"].items())
        yield from _entry(screen, "The series has", f"{counts} in all")
    for each in files["set_aside"]:
        label = f"{each['files']:,} {each['outcome'] or 'set aside'}"
        yield from _entry(screen, label, f"{each['reason']}: {each['meaning']}")
    yield from _some(
        [f"{_shown(each['path'])}  ({each['reason']})" for each in files.get("set_aside_paths", ())], screen
    )


def _shown(path: str) -> str:
    return printable(decode_path(path))


def _grouping(grouping: Mapping[str, Any], screen: Screen) -> Iterator[str]:
    yield from _entry(screen, "", grouping["why"])
    axis = grouping.get("t_axis")
    if axis:
        yield from _entry(screen, "Axis t", f"{', '.join(axis['means'])}: {_values(axis['values'])}")
    for label, name in (
        ("Shared facts", "acquisition"),
        ("Split by", "split_by"),
        ("Missing slices", "missing_slices"),
    ):
        if grouping.get(name):
            yield from _entry(screen, label, _values(grouping[name]))
    siblings = grouping["siblings"]
    if not siblings:
        yield from _entry(screen, "", "The series has no other array.")
        return
    yield from _entry(screen, "", f"{counted(len(siblings), 'other array')} of the series, and what differs there:")
    for each in siblings[:_SHOWN]:
        differs = "; ".join(f"{name} {_value(pair[0])} here, {_value(pair[1])} there" for name, pair in _short(each))
        yield f"    {each['array']}"
        yield from screen.wrapped("      ", differs or each["why"], 6)
    if len(siblings) > _SHOWN:
        yield from _more(len(siblings), screen)


def _more(number: int, screen: Screen) -> list[str]:
    return screen.wrapped("    ", f"and {number - _SHOWN:,} more, which --json lists", 4)


def _short(sibling: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    return list(sibling["differs"].items())[:_SHOWN]


def _values(value: Any) -> str:
    """Return values in words: of a mapping with their names, of a list with the number of those left out."""
    if isinstance(value, Mapping):
        if set(value) == {"array"}:
            return f"in the array {value['array']} beside the image"
        value = [f"{name} {_value(each)}" for name, each in value.items()]
    if isinstance(value, list):
        shown = ", ".join(map(_value, value[:_VALUES]))
        return shown + (f" and {len(value) - _VALUES:,} more" if len(value) > _VALUES else "")
    return _value(value)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_value(each)}" for name, each in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None or value == "" else str(value).removesuffix(".0")


def _decoding(decoding: Mapping[str, Any], screen: Screen) -> Iterator[str]:
    for each in decoding["transfer_syntaxes"]:
        yield from _entry(screen, "Transfer syntax", f"{each['name']} ({each['uid']})" if each["name"] else each["uid"])
    for decoder in decoding["decoders"]:
        native = "native: uncompressed, its bytes are the values"
        yield from _entry(screen, "Decoder", native if decoder == "native" else decoder)
    source = decoding["photometric_source"]
    if decoding["photometric"]:
        changed = source and source != decoding["photometric"]
        text = f"{_values(source)} in the file, {decoding['photometric']} in the array" if changed else source
        yield from _entry(screen, "Photometric", _values(text or decoding["photometric"]))
    if decoding["bits_stored"] is not None:
        yield from _entry(screen, "Bits", f"{decoding['bits_stored']} stored of {decoding['bits_allocated']} allocated")
    if decoding["lossy"] is not None:
        yield from _entry(screen, "Lossy", "yes: its source is" if decoding["lossy"] else "no")
    for outcome, frames in decoding["cross_checks"].items():
        word, _, decoder = outcome.partition(" ")
        text = {
            "agreed": f"{decoder} gave the same values for {counted(frames, 'frame')}",
            "refused": f"{decoder} refused {counted(frames, 'frame')}",
            "none": f"there is none for these pixels ({counted(frames, 'frame')} drawn for the check)",
        }.get(word, f"{outcome}: {counted(frames, 'frame')}")
        yield from _entry(screen, "Second decoder", text)


def _checks(checks: Mapping[str, Any], screen: Screen) -> Iterator[str]:
    depth, size = checks["depth"], checks["size"]
    if depth:
        yield from _judged(screen, "Read back", depth["read_back"], "every voxel was read again and compared")
        used = f"{depth['bits_used']} of {depth['bits_stored']} bits used, " if depth.get("bits_used") else ""
        text = f"{used}values {depth.get('observed_min', '?')} to {depth.get('observed_max', '?')}"
        yield from _judged(screen, "Depth", depth["verdict"], text + _flags(depth))
    if size:
        text = f"{size['frames_written']} of {counted(int(size['frames_expected']), 'frame')}, "
        text += f"{counted(int(size['files']), 'file')}, "
        text += f"{int(size['stored_bytes']):,} bytes"
        yield from _judged(screen, "Size", size["verdict"], text + _flags(size))
    for mask in checks["masks"]:
        text = f"{mask['mask']} ({mask['kind']}), read back {mask['read_back']}"
        yield from _judged(screen, "Mask", mask["verdict"], text + _flags(mask))


def _looked(looked: Mapping[str, Any], screen: Screen) -> Iterator[str]:
    if looked:
        frames = counted(looked["frames"], "frame")
        text = f"{frames} of the series, those with text included; detector {looked['detector']}, burned_in: scan"
        yield from _entry(screen, "Searched for text", text)


def _flags(row: Mapping[str, str]) -> str:
    return f"; {row['flags']}" if row.get("flags") else ""


def _judged(screen: Screen, label: str, verdict: str, text: str) -> list[str]:
    """Return an entry that begins with a verdict in its colour."""
    lines = _entry(screen, label, f"{verdict}: {text}")
    place = lines[0].find(verdict, _INDENT)
    if place < 0 or verdict not in _COLOURS:
        return lines
    coloured = screen.coloured_text(verdict, _COLOURS[verdict])
    return [lines[0][:place] + coloured + lines[0][place + len(verdict) :], *lines[1:]]


def _made_by(made_by: Mapping[str, Any], screen: Screen) -> Iterator[str]:
    options = {name: value for name, value in made_by["options"].items() if name not in _NO_OPTIONS}
    for label, values in (("Extraction", options), ("Dataset", made_by["config"])):
        if values:
            yield from _entry(screen, label, _values(values))
    software = made_by["options"].get("software") or [" ".join(pair) for pair in made_by["software"].items()]
    if software:
        yield from _entry(screen, "Software", ", ".join(software))


def _chain(chain: Sequence[Mapping[str, Any]], screen: Screen) -> Iterator[str]:
    for link in chain:
        yield f"  {link['step']}" + (f"  (code {link['code']})" if link["code"] else "")
        counts = _values({name: number for name, number in link["counts"].items() if number})
        read = link["reads"] + (f" ({counted(link['inputs'], 'input')})" if link["inputs"] else "")
        yield from screen.wrapped("    read", read, 11)
        wrote = link["writes"] + (f": {counts}" if counts else "")
        if link["verdicts"]:
            wrote += ": " + ", ".join(f"{name} {verdict}" for name, verdict in link["verdicts"].items())
        yield from screen.wrapped("    wrote", wrote, 11)
        for name, digest in list(link["outputs"].items())[:_SHOWN]:
            yield from screen.wrapped("", f"{name} {digest[:16]}", 11)
        if len(link["outputs"]) > _SHOWN:
            yield from screen.wrapped("", f"and {len(link['outputs']) - _SHOWN:,} more, which --json lists", 11)
