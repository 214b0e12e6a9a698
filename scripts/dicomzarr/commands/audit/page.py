"""The page of `./run audit`: one HTML file in the style of the report, without a script and without the network."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

from dicomzarr.commands.audit.facts import Facts
from dicomzarr.privacy.needles import NOT_SEARCHED
from dicomzarr.privacy.positive_control import FORMS
from dicomzarr.privacy.scanner import CODES
from dicomzarr.stages.render_report import numbers
from dicomzarr.stages.render_report.assets import assets
from dicomzarr.vocabulary.faces import FACES_REASONS

_HERE = Path(__file__).resolve().parent
_TITLES = {
    "images": "Attributes of images (dicomzarr)",
    "masks": "Attributes of masks (dicomzarr)",
    "OME-Zarr": "Attributes of OME-Zarr (ome)",
}


def render(facts: Facts) -> str:
    """Return the page. It depends on the facts alone, not on time, host or path."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(grouped=numbers.grouped, count=numbers.count)
    return environment.get_template("page.html.j2").render(
        facts=facts,
        parts=[(_TITLES[name], items) for name, items in facts.attributes.items()]
        + [(f"Columns of {path}", items) for path, items in facts.tables.items()],
        style=Markup(assets().style),  # our own file
        policy=assets().policy,
        forms=FORMS,
        codes=CODES,
        not_searched=NOT_SEARCHED,
        face_reasons=FACES_REASONS,
    )
