"""Public docstrings of the libraries and the reader list parameters and what is returned (numpydoc)."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator

import pytest
from conftest import ROOT
from numpydoc.validate import validate

CORE = ROOT / "scripts" / "dicomzarr"
ROOMS = ("dicom", "headers", "pixels", "volumes", "masks", "arrays")
MODULES = ["dicomzarr.dataset"]
MODULES += sorted(f"dicomzarr.{room}.{p.stem}" for room in ROOMS for p in (CORE / room).glob("[!_]*.py"))
# PR01: a parameter is not described; PR02: one is described that does not exist; RT01: no Returns section.
CHECKS = {"PR01", "PR02", "RT01"}


def public(module: str) -> Iterator[str]:
    """Yield the dotted names of the public functions and methods that a module defines."""
    for name, value in vars(importlib.import_module(module)).items():
        if name.startswith("_") or getattr(value, "__module__", "") != module:
            continue
        if inspect.isfunction(value):
            yield f"{module}.{name}"
        elif inspect.isclass(value):
            for method, inner in vars(value).items():
                if not method.startswith("_") and inspect.isfunction(inner) and inner.__module__ == module:
                    yield f"{module}.{name}.{method}"


@pytest.mark.parametrize("module", MODULES)
def test_parameters_and_returns_are_described(module: str) -> None:
    found = {name: [text for code, text in validate(name)["errors"] if code in CHECKS] for name in public(module)}
    assert {name: errors for name, errors in found.items() if errors} == {}
