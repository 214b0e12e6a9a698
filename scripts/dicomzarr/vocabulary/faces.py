"""Why images that may show a face are in a dataset: the values of the configuration key `faces_reason`."""

from __future__ import annotations

NOT_ASSESSED = "not_assessed"
FACES_REASONS = {
    NOT_ASSESSED: "nobody has stated why",
    "consent": "the people in the images agreed to it",
    "defaced": "faces were removed before the images came here; this is not checked",
    "research_needs_faces": "the research needs faces",
}
