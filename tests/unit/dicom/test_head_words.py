"""Texts that name the head, in the languages and character sets of DICOM."""

from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes

from dicomzarr.dicom import head_words

# Names of CID 4031 that are parts of head and neck, or hold them.
HEAD_AND_NECK = """
    Cervical spine|Cervico-thoracic spine|Entire body|Eye|Eye region|Facial bones|Head|Head and Neck
    Internal Auditory Canal|Jaw region|Larynx|Mandible|Mastoid bone|Maxilla|Nasal bone|Neck|Neck and Chest
    Neck, Chest, Abdomen and Pelvis|Neck, Chest and Abdomen|Optic canal|Orbital structure|Paranasal sinus|Parotid gland
    Sella turcica|Skull|Submandibular gland|Temporomandibular joint|Vertebral column and cranium|Zygoma
"""
BY_LANGUAGE = {
    "English": "CTHEAD|RoutineHead|HEAD_NECK|Head/Neck|t1_mprage_sag|MP2RAGE|t2_3DFLAIR|WHOLEBODY|C-SPINE|IAC",
    "German": "HWS|CCT nativ|CCTnativ|cMRT|PNS axial|NNH|Felsenbein|Unterkiefer|Orbita|SCHAEDEL|Schädel-CT|MRTKopf",
    "German, kinds": "Gesichtsschädel|Halsweichteile|Ganzkörper|GANZKOERPER|Kopfschmerz|Innenohr|Ohren|Mittelgesicht",
    "French": "TDM crâne|CRANE|Tête|rochers|oreilles|Œil|massif facial|corps entier|cou",
    "Spanish": "cráneo|craneal|CABEZA|senos paranasales|oídos|cuello|peñascos|cara",
    "Portuguese": "Crânio|cabeça|pescoço|seios da face|ouvidos|hipófise",
    "Italian": "Cranio|testa|rocche petrose|massiccio facciale|encefalo|collo|mascellari|total body",
    "Dutch": "hoofd|hersenen|schedel|kop|hals|neusbijholten|aangezicht|CWK",
    "Northern": "huvud|hjärna|Hode|hjerne|bihuler|ansikte|pää|kaula|aivot",
    "Eastern": "głowa|GŁOWY|mózg|oczodoły|hlava|mozek|lebka|koponya|beyin|kafa|boyun",
    "Greek": "Κεφαλή|εγκεφάλου|Κρανίο|ΚΡΑΝΙΟΥ",
    "Cyrillic": "голова|ГОЛОВЫ|головной мозг|череп|ШОП|шейный отдел|шийний відділ|мозъка",
    "Semitic": "الرأس|الدماغ|الجمجمة|ראש|המוח|גולגולת",
    "Thai": "ศีรษะ|CT สมอง",
    "East Asian": "頭部単純|脳|副鼻腔|側頭骨(耳)|全身|头颅平扫|颅脑|頭顱|颈椎|두부|뇌|두경부|안면골|경추",
}
ELSEWHERE = """
    Thorax|ABDOMEN early arterial|L facet joints|Carat|ahead|T2 TSE|T2 TE 100|T1 TE?10|Abdomen, oral contrast|Hoden
    Oberschenkelhals|Leukaemia|CT abdomen NOS|PET dopo 2 ore|Knie|LWS|BWS|Becken|Herz|heart|Lunge|Leber|foie|hígado
    genou|torace|pelvis|coil|interface|linear|nuclear|CTPA|Грудь|Коленный сустав
    胸部|腹部|骨盆|흉부|복부|ทรวงอก|صدر|?|??
"""


def listed(texts: str) -> list[str]:
    return [text.strip() for text in texts.strip().replace("\n", "|").split("|")]


def test_the_parts_of_head_and_neck_of_the_standard() -> None:
    meanings = {getattr(codes.cid4031, keyword).meaning for keyword in codes.cid4031.dir()}
    assert {*listed(HEAD_AND_NECK)} <= meanings
    named = {meaning for meaning in meanings if head_words.names_head(meaning)}
    assert named == {*listed(HEAD_AND_NECK)}


@pytest.mark.parametrize("language", BY_LANGUAGE)
def test_words_of_a_language(language: str) -> None:
    assert not [text for text in listed(BY_LANGUAGE[language]) if not head_words.names_head(text)]


def test_words_of_other_parts() -> None:
    assert not [text for text in listed(ELSEWHERE) if head_words.names_head(text)]
    assert not head_words.names_head("")


def test_each_word_of_the_table_is_found() -> None:
    for words in head_words.WORDS.values():
        for word in words.split():
            text = word.strip("-").replace("_", " ")
            assert head_words.names_head(f"CT {text} 2") and head_words.names_head(text.upper()), word


@pytest.mark.parametrize("text", ["Sch?del", "Sch\ufffd\ufffddel", "t?te", "Scha\u0308del", "Gesichtssch?del"])
def test_letters_that_were_lost(text: str) -> None:
    assert head_words.names_head(text)


@pytest.mark.parametrize(
    ("text", "other", "encodings"),
    [
        ("Schädel", "Knöchel, Füße", ("latin-1", "iso8859_9", "iso8859_15", "utf-8")),
        ("głowa", "kręgosłup lędźwiowy", ("iso8859_2", "utf-8")),
        ("голова", "Грудная клетка", ("iso8859_5", "cp1251", "utf-8")),
        ("κεφαλή", "θώρακας", ("iso8859_7", "utf-8")),
        ("ראש", "חזה", ("iso8859_8", "utf-8")),
        ("رأس", "صدر", ("iso8859_6", "utf-8")),
        ("ศีรษะ", "ทรวงอก", ("tis_620", "utf-8")),
        ("頭部", "胸部", ("iso2022_jp", "cp932", "euc_jp", "big5", "gb18030", "utf-8")),
        ("头颅", "胸部平扫", ("gb2312", "gbk", "gb18030", "utf-8")),
        ("두부", "흉부", ("euc_kr", "utf-8")),
    ],
)
def test_words_for_the_head_are_known_in_every_character_set(text: str, other: str, encodings: tuple[str, ...]) -> None:
    for encoding in encodings:
        assert head_words.bytes_name_head(text.encode(encoding)), encoding
        assert not head_words.bytes_name_head(other.encode(encoding)), encoding


@pytest.mark.parametrize(
    ("escape", "text", "encoding"),
    [(b"\x1b$)C", "두부", "euc_kr"), (b"\x1b$)A", "头部", "gb2312"), (b"\x1b-L", "голова", "iso8859_5")],
)
def test_code_extensions(escape: bytes, text: str, encoding: str) -> None:
    assert head_words.bytes_name_head(b"CT " + escape + text.encode(encoding))
    assert head_words.bytes_name_head(b"HEAD=" + escape + "흉부".encode("euc_kr"))
    assert not head_words.bytes_name_head(b"CT " + escape + "흉부".encode("euc_kr"))
