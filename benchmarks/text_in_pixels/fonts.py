"""The fonts of this machine by script, and made-up texts in each script."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

# Of each script: the characters that a font must have, the names, and the words that stand with numbers.
LATIN = (
    "MOLINARI^ANNA",
    "Kestrel, Jonas",
    "BRANDT PAULA",
    "Tamsin Okoro",
    "St. Verena Hosp",
    "DOE^JOHN^Q",
    "Radiology West",
)
SCRIPTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "Latin": ("AZaz", LATIN, ("ID", "DOB", "Acc", "Pat", "Tel", "Ref")),
    "Latin with accents": (
        "ÄÖÜéèñçøåčšžłűő",
        ("Müller, Jörg", "GARÇON^RENÉE", "Núñez Íñigo", "Čapková Žofie", "Łukasz Wójcik", "SØRENSEN ÅSE"),
        ("Röntgen", "Né le", "Größe", "Año"),
    ),
    "Cyrillic": (
        "АЯаяЖЩщы",
        ("ИВАНОВА АННА", "Петров Сергей", "Ковальчук Олег", "Больница 7", "Щербакова Юлия"),
        ("Дата", "Номер", "Палата", "Рожд"),
    ),
    "Greek": (
        "ΑΩαωςήύ",
        ("ΠΑΠΑΔΟΠΟΥΛΟΣ", "Γεώργιος Νίκου", "Μαρία Ζαχαρία", "Νοσοκομείο", "ΔΗΜΗΤΡΑ ΚΟΚΚΙΝΟΥ"),
        ("Ημερομηνία", "Ηλικία", "Κωδ"),
    ),
    "Chinese": (
        "王小明市医院李",
        ("王小明", "李建国", "张伟丽", "上海市医院", "陈美玲医生"),
        ("姓名", "出生日期", "编号"),
    ),
    "Japanese": (
        "山田太郎さくらエックス",
        ("山田太郎", "さくら花子", "ヤマダタロウ", "佐藤さくら", "大学病院"),
        ("生年月日", "患者番号", "エックス線"),
    ),
    "Korean": (
        "김민수서울병원",
        ("김민수", "박서연", "이지훈님", "서울대병원", "최영희 환자"),
        ("생년월일", "환자번호", "성명"),
    ),
    "digits": ("0123456789:./-", (), ("",)),
    "Arabic digits": ("٠١٢٣٤٥٦٧٨٩", (), ("",)),  # those of the Arabic script, U+0660 to U+0669
}
LATIN_ONLY = ("Latin", "digits")
NO_TEXT_FONTS = ("dingbat", "symbol", "emoji", "signwriting", "z003", "music", "math", "barcode", "awesome", "icons")
FAMILIES = 12  # of each script, evenly over all that have it


@dataclass(frozen=True, slots=True)
class Font:
    """A font: of a file, or of Pillow.

    Attributes
    ----------
    name : str
        Shown in the results.
    draw : callable
        Returns a text in a size in pixels, smooth or not, as an array in [0, 1], shape (rows, columns).
    sizes : tuple of int
        The only sizes that it has; all if empty.
    """

    name: str
    draw: Callable[[str, int, bool], NDArray[np.float32]]
    sizes: tuple[int, ...] = ()


def cropped(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a mask without its empty rows and columns at the border."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return mask[:0, :0]
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _drawn(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str, smooth: bool) -> NDArray[np.float32]:
    box = font.getbbox(text)
    canvas = Image.new("L", (max(1, int(box[2]) + 8), max(1, int(box[3]) + 8)))
    draw = ImageDraw.Draw(canvas)
    draw.fontmode = "L" if smooth else "1"
    draw.text((4 - min(0, box[0]), 4 - min(0, box[1])), text, fill=255, font=font)
    return cropped(np.asarray(canvas, np.float32) / 255)


@functools.lru_cache(maxsize=256)
def _opened(path: str, index: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, index=index)


def of_file(name: str, path: str, index: int) -> Font:
    """Return a font of a file of this machine."""
    return Font(name, lambda text, size, smooth: _drawn(_opened(path, index, size), text, smooth))


@functools.lru_cache(maxsize=16)
def _default(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _bitmap(text: str, size: int, smooth: bool) -> NDArray[np.float32]:
    """Draw with Pillow's font of 11 pixels, each pixel drawn as a square, as the consoles of scanners do."""
    return np.kron(_drawn(ImageFont.load_default_imagefont(), text, False), np.ones((size // 12,) * 2, np.float32))


def built_in() -> list[Font]:
    """Return the fonts that come with Pillow; they have Latin letters and digits."""
    return [
        Font("Pillow default", lambda text, size, smooth: _drawn(_default(size), text, smooth)),
        Font("Pillow bitmap", _bitmap, (12, 24, 36)),
    ]


def draws(font: Font, characters: str) -> bool:
    """Return whether a font draws each character, and no two equally: a missing one is an empty or equal box."""
    pictures = []
    for character in characters:
        try:
            mask = font.draw(character, 32, True)
        except (OSError, ValueError):
            return False
        pictures.append((mask.shape, mask.tobytes()))
    return all(shape[0] for shape, _ in pictures) and len(set(pictures)) == len(pictures)


@functools.cache
def installed(script: str) -> tuple[Font, ...]:
    """Return fonts of this machine that have the characters of a script, one style of each of several families."""
    if not shutil.which("fc-list"):
        return ()
    characters = SCRIPTS[script][0]
    pattern = ":charset=" + " ".join(f"{ord(character):x}" for character in characters)
    command = ["fc-list", "--format", "%{file}\t%{index}\t%{family[0]}\t%{style[0]}\n", pattern]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    families: dict[str, list[tuple[str, str, int]]] = {}
    for line in sorted(set(listed.splitlines())):
        path, index, family, style = line.split("\t")
        plain = not any(word in family.lower() for word in NO_TEXT_FONTS)
        if plain and Path(path).suffix in (".ttf", ".otf", ".ttc") and int(index) < 1 << 16:
            families.setdefault(family, []).append((style, path, int(index)))
    names = sorted(families)
    chosen = [names[place] for place in np.linspace(0, len(names) - 1, min(FAMILIES, len(names))).round().astype(int)]
    fonts = []
    for number, family in enumerate(chosen):
        styles = families[family]
        regular = [entry for entry in styles if entry[0].lower() in ("regular", "book", "roman", "medium")]
        style, path, index = (styles if number % 3 == 2 else regular or styles)[0]
        fonts.append(of_file(f"{family} {style}", path, index))
    return tuple(font for font in fonts if draws(font, characters[:8]))


@functools.cache
def fonts_of(script: str) -> tuple[Font, ...]:
    """Return all fonts for a script."""
    return (*installed(script), *(built_in() if script in LATIN_ONLY else ()))


def made_up_text(script: str, random: np.random.Generator) -> str:
    """Return a made-up name, date or number of three characters or more."""
    _, names, words = SCRIPTS[script]
    if names and random.random() < 0.6:
        return str(random.choice(names))
    day, month, year = random.integers(1, 29), random.integers(1, 13), random.integers(1920, 2025)
    number = (
        f"{day:02}.{month:02}.{year}",
        f"{year}-{month:02}-{day:02}",
        str(random.integers(10_000, 10_000_000)),
        f"{day:02}:{month:02}:{year % 60:02}",
    )[random.integers(4)]
    if script == "Arabic digits":
        number = "".join(chr(0x660 + int(character)) if character.isdigit() else character for character in number)
    word = str(random.choice(words))
    return (
        f"{word} {number}" if word and random.random() < 0.5 and len(number) < 9 else word if len(word) > 3 else number
    )
