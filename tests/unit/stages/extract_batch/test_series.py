"""Names of volumes and the fingerprint of a series."""

from __future__ import annotations

import dataclasses

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.plan import SeriesPlan
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series import fingerprint, name_volumes
from dicomzarr.volumes.model import Volume

OPTIONS = Options(
    compression="balanced",
    layout="slice",
    tolerance=1e-3,
    cross_check=0.01,
    burned_in="keep",
    software=("a 1",),
    code="c",
)


def volume(*discriminators: str) -> Volume:
    return Volume(discriminators, "image", "why", ("y", "x"), (2, 2), ())


class OneDigit(Pseudonyms):
    """Ids of volumes with one digit, so that they collide."""

    def volume_id(self, series: str, discriminators: tuple[str, ...]) -> str:
        return super().volume_id(series, discriminators)[:1]


def test_no_volume_is_lost_if_ids_collide() -> None:
    volumes = [volume(str(number)) for number in range(12)]
    named = name_volumes("s", volumes, OneDigit(b"k" * 32))
    assert len(named) == 12 and {v.discriminators for v in named.values()} == {v.discriminators for v in volumes}
    assert name_volumes("s", volumes[::-1], OneDigit(b"k" * 32)) == named


def row(path: str, **facts: str) -> HeaderRow:
    return HeaderRow(path=path, stat=(1, 1, 1, 1), outcome="image", reason="", flags=[], facts={**facts})


def plan(*files: HeaderRow, elsewhere: tuple[HeaderRow, ...] = ()) -> SeriesPlan:
    return SeriesPlan("s", "t", "u", (), files, elsewhere)


CONTENTS = {"a": "1", "b": "2"}


def test_the_fingerprint_depends_on_contents_and_options_and_not_on_paths() -> None:
    first = fingerprint(plan(row("a"), row("b")), CONTENTS, OPTIONS)
    assert fingerprint(plan(row("x"), row("y")), {"x": "2", "y": "1"}, OPTIONS) == first
    assert fingerprint(plan(row("a"), row("b")), {"a": "1", "b": "3"}, OPTIONS) != first
    for name, value in {"compression": "none", "code": "d", "software": ("a 2",), "levels": 2}.items():
        other = dataclasses.replace(OPTIONS, **{name: value})
        assert fingerprint(plan(row("a"), row("b")), CONTENTS, other) != first
    scans = dataclasses.replace(OPTIONS, burned_in="scan", allow_short=5)  # what it sets aside is in the record
    assert fingerprint(plan(row("a"), row("b")), CONTENTS, scans) == first


def test_of_skip_and_keep_the_fingerprint_depends_on_what_is_set_aside() -> None:
    skip = dataclasses.replace(OPTIONS, burned_in="skip")
    decided = dataclasses.replace(skip, decisions=(("1", "keep"),))
    sound, at_risk, not_image = plan(row("b")), row("a", Modality="US"), row("a", Modality="US")
    not_image["outcome"] = "skipped"
    assert fingerprint(sound, CONTENTS, skip) == fingerprint(sound, CONTENTS, OPTIONS)
    for of_series in (plan(at_risk, row("b")), plan(row("b"), elsewhere=(at_risk,))):
        assert fingerprint(of_series, CONTENTS, skip) != fingerprint(of_series, CONTENTS, OPTIONS)
    kept = dataclasses.replace(OPTIONS, decisions=decided.decisions)
    assert fingerprint(plan(at_risk), CONTENTS, decided) == fingerprint(plan(at_risk), CONTENTS, kept)
    assert fingerprint(plan(not_image), CONTENTS, skip) == fingerprint(plan(not_image), CONTENTS, OPTIONS)
