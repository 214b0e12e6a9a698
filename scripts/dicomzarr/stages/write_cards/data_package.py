"""`datapackage.json`: every table of the dataset with its schema, for Frictionless Data (Data Package 1.0)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dicomzarr.stages.write_cards.card import Card
from dicomzarr.stages.write_cards.columns import Column, Table


def data_package(card: Card, tables: Sequence[Table], digests: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of `datapackage.json`.

    Parameters
    ----------
    card : Card
    tables : sequence of Table
    digests : mapping of str to str
        SHA-256 of each table, by its path.
    """
    license_of = {"name": card.license, "path": card.license_page}
    described = {
        "profile": "tabular-data-package",
        "name": "dicomzarr-dataset",
        "title": card.shown_title,
        "description": card.description,
        "homepage": card.url or card.doi_url,
        "version": card.version,
        "created": f"{card.date_released}T00:00:00Z" if card.date_released else "",
        "keywords": list(card.keywords),
        "licenses": [{key: value for key, value in license_of.items() if value}] if card.license else [],
        "contributors": [
            {
                key: value
                for key, value in (
                    ("title", author.plain_name),
                    ("path", author.orcid_url),
                    ("organization", author.affiliation),
                    ("role", "author"),
                )
                if value
            }
            for author in card.authors
        ],
        "resources": [_resource(table, digests[table.path]) for table in tables],
    }
    return {key: value for key, value in described.items() if value}


def _resource(table: Table, digest: str) -> dict[str, Any]:
    return {
        "profile": "tabular-data-resource",
        "name": table.name,
        "title": table.title,
        "path": table.path,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "hash": f"sha256:{digest}",
        "dialect": {"delimiter": ",", "lineTerminator": "\n", "quoteChar": '"', "doubleQuote": True, "header": True},
        "schema": _schema(table),
    }


def _schema(table: Table) -> dict[str, Any]:
    schema: dict[str, Any] = {"fields": [_field(column) for column in table.columns], "missingValues": [""]}
    if table.key:
        schema["primaryKey"] = list(table.key)
    if table.of_array:
        schema["foreignKeys"] = [{"fields": ["array"], "reference": {"resource": "volumes", "fields": ["array"]}}]
    return schema


def _field(column: Column) -> dict[str, Any]:
    constraints: dict[str, Any] = {}
    if column.required:
        constraints["required"] = True
    if column.unique:
        constraints["unique"] = True
    if column.pattern:
        constraints["pattern"] = column.pattern
    if column.values:
        constraints["enum"] = list(column.values)
    if column.minimum is not None:
        constraints["minimum"] = column.minimum
    if column.maximum is not None:
        constraints["maximum"] = column.maximum
    field: dict[str, Any] = {"name": column.name, "type": column.kind}
    if column.meaning:
        field["description"] = column.meaning
    if constraints:
        field["constraints"] = constraints
    return field
