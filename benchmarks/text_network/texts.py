"""Made-up texts: words of many scripts, and how they look in the fonts of the machine."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from benchmarks.text_network.drawings import Generator, chance, integer, uniform
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SMALL = CAPITALS.lower()
DIGITS = "0123456789"
ACCENTED = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿŁłŃńŚśŹźŻżČčŠšŽžĞğİıŞşŐőŰű"
CYRILLIC = "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"
CYRILLIC_SMALL = CYRILLIC.lower()
GREEK = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ"
GREEK_SMALL = GREEK.lower()
ARABIC_DIGITS = "٠١٢٣٤٥٦٧٨٩"
ARABIC = "ابتثجحخدذرزسشصضطظعغفقكلمنهوي"
HIRAGANA = "".join(map(chr, range(0x3041, 0x3094)))
KATAKANA = "".join(map(chr, range(0x30A1, 0x30F7)))
HAN, HANGUL = (0x4E00, 0x9FA5), (0xAC00, 0xD7A3)  # first and last code point
SIDES = "RL"

# How often each script is written, as parts of the sum: what most headers hold comes first.
SHARES = {
    "latin": 9,
    "accented": 2,
    "digits": 5,
    "cyrillic": 2,
    "greek": 2,
    "han": 2,
    "japanese": 1,
    "korean": 1,
    "arabic digits": 3,
    "arabic": 1,
}
SCRIPTS = [script for script, parts in SHARES.items() for _ in range(parts)]
ALPHABETS = ("latin", "accented", "cyrillic", "greek", "digits")  # written in words with something between them
SEPARATORS = ("^", " ", ", ", " ", "^", ": ")  # `^` is DICOM's own between the parts of a name
SHORT_TEXTS = 0.22  # share of texts of one or two characters: markers of a side, numbers of axes
SPACED = 0.03  # share of texts with a space after each character

# A font of a script has all of these characters.
NEEDED = {
    "latin": "Ag5",
    "accented": "éŁžİ",
    "cyrillic": "Жщ",
    "greek": "Ωφ",
    "han": "龍医",
    "japanese": "あ医ア",
    "korean": "한",
    "arabic digits": "٣",
    "arabic": "ب",
}
FORMATS = (".ttf", ".otf", ".ttc", ".pfb", ".t1")  # what FreeType draws as outlines
NO_LETTERS = ("Emoji", "Symbol", "Math", "Music", "Dingbats", "D050", "Adinkra")  # in names of fonts of signs
# Never trained on: what the networks find in these fonts, they have not seen.
HELD_BACK = ("Courier", "Roboto-", "Hack", "NotoSansMono", "WenQuanYi", "wqy", "vlgothic")

SMALLEST, LARGEST = 8, 44  # size of fonts in pixels; sizes in between are as likely by ratio
SMALL_SIZES = 0.55  # share of texts of `SMALLEST` to `LARGEST_SMALL` pixels, each size as likely
LARGEST_SMALL = 14
HERSHEY_FONTS = 8  # of OpenCV: made of lines, as older devices write
HERSHEY_HEIGHT = 30  # pixels of a Hershey font at scale 1, about
HERSHEY, OF_PILLOW = 0.14, 0.10  # shares of Latin texts and digits in a Hershey font, and in the one of Pillow
NOTO_AGAIN = 0.5  # chance to choose again if the choice was a Noto font, of which there are many alike
MOST_CHOICES = 9
HARD_EDGES = 0.3  # share of texts without grey at the edges of letters, as overlays are
WIDEST_DRAWN, WIDEST, LOWEST = 900, 600, 5  # pixels: texts beyond are left out
SEEN, LEAST_SEEN = 60, 6  # of 255: what counts as text when margins are cut off; pixels of a text


class Text(NamedTuple):
    """A text as it is painted.

    Attributes
    ----------
    mask : ndarray of uint8, shape (rows, columns)
        255 where the text covers a pixel; without margins.
    characters : int
        How many characters it has, without spaces.
    """

    mask: NDArray[np.uint8]
    characters: int


class Font(NamedTuple):
    """A file of fonts, and which one in it."""

    path: str
    index: int


Fonts = dict[str, list[Font]]  # by script


# ---- Words


def _of(random: Generator, letters: str, count: int) -> str:
    return "".join(letters[i] for i in random.integers(0, len(letters), count))


def _between(random: Generator, code_points: tuple[int, int], count: int) -> str:
    return "".join(chr(integer(random, *code_points)) for _ in range(count))


def _name(random: Generator, capitals: str, small: str, count: int, all_small: float = 0.0) -> str:
    """Return a name in capitals (40 %), with one capital, or in small letters."""
    choice = random.random()
    if choice < 0.4:
        return _of(random, capitals, count)
    if choice < 1 - all_small:
        return _of(random, capitals, 1) + _of(random, small, count - 1)
    return _of(random, small, count)


def _accented(random: Generator, count: int) -> str:
    return "".join(_of(random, ACCENTED if chance(random, 0.35) else SMALL, 1) for _ in range(count))


def _japanese(random: Generator, count: int) -> str:
    """Return kana of both kinds with some Han characters."""
    letters = []
    for _ in range(integer(random, 3, 7)):
        choice = random.random()
        if choice < 0.4:
            letters.append(_of(random, HIRAGANA, 1))
        else:
            letters.append(_of(random, KATAKANA, 1) if choice < 0.7 else _between(random, HAN, 1))
    return "".join(letters)


def _numbers(random: Generator, count: int) -> str:
    """Return a date, a time, a number, an identifier or an age, as headers write them."""
    year, month, day = integer(random, 1900, 2030), integer(random, 1, 13), integer(random, 1, 29)
    hour, minute, second = integer(random, 0, 24), integer(random, 0, 60), integer(random, 0, 60)
    forms = (
        f"{year}-{month:02}-{day:02}",
        f"{day:02}.{month:02}.{year}",
        f"{hour:02}:{minute:02}:{second:02}",
        _of(random, DIGITS, count),
        _of(random, DIGITS, count + 3),
        f"{month}/{day}/{integer(random, 0, 99):02}",
        f"{random.random() * 100:.1f}",
        f"ID: {_of(random, DIGITS, count)}",
        f"{integer(random, 0, 100):03}Y",
    )
    return forms[integer(random, 0, len(forms))]


WORDS: dict[str, Callable[[Generator, int], str]] = {
    "latin": lambda random, count: _name(random, CAPITALS, SMALL, count, all_small=0.1),
    "accented": _accented,
    "digits": _numbers,
    "cyrillic": lambda random, count: _name(random, CYRILLIC, CYRILLIC_SMALL, count),
    "greek": lambda random, count: _name(random, GREEK, GREEK_SMALL, count),
    "han": lambda random, count: _between(random, HAN, integer(random, 2, 6)),
    "japanese": _japanese,
    "korean": lambda random, count: _between(random, HANGUL, integer(random, 2, 5)),
    "arabic digits": lambda random, count: _of(random, ARABIC_DIGITS, count),
    "arabic": lambda random, count: _of(random, ARABIC, count),
}


def word(random: Generator, script: str) -> str:
    """Return a made-up word of a script: of 3 to 9 letters where letters are an alphabet."""
    return WORDS[script](random, integer(random, 3, 10))


def short_words(random: Generator) -> str:
    """Return one or two capitals or digits, and more often than chance has it the letters of a side."""
    count = 2 if chance(random, 0.5) else 1
    if not chance(random, 0.9):
        return _of(random, SIDES, count)
    return _of(random, (CAPITALS, DIGITS, CAPITALS + DIGITS)[integer(random, 0, 3)], count)


def words(random: Generator) -> tuple[str, str]:
    """Return a made-up text of three characters or more, and its script.

    Parameters
    ----------
    random : numpy.random.Generator
        Where every choice comes from.

    Returns
    -------
    tuple of str
        One to three words; one of `SCRIPTS`.
    """
    script = SCRIPTS[integer(random, 0, len(SCRIPTS))]
    text = word(random, script)
    more = random.random()
    if script in ALPHABETS and more < 0.5:
        number = not chance(random, 0.8) and script in ("latin", "digits")
        text += SEPARATORS[integer(random, 0, len(SEPARATORS))] + word(random, "digits" if number else script)
    if more < 0.15:  # a few of the same have a number behind them
        text += " " + word(random, script if script == "arabic digits" else "digits")
    if script in ("han", "japanese", "korean") and (len(text) < 3 or chance(random, 0.4)):
        text += word(random, script)
    return text, script


# ---- Fonts


def fonts(held_back: bool = False) -> Fonts:
    """Return the fonts of the machine that have the letters of each script, in a fixed order.

    Parameters
    ----------
    held_back : bool
        Return those that are kept for measurements, instead of those to train on.

    Returns
    -------
    dict of str to list of Font
        By script; fonts for training where a script has no other.

    Raises
    ------
    RuntimeError
        If a script has no font. README.md names the packages.
    """
    found: Fonts = {}
    for script, letters in NEEDED.items():
        points = " ".join(f"{ord(letter):x}" for letter in letters)
        command = ["fc-list", "-f", "%{file}|%{index}\n", f":charset={points}"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        every = [_font_of(line) for line in sorted(set(lines))]
        every = [font for font in every if font.path.endswith(FORMATS) and not any(n in font.path for n in NO_LETTERS)]
        if not every:
            raise RuntimeError(f"no font has the letters of {script}: README.md names the packages")
        wanted = [font for font in every if any(name in font.path for name in HELD_BACK) == held_back]
        found[script] = wanted or every
    found["digits"] = found["latin"]
    return found


def _font_of(line: str) -> Font:
    """Return the font of a line of fc-list: its file, and its index without the number of a variable font's style."""
    path, _, index = line.partition("|")
    return Font(path, int(index or 0) & 0xFFFF)


def _font(random: Generator, fonts_of_script: list[Font], script: str) -> Font:
    for _ in range(MOST_CHOICES):
        font = fonts_of_script[integer(random, 0, len(fonts_of_script))]
        if script not in ALPHABETS or "noto" not in font.path.lower() or not chance(random, NOTO_AGAIN):
            break
    return font


# ---- Pictures of texts


def made_texts(random: Generator, fonts_by_script: Fonts, count: int) -> Iterator[Text]:
    """Yield made-up texts as they look in many fonts and sizes.

    Parameters
    ----------
    random : numpy.random.Generator
        Where every choice comes from.
    fonts_by_script : dict of str to list of Font
        What `fonts` returns.
    count : int
        How many.

    Yields
    ------
    Text
        A text of `LOWEST` to `WIDEST` pixels a side.
    """
    made = 0
    while made < count:
        short = chance(random, SHORT_TEXTS)
        text, script = (short_words(random), "latin") if short else words(random)
        drawn = _drawn(random, fonts_by_script, text, script, short)
        if drawn is not None:
            made += 1
            yield drawn


def size_of_font(random: Generator) -> int:
    """Return a size in pixels, from `SMALLEST` to `LARGEST`."""
    if chance(random, SMALL_SIZES):
        return integer(random, SMALLEST, LARGEST_SMALL + 1)
    return int(np.exp(uniform(random, np.log(SMALLEST), np.log(LARGEST))))


def _drawn(random: Generator, fonts_by_script: Fonts, text: str, script: str, short: bool) -> Text | None:
    """Return a text in a random font, or None if it is too large or too small."""
    choice, size = random.random(), size_of_font(random)
    plain = script in ("latin", "digits")
    if plain and choice < HERSHEY:
        mask = _of_lines(random, text, size)
    else:
        if plain and choice < HERSHEY + OF_PILLOW:
            font = ImageFont.load_default(size)
        else:
            path, index = _font(random, fonts_by_script[script], script)
            font = ImageFont.truetype(path, size, index=index)
        if not short and chance(random, SPACED):
            text = " ".join(text)
        mask = _of_outlines(random, text, font)
    if mask is None:
        return None
    mask = _without_margins(_changed(random, mask, size))
    if mask is None or min(mask.shape) < LOWEST or max(mask.shape) > WIDEST:
        return None
    return Text(mask, len(text.replace(" ", "")))


def _of_lines(random: Generator, text: str, size: int) -> NDArray[np.uint8]:
    """Return a text in one of OpenCV's Hershey fonts."""
    font, scale = integer(random, 0, HERSHEY_FONTS), size / HERSHEY_HEIGHT
    thickness = max(1, round(size / 14 * uniform(random, 0.6, 1.6)))
    (width, height), below = cv2.getTextSize(text, font, scale, thickness)
    mask = np.zeros((height + below + 4, width + 4), np.uint8)
    edges = cv2.LINE_AA if chance(random, 0.6) else cv2.LINE_8
    cv2.putText(mask, text, (2, height + 1), font, scale, 255, thickness, edges)
    return mask


def _of_outlines(random: Generator, text: str, font: ImageFont.FreeTypeFont) -> NDArray[np.uint8] | None:
    """Return a text in a font of outlines, or None if it is empty or too wide."""
    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    if right - left > WIDEST_DRAWN or right <= left or bottom <= top:
        return None
    mode, full = ("1", 1) if chance(random, HARD_EDGES) else ("L", 255)
    picture = Pictures.new(mode, (right - left + 2, bottom - top + 2), 0)
    ImageDraw.Draw(picture).text((1 - left, 1 - top), text, full, font=font)
    return np.asarray(picture.convert("L"))


def _changed(random: Generator, mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return a text as it is (80 %), stretched, enlarged by a whole number, or blurred."""
    choice = random.random()
    if choice < 0.08:
        across, down = uniform(random, 0.7, 1.6), uniform(random, 0.8, 1.4)
        return cv2.resize(mask, None, fx=across, fy=down, interpolation=cv2.INTER_LINEAR)
    if choice < 0.14:
        times = integer(random, 2, 4)
        return cv2.resize(mask, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)
    if choice < 0.2:
        return cv2.GaussianBlur(mask, (0, 0), uniform(random, 0.4, 0.4 + size / 28))
    return mask


def _without_margins(mask: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    rows, columns = np.nonzero(mask > SEEN)
    if len(rows) < LEAST_SEEN:
        return None
    return mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
