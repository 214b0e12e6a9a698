"""What the dataset shows of the configuration: settings, labels, splits and words. No path and no URL is among it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dicomzarr.privacy.configured_words import numbers_in
from dicomzarr.stages.join_labels.join import label_names

_SETTINGS = ("compression", "layout", "levels", "burned_in", "faces", "spacing_tolerance", "cross_check")
_REASONS = {"burned_in": "burned_in_reason", "faces": "faces_reason"}  # why images at risk are kept

Sources = Sequence[Mapping[str, Any]]  # the config key `labels`, without paths


def label_sources(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the config key `labels` without the paths of its files."""
    return [{key: value for key, value in source.items() if key != "file"} for source in config["labels"]]


def split_shares(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shares of the splits, and the seed; empty if no split gets a share."""
    return {key: config["splits"][key] for key in ("fractions", "seed") if key in config["splits"]}


def split_names(config: Mapping[str, Any]) -> list[str]:
    """Return the names of all splits, sorted: those with a share, and those with a list of patients."""
    return sorted({*config["splits"].get("fractions", {}), *config["splits"].get("fixed", {})})


def reason_for(risk: str, config: Mapping[str, Any]) -> str:
    """Return why images are kept that may identify somebody; empty if they are not.

    Parameters
    ----------
    risk : str
        The config key: ``burned_in`` or ``faces``.
    config : mapping
    """
    return str(config[_REASONS[risk]]) if config[risk] == "keep" else ""


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `dataset.json` states as its configuration."""
    shown = {key: config[key] for key in _SETTINGS}
    shown["pictures"] = config["report"]["pictures"]
    shown |= {reason: config[reason] for risk, reason in _REASONS.items() if config[risk] == "keep"}
    if shares := split_shares(config):
        shown["splits"] = shares
    if names := label_names(label_sources(config)):
        shown["labels"] = names
    return shown


def allowed_labels(sources: Sources) -> dict[str, dict[str, Any]]:
    """Return of each label the values or the range that are allowed, over all sources."""
    allowed: dict[str, dict[str, Any]] = {}
    for source in sources:
        for name, values in source.get("columns", {source.get("name"): source}).items():
            merged = allowed.setdefault(name, {})
            if "range" in values:
                ranges = [values["range"], merged.get("range", values["range"])]
                merged["range"] = [min(low for low, _ in ranges), max(high for _, high in ranges)]
            else:
                words = [*merged.get("values", []), *map(str, values["values"])]
                merged["values"] = list(dict.fromkeys(words))
    return allowed


def words(config: Mapping[str, Any]) -> list[str]:
    """Return the words and long numbers that the dataset shows: no leaks, even if a source folder has such a name."""
    sources = label_sources(config)
    allowed = [values for source in sources for values in [source, *source.get("columns", {}).values()]]
    shown = {str(word) for values in allowed for word in values.get("values", [])}
    shown |= {*config["masks"].get("names", {}), *config["masks"].get("expected", [])}
    shown |= {config["nnunet"].get("dataset", ""), *config["nnunet"].get("labels", [])}
    shown |= {config["burned_in_reason"], *label_names(sources), *split_names(config)}
    shown |= {*numbers_in(sources), *numbers_in(split_shares(config))}
    return sorted(shown - {""})
