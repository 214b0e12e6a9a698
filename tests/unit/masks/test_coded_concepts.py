"""The table of coded concepts against the dictionaries of pydicom, which are made from PS3.16."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from dicomzarr.masks import coded_concepts as table

MEANINGS: dict[str, set[str]] = {}
for _meanings in concepts["SCT"].values():
    for _code, (_meaning, _) in _meanings.items():
        MEANINGS.setdefault(_code, set()).add(_meaning)
ROWS = (*table.SINGLE, *table.PAIRED)

# Codes of public sets of segmentations that PS3.16 lacks, as such sets state them.
NOT_IN_THE_STANDARD = {
    "65985001": "vertebra_s1",
    "74281007": "myocardium",
    "68786006": "atrial_appendage",
    "110765007": "portal_and_splenic_vein",
    "83936004": "carpus",
    "53884002": "metatarsal_bones",
    "244849004": "deep_back_muscles",
    "181674001": "gluteus_maximus_muscle",
    "78333006": "gluteus_medius_muscle",
    "75297007": "gluteus_minimus_muscle",
    "68455001": "iliopsoas_muscle",
    "67769002": "subcutaneous_fat",
    "47351003": "infiltrate",
    "48535007": "rib_1",
    "78247007": "rib_2",
    "25888004": "rib_3",
    "25523003": "rib_4",
    "15339008": "rib_5",
    "59558009": "rib_6",
    "24915002": "rib_7",
    "5953002": "rib_8",
    "22565002": "rib_9",
    "77644006": "rib_10",
    "58830002": "rib_11",
    "43993008": "rib_12",
}


def words(text: str) -> set[str]:
    return {word.rstrip("s")[:6] for word in re.findall(r"[a-z0-9]+", text.lower())} - {"of", "the", "and"}


# Names whose words are not those of the meaning.
REWORDED = {
    "eye_lens", "gray_matter", "chest_cavity", "left_atrial_appendage", "right_atrial_appendage", "heart_atrium",
    "heart_ventricle", "celiac_trunk", "carpus", "tarsal_bones", "metacarpal_bones", "body", "primary_neoplasm",
    "lymph_vessel", "pacemaker", "airway", "peritoneum", "femoral_head",
    *(f"liver_segment_{number}" for number in range(1, 9)),
    "upper_lung_lobe", "lower_lung_lobe", "right_middle_lung_lobe", "gross_tumor_volume",
}  # fmt: skip


@pytest.mark.parametrize(("name", "code", "older"), ROWS, ids=[f"{name}-{code}" for name, code, _ in ROWS])
def test_a_code_is_that_of_the_standard(name: str, code: str, older: str) -> None:
    assert mapping["SCT"].get(code, "") == older
    if code in NOT_IN_THE_STANDARD:
        assert NOT_IN_THE_STANDARD[code] == name and code not in MEANINGS
        return
    assert code in MEANINGS
    if name not in REWORDED:
        assert any(words(name) <= words(meaning) for meaning in MEANINGS[code]), MEANINGS[code]


def test_a_code_has_one_name_and_an_older_code_one_code() -> None:
    assert max(Counter(code for _, code, _ in ROWS).values()) == 1
    assert max(Counter(older for _, _, older in ROWS if older).values()) == 1
    assert all(mapping["SRT"][older] == code for older, code in table.OLDER_CODES.items())


def test_sides_generic_concepts_and_categories_are_those_of_the_standard() -> None:
    assert {word: MEANINGS[code] for code, word in table.SIDES.items()} == {"left": {"Left"}, "right": {"Right"}}
    category = {
        code
        for meanings in concepts["SCT"].values()
        for code, (_, contexts) in meanings.items()
        if 7150 in contexts  # Segmentation Property Category
    }
    assert category == {"91723000", "85756007"} | table.FINDINGS
    assert all(
        re.search(r"(?i)tissue|structure|organ|left|right|bilateral", " ".join(MEANINGS[c])) for c in table.GENERIC
    )


def test_concepts_of_other_schemes() -> None:
    for name, scheme, code in table.OTHER:
        meanings = [meanings[code][0] for meanings in concepts[scheme].values() if code in meanings]
        assert [re.sub(r"\W", "_", meaning).lower() for meaning in meanings] == [name]


def test_names_can_be_those_of_a_configuration() -> None:
    assert all(re.fullmatch(r"(?!unnamed)[a-z][a-z0-9_]{0,39}", name) for name in table.ALL_NAMES)
    assert len(table.ALL_NAMES) > 300
