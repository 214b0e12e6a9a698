"""Configuration files as YAML: what is wrong with one, in one line with file, line and column, and where a key is."""

from __future__ import annotations

import codecs
import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.system import files
from dicomzarr.vocabulary.errors import ConfigProblem, UserError

EXAMPLE = "a configuration file has lines such as `source: /data/dicom`"
_CONFIGFILE, _CONFIG = ("--configfile", "--configfiles"), ("--config", "-C")
# What PyYAML says, and what to do; the first that matches counts. Its other words are shown as they are.
_ADVICE = (
    (r"found character '\\t'", "a tab; indent with spaces"),
    (
        "mapping values are not allowed here",
        "a colon where none can be; put the value in quotes, check the indent, or the line before: `key: value`",
    ),
    ("found unexpected end of stream", "a quotation mark that is not closed"),
    ("while scanning a quoted scalar", "a quotation mark that is not closed"),
    ("could not find expected ':'", "a line without `key:`, or a quotation mark or bracket that is not closed"),
    (
        r"expected ',' or '[\]}]'",
        "a bracket that is not closed, a comma that is missing, or a colon in a text without quotes",
    ),
    ("expected <block end>", "the indent does not fit: the keys of one mapping begin in the same column"),
    ("expected a single document", "`---` within the file; a configuration is one document"),
    ("undefined alias", "`*` stands for an anchor in YAML; put the value in quotes"),
    ("while scanning an (alias|anchor)", "`*` and `&` have a meaning in YAML; put the value in quotes"),
    ("found character .* that cannot start any token", "a character that begins no value in YAML; put it in quotes"),
    ("unknown escape character", r"a backslash within double quotes; use single quotes"),
    ("but found '<stream end>'", "the file ends within brackets; close them"),
    ("sequence entries are not allowed here", "`- ` where no list can begin; put the value in quotes"),
    ("unhashable key", "braces or brackets in a key; put the key in quotes"),
    ("could not determine a constructor", "`!` begins a tag in YAML; put the value in quotes"),
)


def config_files(arguments: Sequence[str]) -> list[str]:
    """Return the configuration files among arguments of Snakemake."""
    return _values(arguments, _CONFIGFILE)


def refuse_repeated(arguments: Sequence[str]) -> None:
    """Refuse an option of the configuration that is given twice: Snakemake reads the last alone, and says nothing.

    Raises
    ------
    UserError
        With the form that names all files, or all values.
    """
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    given = [each.partition("=")[0] if each.startswith("--") else each[:2] for each in before if each.startswith("-")]
    for names, values in ((_CONFIGFILE, "a.yaml b.yaml"), (_CONFIG, "source=a results=b")):
        if sum(name in names for name in given) > 1:
            raise UserError(
                f"{names[0]} is there twice, and Snakemake would take the last alone; write all values after one, as "
                f"in {names[0]} {values}"
            )


def set_value(arguments: Sequence[str], key: str) -> str:
    """Return the value that ``--config KEY=VALUE`` among arguments of Snakemake sets; empty if none does."""
    pairs = [pair.split("=", 1) for pair in _values(arguments, _CONFIG) if "=" in pair]
    return dict(pairs).get(key, "")


def _values(arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the values of an option that takes every word up to the next option, or one after an equals sign."""
    values, is_value_next = [], False
    for argument in arguments:
        if argument.startswith("-"):
            name, has_value, value = argument.partition("=")
            is_value_next = name in names and not has_value
            values += [value] if name in names and has_value else []
        elif is_value_next:
            values.append(argument)
    return values


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the values of a second one in their place; mappings are merged key by key.

    So does Snakemake with several files and with `--config`.
    """
    both = dict(first)
    for key, value in second.items():
        before = both.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            both[key] = merged(before, value)
        else:
            both[key] = copy.deepcopy(value)
    return both


def read(path: Path, shown: str) -> dict[str, Any]:
    """Return the content of a configuration file, which Snakemake would read too.

    Parameters
    ----------
    path : Path
        The file.
    shown : str
        Its name as the user wrote it.

    Raises
    ------
    UserError
        If it is not readable, not UTF-8, neither YAML nor JSON, no mapping, or has a key twice.
    """
    text = _text(path, shown)
    try:
        content = json.loads(text, object_pairs_hook=lambda pairs: _without_doubles(pairs, shown))
    except (ValueError, RecursionError):
        content = _yaml(text, shown)
    if not isinstance(content, dict):
        found = "empty" if content is None else f"{'a list' if isinstance(content, list) else 'text'}, not keys"
        raise UserError(f"the configuration file {shown!r} is {found}; {EXAMPLE}")
    return content


def _text(path: Path, shown: str) -> str:
    if files.is_dir(path):
        raise UserError(f"{shown!r} is a folder; name the configuration file in it")
    if not files.is_file(path):  # a pipe could be read only once
        raise UserError(f"{shown!r} is no file; save the configuration in one")
    try:
        data = path.read_bytes()
    except PermissionError:
        raise UserError(
            f"the configuration file {shown!r} cannot be read by this user; check its permissions"
        ) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise _problem(shown, 0, 0, "this is UTF-16; save the file as UTF-8") from None
        before = data[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        raise _problem(shown, before.count(b"\n"), column - 1, "not UTF-8; save the file as UTF-8") from None


def _without_doubles(pairs: Sequence[tuple[str, Any]], shown: str) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{shown}: the key {double!r} is there twice; keep one of them")
    return content


def _problem(shown: str, line: int, column: int, text: str) -> UserError:
    return UserError(f"{shown}, line {line + 1}, column {column + 1}: {text}")


def _yaml(text: str, shown: str) -> Any:
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.FullLoader)  # as Snakemake
        if node is None:
            return None
        _refuse_double_keys(node, shown)
        return yaml.FullLoader("").construct_document(node)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        raise _problem(
            shown, before.count("\n"), error.position - before.rfind("\n") - 1, "a control character; delete it"
        ) from None
    except yaml.MarkedYAMLError as error:
        raise _explained(error, shown) from None
    except (ValueError, TypeError, AttributeError):
        raise _no_value(node, shown) from None
    except RecursionError:
        raise UserError(f"{shown}: too many brackets or levels within each other") from None


def _explained(error: Any, shown: str) -> UserError:
    problem = " ".join(filter(None, (error.context, error.problem)))
    advice = next((advice for pattern, advice in _ADVICE if re.search(pattern, problem)), f"not YAML: {problem}")
    is_opening = "not closed" in advice and error.context_mark  # where it was opened says more than where the file ends
    mark = error.context_mark if is_opening else error.problem_mark or error.context_mark
    return _problem(shown, mark.line, mark.column, advice)


def _nodes(root: Any) -> Iterator[Any]:
    """Yield each node of a YAML document once, keys too."""
    nodes, seen = [root], set()
    while nodes:
        node = nodes.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            if node.id == "sequence":
                nodes += reversed(node.value)
            elif node.id == "mapping":
                nodes += (each for pair in reversed(node.value) for each in pair)


def _no_value(root: Any, shown: str) -> UserError:
    """Return the error for a value such as the date 2001-99-99, of which YAML makes nothing."""
    import yaml

    for node in _nodes(root):
        if node.id == "scalar":
            try:
                yaml.FullLoader("").construct_document(node)
            except (ValueError, TypeError, AttributeError):
                advice = "a value that YAML takes for a date or a number; put it in quotes"
                return _problem(shown, node.start_mark.line, node.start_mark.column, advice)
    return UserError(f"{shown}: not YAML")


def _refuse_double_keys(root: Any, shown: str) -> None:
    for node in _nodes(root):
        lines: dict[str, int] = {}
        for key in (key for key, _ in node.value) if node.id == "mapping" else ():
            if key.id == "scalar" and key.value != "<<":
                if key.value in lines:
                    text = f"the key {key.value!r} is also in line {lines[key.value] + 1}; keep one of them"
                    raise _problem(shown, key.start_mark.line, key.start_mark.column, text)
                lines[key.value] = key.start_mark.line


# ---- Where a key is


def with_line(problem: UserError, arguments: Sequence[str]) -> str:
    """Return the text of an error; if a configuration file has the key that it names, with file and line.

    Parameters
    ----------
    problem : UserError
    arguments : sequence of str
        The command line. Without lines are keys that `--config` sets too, and files of a run in another `--directory`.
    """
    text = str(problem)
    named = re.match(r"config key '([^']+)'", text)
    options = {argument.split("=")[0] for argument in arguments if argument.startswith("-")}
    if not isinstance(problem, ConfigProblem) or not named or options & {"--directory", "-d"}:
        return text
    key = named[1]
    if any(re.match(rf"{re.escape(key.split('.')[0])}=", argument) for argument in arguments):
        return text
    for shown in reversed(config_files(arguments)):
        line = _line_of(Path(shown), key)
        if line:
            return f"{shown}, line {line}: {text}"
    return text


def _line_of(path: Path, key: str) -> int:
    """Return the line of a key such as ``batch.series``, or of the nearest key above it; 0 if there is none."""
    import yaml

    try:
        node: Any = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return 0
    line, rest = 0, key
    while rest and isinstance(node, yaml.CollectionNode):
        children: Mapping[str, Any]
        if isinstance(node, yaml.MappingNode):
            children = {str(name.value): (name, value) for name, value in node.value}
        else:
            children = {str(number): (value, value) for number, value in enumerate(node.value)}
        found = [name for name in children if rest == name or rest.startswith(f"{name}.")]
        if not found:
            break
        name = max(found, key=len)
        at, node = children[name]
        line, rest = at.start_mark.line + 1, rest[len(name) + 1 :]
    return line
