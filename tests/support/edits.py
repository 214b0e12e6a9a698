"""A source tree and the ways in which people and programs edit one."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dicoms import ct_slice, save, save_series
from made_up_archives import PACKERS, pack, unpacked
from made_up_structure_sets import MadeUpContour, MadeUpRoi, file_of, square, structure_set

from dicomzarr.privacy.pseudonyms import Pseudonyms

SLICES = 3


@dataclass
class Tree:
    """A source folder of made-up series; `random` chooses what an edit changes."""

    source: Path
    random: random.Random
    series: dict[str, Path] = field(default_factory=dict)
    count: int = 0

    def add_series(self) -> str:
        name = f"series-{self.count}"
        self.count += 1
        self.series[name] = self.source / f"folder {name}"
        save_series(self.series[name], name, SLICES)
        return name

    def pick(self) -> str:
        return self.random.choice(sorted(self.series))

    def file(self, name: str) -> Path:
        return self.random.choice(sorted(p for p in self.series[name].iterdir() if p.name.endswith(".dcm")))


def ids_of(names: set[str]) -> set[str]:
    """Return the ids of series by their names."""
    pseudonyms = Pseudonyms(b"k" * 32)
    ids = set()
    for name in names:
        header = ct_slice(name.removeprefix("twin of "), 0)
        subject = pseudonyms.subject_id("", f"patient-{name}")
        ids.add(pseudonyms.series_id(subject, header.SeriesInstanceUID))
    return ids


Edit = Callable[[Tree], set[str]]  # returns the names of exactly the series that must be extracted again


def rewrite(path: Path, shift: int | None, longer: bool = False) -> None:
    """Change a byte of a pixel, or the length.

    Parameters
    ----------
    path : Path
    shift : int or None
        Nanoseconds by which the modification time differs from the old one; None: the current time.
    longer : bool
        Append trailing padding.
    """
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x01
    if longer:
        data += b"\xfc\xff\xfc\xff" + b"OB\0\0" + (4).to_bytes(4, "little") + b"\0\0\0\0"  # trailing padding
    path.write_bytes(data)
    if shift is not None:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + shift))


def new_folder(tree: Tree) -> set[str]:
    return {tree.add_series()}


def late_slice(tree: Tree) -> set[str]:
    name = tree.pick()
    number = len(list(tree.series[name].iterdir())) + tree.random.randrange(10, 10_000)
    save(ct_slice(name, number), tree.series[name] / f"late-{number}.dcm")
    return {name}


def changed_newer(tree: Tree) -> set[str]:
    name = tree.pick()
    rewrite(tree.file(name), None)
    return {name}


def changed_equal_time(tree: Tree) -> set[str]:
    name = tree.pick()
    rewrite(tree.file(name), 0)
    return {name}


def changed_older_time(tree: Tree) -> set[str]:
    name = tree.pick()
    rewrite(tree.file(name), -(10**12))
    return {name}


def changed_future_time(tree: Tree) -> set[str]:
    name = tree.pick()
    rewrite(tree.file(name), 10**18)
    return {name}


def changed_size(tree: Tree) -> set[str]:
    name = tree.pick()
    rewrite(tree.file(name), 0, longer=True)
    return {name}


def touched(tree: Tree) -> set[str]:
    for path in tree.series[tree.pick()].iterdir():
        os.utime(path)
    return set()


def touched_future(tree: Tree) -> set[str]:
    os.utime(tree.file(tree.pick()), (4e9, 4e9))
    return set()


def renamed(tree: Tree) -> set[str]:
    path = tree.file(tree.pick())
    path.rename(path.with_name(f"renamed {tree.random.randrange(10**6)}.dcm"))
    return set()


def moved_folder(tree: Tree) -> set[str]:
    name = tree.pick()
    target = tree.source / f"moved {tree.random.randrange(10**6)}" / "deeper"
    target.parent.mkdir()
    tree.series[name] = tree.series[name].rename(target)
    return set()


def swapped_names(tree: Tree) -> set[str]:
    first, second = (tree.file(tree.pick()) for _ in range(2))
    if first != second:
        aside = tree.source / "aside"
        first.rename(aside)
        second.rename(first)
        aside.rename(second)
    if first.parent != second.parent:  # swap back: else each file is in the folder of the other series
        return swapped_names_back(first, second, tree)
    return set()


def swapped_names_back(first: Path, second: Path, tree: Tree) -> set[str]:
    aside = tree.source / "aside"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    return set()


def copied_in_place(tree: Tree) -> set[str]:
    path = tree.file(tree.pick())
    shutil.copy2(path, tree.source / "copy")
    (tree.source / "copy").replace(path)
    return set()


def deleted_series(tree: Tree) -> set[str]:
    name = tree.pick()
    if len(tree.series) > 3:
        shutil.rmtree(tree.series.pop(name))
    return set()


def deleted_slice(tree: Tree) -> set[str]:
    name = tree.pick()
    if len(list(tree.series[name].iterdir())) < 2:
        return set()
    tree.file(name).unlink()
    return {name}


def broken(tree: Tree) -> set[str]:
    name = tree.pick()
    path = tree.file(name)
    path.write_bytes(path.read_bytes()[:-40])
    return {name}


def completed(tree: Tree) -> set[str]:
    name = tree.pick()
    path = tree.series[name] / "completed.dcm"
    if path.exists() and path.stat().st_size > 400:
        return set()
    save(ct_slice(name, 77), path)
    return {name}


def half_copied(tree: Tree) -> set[str]:
    """Write an incomplete file, as of a copy in progress; `completed` completes it later."""
    name = tree.pick()
    path = tree.series[name] / "completed.dcm"
    whole = save(ct_slice(name, 77), path).read_bytes()
    path.write_bytes(whole[: len(whole) - 200])
    return {name}


def duplicated(tree: Tree) -> set[str]:
    name = tree.pick()
    shutil.copy(tree.file(name), tree.series[name] / f"again {tree.random.randrange(10**6)}.dcm")
    return {name}


def no_dicom(tree: Tree) -> set[str]:
    (tree.source / f"notes {tree.random.randrange(10**6)}.txt").write_text("no image " * 40)
    return set()


def linked(tree: Tree) -> set[str]:
    (tree.source / f"link {tree.random.randrange(10**6)}").symlink_to(tree.file(tree.pick()))
    return set()


def other_name_in_header(tree: Tree) -> set[str]:
    name = tree.pick()
    path = tree.series[name] / "patient.dcm"
    save(ct_slice(name, 55, PatientName=f"Other^{tree.random.randrange(10**6)}"), path)
    return {name}


def shared_uid(tree: Tree) -> set[str]:
    """Add a series of another patient with the UID of an existing series: both get a flag."""
    name = tree.pick()
    others = list(tree.source.glob("other patient *"))
    uid = ct_slice(name, 0).SeriesInstanceUID
    if others:
        return set()
    other = f"twin of {name}"
    tree.series[other] = tree.source / f"other patient {name}"
    save_series(tree.series[other], other, SLICES, SeriesInstanceUID=uid)
    return {name, other}


def packed(tree: Tree) -> set[str]:
    """Replace the folder of a series by an archive, which no other edit then touches but `packed_otherwise`."""
    if len(tree.series) > 3:
        name = tree.pick()
        folder = tree.series.pop(name)
        pack({path.name: path.read_bytes() for path in folder.iterdir()}, tree.source / f"{name}{_any_kind(tree)}")
        shutil.rmtree(folder)
    return set()


def packed_otherwise(tree: Tree) -> set[str]:
    """Replace an archive by one of another kind with the same files, or pack a first one."""
    archives = [path for path in sorted(tree.source.iterdir()) if path.name.endswith(tuple(PACKERS))]
    if not archives:
        return packed(tree)
    path = tree.random.choice(archives)
    members = unpacked(path)
    path.unlink()
    pack(members, path.with_name(path.name.partition(".")[0] + _any_kind(tree)))
    return set()


def _any_kind(tree: Tree) -> str:
    return tree.random.choice(sorted(PACKERS))


def made_read_only(tree: Tree) -> set[str]:
    for path in [*tree.source.rglob("*"), tree.source]:
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    return set()


def made_writable(tree: Tree) -> set[str]:
    for path in [tree.source, *tree.source.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    return set()


def several(tree: Tree) -> set[str]:
    return new_folder(tree) | changed_older_time(tree) | touched(tree) | moved_folder(tree)


def _mask_file(tree: Tree, name: str) -> Path:
    return tree.source / f"mask of {name}"


def mask_of(name: str, size: float = 3.0) -> bytes:
    """Return a structure set on slice 1 of a made-up series, with a rectangle of a size in mm."""
    header = ct_slice(name, 1)
    x, y, z = (float(value) for value in header.ImagePositionPatient)
    contour = MadeUpContour(square(x + 0.4, y + 0.3, x + 0.4 + size, y + 3.3, z), images=[header.SOPInstanceUID])
    uids = {"series": header.SeriesInstanceUID, "study": header.StudyInstanceUID}
    return file_of(structure_set([MadeUpRoi("Liver", [contour])], name=name, PatientID=header.PatientID, **uids))


def _write_mask(tree: Tree, name: str) -> set[str]:
    """Write a mask of random size on a series."""
    path = _mask_file(tree, name)
    before = path.read_bytes() if path.exists() else b""
    path.write_bytes(mask_of(name, tree.random.randrange(2, 8) * 0.75))
    return {name} if path.read_bytes() != before else set()


def late_mask(tree: Tree) -> set[str]:
    return _write_mask(tree, tree.random.choice(sorted(name for name in tree.series if "twin" not in name)))


def changed_mask(tree: Tree) -> set[str]:
    names = sorted(name for name in tree.series if _mask_file(tree, name).exists())
    return _write_mask(tree, tree.random.choice(names)) if names else set()


def deleted_mask(tree: Tree) -> set[str]:
    names = sorted(name for name in tree.series if _mask_file(tree, name).exists())
    if not names:
        return set()
    name = tree.random.choice(names)
    _mask_file(tree, name).unlink()
    return {name}


# The order matters for the test that does all in turn: what is broken is completed later.
EDITS: dict[str, Edit] = {
    edit.__name__: edit
    for edit in (
        new_folder, late_slice, changed_newer, changed_equal_time, changed_older_time, changed_future_time,
        changed_size, touched, touched_future, renamed, moved_folder, swapped_names, copied_in_place, deleted_series,
        deleted_slice, broken, half_copied, completed, duplicated, no_dicom, linked, other_name_in_header, shared_uid,
        late_mask, changed_mask, deleted_mask, packed, packed_otherwise, made_read_only, made_writable, several,
    )
}  # fmt: skip
