"""Say in one sentence what the schema of the configuration refuses: the key, what was found, what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from dicomzarr.system.safe_messages import without_login

_TYPES = {"string": "text", "object": "a mapping", "integer": "a whole number", "number": "a number", "array": "a list"}
_NO_TEXT = r"[-+]?[0-9.]+|true|false"
_SHOWN = 100  # characters of a value in a message
_BOUNDS = (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "up to"), ("minLength", "of length from"))


def sentence(error: Any) -> str:
    """Return one sentence for an error of jsonschema: the key, what was found, what is allowed.

    Parameters
    ----------
    error : jsonschema.ValidationError
        What its validator found.
    """
    error = _within_mapping(error)
    key = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        return _unknown_key(error, key)
    if error.validator == "required":
        missing = sorted(set(error.validator_value) - set(error.instance))[0]
        return f"config key {'.'.join(filter(None, (key, missing)))!r} is missing"
    schema = error.schema
    if "enum" in schema:
        words = [str(word).lower() if isinstance(word, bool) else str(word) for word in schema["enum"]]
        allowed = "one of " + ", ".join(dict.fromkeys(words))
    elif "oneOf" in schema or "description" in schema:
        allowed = schema.get("description", "")
    elif "properties" in schema:
        allowed = "a mapping with " + ", ".join(_known(schema))
    else:
        bounds = [f"{word} {schema[name]}" for name, word in _BOUNDS if name in schema]
        allowed = " ".join([_TYPES.get(schema.get("type", ""), str(schema.get("type"))), *bounds])
        text = error.instance if isinstance(error.instance, str) else ""
        if re.fullmatch(r"[\d.]+[eE][+-]?\d+", text):
            allowed += "; YAML takes an exponent behind a point and with a sign alone, as in 1.0e-3"
        elif re.fullmatch(_NO_TEXT, text):
            allowed += "; write it without quotes in a configuration file: within {...}, --config gives text alone"
    return f"config key {key!r}: found {_found(error)}, allowed is {allowed}"


def _within_mapping(error: Any) -> Any:
    """Return what is wrong within a mapping, where its key allows one beside other types; else the error itself."""
    if error.validator == "oneOf" and isinstance(error.instance, Mapping) and error.instance:
        within = [each for each in error.context if each.validator != "type" or each.path]
        return min(within, key=lambda each: [str(part) for part in each.absolute_path], default=error)
    return error


def _is_name(error: Any) -> bool:
    return "propertyNames" in error.relative_schema_path


def _known(schema: Mapping[str, Any]) -> list[str]:
    """Return the keys of a mapping, without those that are refused with a sentence of their own."""
    return [name for name, value in schema.get("properties", {}).items() if value != {"deprecated": True}]


def _unknown_key(error: Any, key: str) -> str:
    known = sorted(_known(error.schema))
    unknown = sorted(str(name) for name in error.instance if name not in error.schema.get("properties", {}))[0]
    near, value = difflib.get_close_matches(unknown, known, 1), error.instance[unknown]
    hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(known)}"
    if ":" in unknown and value is None:
        hint = "; needed is a space after the colon, as in {megabytes: 700}"
    if key == "splits" and isinstance(value, (int, float)) and 0 <= value <= 1:
        hint = f"; shares are given below 'fractions': {{fractions: {{{unknown}: {value}, ...}}}}"
    return f"config key {'.'.join(filter(None, (key, unknown)))!r} is not known{hint}"


def _found(error: Any) -> str:
    """Return what the schema refuses; of a list of entries that are allowed, what is wrong with it as a whole."""
    value = error.instance
    if error.validator == "uniqueItems":
        return f"{_description(next(item for n, item in enumerate(value) if item in value[:n]))} twice"
    if error.validator in ("minItems", "maxItems"):
        return f"a list of {len(value)} {'entry' if len(value) == 1 else 'entries'}"
    return ("the name " if _is_name(error) else "") + _description(value)


def _description(value: object) -> str:
    if isinstance(value, str):
        value = without_login(value)
        if len(value) > _SHOWN:
            return f"{value[:_SHOWN]!r}… (text of {len(value)} characters)"
    if isinstance(value, Mapping) and not value:
        return "an empty mapping"
    yes_or_no = f"{str(value).lower()} (true/false; so YAML reads yes, no, on and off without quotes)"
    for types, words in ((Mapping, "a mapping"), ((list, tuple), "a list"), (type(None), "nothing"), (bool, yes_or_no)):
        if isinstance(value, types):
            return words
    kind = "text" if isinstance(value, str) else "a number" if isinstance(value, int | float) else type(value).__name__
    return f"{value!r} ({kind})"
