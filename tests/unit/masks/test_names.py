"""Names of masks: configured codes, then patterns, then coded concepts; folders that differ and stay the same."""

from __future__ import annotations

from itertools import permutations

import pytest

from dicomzarr.masks.model import Code, Description
from dicomzarr.masks.names import Vocabulary, mask_folder_names, name_of_codes
from dicomzarr.vocabulary.errors import ConfigProblem

LIVER, OLD_LIVER = Code("SCT", "10200004"), Code("SRT", "T-62000")
KIDNEY, NEOPLASM, TISSUE = Code("SCT", "64033007"), Code("SCT", "108369006"), Code("SCT", "85756007")
LEFT, RIGHT, OLD_RIGHT = Code("SCT", "7771000"), Code("SCT", "24028007"), Code("SRT", "G-A100")
FINDING = Code("SCT", "49755003")  # Morphologically Abnormal Structure
POLYP = Code("99MINE", "polyp")  # of no table


def roi(label: str = "", *codes: Code, description: str = "") -> Description:
    return Description("SEG", 1, label=label, description=description, codes=codes)


def test_a_configured_code_comes_before_a_pattern_and_a_pattern_before_a_coded_concept() -> None:
    vocabulary = Vocabulary({"organ": ["(?i)liver"], "target": ["SCT:10200004"]})
    assert vocabulary.name_of(roi("Liver", LIVER)) == "target"
    assert vocabulary.name_of(roi("Liver", KIDNEY)) == "organ"
    assert vocabulary.name_of(roi("something", KIDNEY)) == "kidney"
    assert vocabulary.name_of(roi("something")) == ""
    assert Vocabulary().name_of(roi("Liver")) == ""


def test_the_first_name_whose_pattern_matches_counts() -> None:
    label = roi("liver tumour")
    assert Vocabulary({"liver": ["liver"], "tumour": ["tumour"]}).name_of(label) == "liver"
    assert Vocabulary([("tumour", ["tumour"]), ("liver", ["liver"])]).name_of(label) == "tumour"


def test_the_label_is_searched_before_the_description() -> None:
    vocabulary = Vocabulary({"spleen": ["spleen"], "liver": ["liver"]})
    assert vocabulary.name_of(roi("liver", description="beside the spleen")) == "liver"
    assert vocabulary.name_of(roi("ROI 7", description="the spleen")) == "spleen"


def test_patterns_are_searched_not_matched_from_the_start() -> None:
    vocabulary = Vocabulary({"liver": ["(?i)(liver|leber)"], "left_lung": ["^lung l$"]})
    assert vocabulary.name_of(roi("02 Leber AI")) == "liver"
    assert vocabulary.name_of(roi("lung l")) == "left_lung"
    assert vocabulary.name_of(roi("lung left")) == ""


def test_codes_of_the_older_scheme_are_those_of_snomed_ct() -> None:
    assert Vocabulary({"target": ["SCT:10200004"]}).name_of(roi("", OLD_LIVER)) == "target"
    assert Vocabulary({"target": ["SRT:T-62000"]}).name_of(roi("", LIVER)) == "target"
    assert name_of_codes([OLD_LIVER]) == name_of_codes([LIVER]) == "liver"
    assert name_of_codes([Code("SNM3", "T-62000")]) == "liver"
    assert name_of_codes([Code("99MINE", "T-62000")]) == name_of_codes([Code("SRT", "10200004")]) == ""


def test_codes_of_a_private_scheme_can_be_configured() -> None:
    assert Vocabulary({"polyp": ["99MINE:polyp"]}).name_of(roi("x", POLYP)) == "polyp"


@pytest.mark.parametrize(
    ("codes", "name"),
    [
        ((TISSUE, LIVER), "liver"),  # a generic type: the region is what was segmented
        ((NEOPLASM, LIVER), "neoplasm"),  # a neoplasm of the liver is not the liver
        ((POLYP, LIVER), ""),  # nor is a finding that the table lacks
        ((TISSUE, LIVER, FINDING), ""),  # nor abnormal tissue
        ((LIVER, Code("SCT", "123037004")), "liver"),  # the category last
        ((), ""),
        ((TISSUE,), ""),
        ((KIDNEY, LEFT), "left_kidney"),
        ((KIDNEY, OLD_RIGHT), "right_kidney"),
        ((KIDNEY, RIGHT, LEFT), "kidney"),  # both
        ((NEOPLASM, KIDNEY, LEFT), "neoplasm"),
        ((Code("SCT", "48535007"), RIGHT), "right_rib_1"),
        ((Code("SCT", "82471001"), LEFT), "left_atrium"),  # the side is in the concept
        ((Code("SCT", "82471001"), RIGHT), ""),  # a contradiction has no name
        ((Code("NCIt", "C113842"),), "enhancing_lesion"),
    ],
)
def test_names_of_coded_concepts(codes: tuple[Code, ...], name: str) -> None:
    assert name_of_codes(codes) == name


@pytest.mark.parametrize(
    "entry", ["SCT:", "SCT: 10200004", "sct:10200004", "Sct:10200004", " SCT:1", "NCIT:C12392", "SCT:102,004", "DCM :1"]
)
def test_what_begins_as_a_code_and_is_none_is_no_pattern(entry: str) -> None:
    with pytest.raises(
        ConfigProblem, match=r"'masks.names.liver.0': found '.*', which begins as a code does and is no"
    ):
        Vocabulary({"liver": [entry]})


def test_patterns_may_hold_a_colon() -> None:
    vocabulary = Vocabulary({"ptv": ["PTV: 60", "^SCT:1", "^PTV:1"], "liver": ["99ORGAN:7", "NCIt:C12392"]})
    assert [vocabulary.name_of(Description("SEG", 1, text)) for text in ("PTV: 60", "SCT:1", "PTV:1")] == ["ptv"] * 3


def test_a_code_with_two_names_is_refused_also_across_schemes() -> None:
    with pytest.raises(ConfigProblem, match=r"'masks.names.b.0': the code 'SRT:T-62000' has the name 'a' already"):
        Vocabulary({"a": ["SCT:10200004"], "b": ["SRT:T-62000"]})
    Vocabulary({"a": ["SCT:10200004", "SRT:T-62000"]})


# ---- Folders


def test_masks_of_one_name_are_numbered_from_two() -> None:
    vocabulary = Vocabulary({"tumour": ["tumour"], "liver": ["liver"]})
    rois = [roi("tumour a"), roi("liver"), roi("tumour b"), roi("tumour c")]
    assert mask_folder_names(rois, vocabulary) == [
        ("tumour", "tumour"),
        ("liver", "liver"),
        ("tumour_2", "tumour"),
        ("tumour_3", "tumour"),
    ]


def test_masks_without_a_name_are_numbered_from_one() -> None:
    names = mask_folder_names([roi("A^B"), roi("", LIVER), roi("A^B")], Vocabulary())
    assert names == [("unnamed_1", ""), ("liver", "liver"), ("unnamed_2", "")]


def test_a_number_never_gives_a_name_of_the_vocabulary() -> None:
    """Whatever the order, `tumour_2` is the mask of that name; and also on an image that has none of that name."""
    vocabulary = Vocabulary({"tumour_2": ["second"], "tumour": ["tumour"]})
    rois = [roi("tumour a"), roi("tumour b"), roi("second")]
    for order in permutations(rois):
        folders = mask_folder_names(order, vocabulary)
        assert sorted(folders) == [("tumour", "tumour"), ("tumour_2", "tumour_2"), ("tumour_3", "tumour")]
    assert mask_folder_names(rois[:2], vocabulary) == [("tumour", "tumour"), ("tumour_3", "tumour")]
    two_ribs = [roi("", Code("SCT", "113197003"))] * 2  # `rib`; rib_2 is the second rib
    assert mask_folder_names(two_ribs, Vocabulary()) == [("rib", "rib"), ("rib_13", "rib")]


def test_folders_always_differ() -> None:
    vocabulary = Vocabulary({f"a{end}": [f"^x{end}$"] for end in ("", "_2", "_2_2", "_3")})
    rois = [roi("x"), roi("x_2"), roi("x"), roi("x_2_2"), roi("x_2"), roi("x_3"), roi("x"), roi("y")]
    folders = [folder for folder, _ in mask_folder_names(rois, vocabulary)]
    assert folders == ["a", "a_2", "a_4", "a_2_2", "a_2_3", "a_3", "a_5", "unnamed_1"]
