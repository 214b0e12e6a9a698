"""Words by which texts of a header name the head, or a part of it or next to it, in the languages of DICOM.

Texts are free: protocols of scanners, requests of a ward. In doubt a word counts: a false alarm costs a look, a missed
head is a face of which nobody was told. So "head of femur" and "Kopfschmerz" count too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

# A hyphen says at which end a word may go on: "kopf-" is found in Kopfschmerz, "-schädel-" in Gesichtsschädel too, and
# "HNO" by itself alone. "_" stands for spaces and signs, or for nothing. Case and accents do not matter, nor ä or ae.
#
# The parts are those of head and neck in PS3.16 CID 4031 and what radiologists call them, protocols that see nothing
# but the brain, and the whole body. The languages are those for which PS3.3 C.12.1.1.2 has character sets. Left out are
# words that many descriptions of other parts have: oral (contrast), nos (not otherwise specified), ore (hours).
WORDS = {
    "English": """head- brain- -skull- face faces facial- -orbit- eye eyes eyeball- optic- ophthalm- sinus-
        jaw- -maxill- -mandib- -crani- cereb- -cerebr- -encephal- neck- nose nasal- naso- paranas- ear ears
        mouth- tongue- dental- dentascan- teeth tooth- tmj tmjs temporo_mandib- iac iacs iam iams cpa auditor-
        cochlea- temporal_bone- petrous- mastoid- otic pituitar- -hypophys- sella- turcica neuro- whole_body-
        entire_body- total_body- pan_scan- polytrauma- vertex parotid- salivar- submandib- zygom- -pharyn-
        laryn- scalp- forehead- chin lip lips cheek- palat- -occipit- cervic- c_spine- carotid- carotis
        supra_aort- willis posterior_fossa- fmri resting_state- -mp_rage- bravo -flair- dark_fluid-""",
    "Latin": "caput cranium facies nasus auris oculus oculi os_temporale- collum",
    "German": """kopf- kehlkopf- hinterkopf- -schädel- -gesicht- -hirn- hals- HWS- HWK HNO NNH- PNS CCT- CMRT-
        DVT KHBW -felsenbein- -kiefer- nase -nasen- auge augen- ohr ohren innenohr- mittelohr- zahn- zähne-
        zunge- mund- rachen- stirn- schläfe- kalotte- ganzkörper- speicheldrüse-""",
    "French": """tête- -crâne- cerveau- visage- rocher rochers mâchoire- oreille- oeil yeux nez cou dents
        dentaire- bouche langue auditi- selle_turcique- corps_entier- TSA fosse_postérieure- ATM""",
    "Spanish": """cabeza- -cráneo- -encéfal- cara cuello- oído- oreja- ojo ojos nariz- boca lengua peñasco-
        -faring- laring- -hipófis- silla_turca cuerpo_entero cuerpo_completo fosa_posterior""",
    "Portuguese": "cabeça- pescoço- ouvido- orelha- olho olhos dente dentes sela_turca corpo_inteiro seios_da_face",
    "Italian": """testa capo cervell- collo volto viso facci- occhio occhi orecchi- bocca denti mascell-
        ipofis- rocche- petros- corpo_intero sovra_aort- lingua""",
    "Dutch": """hoofd- hersen- schedel- kop -gezicht- nek -kaak- oog ogen oor oren neus- mond tand tanden
        rotsbeen- slaapbeen- -hypofys- CWK""",
    "Danish, Norwegian, Swedish": """hoved- hode hodet huvud- hjerne- hjärn- -krani- skalle- ansigt- ansikt-
        øje øjne øye øyne öga ögon öron næse- nese- näsa- kæbe- kjeve- käke- bihule- bihål- nakke- nacke-
        helkropp-""",
    "Finnish": "pää päät aivo- kallo- kasvo- kaula- silmä- korva- nenä- leuka",
    "Polish": """głow- mózg- czaszk- twarz- oczodo- oko oczu zatok- szyj- szczęk- żuchw- nosa ucho uszu
        przysadk- skroni-""",
    "Czech, Slovak": "hlav- mozek mozk- lebk- obličej- tvár- krk krku krčn- očnic- čelist- nosní spánkov- -hypofýz-",
    "Hungarian": "fej fejet koponya- agy agyi nyak- szem orr állkapocs-",
    "Turkish": "kafa- beyin- boyun- göz kulak- burun- çene- yüz -hipofiz- servikal-",
    "Greek": "-κεφαλ- -κρανι- προσωπ- τραχηλ- αυχεν- κογχ- οφθαλμ- ρινικ- γναθ-",
    "Russian, Ukrainian, Bulgarian": """голов- глав- мозг- мозк- мозок мозък- -череп- -крани- лиц- облич- шея
        шеи шею шейн- шийн- шия шиї орбит- глаз- очн- пазух- околонос- височн- скронев- -челюст- -щелеп- нос
        носа ухо уха ушей вухо -гипофиз- -гіпофіз- -глотк- гортан- ГМ ШОП ОНП ППН ВНЧС""",
    "Arabic, Persian": "-رأس- -دماغ- -جمجم- -وجه- -عنق- -رقبة- -جيوب- -مغز- سر صورت -گردن-",
    "Hebrew": "-ראש- -מוח- -גולגולת- פנים -צוואר- -צואר- -ארובות-",
    "Thai": "-ศีรษะ- -สมอง- -กะโหลก- -ใบหน้า- -ไซนัส-",
    "Japanese": "-頭- -脳- -顔- -頸- -頚- -眼- -鼻- -耳- -顎- -口腔- -歯- -咽- -喉- -舌- -下垂体- -トルコ鞍- -全身-",
    "Chinese": "-头- -颅- -顱- -脑- -腦- -面部- -颌- -頜- -眶- -颞- -顳- -颈- -垂体- -垂體- -腮- -牙-",
    "Korean": """-두부- -두개- -두경부- -머리- -뇌- -얼굴- -안면- -안와- -부비동- -비강- -측두골- -악관절-
        -하악- -상악- -경부- -경추- -구강- -인두- -후두- -전신- -내이-""",
}
# What stands before a word without a space, as in CTHEAD and MRTKopf.
_MODALITY = re.compile("(?:cta?|mr[ait]?|pet|irm|rm|tac|tc|tdm|cbct)(?=..)")
# What a text may be that is neither ASCII nor UTF-8: PS3.3 C.12.1.1.2, and what is written without saying so.
_ENCODINGS = (
    *("utf-8", "latin-1", "iso8859_2", "iso8859_5", "cp1251", "iso8859_6", "iso8859_7", "iso8859_8", "iso8859_9"),
    *("tis_620", "gb18030", "big5", "cp932", "euc_jp", "euc_kr"),
)
_ESCAPE = re.compile(rb"\x1b[\x20-\x2f]+[\x30-\x7e]")  # PS3.5 6.1.2.5.3
_OTHER_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_LETTERS = re.compile(r"(?:[^\W\d_]|\?)+")
_LOST = re.compile("[?\ufffd]+")
_HUMP = re.compile(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])|(?<=[A-ZÀ-Þ])(?=[A-ZÀ-Þ][a-zß-ÿ])")


def _folded(text: str) -> str:
    """Return a text in small letters without accents; letters that were lost are one question mark."""
    text = text.casefold()
    if not text.isascii():
        parts = unicodedata.normalize("NFKD", text.translate(_OTHER_LETTERS))
        text = unicodedata.normalize("NFKC", "".join(part for part in parts if not unicodedata.combining(part)))
    return _LOST.sub("?", text)


def _forms(word: str) -> Iterator[str]:
    """Yield how a word of the table may be written: with or without accents, or with a letter lost, as in Sch?del."""
    word = word.casefold()
    yield _folded(word)
    yield _folded(word.translate(_UMLAUTS))
    if re.search("[a-z]", word):
        yield re.sub(r"[^\x00-\x7f]+", "?", word)


class _Table(NamedTuple):
    whole: frozenset[str]
    beginnings: re.Pattern[str]
    phrases: re.Pattern[str]  # of several words, joined
    anywhere: tuple[str, ...]

    @classmethod
    def of(cls, words: Iterable[str]) -> _Table:
        whole, beginnings, phrases, anywhere = (set[str]() for _ in cls._fields)
        for word in words:
            kind = anywhere if word.startswith("-") else beginnings if word.endswith("-") else whole
            forms = {*_forms(word.strip("-").replace("_", ""))}
            kind |= forms
            phrases |= forms if "_" in word else set()
        return cls(frozenset(whole), _any_of(beginnings), _any_of(phrases), tuple(sorted(anywhere)))


def _any_of(words: set[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(word) for word in sorted(words)))


_TABLE = _Table.of(" ".join(WORDS.values()).split())
_ASCII_ANYWHERE = tuple(stem for stem in _TABLE.anywhere if stem.isascii())


def _is_head(word: str) -> bool:
    return word in _TABLE.whole or _TABLE.beginnings.match(word) is not None


@lru_cache(maxsize=4096)
def names_head(text: str) -> bool:
    """Return whether a text names the head, or a part of it or next to it.

    Parameters
    ----------
    text : str
        In any language of `WORDS`.

    Returns
    -------
    bool
    """
    folded = _folded(text)
    if any(stem in folded for stem in (_ASCII_ANYWHERE if folded.isascii() else _TABLE.anywhere)):
        return True
    split = _folded(_HUMP.sub(" ", text))  # RoutineHead is "Routine Head", too
    for line in (folded,) if split == folded else (folded, split):
        words = [word.strip("?") for word in _LETTERS.findall(line)]
        if any(_is_head(word) or _is_head(_MODALITY.sub("", word, count=1)) for word in words):
            return True
        joined = [*map("".join, pairwise(words)), *map("".join, zip(words, words[1:], words[2:], strict=False))]
        if any(map(_TABLE.phrases.match, joined)):
            return True
    return False


@lru_cache(maxsize=4096)
def bytes_name_head(value: bytes) -> bool:
    """Return whether the bytes of a text name the head, in one of the character sets that they may be in.

    Parameters
    ----------
    value : bytes
        As in the file. Specific Character Set (0008,0005) is not asked: it is often missing, or wrong.

    Returns
    -------
    bool

    References
    ----------
    DICOM PS3.3 C.12.1.1.2 (Specific Character Set), PS3.5 6.1.2.5 (escape sequences).
    """
    if value.isascii() and b"\x1b" not in value:
        return names_head(value.decode("ascii"))
    plain = _ESCAPE.sub(b"", value)
    texts = {plain.decode(encoding, "replace") for encoding in _ENCODINGS}
    return any(map(names_head, {*texts, value.decode("iso2022_jp_2", "replace")}))
