"""A killed export process or a damaged array fails its series alone; messages quote no exception."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import made_up_records
import pytest

from dicomzarr.records import export_record
from dicomzarr.records.batch_record import CHECK, EXTRACT, BatchRecord, batch_record_path
from dicomzarr.stages.export import engine
from dicomzarr.stages.export.refusals import Refused
from dicomzarr.stages.export.tables import ArrayExport, Exported, each_array
from dicomzarr.stages.export.verified_arrays import Array, DamagedArray
from dicomzarr.system.results_folder import Results

SERIES = [f"{number:016x}" for number in range(6)]
FATES = {SERIES[1]: "died", SERIES[3]: "damaged", SERIES[4]: "internal"}


def work(arrays: list[Array], store: Path, level: int) -> Exported:
    """Export a series as an empty folder; those in `FATES` fail."""
    series_id = arrays[0].name.split("/")[0]
    (store / f"{series_id}.png").mkdir()
    match FATES.get(series_id):
        case "died":
            os.kill(os.getpid(), signal.SIGKILL)
        case "damaged":
            raise DamagedArray(arrays[0].name)
        case "internal":
            raise ValueError("SMITH^JOHN")
    return Exported()


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folders = Results(tmp_path / "results")
    for series_id in SERIES:
        name = f"{series_id}/01234567"
        volume = made_up_records.volume(array=name)
        check = dataclasses.replace(made_up_records.CHECK, depth=(made_up_records.depth(array=name),))
        records = {EXTRACT: made_up_records.series(series_id=series_id, volumes=(volume,)), CHECK: check}
        for rule, record in records.items():
            path = folders.series_record(rule, series_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record.to_bytes().data)
    batch = BatchRecord(series=dict.fromkeys(SERIES, ""), records_digest="")
    batch_record_path(folders, EXTRACT, "0001").write_bytes(batch.to_bytes().data)
    return folders


@pytest.mark.parametrize("processes", [1, 2])
def test_a_series_that_fails_does_not_affect_others(
    results: Results, processes: int, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = engine.Recipe(export_record.PNG, work, 1, "code", {})
    with pytest.raises(engine.Failed) as caught:
        engine.export(results, ["0001"], recipe, processes)
    message = str(caught.value)
    assert all(f"{series_id}: {fate}, " in message for series_id, fate in FATES.items())
    assert "SMITH" not in message + caplog.text
    exported = {series_id for series_id in SERIES if results.series_record("export_png", series_id).exists()}
    assert exported == {*SERIES} - {*FATES}
    assert not [path for path in results.temporary.iterdir() if path.name.startswith("export_png")]


@pytest.mark.parametrize(
    "kind", [export_record.PNG, export_record.NIFTI, export_record.NPZ], ids=lambda kind: kind.folder
)
def test_an_export_without_an_array_fails_in_every_format(
    results: Results, kind: export_record.Kind, capsys: pytest.CaptureFixture[str]
) -> None:
    results.sealed.parent.mkdir(parents=True, exist_ok=True)
    results.sealed.write_text('{"digest":"00"}')

    def refuse(arrays: list[Array], store: Path, level: int) -> Exported:
        def one(array: Array) -> ArrayExport:
            raise Refused("float_values")

        return each_array(arrays, one)

    with pytest.raises(engine.NothingExported, match="6 of 6 arrays refused; .*/report.csv .*: float_values 6$"):
        engine.export(results, ["0001"], engine.Recipe(kind, refuse, 1, "code", {}), 1)
    with pytest.raises(engine.NothingExported, match="the dataset has no array"):
        engine.export(results, [], engine.Recipe(kind, refuse, 1, "code", {}), 1)
    assert (results.exports / kind.folder / "export.json").exists() and not capsys.readouterr().err
