"""Let Snakemake import what it needs, not what it might need.

Purpose: at each start, Snakemake imports pandas to ask whether a param is a data frame, and boto3, requests and more
(through smart_open) to read rules from the local disk: a third of its imports, of which nothing is used. The writer of
its own report brings Pillow, docutils and pygments: it is imported when a report is asked for. Profiles and
configurations are read by yte, which brings numpy: now only those that are templates. Each of five kinds of plugins
lists all installed packages: now they are listed once. Nothing is hidden: whoever imports these packages finds them.

Tested with 9.27.1: `PersistenceBase._serialize_param_pandas`, `Snakemake._safely_store_params`,
`sourcecache.parse_uri`, `SourceCache._open`, `import yte` where a file is read, and `collect_plugins` of the registries
of plugins. With another version Snakemake imports what it likes.
"""

from __future__ import annotations

import collections
import functools
import importlib
import io
import pkgutil
import sys
import types
from collections.abc import Sequence
from typing import Any

from dicomzarr.workflow.snakemake_quirks.tested_versions import is_tested

_FRAMES = ("pandas", "numpy", "polars")  # packages whose values Snakemake stores in forms of their own
_ASKS = ("--rep", "--h", "-h")  # beginnings of options that show the options of Snakemake's report, or are among them
_Uri = collections.namedtuple("_Uri", ["scheme", "uri_path"])


def _is_plain(value: object) -> bool:
    """Return whether a value is of no class of pandas, numpy or polars."""
    return not any(kind.__module__.split(".")[0] in _FRAMES for kind in type(value).__mro__)


def import_less() -> None:
    """From now on, let Snakemake handle plain params and local files without packages that these do not need."""
    if not is_tested():
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
    _find_plugins_once(sys.argv[1:])
    sys.modules.setdefault("yte", _LazyYte("yte"))


def _find_plugins_once(arguments: Sequence[str]) -> None:
    """List installed packages once; import the writer of reports only if the arguments, or a profile, ask for it."""
    from snakemake_interface_common import plugin_registry
    from snakemake_interface_report_plugins.registry import ReportPluginRegistry  # type: ignore[import-untyped]

    installed = functools.cache(lambda: [*pkgutil.iter_modules()])
    vars(plugin_registry)["pkgutil"] = types.SimpleNamespace(iter_modules=installed)
    if any(argument.startswith(_ASKS) for argument in arguments):
        return
    collect, get = ReportPluginRegistry.collect_plugins, ReportPluginRegistry.get_plugin

    def get_plugin(self: Any, name: str) -> Any:
        if name not in self.plugins:
            collect(self)
        return get(self, name)

    ReportPluginRegistry.collect_plugins = plugin_registry.PluginRegistryBase.collect_plugins
    ReportPluginRegistry.get_plugin = get_plugin


class _LazyYte(types.ModuleType):
    """The module yte, imported once a document asks for it by ``__use_yte__``, or anything but a document does."""

    def process_yaml(self, document: Any, *arguments: Any, **options: Any) -> Any:
        """Return what yte returns."""
        import yaml

        text = document if isinstance(document, str) else document.read()
        if arguments or options != {"require_use_yte": True} or "__use_yte__" in text:
            return _yte().process_yaml(io.StringIO(text), *arguments, **options)
        return yaml.load(text, Loader=yaml.FullLoader)

    def __getattr__(self, name: str) -> Any:
        return getattr(_yte(), name)


def _yte() -> Any:
    """Import yte in place of the module that stands for it."""
    if isinstance(sys.modules.get("yte"), _LazyYte):
        del sys.modules["yte"]
    return importlib.import_module("yte")
