"""The raw dataset of nnU-Net: label maps, lists, splits, refusals, and what is written again after a change."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from folders import files_of
from made_up_results import OBLIQUE, MadeUpCase, MadeUpMask, array_of, export, write_results

from dicomzarr.records import export_record
from dicomzarr.records.export_record import NNUNET
from dicomzarr.stages.export import engine, nnunet
from dicomzarr.stages.export.label_maps import Labels
from dicomzarr.stages.export.refusals import REFUSALS
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError

SHAPE = (4, 6, 8)
DATASET = "exports/nnunet/Dataset001_Liver"


def box(z: int, y: int, x: int, size: int = 2) -> np.ndarray:
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[z : z + size, y : y + size, x : x + size] = 1
    return voxels


LIVER, TUMOUR, INSIDE = box(0, 0, 0, 3), box(2, 4, 5), box(1, 1, 1)


def case(liver: Any = LIVER, tumour: Any = TUMOUR, **fields: Any) -> MadeUpCase:
    """An image with these masks; None leaves one out."""
    voxels = np.random.default_rng(1).integers(0, 2000, SHAPE).astype("<i2")
    given = {"liver": liver, "tumour": tumour}
    masks = {name: MadeUpMask(values) for name, values in given.items() if values is not None}
    return replace(MadeUpCase(voxels, masks), **fields)


def report(results: Results) -> dict[str, tuple[str, str]]:
    with open(results.exports / "nnunet/report.csv", newline="") as stream:
        return {row["array"]: (row["outcome"], row["reason"]) for row in csv.DictReader(stream)}


def label_map(results: Results, number: int, part: str = "Tr") -> np.ndarray:
    path = results.root / DATASET / f"labels{part}" / f"{nnunet.case_name(array_of(number))}.nii.gz"
    return np.asanyarray(nibabel.load(path).dataobj).T


# ---- Label maps


def test_labels_without_overlap_are_numbered_in_their_order(tmp_path: Path) -> None:
    results = write_results(tmp_path, {0: case()})
    export(results, labels=["tumour", "liver"])
    assert np.array_equal(label_map(results, 0), TUMOUR + 2 * LIVER)
    content = json.loads((tmp_path / DATASET / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "tumour": 1, "liver": 2} and "regions_class_order" not in content
    assert (content["channel_names"], content["numTraining"], content["file_ending"]) == ({"0": "CT"}, 1, ".nii.gz")


@pytest.mark.parametrize(("overlaps", "order"), [("regions", [1, 2]), ("nested", [1, 3])])
def test_regions_keep_every_voxel_of_masks_that_overlap(tmp_path: Path, overlaps: str, order: list[int]) -> None:
    sticking_out = box(2, 2, 2)
    results = write_results(tmp_path, {0: case(tumour=sticking_out)})
    export(results, overlaps=overlaps, labels=["tumour", "liver"])
    content = json.loads((tmp_path / DATASET / "dataset.json").read_text())
    numbers = label_map(results, 0)
    assert np.array_equal(np.isin(numbers, content["labels"]["liver"]), LIVER > 0)
    assert np.array_equal(np.isin(numbers, content["labels"]["tumour"]), sticking_out > 0)
    assert list(content["labels"]) == ["background", "tumour", "liver"]  # the order that regions_class_order means
    assert content["regions_class_order"] == order


def test_numbers_of_regions_are_consecutive_as_nnunet_needs() -> None:
    for names in (("a",), ("a", "b"), ("a", "b", "c"), tuple("abcdefg")):
        numbers = Labels(names, "regions").numbers()
        every = {number for value in numbers.values() for number in (value if isinstance(value, list) else [value])}
        assert every == set(range(len(every)))
    assert Labels(("a", "b", "c"), "nested").class_order() == [1, 3, 7]
    assert Labels(("a",), "regions").numbers() == {"background": 0, "a": 1}
    assert Labels(("a",), "regions").class_order() is None


def test_masks_of_one_name_are_one_label(tmp_path: Path) -> None:
    masks = {"liver": MadeUpMask(LIVER), "tumour": MadeUpMask(TUMOUR), "tumour_2": MadeUpMask(box(0, 4, 0), "tumour")}
    results = write_results(tmp_path, {0: case(masks=masks)})
    export(results)
    assert np.array_equal(label_map(results, 0), LIVER + 2 * np.maximum(TUMOUR, box(0, 4, 0)))


def test_half_and_more_of_a_fraction_belongs_to_the_label(tmp_path: Path) -> None:
    fraction = np.zeros(SHAPE, np.uint8)
    fraction[0, 0, :6] = [1, 100, 127, 128, 200, 255]
    masks = {"liver": MadeUpMask(fraction, maximum_fraction=255)}
    results = write_results(tmp_path, {0: case(masks=masks)})
    export(results, labels=["liver"])
    assert label_map(results, 0)[0, 0].tolist() == [0, 0, 0, 1, 1, 1, 0, 0]
    assert label_map(results, 0).sum() == 3


def test_what_was_looked_for_and_is_absent_is_background(tmp_path: Path) -> None:
    cases = {0: case(tumour=None, absent="tumour"), 1: case(None, None, absent="liver tumour")}
    results = write_results(tmp_path, cases)
    export(results)
    assert np.array_equal(label_map(results, 0), LIVER) and not label_map(results, 1).any()


# ---- Refusals


def sheared() -> np.ndarray:
    affine = OBLIQUE.copy()
    affine[1, 2] = 0.4
    return affine


REFUSED = {
    "mask_missing": case(tumour=None),
    "mask_lost": case(
        masks={"liver": MadeUpMask(LIVER), "tumour": MadeUpMask(TUMOUR * 0, flags=("empty_mask", "nothing_left"))}
    ),
    "mask_on_own_grid": case(masks={"liver": MadeUpMask(LIVER, own_affine=OBLIQUE), "tumour": MadeUpMask(TUMOUR)}),
    "masks_overlap": case(tumour=INSIDE),
    "no_regular_geometry": case(affine=None),
    "sheared": case(affine=sheared()),
    "axes_not_zyx": case(voxels=np.zeros((2, *SHAPE), "<i2"), axes="tzyx"),
    "nan_values": case(voxels=np.full(SHAPE, np.nan, "<f4")),
}
LEFT_OUT = {"no_masks": case(None, None), "other_modality": case(modality="MR")}


@pytest.mark.parametrize("fmt", ["nifti", "zarr"])
def test_each_case_that_cannot_be_trained_on_has_a_reason(tmp_path: Path, fmt: str) -> None:
    cases = dict(enumerate([*REFUSED.values(), *LEFT_OUT.values(), case()]))
    results = write_results(tmp_path, cases)
    counts = export(results, format=fmt).counts
    found = list(report(results).values())
    assert found == [("refused", code) for code in REFUSED] + [("left_out", code) for code in LEFT_OUT] + [
        ("exported", "")
    ]
    assert {*REFUSED, *LEFT_OUT} <= set(REFUSALS)
    assert (counts["refused"], counts["left_out"], counts["files"]) == (len(REFUSED), len(LEFT_OUT), 2)
    names = [path.name for path in (tmp_path / DATASET).glob("*/*")]
    assert len(names) == 2 and all(name.startswith(nnunet.case_name(array_of(len(cases) - 1))) for name in names)


def test_colour_and_single_slices_are_refused(tmp_path: Path) -> None:
    flat = {"liver": MadeUpMask(LIVER[0], axes="yx")}
    cases = {
        0: case(voxels=np.zeros((3, *SHAPE), "u1"), axes="czyx"),
        1: case(voxels=np.zeros(SHAPE[1:], "<i2"), axes="yx", masks=flat),
    }
    results = write_results(tmp_path, cases)
    with pytest.raises(engine.NothingExported):
        export(results)
    assert list(report(results).values()) == [("refused", "axes_not_zyx")] * 2


def test_an_export_of_which_every_case_is_refused_fails_with_the_reasons(tmp_path: Path) -> None:
    """A folder that looks like a dataset and has no case would be noticed in training."""
    cases = {0: case(tumour=None), 1: case(tumour=None), 2: case(affine=None), 3: case(None, None)}
    results = write_results(tmp_path, cases)
    with pytest.raises(engine.NothingExported) as caught:
        export(results)
    assert str(caught.value) == (
        "nothing was exported: 3 of 4 arrays refused, 1 left out; reasons in exports/nnunet/report.csv below the "
        "results: mask_missing 2, no_masks 1, no_regular_geometry 1"
    )
    assert len(report(results)) == 4 and not (tmp_path / DATASET).exists()


def test_refused_cases_can_be_gated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from made_up_results import BATCH

    from export_nnunet import export_nnunet

    results = write_results(tmp_path, {0: case(tumour=None), 1: case(), 2: case(None, None)})
    config = {"dataset": "Dataset001_Liver", "modality": "CT", "labels": ["liver", "tumour"]}
    with pytest.raises(engine.Refusing, match="gate.nnunet_refused: found 1, allowed 0"):
        export_nnunet(results.root, [BATCH], 1, 1, "code", config, allowed=0)
    error = capsys.readouterr().err
    assert "1 of 3 arrays refused, 1 left out; reasons in exports/nnunet/report.csv" in error
    assert "mask_missing 1, no_masks 1" in error
    assert (results.exports / "nnunet/export.json").exists()


# ---- Splits


def cases_of(*splits: tuple[str, str]) -> dict[int, MadeUpCase]:
    return {n: case(split=split, subject=f"{int(subject):016x}") for n, (subject, split) in enumerate(splits)}


def names(*numbers: int) -> list[str]:
    return [nnunet.case_name(array_of(number)) for number in numbers]


def splits(results: Results) -> Any:
    return json.loads((results.root / DATASET / "splits_final.json").read_text())


def test_train_and_val_are_one_fold_and_test_goes_to_its_own_folders(tmp_path: Path) -> None:
    results = write_results(tmp_path, cases_of(("1", "train"), ("2", "val"), ("3", "test"), ("1", "train")))
    export(results)
    assert splits(results) == [{"train": names(0, 3), "val": names(1)}]
    folders = {path.parent.name for path in (tmp_path / DATASET).rglob("*") if names(2)[0] in path.name}
    assert folders == {"imagesTs", "labelsTs"}
    assert json.loads((tmp_path / DATASET / "dataset.json").read_text())["numTraining"] == 3


def test_without_val_there_are_five_folds_in_which_no_patient_is_on_both_sides(tmp_path: Path) -> None:
    results = write_results(tmp_path, cases_of(*[(str(n // 2), "train") for n in range(14)]))
    export(results)
    folds = splits(results)
    assert len(folds) == 5
    held_out = [name for fold in folds for name in fold["val"]]
    assert sorted(held_out) == names(*range(14))
    for fold in folds:
        assert fold["val"] and sorted(fold["train"] + fold["val"]) == names(*range(14))
        patients = [{names(*range(14)).index(name) // 2 for name in fold[side]} for side in ("train", "val")]
        assert not patients[0] & patients[1]


def test_subjects_who_share_pixels_are_never_on_both_sides_of_a_fold(tmp_path: Path) -> None:
    """One patient under several identifiers; 0 and 5 are tied through 3, by images that are no cases as well."""
    cases = cases_of(*[(str(n), "train") for n in range(8)])
    flag = "same_pixels_elsewhere"
    cases[0] = replace(cases[0], flags=flag, pixel_digest="aa")
    cases[3] = replace(cases[3], flags=f"gap {flag}", pixel_digest="aa")
    for number, subject in ((8, 3), (9, 5)):
        cases[number] = case(None, None, subject=f"{subject:016x}", flags=flag, pixel_digest="bb")
    cases[1] = replace(cases[1], pixel_digest="cc")  # constant images have equal digests and no flag
    cases[2] = replace(cases[2], pixel_digest="cc")
    results = write_results(tmp_path, cases)
    export(results)
    (held_out,) = [fold["val"] for fold in splits(results) if names(0)[0] in fold["val"]]
    assert set(names(0, 3, 5)) <= set(held_out)
    assert len(splits(results)) == 5 and {len(fold["val"]) for fold in splits(results)} <= {1, 2, 3, 4}
    assert not any({*names(1, 2)} <= {*fold["val"]} for fold in splits(results))
    content = datalist(results)
    assert (
        len({entry["fold"] for entry in content["training"] if any(n in entry["image"] for n in names(0, 3, 5))}) == 1
    )


def test_a_split_of_another_name_is_not_trained_on(tmp_path: Path) -> None:
    results = write_results(
        tmp_path, cases_of(("1", "train"), ("2", "external"), ("3", "validation"), ("4", "testing"))
    )
    export(results)
    assert list(report(results).values()) == [("exported", ""), ("left_out", "other_split"), *[("exported", "")] * 2]
    assert splits(results) == [{"train": names(0), "val": names(2)}]
    # Its name becomes one of training: it enters.
    results = write_results(tmp_path, cases_of(("1", "train"), ("2", "train"), ("3", "validation"), ("4", "testing")))
    assert export(results).counts["written"] == 1
    assert splits(results) == [{"train": names(0, 1), "val": names(2)}]


@pytest.mark.parametrize(
    "parts", [("val", "val"), ("val", "test"), ("validation", "external"), ("val", "train without its masks")]
)
def test_cases_for_validation_are_not_trained_on(tmp_path: Path, parts: tuple[str, str]) -> None:
    """Five folds of them would be, as if there were no split; the last are refused as cases, which is known late."""
    cases = cases_of(("1", parts[0]), ("2", parts[1].split()[0]))
    if "masks" in parts[1]:
        cases[1] = replace(cases[1], masks={})
    with pytest.raises(UserError, match="for validation .* and none for training.*; needed are patients in a split"):
        export(write_results(tmp_path, cases))
    assert not (tmp_path / DATASET / "dataset.json").exists()
    export(write_results(tmp_path, cases_of(("1", "val"), ("2", "train"))))


def test_one_patient_alone_has_no_folds(tmp_path: Path) -> None:
    results = write_results(tmp_path, cases_of(("1", ""), ("1", "")))
    export(results)
    assert not (tmp_path / DATASET / "splits_final.json").exists()


# ---- After a change


def test_only_what_changed_is_written_again(tmp_path: Path) -> None:
    cases = cases_of(("1", "train"), ("2", "val"), ("3", "test"))
    export(write_results(tmp_path, cases))
    cases[1] = replace(cases[1], masks={"liver": MadeUpMask(box(1, 0, 0)), "tumour": MadeUpMask(TUMOUR)})
    results = write_results(tmp_path, cases)
    before = {path: path.stat().st_ino for path in (tmp_path / DATASET).glob("*/*")}
    assert export(results).counts["written"] == 1
    after = {path: path.stat().st_ino for path in (tmp_path / DATASET).glob("*/*")}
    assert {path.name for path in after if after[path] == before[path]} == {
        f"{name}{end}" for name in names(0, 2) for end in ("_0000.nii.gz", ".nii.gz")
    }
    assert np.array_equal(label_map(results, 1), box(1, 0, 0) + 2 * TUMOUR)
    assert export(results).counts["written"] == 0
    # A mask that goes makes the case a refused one; a series that goes takes its files along.
    cases[1] = replace(cases[1], masks={"liver": MadeUpMask(LIVER)})
    del cases[2]
    results = write_results(tmp_path, cases)
    assert export(results).counts["removed"] == 1
    assert {path.name for path in (tmp_path / DATASET).glob("*/*")} == {
        f"{names(0)[0]}_0000.nii.gz", f"{names(0)[0]}.nii.gz",
    }  # fmt: skip
    assert not (tmp_path / DATASET / "imagesTs").exists()
    fresh = write_results(tmp_path / "fresh", cases)
    export(fresh)
    assert files_of(fresh.exports / "nnunet") == files_of(results.exports / "nnunet")


def test_another_split_moves_a_case(tmp_path: Path) -> None:
    export(write_results(tmp_path, cases_of(("1", "train"), ("2", "train"), ("3", "train"))))
    results = write_results(tmp_path, cases_of(("1", "train"), ("2", "test"), ("3", "train")))
    assert export(results).counts["written"] == 1
    assert not list((tmp_path / DATASET / "imagesTr").glob(f"{names(1)[0]}*"))
    assert label_map(results, 1, "Ts").any()
    # From train to val, no file of a case changes.
    results = write_results(tmp_path, cases_of(("1", "val"), ("2", "test"), ("3", "train")))
    assert export(results).counts["written"] == 0


@pytest.mark.parametrize(
    "config", [{"labels": ["tumour"]}, {"format": "zarr"}, {"dataset": "Dataset002_Other"}, {"overlaps": "regions"}]
)
def test_another_configuration_writes_every_case_again(tmp_path: Path, config: dict[str, Any]) -> None:
    cases = cases_of(("1", "train"), ("2", "val"), ("3", "test"))
    results = write_results(tmp_path, cases)
    export(results)
    assert export(results, **config).counts["written"] == 3
    fresh = write_results(tmp_path / "fresh", cases)
    export(fresh, **config)
    assert files_of(fresh.exports / "nnunet") == files_of(results.exports / "nnunet")


def test_an_interrupted_export_is_continued_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after half of the files of a case were renamed: the record is missing, `export.json` and lists too."""
    import os

    cases = cases_of(("1", "train"), ("2", "val"))
    results = write_results(tmp_path, cases)
    renamed, rename = [], os.replace

    def killed(source: Any, target: Any) -> None:
        if str(target).endswith(".nii.gz"):
            if len(renamed) == 3:
                raise KeyboardInterrupt
            renamed.append(target)
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            export(results)
    assert len(list((tmp_path / DATASET).glob("*/*"))) == 3
    assert not (tmp_path / DATASET / "dataset.json").exists()
    export(results)
    fresh = write_results(tmp_path / "fresh", cases)
    export(fresh)
    assert files_of(fresh.exports / "nnunet") == files_of(results.exports / "nnunet")


def test_a_missing_file_is_written_again_and_a_stray_one_of_a_series_removed(tmp_path: Path) -> None:
    results = write_results(tmp_path, cases_of(("1", "train"), ("2", "val")))
    export(results)
    whole = files_of(results.exports / "nnunet")
    path = tmp_path / DATASET / "labelsTr" / f"{names(0)[0]}.nii.gz"
    path.unlink()
    stray = tmp_path / DATASET / "imagesTs" / "0123456789abcdef_01234567_0000.nii.gz"
    stray.parent.mkdir()
    stray.write_bytes(b"")
    assert export_record.incomplete_records(results, NNUNET) == [
        results.series_record("export_nnunet", array_of(0).split("/")[0])
    ]
    assert export(results).counts["written"] == 1
    assert files_of(results.exports / "nnunet") == whole


def test_a_withdrawn_series_leaves_the_export_and_its_lists_without_a_new_export(tmp_path: Path) -> None:
    from export_monai import export_monai

    results = write_results(tmp_path, cases_of(("1", "train"), ("2", "val")))
    export(results)
    export_monai(results.root, "code", {"dataset": "Dataset001_Liver", "modality": "CT", "labels": ["liver"]})
    write_results(tmp_path, cases_of(("1", "train")))
    assert export_record.remove_deleted(results) == 1
    left = {path.name for path in (tmp_path / "exports").rglob("*") if path.is_file()}
    assert left == {f"{names(0)[0]}_0000.nii.gz", f"{names(0)[0]}.nii.gz"}


def test_datasets_of_others_beside_it_are_left_alone(tmp_path: Path) -> None:
    """docs/exports.md tells users to set nnUNet_raw to this folder, so that nnU-Net's converters write there, too."""
    results = write_results(tmp_path, cases_of(("1", "train"), ("2", "val")))
    export(results)
    other = results.exports / "nnunet" / "Dataset050_Other"
    (other / "imagesTr").mkdir(parents=True)
    foreign = ("dataset.json", "splits_final.json", "imagesTr/case_0000.nii.gz")
    for name in foreign:
        (other / name).write_text("{}")
    export(results, overlaps="regions")
    export(results, dataset="Dataset002_Liver")
    assert not (results.exports / "nnunet/Dataset001_Liver").exists()  # the export's own dataset moved
    write_results(tmp_path, cases_of(("1", "train")))
    assert export_record.remove_deleted(results) == 1
    assert not list((results.exports / "nnunet/Dataset002_Liver").glob("*.json"))
    assert sorted(path.name for path in other.rglob("*") if path.is_file()) == sorted(
        Path(name).name for name in foreign
    )


def test_a_dataset_of_others_under_the_configured_name_is_refused_and_kept(tmp_path: Path) -> None:
    results = write_results(tmp_path, cases_of(("1", "train"), ("2", "val")))
    other = results.exports / "nnunet" / "Dataset002_Liver"
    (other / "imagesTr").mkdir(parents=True)
    foreign = {"dataset.json": "{}", "splits_final.json": "[]", "imagesTr/case_0000.nii.gz": "pixels"}
    for name, content in foreign.items():
        (other / name).write_text(content)
    export(results)  # another name
    whole = files_of(results.exports / "nnunet")
    with pytest.raises(UserError, match="'nnunet.dataset': exports/nnunet/Dataset002_Liver below the results"):
        export(results, dataset="Dataset002_Liver")
    assert files_of(results.exports / "nnunet") == whole  # its own export is untouched, too
    assert {name: (other / name).read_text() for name in foreign} == foreign
    other.rename(tmp_path / "elsewhere")
    export(results, dataset="Dataset002_Liver")
    (other / "notes.txt").write_text("of the user, beside an own export")
    export(results, dataset="Dataset002_Liver", overlaps="regions")
    assert (other / "notes.txt").exists() and (other / "dataset.json").exists()
    for missing in ("export.json", "Dataset002_Liver/dataset.json"):  # as after a kill
        (results.exports / "nnunet" / missing).unlink()
        export(results, dataset="Dataset002_Liver")


def test_lists_of_an_export_without_a_summary_are_removed_with_a_series(tmp_path: Path) -> None:
    """It was killed after the lists were written, before `export.json` was."""
    results = write_results(tmp_path, cases_of(("1", "train"), ("2", "val")))
    export(results)
    (results.exports / "nnunet" / "export.json").unlink()
    write_results(tmp_path, cases_of(("1", "train")))
    assert export_record.remove_deleted(results) == 1
    assert not list((tmp_path / DATASET).glob("*.json"))


# ---- MONAI


def datalist(results: Results) -> Any:
    from export_monai import export_monai

    config = {"dataset": "Dataset001_Liver", "modality": "CT", "labels": ["liver", "tumour"]}
    record = export_monai(results.root, "code", config)
    assert set(record.claims) == {"exports/monai/datalist.json", "exports/monai/export.json"}
    for name, claim in record.claims.items():
        assert (results.root / name).stat().st_size == claim.size
    return json.loads((results.exports / "monai/datalist.json").read_text())


def test_the_datalist_has_the_same_splits_and_paths_that_exist(tmp_path: Path) -> None:
    cases = {**cases_of(("1", "train"), ("2", "val"), ("3", "test")), 3: case(tumour=None)}
    results = write_results(tmp_path, cases)
    export(results)
    content = datalist(results)
    for key, part, number in (("training", "Tr", 0), ("validation", "Tr", 1), ("test", "Ts", 2)):
        base = "../nnunet/Dataset001_Liver"
        (name,) = names(number)
        assert content[key] == [
            {"image": f"{base}/images{part}/{name}_0000.nii.gz", "label": f"{base}/labels{part}/{name}.nii.gz"}
        ]
        for path in content[key][0].values():
            assert (results.exports / "monai" / path).is_file()
    assert content["labels"] == {"background": 0, "liver": 1, "tumour": 2}


def test_the_datalist_has_folds_where_there_is_no_validation_split(tmp_path: Path) -> None:
    results = write_results(tmp_path, cases_of(("1", ""), ("2", ""), ("1", "")))
    export(results)
    content, folds = datalist(results), splits(results)
    assert not content["validation"]
    for entry in content["training"]:
        (name,) = [name for name in names(0, 1, 2) if name in entry["label"]]
        assert name in folds[entry["fold"]]["val"]
