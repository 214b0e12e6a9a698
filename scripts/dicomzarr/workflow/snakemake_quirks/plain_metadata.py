"""Let Snakemake keep its metadata in files without the packages of its databases.

Purpose: at each start, Snakemake imports SQLModel, SQLAlchemy and pydantic, more than half of the time of its imports
(0.4 s): the class of a record of metadata is made for databases, too. Its files, the default, hold the attributes of a
record as JSON, for which a plain class does. With `--persistence-backend db`, also in a profile, these packages are
imported after all. Nothing is hidden: whoever imports them finds them.

Tested with 9.27.1: what `snakemake.persistence` and `persistence.file` do with `MetadataRecord`, and `DbPersistence` in
`snakemake.workflow`. With another version Snakemake imports what it likes.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from dicomzarr.workflow.snakemake_quirks.tested_versions import is_tested

_DATABASES = "snakemake.persistence.db"


class _Default:
    """A default of an attribute."""

    def __init__(
        self, default: object = None, default_factory: Callable[[], object] | None = None, **_: object
    ) -> None:
        self.make = default_factory or (lambda: default)


class _PlainModel:
    """The part of SQLModel that files of metadata need: attributes with defaults, from and to a dict."""

    defaults: ClassVar[dict[str, Callable[[], object]]] = {}

    def __init_subclass__(cls, **_: object) -> None:
        values = {name: cls.__dict__.get(name) for name in cls.__annotations__}
        cls.defaults = {
            name: (value if isinstance(value, _Default) else _Default(value)).make for name, value in values.items()
        }

    def __init__(self, **values: object) -> None:
        for name, make in self.defaults.items():
            setattr(self, name, values[name] if name in values else make())

    @classmethod
    def model_validate(cls, values: Mapping[str, Any]) -> _PlainModel:
        """Return a record with these values; unknown ones are left out."""
        return cls(**values)

    def model_dump(self) -> dict[str, object]:
        """Return the values by name, in the order of the class."""
        return {name: getattr(self, name) for name in self.defaults}


def use_plain_metadata() -> None:
    """Import `snakemake.persistence` without SQLModel; to be called before `snakemake.cli` is imported."""
    needed = ("sqlmodel", "sqlalchemy", "snakemake.persistence")
    if not is_tested() or any(name in sys.modules for name in needed):
        return
    nothing = object()
    stand_ins = (
        _module("sqlmodel", SQLModel=_PlainModel, Field=_Default),
        _module("sqlalchemy", Column=lambda kind: nothing, JSON=nothing),
    )
    for module in stand_ins:
        sys.modules[module.__name__] = module
    try:
        importlib.import_module("snakemake.persistence")
    finally:
        for module in stand_ins:
            del sys.modules[module.__name__]
    sys.modules[_DATABASES] = _module(_DATABASES, DbPersistence=_database)


def _module(name: str, **content: object) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(content)
    return module


def _database(*arguments: Any, **options: Any) -> Any:
    """Return the metadata in a database, with all that Snakemake imports for it."""
    if vars(sys.modules[_DATABASES]).get("DbPersistence") is _database:
        del sys.modules[_DATABASES]
        importlib.reload(sys.modules["snakemake.persistence"])
        importlib.import_module(_DATABASES)
    return sys.modules[_DATABASES].DbPersistence(*arguments, **options)
