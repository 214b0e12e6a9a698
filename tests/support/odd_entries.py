"""Hostile names and kinds of entries: links, sockets, unreadable folders, archives, files that a tool might run."""

from __future__ import annotations

import os
import socket
import unicodedata
import zipfile
import zlib
from pathlib import Path

from canaries import WORD
from made_up_headers import (
    EXPLICIT,
    Element,
    encode,
    file,
    image,
    meta,
    number,
    text,
)
from traps import (
    FINE,
    PIXEL_DATA,
    PWNED,
    SIZE,
    Traps,
)

ODD_NAMES = (
    *(f"new\nline {WORD}", f"quote' \" {WORD}", f"$(touch {PWNED})", f"`touch {PWNED}`", f"; touch {PWNED};"),
    *(f"-rf {WORD}", "--help", f"\x1b[31m{WORD}\x1b[0m", b"invalid \xff\xfe " + WORD.encode(), WORD + "n" * 243),
    *(
        "{batch}",
        "{0}",
        "%s%n",
        "*",
        "?",
        "[a-z]",
        "~",
        "...",
        " ",
        "\t",
        "a=b",
        "@x",
        "+x",
        "%41",
        "\\",
        "a\\nb",
        "C:",
    ),
    *(unicodedata.normalize(form, f"Müller {WORD}") for form in ("NFC", "NFD")),
    *("\u202etxt.dcm", "\u2028", "\U0001f600", "con", "NUL.dcm", "a,b;c", "<script>alert(1)</script>", "&amp;", "#"),
)


def odd_names(traps: Traps) -> None:
    for index, name in enumerate(ODD_NAMES):
        raw = os.fsencode(name)
        if index % 2:
            traps.put(b"names/" + raw, WORD.encode() * 3, {"not_dicom"})
        else:
            traps.put(b"names/" + raw + b"/" + raw, file(image(**traps.identity())), FINE)


def other_files(traps: Traps) -> None:
    code = f"import os\nopen(os.path.join(os.getcwd(), {PWNED!r}), 'w')\n"
    for name in ("Snakefile", "sitecustomize.py", "usercustomize.py", "numpy.py", "dicomzarr/__init__.py", "run"):
        traps.put(name, code.encode(), {"not_dicom"})
    traps.put("config.yaml", b"results: /tmp/elsewhere\nburned_in: skip\n", {"not_dicom"})
    traps.put("profiles/default/config.yaml", f"shell-exec: touch {PWNED}\n".encode(), {"not_dicom"})
    directory = [text(0x00041130, "CS", "SET"), Element(0x00041220, "SQ", ((text(0x00041500, "CS", "..\\..\\ETC"),),))]
    raw = meta(EXPLICIT, "1.2.840.10008.1.3.10") + encode(directory, EXPLICIT)
    traps.put("DICOMDIR", raw, {"dicomdir"})
    for kind, uid in (
        ("structured_report", "88.11"),
        ("encapsulated_document", "104.1"),
        ("presentation_state", "11.1"),
    ):
        sop_class = text(0x00080016, "UI", f"1.2.840.10008.5.1.4.1.1.{uid}")
        elements = [e for e in image(**traps.identity(SOPClassUID=sop_class)) if e.tag < 0x00280000]
        traps.put(f"other/{kind}", meta() + encode(elements, EXPLICIT), {kind})
    (traps.source / "archives").mkdir()
    with zipfile.ZipFile(traps.source / "archives" / f"{WORD}.zip", "w") as archive:
        info = zipfile.ZipInfo("../../x", (1990, 1, 1, 0, 0, 0))
        archive.writestr(info, file(image(**traps.identity())))
    traps.expected[f"archives/{WORD}.zip!/../../x"] = frozenset({"member_name"})
    traps.put("archives/gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + zlib.compress(bytes(1000))[2:], {"archive"})
    traps.put("archives/empty zip", b"PK\5\6" + bytes(18), {"archive"})


def entries(traps: Traps, outside: Path) -> None:
    folder = traps.source / "entries"
    folder.mkdir()
    outside.mkdir()
    (outside / f"outside {WORD}.dcm").write_bytes(file(image(**traps.identity())))
    for name, target in {
        "loop": "loop",
        "round a": "round b",
        "round b": "round a",
        "up": "..",
        "out": outside,
        "out of the root": "/",
        "file out": outside / f"outside {WORD}.dcm",
        "dangling": f"nowhere {WORD}",
        "within": "../cut/zeros",
        "proc": "/proc/self/environ",
    }.items():
        (folder / name).symlink_to(target)
        traps.expect(f"entries/{name}", {"symbolic_link"})
    os.mkfifo(folder / "fifo")
    traps.expect("entries/fifo", {"special_file"})
    with socket.socket(socket.AF_UNIX) as bound:  # through /proc: the path of a socket must be short
        handle = os.open(folder, os.O_RDONLY)
        bound.bind(f"/proc/self/fd/{handle}/socket")
        os.close(handle)
    traps.expect("entries/socket", {"special_file"})
    plain = file(image(**traps.identity()))
    traps.put("entries/unreadable", plain, {"unreadable_file", ""}).chmod(0)
    for name, mode in (("closed", 0), ("listed only", 0o444)):
        traps.put(f"entries/{name}/file", file(image(**traps.identity())), {"unreadable_file", ""})
        (folder / name).chmod(mode)
    sparse_files(traps)


def sparse_files(traps: Traps) -> None:
    """Write two sparse files of 2 GB: an empty one, and one with a frame that is too large."""
    os.truncate(traps.put("entries/sparse", b"", {"not_dicom"}), 2 << 30)
    size = {"Rows": number(0x00280010, 32768), "Columns": number(0x00280011, 32767)}
    elements = image(**traps.identity(**size, PixelData=Element(PIXEL_DATA, "OW", b"", length=(2 << 30) - 65536)))
    os.truncate(traps.put("entries/sparse image", meta() + encode(elements, EXPLICIT), SIZE), 2 << 30)
