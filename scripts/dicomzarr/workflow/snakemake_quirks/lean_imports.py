"""Let Snakemake import what it needs, not what it might need.

Purpose: at each start, Snakemake imports pandas to ask whether a param is a data frame, and boto3, requests and more
(through smart_open) to read rules from the local disk: a third of its imports, of which nothing is used. Nothing is
hidden: whoever imports these packages finds them.

Tried with 9.27.1: `PersistenceBase._serialize_param_pandas`, `Snakemake._safely_store_params`, `sourcecache.parse_uri`
and `SourceCache._open`. With another version Snakemake imports what it likes.
"""

from __future__ import annotations

import collections
from typing import Any

from dicomzarr.workflow.snakemake_quirks.tried import is_tried

_FRAMES = ("pandas", "numpy", "polars")  # packages whose values Snakemake stores in forms of their own
_Uri = collections.namedtuple("_Uri", ["scheme", "uri_path"])


def _is_plain(value: object) -> bool:
    """Return whether a value is of no class of pandas, numpy or polars."""
    return not any(kind.__module__.split(".")[0] in _FRAMES for kind in type(value).__mro__)


def import_less() -> None:
    """From now on, let Snakemake handle plain params and local files without packages that these do not need."""
    if not is_tried():
        return
    from snakemake import iocontainers, persistence, sourcecache

    serialize, store = persistence.PersistenceBase._serialize_param_pandas, iocontainers.Snakemake._safely_store_params
    parse, open_source = sourcecache.parse_uri, sourcecache.SourceCache._open

    def serialize_param(self: Any, value: Any) -> Any:
        return self._serialize_param_builtin(value) if _is_plain(value) else serialize(self, value)

    def store_params(self: Any, params: Any) -> None:
        if not all(map(_is_plain, params)):
            store(self, params)
            return
        self._params_store, self._params_types = iocontainers.Params(toclone=list(params)), {}
        self._params_store._take_names(params._get_names())

    def parse_uri(path_or_uri: Any) -> Any:
        is_path = isinstance(path_or_uri, str) and path_or_uri.startswith("/")
        return _Uri("file", path_or_uri) if is_path else parse(path_or_uri)

    def open_file(self: Any, source_file: Any, mode: str, encoding: str | None = None) -> Any:
        path = str(source_file.get_path_or_uri(secret_free=False))
        if type(source_file) is sourcecache.LocalSourceFile:
            try:
                return open(path, mode, encoding=None if "b" in mode else encoding)
            except (OSError, ValueError):
                pass  # for its message
        return open_source(self, source_file, mode, encoding=encoding)

    persistence.PersistenceBase._serialize_param_pandas = serialize_param
    iocontainers.Snakemake._safely_store_params = store_params
    sourcecache.parse_uri = parse_uri
    sourcecache.SourceCache._open = open_file
