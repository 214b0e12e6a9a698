"""The positive control of the privacy search: what it plants, and what follows if one form is not found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomzarr.privacy import positive_control, scanner
from dicomzarr.privacy.identifiers import IDENTIFIERS, IdentifierFile, identifiers_of
from dicomzarr.stages import check_privacy
from dicomzarr.system.results_folder import Results

COMPRESSED = {"gzip", "zlib", "bzip2", "xz", "zstd", "blosc", "zip", "nested"}


def nothing(*_: object) -> Iterator[bytes]:
    yield from ()


def test_every_form_is_found_and_nothing_is_left_behind(tmp_path: Path) -> None:
    control = positive_control.run(frozenset(), tmp_path / "control", with_voxels=True)
    assert (control.found, control.missed) == (tuple(positive_control.FORMS), ())
    control = positive_control.run(frozenset(), tmp_path / "control", with_voxels=False)
    assert {*positive_control.FORMS} - {*control.found} == {"voxels"} and not control.missed
    assert not [*tmp_path.iterdir()]


def test_a_compressed_form_does_not_hold_the_value_as_it_is() -> None:
    planted = positive_control._planted(b"Canary0123456789ab^Wren01234567")
    assert not [form for form in COMPRESSED if b"Wren01234567" in planted[form][1]]


def test_a_form_that_is_no_longer_read_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "inflated", nothing)
    control = positive_control.run(frozenset(), tmp_path / "control", with_voxels=False)
    assert {*control.missed} == COMPRESSED
    monkeypatch.setattr(scanner, "_from_base64", lambda run, is_whole: nothing(b""))
    assert "base64" in positive_control.run(frozenset(), tmp_path / "control", with_voxels=False).missed


def test_a_search_that_misses_a_form_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(tmp_path / "results")
    (results.private / "cache").mkdir(parents=True)
    results.dataset.mkdir()
    identifiers = IdentifierFile(results.private / "cache" / IDENTIFIERS, "code")
    identifiers.add([*identifiers_of("PN", b"Zyxwolf^Canaria")])
    identifiers.save()
    assert check_privacy.check_privacy(results, tmp_path, "standard", "code") == 0
    monkeypatch.setattr(scanner, "inflated", nothing)
    with pytest.raises(check_privacy.PrivacyProblem, match="does not find a planted value .*gzip.*nested"):
        check_privacy.check_privacy(results, tmp_path, "standard", "code")


def test_a_clock_before_the_years_of_a_zip_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 86_400.0)  # a machine whose clock was never set
    assert positive_control.run(frozenset(), tmp_path / "control", with_voxels=False).missed == ()
