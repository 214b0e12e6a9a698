"""Values of the command line that jobs on other nodes would show: refused before anything is submitted.

Snakemake writes what follows `--config` into the command of each job: into job scripts, the logs of jobs, the list of
processes, and the records of the queue. A config file is named there, and read by each job.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dicomzarr.privacy.configured_words import texts_in
from dicomzarr.vocabulary.errors import ConfigProblem, UserError
from dicomzarr.workflow.settings import SCHEMA

KEY = "DICOMZARR_KEY"
# Paths of results are the targets of all jobs anyway.
_SHOWN_ANYWAY = {"results"}


def refuse_private_values(
    given: Mapping[str, Any], config: Mapping[str, Any], executor: str, *, is_module: bool
) -> None:
    """Refuse texts of the configuration that were given with `--config`, if jobs run on other nodes.

    Numbers, switches and words of a closed list may be given there: they hold no path, name or text of a site.

    Parameters
    ----------
    given : mapping
        The values of `--config`.
    config : mapping
        The whole configuration.
    executor : str
        The executor plugin; empty if jobs run on this machine.
    is_module : bool
        Whether another workflow uses this one: it may have keys of the same names, so that values count.

    Raises
    ------
    ConfigProblem
        If such a value was given; the message names its key.
    """
    if not executor or not given:
        return
    keys = json.loads(SCHEMA.read_text("utf-8"))["properties"]
    for key, value in _entries(given) if is_module else given.items():
        if key not in keys or key in _SHOWN_ANYWAY or _is_closed(keys[key]):
            continue
        if not is_module or set(texts_in(value)) & set(texts_in(config.get(key))):
            raise ConfigProblem(
                f"config key {key!r}: given with --config, or as `config:` of a profile, it would stand in the scripts "
                f"and logs of all jobs of the executor {executor!r}; nothing was started. Write it into a "
                "configuration file, and name that with --configfile, or as `configfile:` of the profile"
            )


def refuse_key_in_commands(variables: Any, executor: str) -> None:
    """Refuse `--envvars` with the key or credentials (AWS_…) for an executor that writes variables into commands.

    Parameters
    ----------
    variables : collection of str
        The names after `--envvars`.
    executor : str
        The executor plugin; empty if jobs run on this machine.

    Raises
    ------
    UserError
        If one of them would be written.
    """
    secret = next(
        (name for name in sorted(variables or (), reverse=True) if name == KEY or name.startswith("AWS_")), ""
    )
    if not executor or not secret:
        return
    from snakemake_interface_executor_plugins.registry import (  # type: ignore[import-untyped]
        ExecutorPluginRegistry,
    )

    if ExecutorPluginRegistry().get_plugin(executor).common_settings.pass_envvar_declarations_to_cmd:
        what = "key" if secret == KEY else "credentials"
        raise UserError(
            f"--envvars {secret}: the executor {executor!r} would write the {what} "
            "into job scripts; nothing was started. Let the queue copy the variable"
            + (", or use the key in private/key" if secret == KEY else "")
        )


def _entries(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield all keys of nested mappings, with their values."""
    for key, value in values.items():
        yield str(key), value
        if isinstance(value, Mapping):
            yield from _entries(value)


def _is_closed(schema: Mapping[str, Any]) -> bool:
    """Return whether a schema allows numbers, switches and words of a list alone."""
    if "enum" in schema or schema.get("type") in ("integer", "number", "boolean"):
        return True
    properties = schema.get("properties", {})
    is_complete = bool(properties) and schema.get("additionalProperties") is False
    return is_complete and all(map(_is_closed, properties.values()))
