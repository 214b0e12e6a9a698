"""Planning: series into batches by prefix, a number of batches that never shrinks, and files that share UIDs."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records import plan as plan_file
from dicomzarr.stages.plan_batches import batches, survey
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary import errors

KEY = Pseudonyms(b"k" * 32)


def row(path: str, series: str, instance: str, patient: str = "p", **more: Any) -> dict[str, Any]:
    """Return a line of the index; each series is a study by itself."""
    facts = {"SeriesInstanceUID": series, "SOPInstanceUID": instance, "PatientID": patient}
    facts |= {"StudyInstanceUID": f"9.{series}"}
    return {
        "path": path, "stat": [100, 1, 1, 1], "outcome": "image", "reason": "", "flags": [], "facts": facts | more,
    }  # fmt: skip


def plan(tmp_path: Path, rows: list[dict[str, Any]], series_each: int = 64) -> dict[str, dict[str, Any]]:
    results = Results(tmp_path)
    index = tmp_path / "headers.jsonl"
    index.write_text(
        "".join(
            json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n"
            for line in sorted(rows, key=lambda line: line["path"])
        )
    )
    contents = results.plans / "contents.json"
    batches.plan_batches(results, index, contents, KEY, series_each=series_each, bytes_each=10**9)
    assert_several_processes_plan_the_same(tmp_path, index, series_each)
    names = json.loads(contents.read_text())["batches"]
    assert {path.stem for path in results.plans.glob("*-*.json")} == set(names)
    series = {}
    for name in names:
        for entry in json.loads(results.plan(name).read_text())["series"]:
            assert plan_file.batch_of(entry["series_id"], len(names)) == name
            assert entry["series_id"][:3] in plan_file.owned_prefixes(name)
            series[entry["series_id"]] = entry
    return series


def assert_several_processes_plan_the_same(folder: Path, index: Path, series_each: int) -> None:
    """Plan again beside it, where each process reads a few lines at a time."""
    others = Results(folder / "others")
    others.private.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for module in (survey, batches):
            patch.setattr(module, "BYTES_PER_PROCESS", 300)
        batches.plan_batches(
            others, index, others.plans / "contents.json", KEY,
            series_each=series_each, bytes_each=10**9, processes=2,
        )  # fmt: skip
    plans = {path.name: path.read_bytes() for path in Results(folder).plans.iterdir()}
    assert {path.name: path.read_bytes() for path in others.plans.iterdir()} == plans


def test_every_prefix_has_one_owner() -> None:
    for count in (1, 2, 64, 4096):
        owned = [p for n in range(count) for p in plan_file.owned_prefixes(plan_file.batch_name(n, count))]
        assert owned == [f"{prefix:03x}" for prefix in range(4096)]


@pytest.mark.parametrize(
    ("series", "size", "before", "expected"),
    [
        (0, 0, 0, 1),
        (64, 0, 0, 1),
        (65, 0, 0, 2),
        (4, 3 * 10**9, 0, 4),
        (1, 3 * 10**9, 0, 1),
        (3, 9 * 10**9, 0, 4),
        (1, 0, 8, 8),
        (10**9, 0, 0, 4096),
    ],
)
def test_the_number_of_batches_is_a_power_of_two_and_never_shrinks(
    series: int, size: int, before: int, expected: int
) -> None:
    assert batches.number_of_batches(series, size, 64, 10**9, before) == expected


def test_a_plan_that_did_not_change_is_not_rewritten(tmp_path: Path) -> None:
    rows = [row(f"{n}.dcm", f"1.{n}", f"2.{n}") for n in range(8)]
    plan(tmp_path, rows, series_each=1)
    before = {path: path.stat().st_mtime_ns for path in Results(tmp_path).plans.glob("*-*.json")}
    added = row("late.dcm", "1.3", "2.33")
    entry = plan(tmp_path, [*rows, added], series_each=2)[KEY.series_id(KEY.subject_id("", "p"), "1.3")]
    assert [file["path"] for file in entry["files"]] == ["3.dcm", "late.dcm"]
    changed = [path for path, mtime in before.items() if path.stat().st_mtime_ns != mtime]
    assert [path.stem for path in changed] == [plan_file.batch_of(entry["series_id"], len(before))]


def test_doubling_removes_the_old_numbering(tmp_path: Path) -> None:
    plan(tmp_path, [row("a", "1.1", "2.1")])
    plan(tmp_path, [row(f"{n}", f"1.{n}", f"2.{n}") for n in range(9)], series_each=2)
    assert len(list(Results(tmp_path).plans.glob("0008-*.json"))) == 8
    (tmp_path / "private" / "batches.json").unlink()  # a lost number is inferred from the plans
    plan(tmp_path, [row("a", "1.1", "2.1")])
    assert len(list(Results(tmp_path).plans.glob("0008-*.json"))) == 8


SHARED = ("shared_series_uid", "shared_study_uid")


def test_patients_who_share_a_series_uid_are_separated(tmp_path: Path) -> None:
    series = plan(
        tmp_path, [row("a", "1.1", "2.1", "anna"), row("b", "1.1", "2.2", "bert"), row("c", "1.2", "2.3", "anna")]
    )
    assert sorted((entry["flags"], len(entry["files"])) for entry in series.values()) == [
        ([], 1), ([*SHARED], 1), ([*SHARED], 1),
    ]  # fmt: skip


def subject(issuer: str, patient: str) -> str:
    return KEY.subject_id(issuer, patient)


# Issuer, Patient ID and Series Instance UID of files a, b, c ..., and the series of each: issuer and Patient ID of its
# subject, and its files.
MIXED_ISSUERS: dict[str, tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]] = {
    "with and without": ([("", "p", "1.1"), ("H", "p", "1.1"), ("", "p", "1.1")], [("H", "p", "abc")]),
    "one issuer, several series": (
        [("", "p", "1.1"), ("H", "p", "1.1"), ("", "p", "1.2"), ("", "p", "1.2")],
        [("H", "p", "ab"), ("", "p", "cd")],
    ),
    "two issuers": ([("G", "p", "1.1"), ("H", "p", "1.1")], [("G", "p", "a"), ("H", "p", "b")]),
    "two issuers and none": (
        [("", "p", "1.1"), ("G", "p", "1.1"), ("H", "p", "1.1")],
        [("", "p", "a"), ("G", "p", "b"), ("H", "p", "c")],
    ),
    "two patients": (
        [("", "p", "1.1"), ("H", "p", "1.1"), ("", "q", "1.1"), ("", "q", "1.1")],
        [("H", "p", "ab"), ("", "q", "cd")],
    ),
    "two patients of two issuers": (
        [("", "p", "1.1"), ("", "q", "1.1"), ("G", "q", "1.1"), ("H", "p", "1.1")],
        [("H", "p", "ad"), ("G", "q", "bc")],
    ),
    "no patient": ([("H", "", "1.1"), ("H", "p", "1.1"), ("", "p", "1.1")], [("H", "", "a"), ("H", "p", "bc")]),
}


@pytest.mark.parametrize("case", MIXED_ISSUERS)
def test_one_patient_with_and_without_an_issuer_in_a_series_is_one_subject(tmp_path: Path, case: str) -> None:
    files, expected = MIXED_ISSUERS[case]
    for number, order in enumerate(itertools.permutations(range(len(files)))):  # of the paths: no order matters
        (tmp_path / str(number)).mkdir()
        paths = {file: "abcd"[place] for place, file in enumerate(order)}
        rows = [
            row(paths[file], series, f"2.{file}", patient, **({"IssuerOfPatientID": issuer} if issuer else {}))
            for file, (issuer, patient, series) in enumerate(files)
        ]
        planned = plan(tmp_path / str(number), rows)
        found = {
            (entry["subject_id"], frozenset(file["path"] for file in entry["files"])) for entry in planned.values()
        }
        assert found == {
            (subject(issuer, patient), frozenset(paths["abcd".index(letter)] for letter in letters))
            for issuer, patient, letters in expected
        }
        for series_id, entry in planned.items():
            facts = entry["files"][0]["facts"]
            assert series_id == KEY.series_id(entry["subject_id"], facts["SeriesInstanceUID"])
            subjects = {(s, p) for s, p, letters in expected if files["abcd".index(letters[0])][2] == "1.1"}
            is_shared = facts["SeriesInstanceUID"] == "1.1" and len(subjects) > 1
            assert entry["flags"] == ([*SHARED] if is_shared else [])


# The same within one study, of files a, b, c ... in the series of these letters; and whether it has several subjects.
MIXED_STUDIES: dict[str, tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]] = {
    "with and without": ([("", "p", "1.1"), ("H", "p", "1.2"), ("", "p", "1.3")], [("H", "p", "abc")]),
    "two issuers": (
        [("G", "p", "1.1"), ("H", "p", "1.2"), ("", "p", "1.2"), ("", "p", "1.3")],
        [("G", "p", "a"), ("H", "p", "bc"), ("", "p", "d")],
    ),
    "two patients": ([("H", "p", "1.1"), ("", "p", "1.2"), ("", "q", "1.3")], [("H", "p", "ab"), ("", "q", "c")]),
    "no patient": ([("H", "", "1.1"), ("H", "p", "1.2"), ("", "p", "1.3")], [("H", "", "a"), ("H", "p", "bc")]),
}


@pytest.mark.parametrize("case", MIXED_STUDIES)
def test_one_patient_with_and_without_an_issuer_in_a_study_is_one_subject(tmp_path: Path, case: str) -> None:
    files, expected = MIXED_STUDIES[case]
    for number, order in enumerate(itertools.permutations(range(len(files)))):
        (tmp_path / str(number)).mkdir()
        paths = {file: "abcd"[place] for place, file in enumerate(order)}
        rows = [
            row(paths[file], series, f"2.{file}", patient, StudyInstanceUID="9.9", IssuerOfPatientID=issuer)
            for file, (issuer, patient, series) in enumerate(files)
        ]
        # The series of the last file has a file of another study, of which nothing states an issuer.
        rows.append(row("other", files[-1][2], "2.9", files[-1][1], StudyInstanceUID="9.8"))
        found: dict[str, set[str]] = {}
        for entry in plan(tmp_path / str(number), rows).values():
            names = {file["path"] for file in entry["files"]}
            found.setdefault(entry["subject_id"], set()).update(names - {"other"})
            assert ("shared_study_uid" in entry["flags"]) == (len(expected) > 1 and names != {"other"})
        assert {key: names for key, names in found.items() if names} == {
            subject(issuer, patient): {paths["abcd".index(letter)] for letter in letters}
            for issuer, patient, letters in expected
        }


def test_files_without_an_issuer_move_when_a_file_with_one_arrives(tmp_path: Path) -> None:
    rows = [row(f"{n}.dcm", f"1.{n % 3}", f"2.{n}") for n in range(9)]
    before = plan(tmp_path, rows, series_each=1)
    after = plan(tmp_path, [*rows, row("late.dcm", "1.1", "2.99", IssuerOfPatientID="H")], series_each=1)
    old, new = KEY.series_id(subject("", "p"), "1.1"), KEY.series_id(subject("H", "p"), "1.1")
    assert before.keys() - after.keys() == {old} and after.keys() - before.keys() == {new}
    assert [file["path"] for file in after[new]["files"]] == ["1.dcm", "4.dcm", "7.dcm", "late.dcm"]
    assert plan(tmp_path, rows, series_each=1) == before


def test_files_of_other_series_with_the_same_instance_uid_are_listed(tmp_path: Path) -> None:
    series = plan(
        tmp_path, [row("a", "1.1", "2.1"), row("b", "1.2", "2.1"), row("c", "1.2", "2.2"), row("d", "1.1", "2.1")]
    )
    paths = sorted(
        tuple(tuple(row["path"] for row in entry[key]) for key in ("files", "same_uid_elsewhere"))
        for entry in series.values()
    )
    assert paths == [(("a", "d"), ("b",)), (("b", "c"), ("a", "d"))]


def test_without_a_series_uid_the_content_identifies_the_series(tmp_path: Path) -> None:
    rows = [row("a", "", "", content_sha256="aa"), row("b", "", "", content_sha256="bb"), row("c", "", "")]
    series = plan(tmp_path, rows)
    assert [entry["flags"] for entry in series.values()] == [["no_series_uid"]] * 2


def test_without_a_patient_id_the_study_identifies_the_patient(tmp_path: Path) -> None:
    rows = [row(name, f"1.{name}", f"2.{name}", "", StudyInstanceUID="9.9") for name in "ab"]
    series = plan(tmp_path, rows)
    assert len({entry["subject_id"] for entry in series.values()}) == 1
    assert all("unknown_subject" in entry["flags"] for entry in series.values())


def test_a_plan_round_trips_and_a_cut_one_is_damaged(tmp_path: Path) -> None:
    rows = [row(f"{n}.dcm", f"1.{n}", f"2.{n}") for n in range(5)] + [
        row('o,\\"same_uid_elsewhere\\":[dd', "1.3", "2.4")
    ]
    written = plan(tmp_path, rows)
    path = Results(tmp_path).plan("0001-0000")
    name, planned = plan_file.read_plan(path)
    assert name == "0001-0000"
    parsed = [series.parse() for series in planned]
    lists = {"flags", "files", "same_uid_elsewhere", "masks"}
    assert {series.series_id: series for series in parsed} == {
        series: plan_file.SeriesPlan(**{key: tuple(value) if key in lists else value for key, value in entry.items()})
        for series, entry in written.items()
    }
    assert [series.size for series in planned] == [sum(row["stat"][0] for row in series.files) for series in parsed]
    assert sum(len(series.same_uid_elsewhere) for series in parsed) == 2  # 4.dcm and the last file share an instance
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(errors.Damaged):
            plan_file.read_plan(path)


def test_an_empty_plan_has_no_series(tmp_path: Path) -> None:
    assert plan(tmp_path, []) == {}
    assert plan_file.read_plan(Results(tmp_path).plan("0001-0000")) == ("0001-0000", [])


J2K, BASELINE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"
FRAME = {"Rows": 256, "Columns": 256, "BitsAllocated": 16, "SamplesPerPixel": 1}


@pytest.mark.parametrize(
    ("size", "facts", "expected"),
    [
        (60_000, {"TransferSyntaxUID": "1.2.840.10008.1.2.1", **FRAME}, 60_000),
        (60_000, {"TransferSyntaxUID": J2K, **FRAME}, 13 * 131_072),
        (600_000, {"TransferSyntaxUID": J2K, **FRAME, "NumberOfFrames": 10}, 13 * 1_310_720),
        (200_000, {"TransferSyntaxUID": BASELINE, **FRAME, "BitsAllocated": 8, "SamplesPerPixel": 3}, 2 * 196_608),
        (60_000, {"TransferSyntaxUID": J2K, "Rows": 256}, 60_000),  # unknown size
        (
            60_000,
            {"TransferSyntaxUID": J2K, **FRAME, "NumberOfFrames": 10**9},
            13 * 32 * 60_000,
        ),  # false number of frames
        (60_000, {"TransferSyntaxUID": "1.2.3", **FRAME}, 60_000),
        (60_000, {"NumberOfFrames": 40, "has_functional_groups": True}, 60_000 + 40 * 150_000),
        (60_000, {"NumberOfFrames": 40}, 60_000),
        (51_200, {"NumberOfFrames": 10**9, "has_functional_groups": True}, 51_200 + 100 * 150_000),  # false again
        (51_200, {"NumberOfFrames": -(10**9), "has_functional_groups": True}, 51_200),
    ],
)
@pytest.mark.parametrize("image_type", ["plain", "with \\ in it"])
def test_the_work_of_a_compressed_file_is_its_decoded_size_times_the_decoding_cost(
    tmp_path: Path, size: int, facts: dict[str, Any], expected: int, image_type: str
) -> None:
    compressed = row("a", "1.1", "2.1", ImageType=[image_type], **facts) | {"stat": [size, 1, 1, 1]}
    plan(tmp_path, [compressed, row("b", "1.1", "2.2")])
    batch = json.loads((Results(tmp_path).plans / "contents.json").read_text())["batches"]["0001-0000"]
    assert (batch["bytes"], batch["work"], batch["largest"]) == (size + 100, expected + 100, expected + 100)
    assert (batch["files"], batch["series"], batch["masks"]) == (2, 1, 0)


def test_the_largest_frame_of_a_batch_is_believed_as_far_as_the_file_allows(tmp_path: Path) -> None:
    rows = [
        row("a", "1.1", "2.1", **FRAME, NumberOfFrames=10) | {"stat": [600_000, 1, 1, 1]},
        row("b", "1.1", "2.2", Rows=64, Columns=64, BitsAllocated=8, SamplesPerPixel=1) | {"stat": [5000, 1, 1, 1]},
    ]
    plan(tmp_path, rows)
    contents = Results(tmp_path).plans / "contents.json"
    assert json.loads(contents.read_text())["batches"]["0001-0000"]["frame"] == 131_072
    claimed = row("c", "1.1", "2.3", **FRAME | {"Rows": 65535, "Columns": 65535}) | {"stat": [6000, 1, 1, 1]}
    plan(tmp_path, [*rows, claimed])
    assert json.loads(contents.read_text())["batches"]["0001-0000"]["frame"] == 32 * 6000


def test_a_header_may_claim_any_size_of_a_frame() -> None:
    assert survey.frame_of(4_096, (64, 64, 8)) == 4_096
    assert survey.frame_of(32, (1 << 40, 1 << 40)) == 32 * 32
    assert survey.frame_of(4_096, (512, -512, 1, 16)) == 0


def test_compressed_series_get_more_batches_than_their_bytes_alone_would(tmp_path: Path) -> None:
    rows = [
        row(f"{n}", f"1.{n % 50}", f"2.{n}", TransferSyntaxUID=J2K, **FRAME) | {"stat": [60_000, 1, 1, 1]}
        for n in range(2000)
    ]
    plan(tmp_path, rows)
    assert len(list(Results(tmp_path).plans.glob("0004-*.json"))) == 4


def test_many_small_files_get_at_least_two_batches(tmp_path: Path) -> None:
    rows = [row(f"{n}", f"1.{n % 20}", f"2.{n}") for n in range(5001)]
    plan(tmp_path, rows)
    assert len(list(Results(tmp_path).plans.glob("0002-*.json"))) == 2
