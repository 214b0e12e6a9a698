"""A run says why it does again what was done: in a line a cause, before its first job."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomzarr.records.revoke import Revocation
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import status


def test_each_cause_has_a_line_with_the_stages_that_it_concerns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results(tmp_path)
    revoked = {
        results.records / "render_report.json": Revocation.PARAMS_CHANGED,
        results.records / "extract_batch" / "0002-0001.json": Revocation.PARAMS_CHANGED,
        results.records / "extract_batch" / "0002-0000.json": Revocation.PARAMS_CHANGED,
        results.records / "write_cards.json": Revocation.FILE_MISSING,
        results.records / "index_headers.json": Revocation.PARANOID,  # the user asked for it
    }
    status.say_why(results, revoked)
    assert capsys.readouterr().err.splitlines() == [
        "note: the configuration, or the code of this workflow, is not that of the last run; done again: Extraction, "
        "Report, and what follows from it",
        "note: files or records of the results are missing or damaged; done again: Cards, and what follows from it",
    ]
    status.say_why(results, {})
    assert capsys.readouterr().err == ""
