"""Public docstrings (numpydoc): complete in the libraries and the reader; nowhere is a wrong parameter described."""

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


@pytest.mark.parametrize("package", sorted(path.name for path in CORE.iterdir() if (path / "__init__.py").exists()))
def test_no_parameter_is_described_that_does_not_exist(package: str) -> None:
    paths = sorted((CORE / package).rglob("[!_]*.py"))
    modules = [".".join(("dicomzarr", *path.relative_to(CORE).with_suffix("").parts)) for path in paths]
    found = {
        name: [text for code, text in validate(name)["errors"] if code in ("PR02", "PR03")]
        for module in modules
        for name in public(module)
    }
    assert {name: errors for name, errors in found.items() if errors} == {}
