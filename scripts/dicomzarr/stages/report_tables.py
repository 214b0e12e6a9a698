"""Write the verdicts of all batches as two tables, `depth.csv` and `size.csv`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from dicomzarr.records import batch_record
from dicomzarr.system import csv_tables
from dicomzarr.system.results_folder import Results


def write_report(
    results: Results, batches: Sequence[str], kind: str, columns: Sequence[str], report: Path
) -> dict[str, int]:
    """Write one report, sorted by array; return the number of arrays with each verdict.

    Parameters
    ----------
    results : Results
    batches : sequence of str
        Names of all batches; sorted by name, their arrays are sorted too.
    kind : str
        ``depth`` or ``size``.
    columns : sequence of str
        Columns of the report.
    report : Path
        The CSV file to write.

    Returns
    -------
    dict of str to int
        Number of arrays by verdict: ``pass``, ``warn`` and ``fail``.
    """
    cells = itemgetter(*columns)
    verdicts: Counter[str] = Counter(dict.fromkeys(("pass", "warn", "fail"), 0))

    def lines() -> Iterator[str]:
        for batch in sorted(batches):
            rows = batch_record.load_verdicts(results, batch, kind)
            verdicts.update(row["verdict"] for row in rows)
            yield csv_tables.lines([cells(row) for row in rows])

    csv_tables.write(report, columns, lines())
    return dict(verdicts)
