"""Names of Chinese, Japanese and Korean: a header has their parts apart, a text has no space within or around them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomzarr.privacy import needles
from dicomzarr.privacy.identifiers import MAX_RUN, identifiers_of
from dicomzarr.privacy.scanner import Leak, Scanner
from dicomzarr.privacy.words import unspaced_runs, words_of


def scanner_for(*values: str, kind: str = "PN", own: frozenset[str] = frozenset()) -> Scanner:
    return Scanner(frozenset(n for value in values for n in identifiers_of(kind, value.encode(), b"ISO_IR 192")), own)


@pytest.mark.parametrize("name", ["山田^太郎", "김^철수", "王^小东", "欧阳^小东", "山田^太郎^^博士", "やまだ^たろう"])
def test_a_name_is_found_without_the_space_between_its_parts(name: str) -> None:
    family, given = name.split("^")[:2]
    joined = family + given
    scanner = scanner_for(name)
    for text in (
        joined,
        f"{family} {given}",
        f"{family}_{given}",
        f"患者{joined}様",
        f"病{family} {given}님은",
        f"A{joined}7",
    ):
        assert scanner.content(f"1\n{text}\n".encode(), "a.txt") == Leak("value_in_file", 2)
        assert scanner.content(f'["{text}"]'.encode(), "a.json") == Leak("value_in_file", 1)
        assert scanner.name(text) == Leak("value_in_name")
    for text in (family[:1] + "某" + given, given[1:] + family[:1], "患者某人様"):
        assert scanner.content(text.encode()) is None


@pytest.mark.parametrize("text", ["山田太郎", "ヤマダタロウ", "患者ﾔﾏﾀﾞﾀﾛｳ様", "やまだたろう"])
def test_ideographs_and_sounds_of_a_name_are_names_of_their_own(text: str) -> None:
    scanner = scanner_for("Yamada^Tarou=山田^太郎=ヤマダ^タロウ", "=山^田=やまだ^たろう")
    assert scanner.content(text.encode()) == Leak("value_in_file", 1)
    assert scanner.content("太郎ヤマ".encode()) is None  # over two groups


def test_a_name_that_the_header_has_in_one_piece_is_found_in_two() -> None:
    for name, text in (
        ("山田太郎", "山田^太郎"),
        ("김철수", "환자 김 철수"),
        ("王东", "王 东"),
        ("山田太郎", "で山田 太郎は"),
    ):
        assert scanner_for(name).content(text.encode()) == Leak("value_in_file", 1)
    assert scanner_for("山田太郎_20200101", kind="path").content("患者山田太郎様".encode()) is not None


def test_short_names_within_other_words_are_no_finding() -> None:
    scanner = scanner_for("高^明", "こう^き", "国庆")
    for text in ("很高明的人", "そのこうきは", "在国庆节"):
        assert scanner.content(text.encode()) is None
    for text in ("高明", "高 明", "こうき", "国庆"):
        assert scanner.content(text.encode()) is not None


def test_words_that_may_be_shared_are_no_finding_within_others() -> None:
    scanner = scanner_for("肝臓がん", kind="path", own=frozenset(["肝臓がん", "原発性肝臓がん患者"]))
    for text in ("肝臓がん", "原発性肝臓がん患者", "原発性肝臓がん"):
        assert scanner.content(text.encode()) is None
    apart = scanner_for("김^철", own=frozenset(["原発"]))
    assert apart.content("김 原発 철".encode()) is None and apart.content("原発 김 철".encode()) is not None


def test_texts_of_ascii_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomzarr.privacy.unspaced.holds_name", None)
    assert scanner_for("山田^太郎").content(b"a,b\nYamada Tarou,7\n", "a.csv") is None


def test_few_hashes_are_looked_up_and_all_of_them_where_a_name_could_be() -> None:
    looked_up: set[int] = set()

    class Hashes(frozenset[int]):
        def __contains__(self, number: object) -> bool:
            assert isinstance(number, int)
            looked_up.add(number)
            return super().__contains__(number)

    text = "患者山田太郎様"
    Scanner(Hashes(), frozenset()).content(text.encode())
    assert len(looked_up) < 3 * len(text)
    assert looked_up & set(identifiers_of("PN", "山田^太郎".encode()))  # a later run searches again
    looked_up.clear()
    known = Hashes(identifiers_of("PN", "山田^太".encode()))
    assert Scanner(known, frozenset()).content("患者山田一".encode()) is None
    assert looked_up & set(identifiers_of("PN", "山田^一".encode())) - known


def test_runs_end_at_other_letters_and_own_words() -> None:
    words = words_of("患者 CT検査と山田2号 あ")
    assert list(unspaced_runs(words)) == [["患者"], ["検査と山田"], ["号", "あ"]]
    assert list(unspaced_runs(words, {"患者"})) == [["検査と山田"], ["号", "あ"]]
    assert scanner_for("山" * (MAX_RUN + 1)).content(("一" + "山" * MAX_RUN).encode()) is None


@pytest.mark.parametrize("line", ["山田太郎", "김철수", "山田", "王伟", "王 伟", "のりこ"])
def test_names_of_a_list_are_found_however_they_are_written(tmp_path: Path, line: str) -> None:
    (tmp_path / "names.txt").write_text(f"Wolf Anna\n{line}\n")
    folder = tmp_path / "copy"
    folder.mkdir()
    joined = line.replace(" ", "")
    for number, text in enumerate((joined, f"{joined[:1]} {joined[1:]}", f"患者{joined}様")):
        (folder / f"{number}.txt").write_text(text + "\n")
    (folder / "clean.txt").write_text("患者某人様\n")
    search = needles.NeedleSearch(needles.read_needles(tmp_path / "names.txt"), frozenset(), with_voxels=True)
    hits = search.run(folder).hits
    assert [(hit.place, hit.needle) for hit in hits] == [("0.txt", 2), ("1.txt", 2), ("2.txt", 2)]
