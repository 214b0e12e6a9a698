"""Read a dataset for training: whole volumes, slices or random patches, in any number of worker processes.

Masks come with the images, on the same region. A dataset is a folder, or a URL: that of a copy on a web server or in a
bucket. Import this file as `dicomzarr.dataset`, or copy it into your project: it needs numpy and the codecs that zarr
installs (numcodecs, google-crc32c), and no other module of dicomzarr for a folder; for URLs copy `remote.py` too.
docs/reading.md shows how PyTorch, MONAI and others use its samples.

No array is opened before the first sample is read, and each process opens its own files: safe under fork and spawn.

What is where, in the order in which a user meets it; the sections of the file have these names:

========================  ============================================================================================
Open a dataset            `open_dataset`; `Select` says which images, `Sample` what to make of them
The dataset               `DicomZarrDataset`: `len`, index, loop, `set_epoch`, `volume`, `groups`
One image or one mask     `Volume`: axes, attributes, voxels by region, masks, positions of slices
Tables for pandas         `volumes`, `masks`
Samples for frameworks    `channel_xyz`, `ras_from_lps`: order of axes and affine of MONAI and TorchIO
The naive list            `load_images`: what a list of `pixel_array` would hold
Inside: options           what `Select` and `Sample` accept; words of messages
Inside: selection         which rows of the tables, and which masks of them
Inside: epochs            the number of the epoch, in memory that workers share
Inside: values            rescale, window, lookup tables, palettes
Inside: tables            `volumes.csv` and `masks.csv`, read and checked
Inside: open volumes      how many stay open, and which may be opened
Inside: metadata          `zarr.json`, small arrays
Inside: files             ranges of bytes of a file or a URL, checksums
========================  ============================================================================================
"""

from __future__ import annotations

import csv
import difflib
import functools
import importlib
import io
import itertools
import json
import math
import multiprocessing
import operator
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set, Sized
from copy import copy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # what reads a folder needs no other module
    from dicomzarr.remote import RemoteFile, RemotePath  # type: ignore[import-not-found, unused-ignore]

OPEN_VOLUMES = 64  # images per process, and as many of each mask; a dataset may have more than a process may open files
OPEN_FILES = 512  # per process, however many masks are wanted
OPEN_INDEXES = 64 << 20  # bytes of the indexes of chunks of open files, per process
OPENINGS = 5  # of an image that a run replaces while it is opened
MISSING = 2**64 - 1  # offset of a chunk that a shard does not hold (ZEP 2)
CRC_OF_WHOLE = 0x48674BC7  # crc32c of any bytes with their own crc32c behind them, little-endian (RFC 3720, 12.1)
CONSTANTS = 64  # different chunks of one value that are remembered, per volume
CONSTANT_BYTES = 4096  # of such a chunk, as it is stored
REMEDY = ": ./run verify lists damaged files, ./run verify --repair rebuilds them"
DAMAGED = f"a chunk is damaged{REMEDY}"
CHANGED = (
    "it was written after the table of masks that this dataset has read, which says where masks have voxels: open the "
    "dataset again, and not before the run that changes it is over"
)
LOST = f"a run has removed the image since this dataset was opened, or a file was lost{REMEDY}"
FOREIGN = "dicomzarr did not write this array: open it with zarr"
NO_RESCALE = (
    "some frames have no rescale: exclude their volumes with without_flags=['rescale_incomplete'], or give "
    "missing_rescale='nan' or 'stored'"
)
VALUES_SHOWN = 20  # in a message that lists the values of a column
VALUE_SHOWN = 60  # characters of a value of metadata, in a message
Region = tuple[slice, ...]
Place: TypeAlias = "Path | RemotePath"  # a file or folder, on a disk or below a URL
Location: TypeAlias = "str | os.PathLike[str] | RemotePath"  # what a user gives for a dataset


# ---- Open a dataset


def open_dataset(
    dataset: Location, select: Select | None = None, sample: Sample | str | None = None, **options: Any
) -> DicomZarrDataset:
    """Return ``DicomZarrDataset(dataset, select, sample, **options)``: of a folder, or of a URL.

    Parameters
    ----------
    dataset : path or URL
    select : Select, optional
    sample : Sample or str, optional
    **options
        As for `DicomZarrDataset`.

    Returns
    -------
    DicomZarrDataset
    """
    return DicomZarrDataset(dataset, select, sample, **options)


def place_of(dataset: Location) -> Place:
    """Return the folder of a dataset, with `volumes.csv` and `images.zarr`.

    Parameters
    ----------
    dataset : path or str
        That folder; a results folder, that holds it as `dataset`; the folder that `./run publish` wrote to, of which
        it is the latest version. Or the URL of one of these: ``https://…``, ``http://…``, ``s3://bucket/prefix``,
        ``file:///…`` as `Path.as_uri` writes it.

    Returns
    -------
    Path or RemotePath

    Raises
    ------
    OSError
        If there is no dataset, or it cannot be read.
    """
    folder = _folder_or_url(dataset)
    if isinstance(folder, str):
        place: Place = _remote().published(folder)
        return place
    if (folder / "dataset" / "volumes.csv").is_file():
        return folder / "dataset"
    if (folder / "volumes.csv").is_file():
        return folder
    if (folder / "latest.json").is_file():
        version: Path = _remote().pointed_to(folder)
        return version
    raise FileNotFoundError(
        f"{folder}: no dataset: it has neither volumes.csv nor dataset/volumes.csv. Give the results folder of a "
        "finished run, or the dataset folder in it"
    )


@dataclass(frozen=True, kw_only=True)
class Select:
    """Which images of a dataset to read. A value that no image has is an error that names the values there are.

    Attributes
    ----------
    split, modality, axes : str or collection of str, optional
        Select images with this value, or one of these; an empty collection is an error.
    labels : mapping of str to (str or collection of str), optional
        Select by the values of other columns of `volumes.csv`, such as ``label_…``.
    with_flags, without_flags : str or collection of str
        Select images that have all of the first and none of the second.
    shape, min_shape : mapping of str to int, optional
        Select images of exactly, or at least, this size along the named axes; a missing axis counts as 1.
    with_masks : str or collection of str
        Select images on which each of these masks has at least one voxel.
    without_mask_flags : str or collection of str
        Leave out images of which a mask has one of these flags of `masks.csv`, such as ``own_grid``. Only the masks
        that `Sample` asks for count; all masks if it asks for none.
    require_affine : bool
        Select images with an affine.
    where : callable, optional
        Called with each row of `volumes.csv` that the other filters select; returns whether to select it. It may be a
        lambda: it is called when the dataset is opened, and not sent to workers.
    """

    split: str | Collection[str] | None = None
    modality: str | Collection[str] | None = None
    axes: str | Collection[str] | None = None
    labels: Mapping[str, str | Collection[str] | None] | None = None
    with_flags: str | Collection[str] = ()
    without_flags: str | Collection[str] = ()
    shape: Mapping[str, int] | None = None
    min_shape: Mapping[str, int] | None = None
    with_masks: str | Collection[str] = ()
    without_mask_flags: str | Collection[str] = ()
    require_affine: bool = False
    where: Callable[[dict[str, str]], bool] | None = None

    def __post_init__(self) -> None:
        for name in ("with_flags", "without_flags", "with_masks", "without_mask_flags"):
            object.__setattr__(self, name, _texts(name, getattr(self, name)))
        for name in ("with_flags", "without_flags", "without_mask_flags"):
            for flag in getattr(self, name):  # no image has a flag in another form, so that none would be left out
                if not re.fullmatch("[a-z0-9_]+", flag):
                    parts = re.findall("[a-z0-9_]+", flag.lower())
                    raise ValueError(f"{name} takes flags one by one, in small letters: {parts}, not {flag!r}")
        _check_switches(self, ("require_affine",))
        _check_callable("where", self.where)
        if self.labels is not None and not isinstance(self.labels, Mapping):
            raise TypeError(f"labels maps columns to values, such as {{'label_organ': 'liver'}}; found {self.labels!r}")
        exact = {"split": self.split, "modality": self.modality, "axes": self.axes, **(self.labels or {})}
        values = {name: _texts(name, value) for name, value in exact.items() if value is not None}
        if empty := [name for name, texts in values.items() if not texts]:
            raise ValueError(f"{empty[0]} names no value, so that no image would be selected; None selects all")
        for name in ("split", "modality", "axes"):
            object.__setattr__(self, name, values.pop(name, None))
        object.__setattr__(self, "labels", values)
        for name in ("shape", "min_shape"):
            object.__setattr__(self, name, _sizes_along(name, getattr(self, name), "tczyx"))


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What to make of the selected images.

    Attributes
    ----------
    kind : str
        ``volume``, ``slice`` (each z of each t) or ``patch``.
    patch : mapping of str to int, optional
        Size of a patch along its axes, such as ``{"z": 96, "y": 96, "x": 96}``. A patch has all of `c`, and one random
        index of `t` and of `z` if these are not named.
    patches_per_volume : int
        Number of patches of each volume in an epoch.
    seed : int
        A patch depends on the seed, the epoch (`set_epoch`) and its index, not on the process that draws it.
    masks : str or sequence of str
        Names of masks, one for each channel of `mask`: a name of the vocabulary (column `name` of `masks.csv`) stands
        for all masks of that name on an image, together; any other word is the folder of one mask, such as
        ``tumour_2``.
    missing_masks : str
        For images on which a wanted mask was neither drawn nor looked for in vain (`masks_absent` in `volumes.csv`):
        ``skip`` does not select them, ``zeros`` gives a channel of zeros, ``error`` refuses them.
    foreground : float
        Share of the patches, 0 to 1, that are centred on a random voxel of a wanted mask, as far as the borders of the
        image allow. Each mask that has voxels on the image is equally likely. Images without any get random patches.
        Of every n-th patch, as a process reads them without shuffling, it is the same share on average.
    rescale : bool
        Convert stored values to physical ones: by Rescale Slope (0028,1053) and Intercept (0028,1052) of each frame,
        else the Modality LUT (0028,3000), else Dose Grid Scaling (3004,000E). float32, or float64 for stored values of
        32 bits and more.
    missing_rescale : str
        For frames without a slope and intercept where others have them, or where the header states them in part (flag
        ``rescale_incomplete``):
        ``error`` refuses the sample, ``nan`` gives NaN, ``stored`` gives the stored values.
    window : bool or pair of float
        Apply a window after the rescale, which it implies; values are from 0 to 1. True: the first window in the header
        of each frame, by its VOI LUT Function (0028,1056). (center, width): center - width / 2 and less become 0,
        center + width / 2 and more 1, in the unit of the values, whatever their type (LINEAR_EXACT).
    invert : bool
        Invert MONOCHROME1, so that larger values are brighter: with a window, 1 - value after it; without one, stored
        values are mirrored in the range of Bits Stored (0028,0101) before any rescale.
    rgb : bool
        Replace palette indices by colours, which adds the axis `c`.
    channel : bool
        Add an axis `c` of length 1 in front of `y, x` or `z, y, x` if there is none.
    dtype : dtype-like
        Type of `image`, by a plain cast at the end.
    transform : callable, optional
        Called with each sample; `dataset[i]` returns its result. With spawn it must be picklable.

    References
    ----------
    DICOM PS3.3 C.11.1 (Modality LUT Module), C.11.2.1.2 and C.11.2.1.3 (windows), C.7.6.3.1.2 (Photometric
    Interpretation).
    """

    kind: str = "volume"
    patch: Mapping[str, int] | None = None
    patches_per_volume: int = 1
    seed: int = 0
    masks: str | Sequence[str] = ()
    missing_masks: str = "skip"
    foreground: float = 0.0
    rescale: bool = False
    missing_rescale: str = "error"
    window: bool | Sequence[float] = False
    invert: bool = False
    rgb: bool = False
    channel: bool = False
    dtype: Any = None
    transform: Callable[[dict[str, Any]], Any] | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("volume", "slice", "patch") or (self.kind == "patch") != bool(self.patch):
            raise ValueError(
                "sample is volume, slice or patch; patch=… gives the size of a patch, and is needed for patches only"
            )
        if self.missing_rescale not in ("error", "nan", "stored"):
            raise ValueError("missing_rescale is error, nan or stored")
        if not isinstance(self.window, bool) and not _is_window(self.window):
            raise ValueError(
                f"window is True, False or (center, width), two numbers with a width above 0; found {self.window!r}"
            )
        if self.missing_masks not in ("skip", "zeros", "error"):
            raise ValueError("missing_masks is skip, zeros or error")
        if isinstance(self.masks, Set):
            raise TypeError("masks is a list, not a set: its order is that of the channels")
        masks = _texts("masks", self.masks)
        if len(set(masks)) < len(masks):
            raise ValueError("masks names a mask twice: each is one channel")
        for name, least in (("patches_per_volume", 1), ("seed", 0)):
            object.__setattr__(self, name, _whole(name, getattr(self, name), least))
        if not isinstance(self.foreground, int | float | np.number) or not 0 <= self.foreground <= 1:
            raise ValueError(f"foreground is a share of the patches, a number from 0 to 1; found {self.foreground!r}")
        if self.foreground and not (masks and self.patch):
            raise ValueError("foreground needs patches (sample='patch') and the masks to draw them from (masks=…)")
        _check_switches(self, ("rescale", "invert", "rgb", "channel"))
        _check_dtype(self.dtype)
        _check_callable("transform", self.transform)
        object.__setattr__(self, "masks", masks)
        object.__setattr__(self, "patch", _sizes_along("patch", self.patch, "tzyx"))


def _folder_or_url(dataset: Location) -> Path | str:
    """Return a path on this machine, or the URL of a server as a text."""
    text = dataset if isinstance(dataset, str) else str(getattr(dataset, "url", ""))  # of `folder` of such a dataset
    if "://" not in text:
        return Path(os.fspath(dataset))  # type: ignore[arg-type, unused-ignore]
    return Path(unquote(text.removeprefix("file://"))) if text.startswith("file://") else text


# ---- The dataset


class DicomZarrDataset:
    """A map-style dataset over `volumes.csv`: `len(dataset)`, `dataset[i]`.

    A sample is a dict. `image` is an ndarray with the axes of the volume in the order ``t c z y x``, without those of
    which the sample has a single index. `array`, `series_id`, `study_id`, `subject_id`, `split`, `modality`, `flags`
    and every `label_…` are texts from `volumes.csv`; `group` is the id that the volumes of one set share.
    `axes` names the axes of `image`; `start` is the index of its first voxel along all axes of the array. `affine_lps`
    and `affine_ras` (float64, shape (4, 4)) map the index (x, y, z, 1) **of the sample** to millimetres; they are NaN
    where the dataset states no affine.

    With `masks`, a sample has `mask`: uint8, the same region as `image`, one channel for each wanted name in that
    order. Its axes, `mask_axes`, are ``c`` and those of ``z y x`` that `image` has, such as ``czyx``; ``t`` follows
    ``c`` if `image` has it and a wanted mask of this image differs along it. 0 is background. `mask_maximum` (uint8,
    one value a channel) is 1, or the Maximum Fractional Value (0062,000E) of fractional masks, whose values are stored
    as they are: divide by it. Of a patch, `around` is the name of the mask on which it is centred, or empty.

    Parameters
    ----------
    dataset : path or URL
        The folder with `volumes.csv` and `images.zarr`, or a results folder that holds it as `dataset`; or the URL of
        either, or of what `./run publish` wrote: ``https://…`` or ``s3://bucket/prefix``.
    select : Select, optional
        Which images to read; all by default.
    sample : Sample or str, optional
        What to make of them; a text is its `kind`.
    **options
        Attributes of `Select` and `Sample` in short: ``DicomZarrDataset("results", split="train", masks=["liver"])``.
        They change those of `select` and `sample` where both are given.

    Attributes
    ----------
    folder : Path or RemotePath
        The dataset folder, an absolute path. Of a published dataset it is that of the version that was the latest
        when it was opened.
    select : Select
    sample : Sample
    rows : list of dict of str to str
        The selected rows of `volumes.csv`.
    left_out : list of dict of str to str
        Rows that were not selected because they lack a wanted mask (`missing_masks`), in spite of the other filters by
        tables.
    epoch : int

    Raises
    ------
    ValueError
        If the options contradict each other or the tables.
    TypeError
        If there is no such option.
    """

    def __init__(
        self,
        dataset: Location,
        select: Select | None = None,
        sample: Sample | str | None = None,
        **options: Any,
    ) -> None:
        self.select, self.sample = _options(select, sample, options)
        place = place_of(dataset)  # absolute: a worker, or a program that moves, may be in another folder
        self.folder, self._epoch = place.absolute() if isinstance(place, Path) else place, _Epoch()
        self._newest = _described_until(self.folder) if self.sample.masks else None
        rows = read_rows(self.folder)
        self.rows = _selected(rows, self.select)
        self.left_out: list[dict[str, str]] = []
        self._masks: dict[str, tuple[tuple[_Mask, ...], ...]] = {}  # by array: the masks of each channel
        if self.sample.masks or self.select.with_masks or self.select.without_mask_flags:
            self._select_by_masks(rows)
        if self.select.require_affine:
            self.rows = [row for row in self.rows if "affine_lps" in self._attributes(row)]
        if self.select.where is not None:
            self.rows = [row for row in self.rows if self.select.where(row)]
        patch = dict(self.sample.patch or {})
        small = sum(any(_sizes(row).get(axis, 1) < n for axis, n in patch.items()) for row in self.rows)
        if small:
            raise ValueError(
                f"{_counted(small, 'volume is', 'volumes are')} smaller than the patch: leave such out with min_shape"
            )
        self._check_masks()
        samples_per_volume = self.sample.patches_per_volume if patch else 1
        counts = [_frames(row) if self.sample.kind == "slice" else samples_per_volume for row in self.rows]
        self._ends = np.cumsum(counts, dtype=np.int64)
        self._process = -1
        self._volumes: _OpenVolumes | None = None

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __iter__(self) -> Iterator[Any]:
        """Yield all samples, from index 0 on."""
        # Without this method a loop would end, as if it were complete, where a transform raises IndexError.
        for index in range(len(self)):
            yield self[index]

    def __getitem__(self, index: Any) -> Any:
        """Return a sample, or the result of the transform. An error of a sample names its array.

        Samples are in the order of `rows`: all of the first row, then those of the next. The slices of a row are in the
        order of t, then z. A negative index counts from the end.
        """
        index = _index(index, len(self), "sample")
        number = int(np.searchsorted(self._ends, index, side="right"))
        within = index - (int(self._ends[number - 1]) if number else 0)
        row = self.rows[number]
        try:
            sample = self._sample(number, index, within)
        except ValueError as error:
            raise ValueError(f"{row['array']}: {error}") from error
        except FileNotFoundError as error:
            raise FileNotFoundError(error.errno, f"{row['array']}: {LOST}", error.filename) from error
        except (
            LookupError,
            TypeError,
            AttributeError,
            OverflowError,
        ) as error:
            # Of a fact that is of another type, or lacks a part.
            what = f"found a value in its zarr.json that is not as needed ({type(error).__name__}: {error})"
            raise ValueError(f"{row['array']}: {what}; another program wrote or changed it{REMEDY}") from error
        columns = ("array", "series_id", "study_id", "subject_id", "split", "modality", "flags")
        sample |= {key: value for key, value in row.items() if key in columns or key.startswith("label_")}
        return sample if self.sample.transform is None else self.sample.transform(sample)

    def set_epoch(self, epoch: int) -> None:
        """Draw other patches from now on, also in workers that are running already.

        A process that was started with the dataset and calls this itself changes its own epoch alone.

        Parameters
        ----------
        epoch : int
            From 0 on.
        """
        self._epoch.set(_whole("epoch", epoch, 0))

    @property
    def epoch(self) -> int:
        """What `set_epoch` was told last; 0 at first."""
        return self._epoch.get()

    def volume(self, number: int) -> Volume:
        """Return the volume of a row, opened by this process.

        Parameters
        ----------
        number : int
            Index of the row in `rows`.

        Returns
        -------
        Volume
        """
        row = self.rows[_index(number, len(self.rows), "volume")]
        volume = self._opened(row["array"])
        if (shape := "x".join(map(str, volume.shape))) != row["shape"]:
            raise ValueError(
                f"{self.folder / 'images.zarr' / row['array'] / '0/zarr.json'}: needed is the shape {row['shape']}, as "
                f"volumes.csv states; found {shape}. A run has changed the image since this dataset was opened (open "
                f"it again), or another program did{REMEDY}"
            )
        return volume

    def groups(self) -> dict[str, list[int]]:
        """Return the volumes that belong together as one set, such as the b-values of a series that was split.

        Returns
        -------
        dict of str to list of int
            By the id that they share, the indices of their rows in `rows`. A volume that stands alone is a set of one.
        """
        found: dict[str, list[int]] = {}
        for number, row in enumerate(self.rows):
            group = row.get("group")
            group = self._attributes(row).get("group", "") if group is None else group
            if group:
                found.setdefault(group, []).append(number)
        return found

    def __getstate__(self) -> dict[str, Any]:
        # `where` has done its work, and a lambda cannot be sent to a worker. Here it stays: `select` may be used again.
        state = {"select": replace(self.select, where=None), "_epoch": copy(self._epoch)}
        return self.__dict__ | state | {"_process": -1, "_volumes": None}

    def _select_by_masks(self, every: Sequence[Mapping[str, str]]) -> None:
        """Keep the rows that the masks allow, and find the masks of each channel."""
        if not (self.folder / "masks.csv").is_file():
            raise ValueError(
                "this dataset has no masks.csv, so no masks: a version before masks made it (run ./run on its source "
                "again to add them), or a run is writing it now (open it again after that)"
            )
        select, wanted, axes = self.select, self.sample.masks, {row["array"]: row["axes"] for row in self.rows}
        rows = read_masks(self.folder)
        names = {row["name"] for row in rows if row.get("name")}
        names |= {name for row in every for name in row.get("masks_absent", "").split()}
        _check_known("mask", [*wanted, *select.with_masks], names | {row["mask"] for row in rows})
        needed, masks = {*wanted, *select.with_masks}, dict[str, list[_Mask]]()
        for row in rows:
            if row["array"] in axes and (not wanted or row["mask"] in needed or row.get("name") in needed):
                masks.setdefault(row["array"], []).append(_mask_of(row, axes[row["array"]]))

        def of_word(row: Mapping[str, str], word: str) -> tuple[_Mask, ...]:
            found = masks.get(row["array"], [])
            return tuple(mask for mask in found if word == (mask.name if word in names else mask.folder))

        def allowed(row: Mapping[str, str]) -> bool:
            counted = [m for word in wanted for m in of_word(row, word)] if wanted else masks.get(row["array"], [])
            return not any(mask.flags & set(select.without_mask_flags) for mask in counted) and all(
                any(mask.voxels for mask in of_word(row, word)) for word in select.with_masks
            )

        self.rows, missing = [row for row in self.rows if allowed(row)], []
        for row in self.rows:
            found = tuple(of_word(row, word) for word in wanted)
            drawn = [
                any(mask.voxels for mask in of_image) or bool(of_image) and not any(mask.is_lost for mask in of_image)
                for of_image in found
            ]
            absent = row.get("masks_absent", "").split()
            if all(of_image or word in absent for word, of_image in zip(wanted, drawn, strict=True)):
                self._masks[row["array"]] = found
            else:
                missing.append(row)
                if self.sample.missing_masks == "zeros":
                    self._masks[row["array"]] = found
        if wanted and self.sample.missing_masks == "skip":
            self.rows, self.left_out = [row for row in self.rows if row["array"] in self._masks], missing

    def _check_masks(self) -> None:
        """Refuse images that lack wanted masks, where they are an error, and wanted masks on grids of their own."""
        if not self.sample.masks:
            return
        lacking = [row["array"] for row in self.rows if row["array"] not in self._masks]
        if lacking:
            images = _counted(len(lacking), "image lacks", "images lack")
            raise ValueError(
                f"{images} a wanted mask ({', '.join(self.sample.masks)}), and nothing states that it is absent, such "
                f"as {lacking[0]}: leave them out with missing_masks='skip', or take zeros for them "
                "with missing_masks='zeros'"
            )
        own = [
            (row["array"], mask.folder)
            for row in self.rows
            for of_channel in self._masks[row["array"]]
            for mask in of_channel
            if "own_grid" in mask.flags
        ]
        if own:
            images = _counted(len({array for array, _ in own}), "image has", "images have")
            raise ValueError(
                f"{images} a wanted mask on a grid of its own (flag own_grid), "
                f"such as {own[0][1]} of {own[0][0]}; a sample needs masks on the grid of their image, and nothing is "
                "resampled here: leave these images out with without_mask_flags=['own_grid'], or read such a mask by "
                "itself with volume(…).mask(…)"
            )

    def _sample(self, number: int, index: int, within: int) -> dict[str, Any]:
        """Return what is read of the volume of a row: image, masks and group of a sample."""
        volume, row = self.volume(number), self.rows[number]
        region, single, around = self._region(volume, row, index, within)
        sample = self._image(volume, region, single)
        if self.sample.masks:
            sample |= self._mask(volume, row, region, single)
            if self.sample.kind == "patch":
                sample["around"] = around
        return sample | {"group": volume.group}

    def _region(self, volume: Volume, row: Mapping[str, str], index: int, within: int) -> tuple[Region, str, str]:
        """Return the region of a sample, the axes of which it has a single index, and the mask it is centred on."""
        size = dict(zip(volume.axes, volume.shape, strict=True))
        start, length, single, around = dict.fromkeys(size, 0), dict(size), "", ""
        if self.sample.kind == "slice":
            start |= dict(zip("tz", divmod(within, size.get("z", 1)), strict=True))
            single = "tz"
        elif self.sample.kind == "patch":
            patch = self.sample.patch or {}
            epoch = self.epoch
            random = np.random.default_rng([self.sample.seed, epoch, index])
            single = "".join(axis for axis in "tz" if axis not in patch)
            for axis in "tzyx":  # always in this order, so that equal seeds draw equal patches
                length[axis] = patch.get(axis, 1 if axis in "tz" else size.get(axis, 1))
                start[axis] = int(random.integers(size.get(axis, 1) - length[axis] + 1))
            if self._is_at_foreground(index, epoch):
                around, centre = self._foreground_voxel(row, random)
                for axis, at in centre.items():
                    start[axis] = min(max(at - length[axis] // 2, 0), size[axis] - length[axis])
        length |= dict.fromkeys(single, 1)
        return tuple(slice(start[axis], start[axis] + length[axis]) for axis in volume.axes), single, around

    def _is_at_foreground(self, index: int, epoch: int) -> bool:
        """Return whether a patch is one of the share at foreground.

        The indices are divided into stretches of 1 / share, rounded up or down; of each, one random patch is. So they
        are spread evenly, and every n-th patch, as one of n processes reads them, has that share as well. Of a share
        above a half, those that are not at foreground are drawn so. Where stretches begin depends on seed and epoch, in
        steps of a volume: every volume has the same chances.
        """
        share, seed = self.sample.foreground, self.sample.seed
        if not 0 < share < 1:
            return share == 1
        number = index + self.sample.patches_per_volume * _beginning(seed, epoch)
        return _is_drawn(number, min(share, 1 - share), seed, epoch) == (share <= 0.5)

    def _foreground_voxel(self, row: Mapping[str, str], random: np.random.Generator) -> tuple[str, dict[str, int]]:
        """Return a random name of those with voxels on an image, and a random voxel of it; nothing if there is none."""
        with_voxels = [
            (word, found)
            for word, masks in zip(self.sample.masks, self._masks[row["array"]], strict=True)
            if (found := [mask for mask in masks if mask.voxels])
        ]
        if not with_voxels:
            return "", {}
        word, masks = with_voxels[int(random.integers(len(with_voxels)))]
        ends = list(itertools.accumulate(mask.voxels for mask in masks))
        chosen = masks[int(np.searchsorted(ends, int(random.integers(ends[-1])), side="right"))]
        mask = self._opened_mask(row, chosen)
        flat = mask.foreground[int(random.integers(len(mask.foreground)))]
        return word, dict(zip(mask.axes, map(int, np.unravel_index(flat, mask.shape)), strict=True))

    def _image(self, volume: Volume, region: Region, single: str) -> dict[str, Any]:
        """Return image, axes, start and affines of a sample, without the axes in `single`."""
        image, axes = self._converted(volume, region)
        affine = np.full((4, 4), np.nan)
        start = {axis: part.start for axis, part in zip(volume.axes, region, strict=True)}
        if "affine_lps" in volume.facts:
            affine = np.array(volume.facts["affine_lps"], float)
            affine[:, 3] = affine @ [start["x"], start["y"], start.get("z", 0), 1]
        image = image.squeeze(tuple(i for i, axis in enumerate(axes) if axis in single))
        axes = "".join(axis for axis in axes if axis not in single)
        if self.sample.channel and "c" not in axes:
            position = axes.find("t") + 1
            image, axes = np.expand_dims(image, position), axes[:position] + "c" + axes[position:]
        if self.sample.dtype is not None:
            image = image.astype(self.sample.dtype, copy=False)
        if not (image.dtype.isnative and image.flags.c_contiguous):
            image = np.ascontiguousarray(image.astype(image.dtype.newbyteorder("="), copy=False))
        return {
            "image": image, "axes": axes, "start": np.array(list(start.values())),
            "affine_lps": affine, "affine_ras": ras_from_lps(affine),
        }  # fmt: skip

    def _converted(self, volume: Volume, region: Region) -> tuple[NDArray[Any], str]:
        """Return the converted values of a region and their axes: those of the array, with `c` added by palettes."""
        stored, facts, axes, wanted = volume.read(region), volume.facts, volume.axes, self.sample
        if facts["photometric"] == "PALETTE COLOR" and wanted.rgb:
            return _palette_colours(stored, facts, axes)
        invert = wanted.invert and facts["photometric"] == "MONOCHROME1"
        if invert and not wanted.window:
            stored = mirrored(stored, facts["bits_stored"])
        if not (wanted.rescale or wanted.window):
            return stored, axes
        values = _rescaled(stored, facts, _frame_numbers(volume, region), wanted.missing_rescale)
        if wanted.window:
            if not facts["photometric"].startswith("MONOCHROME"):
                raise ValueError("a window is for grey values: exclude colour and palettes with where=…")
            values = self._windowed(values, facts, _frame_numbers(volume, region))
            values = 1 - values if invert else values
        return values, axes

    def _windowed(self, values: NDArray[Any], facts: Mapping[str, Any], frames: NDArray[np.intp]) -> NDArray[Any]:
        """Return values through the windows of their frames, from 0 to 1."""
        window = self.sample.window
        if not isinstance(window, bool):
            return _through_window(values, *_of_frames(window, frames, values.dtype), np.asarray("LINEAR_EXACT"))
        if "window" not in facts:
            raise ValueError("the header states no window: give one as (center, width)")
        center, width = _of_frames(facts["window"], frames, values.dtype)
        if np.isnan(center).any():
            raise ValueError("the header of some frames states no window: give one as (center, width)")
        functions = np.asarray(facts.get("window_function", "LINEAR"), str)
        return _through_window(values, center, width, functions[frames] if functions.ndim else functions)

    def _mask(self, volume: Volume, row: Mapping[str, str], region: Region, single: str) -> dict[str, Any]:
        """Return the masks of a region, one channel for each wanted name, without the axes in `single`."""
        channels = self._masks[row["array"]]
        has_t = any("t" in mask.axes for masks in channels for mask in masks)
        within = {
            axis: part for axis, part in zip(volume.axes, region, strict=True) if axis in ("tzyx" if has_t else "zyx")
        }
        out = np.zeros([len(channels), *(part.stop - part.start for part in within.values())], np.uint8)
        maxima = np.ones(len(channels), np.uint8)
        for number, masks in enumerate(channels):
            maxima[number] = largest = max((mask.maximum for mask in masks), default=1)
            if any(mask.maximum not in (1, largest) for mask in masks):
                raise ValueError(
                    f"the masks {self.sample.masks[number]!r} of {row['array']} have different maximum fractions, so "
                    "that they have no union: ask for each by its folder (column mask of masks.csv)"
                )
            for mask in masks:
                parts = [within[axis] for axis in mask.axes]
                box = mask.box or [(part.start, part.stop) for part in parts]
                common = [(max(p.start, lo), min(p.stop, hi)) for p, (lo, hi) in zip(parts, box, strict=True)]
                if not mask.voxels or any(lo >= hi for lo, hi in common):
                    continue  # none of its voxels is in this region
                opened = self._opened_mask(row, mask)
                target = [slice(lo - p.start, hi - p.start) for p, (lo, hi) in zip(parts, common, strict=True)]
                view = out[number][(..., *target)]
                if len(masks) == 1 and opened.dtype == view.dtype and opened.axes == mask.axes == "".join(within):
                    opened._read_into(view, common, is_blank=True)
                    continue
                values = opened.read(tuple(slice(lo, hi) for lo, hi in common))
                np.maximum(view, values * np.uint8(largest // mask.maximum), out=view)
        out = out.squeeze(tuple(i for i, axis in enumerate(within, 1) if axis in single))
        axes = "c" + "".join(axis for axis in within if axis not in single)
        return {"mask": out, "mask_axes": axes, "mask_maximum": maxima}

    def _opened(self, array: str) -> Volume:
        """Return an image or a mask, by its path below `images.zarr`, opened by this process."""
        volumes = self._volumes
        if volumes is None or self._process != os.getpid():
            # After a fork: close the files that the parent opened, do not read them.
            most = min(OPEN_VOLUMES * (1 + len(self.sample.masks)), OPEN_FILES)
            volumes = self._volumes = _OpenVolumes(self.folder / "images.zarr", most, self._newest)
            self._process = os.getpid()
        return volumes(array)

    def _opened_mask(self, row: Mapping[str, str], mask: _Mask) -> Volume:
        """Return a mask of an image, opened by this process, if it has as many voxels as the table says."""
        opened = self._opened(f"{row['array']}/labels/{mask.folder}")
        if opened.facts.get("voxels", mask.voxels) != mask.voxels:  # a copy may have kept the time of its original
            raise ValueError(CHANGED)
        return opened

    def _attributes(self, row: Mapping[str, str]) -> dict[str, Any]:
        """Return the attribute `dicomzarr` of an image, without opening its array."""
        return _facts(self.folder / "images.zarr" / row["array"])


# ---- One image or one mask


class Volume:
    """One image of the dataset, or one mask of an image: its attributes, and its voxels by region.

    Parameters
    ----------
    folder : Path or RemotePath
        Folder of the image, `images.zarr/<series>/<volume>`, or of the mask, `labels/<mask>` in it.

    Attributes
    ----------
    axes : str
        Axes of the array, such as ``tzyx``.
    shape : tuple of int
        Length of each axis.
    chunk : tuple of int
        Shape of a chunk, the smallest part that is read and decoded at once.
    dtype : numpy.dtype
        Type of the stored values, little-endian.
    facts : dict
        The attribute `dicomzarr` of docs/outputs.md. Long lists that are stored as arrays beside the image are in it as
        ndarrays.

    Raises
    ------
    ValueError
        If dicomzarr did not write the array.
    OSError
        If a file is missing.
    """

    def __init__(self, folder: Place) -> None:
        self._folder = folder.absolute() if isinstance(folder, Path) else folder
        for _ in range(OPENINGS):
            state = _state(self._folder)
            self._open(self._folder)
            if _state(self._folder) == state:
                return
        raise ValueError("a run replaces the image again and again: read it when the run is over")

    def read(self, region: Region | None = None) -> NDArray[Any]:
        """Return the stored values of a region.

        Parameters
        ----------
        region : tuple of slice, optional
            A slice of step 1 for each axis of the array, as in NumPy; the whole array by default.

        Returns
        -------
        ndarray
            In the type and the axis order of the array.

        Raises
        ------
        ValueError
            If a chunk is missing or does not match its crc32c, or a slice has another step.
        TypeError
            If the region is not a slice for each axis.
        """
        bounds = self._bounds(region or (slice(None),) * len(self.shape))
        out = np.empty([stop - start for start, stop in bounds], self.dtype)
        self._read_into(out, bounds)
        return out

    @property
    def masks(self) -> list[str]:
        """Folders of the masks on the grid of this image, sorted; empty if it has none."""
        folder = self._folder / "labels"
        if not (folder / "zarr.json").is_file():
            return []
        return sorted(map(str, _value(folder / "zarr.json", _metadata(folder), "attributes.ome.labels", list)))

    def mask(self, folder: str) -> Volume:
        """Return a mask of this image, also one that lies on a grid of its own.

        Parameters
        ----------
        folder : str
            The column `mask` of `masks.csv`, such as ``tumour_2``.

        Returns
        -------
        Volume
            Its axes are those of z, y, x that the image has, and t in front if it differs along t.

        Raises
        ------
        FileNotFoundError
            If the image has no such mask.
        """
        path = self._folder / "labels" / folder
        try:
            return Volume(path)
        except FileNotFoundError as error:
            if (path / "zarr.json").is_file():  # a part of the mask was lost
                raise
            there = f"those on its grid are {', '.join(self.masks) or 'none'}; others are in masks.csv"
            raise FileNotFoundError(error.errno, f"the image has no mask {folder!r}: {there}", str(path)) from None

    @property
    def positions_lps(self) -> NDArray[np.float64]:
        """Centre of the first voxel of each slice, LPS, mm, shape (slices, 3); NaN where unknown (PS3.3 C.7.6.2)."""
        facts, count = self.facts, dict(zip(self.axes, self.shape, strict=True)).get("z", 1)
        if "positions_lps" in facts:
            return np.array(facts["positions_lps"], float).reshape(count, 3)
        if "affine_lps" in facts:
            affine = np.array(facts["affine_lps"], float)
            return affine[:3, 3] + np.outer(np.arange(count), affine[:3, 2])
        if "origin_lps" in facts and (count == 1 or {"orientation_lps", "positions_mm"} <= set(facts)):
            depths = np.array(facts["positions_mm"] if count > 1 else [0.0], float)
            across = np.array(facts.get("orientation_lps", [0.0] * 6), float)
            return np.array(facts["origin_lps"], float) + np.outer(depths - depths[0], np.cross(across[:3], across[3:]))
        return np.full((count, 3), np.nan)

    @property
    def acquisition(self) -> dict[str, Any]:
        """Facts of acquisition that all frames share, such as `b_value` and `echo_time_ms`; empty if none is known."""
        return dict(self.facts.get("acquisition", {}))

    @property
    def group(self) -> str:
        """Id that this volume shares with the others of one set, such as the b-values of a series; alone, its own."""
        return str(self.facts.get("group", ""))

    @property
    def affine_residual_mm(self) -> float:
        """Largest distance of a slice from the affine, mm, where it was fitted to rounded positions; else 0."""
        return float(self.facts.get("affine_residual_mm", 0.0))

    @functools.cached_property
    def foreground(self) -> NDArray[np.int64]:
        """Of a mask: flat indices (C order) of every k-th voxel that is not 0, from its index; empty if all are 0."""
        if not (self._folder / "foreground" / "zarr.json").is_file():
            if self.facts.get("voxels", 1):
                raise ValueError(
                    "a mask has no index of its foreground: ./run verify lists missing files, ./run verify --repair "
                    "rebuilds them"
                )
            return np.zeros(0, np.int64)
        return _read_small_array(self._folder / "foreground")

    @property
    def index_bytes(self) -> int:
        """Size of the index of chunks in memory."""
        return self._index.nbytes

    def __reduce__(self) -> tuple[type[Volume], tuple[Place]]:
        # In another process the number of an open file is that of another file, and of two copies the first closes it.
        return type(self), (self._folder,)

    def _open(self, folder: Place) -> None:
        """Read metadata and the index of chunks, and open the file of the voxels."""
        path, metadata = folder / "0" / "zarr.json", _metadata(folder / "0")
        self.shape, self.dtype = _shape_and_type(path, metadata)
        names = _value(path, metadata, "dimension_names", list)
        if not all(isinstance(name, str) for name in names) or len(names) != len(self.shape):
            raise _wrong(path, f"dimension_names for an array of {_counted(len(self.shape), 'axis', 'axes')}", names)
        self.axes = "".join(names)
        codec, *more = _codecs(_value(path, metadata, "codecs", list)) or [("", {})]
        inner = [name for name, _ in _codecs(codec[1].get("codecs"))]
        if codec[0] != "sharding_indexed" or more or set(inner) - {"bytes", "blosc", "crc32c"}:
            raise ValueError(FOREIGN)
        self.chunk = _lengths(path, "chunk_shape", codec[1].get("chunk_shape"), len(self.shape))
        self._compressed = "blosc" in inner
        self._counts = tuple(math.ceil(n / c) for n, c in zip(self.shape, self.chunk, strict=True))
        self._constants: dict[bytes, tuple[NDArray[Any], bool]] = {}  # chunks of one value: it, and whether it is not 0
        self.facts = self._read_facts()
        self._file = _opened_file(folder.joinpath("0", "c", *("0" for _ in self.shape)))
        self._index = self._read_index()

    def _read_facts(self) -> dict[str, Any]:
        """Return the attribute `dicomzarr`, with the arrays that it refers to."""
        facts = _facts(self._folder)
        for holder in (facts, *(value for value in facts.values() if isinstance(value, dict))):
            for key, value in holder.items():
                if isinstance(value, dict) and set(value) == {"array"}:
                    holder[key] = _read_small_array(self._folder / value["array"])
        return facts

    def _read_index(self) -> NDArray[np.uint64]:
        """Return offset and length of each chunk, shape (chunks, 2), from the index at the end of the shard."""
        data = self._file.tail(16 * math.prod(self._counts) + 4)
        return np.frombuffer(_checked(data), "<u8").reshape(-1, 2)

    def _bounds(self, region: Region) -> list[tuple[int, int]]:
        """Return first index and end of a region along each axis."""
        is_region = isinstance(region, Sequence) and len(region) == len(self.shape)
        if not is_region or not all(isinstance(part, slice) for part in region):
            raise TypeError(
                f"a region is a tuple of slices, one for each of the axes {', '.join(self.axes)}, such as "
                f"({', '.join(f'slice(0, {n})' for n in self.shape)}); found {region!r}"
            )
        if any(part.step not in (None, 1) for part in region):
            raise ValueError(f"a region has slices of step 1: read it whole, then take every n-th; found {region!r}")
        bounds = (part.indices(n)[:2] for part, n in zip(region, self.shape, strict=True))
        return [(start, max(start, stop)) for start, stop in bounds]

    def _read_into(self, out: NDArray[Any], bounds: Sequence[tuple[int, int]], is_blank: bool = False) -> None:
        """Read a region, from first index to end along each axis, into an array; `is_blank` says that it is zeros."""
        if any(not 0 <= lo <= hi <= n for (lo, hi), n in zip(bounds, self.shape, strict=True)):
            raise ValueError("a region reaches beyond its array")
        # Along each axis: the chunks there, and for each of them where its part of the region lies in the region, and
        # where in the chunk.
        blocks, targets, sources = [], [], []
        for (lo, hi), edge in zip(bounds, self.chunk, strict=True):
            starts = range(lo - lo % edge, hi, edge)
            blocks.append(slice(lo // edge, lo // edge + len(starts)))
            targets.append([slice(max(start - lo, 0), min(start + edge, hi) - lo) for start in starts])
            sources.append([slice(max(lo - start, 0), min(hi - start, edge)) for start in starts])
        entries: list[list[int]] = self._index.reshape(*self._counts, 2)[tuple(blocks)].reshape(-1, 2).tolist()
        dtype, shape, decode, constants = self.dtype, self.chunk, self._decoder(), self._constants
        size = math.prod(shape) * dtype.itemsize
        longest_constant = min(size >> 6, CONSTANT_BYTES)
        inner = next((axis for axis, edge in enumerate(shape) if edge > 1), 0) + 1
        # Whether a whole chunk is contiguous in the region.
        is_in_place = out.shape[inner:] == shape[inner:] and out.flags.c_contiguous
        chunks = zip(itertools.product(*targets), itertools.product(*sources), self._read_chunks(entries), strict=True)
        for target, source, data in chunks:
            # Background is many equal chunks of one value. What is equal to bytes that were decoded is not decoded.
            is_short = len(data) < longest_constant
            if is_short and (constant := constants.get(data)) is not None:
                if constant[1] or not is_blank:
                    out[target] = constant[0]
            elif is_in_place and not is_short and (view := out[target]).shape == shape:
                decode(data, view)
            else:
                content = decode(data, None)
                if is_short and len(constants) < CONSTANTS:
                    one = content[: dtype.itemsize]
                    if content == one * (size // dtype.itemsize):
                        constants[data] = np.frombuffer(one, dtype), any(one)
                out[target] = np.ndarray(shape, dtype, content)[source]

    def _read_chunks(self, entries: Sequence[Sequence[int]]) -> Iterator[bytes]:
        """Yield chunks with the crc32c at their end, checked; those that lie one behind the other are read at once."""
        crc32c, longest, start = _libraries()[0], self._file.longest_run, 0
        while start < len(entries):
            (first, length), after = entries[start], start + 1
            if first == MISSING:
                raise ValueError(f"a chunk is missing{REMEDY}")
            end = first + length
            while after < len(entries) and entries[after][0] == end and end + entries[after][1] - first <= longest:
                end += entries[after][1]
                after += 1
            run = self._file.read(end - first, first)
            for offset, length in entries[start:after]:
                data = run[offset - first : offset - first + length]
                if length < 4 or crc32c(data) != CRC_OF_WHOLE:
                    raise ValueError(DAMAGED)
                yield data
            start = after

    def _decoder(self) -> Callable[[bytes, NDArray[Any] | None], bytes]:
        """Return the function that decodes a chunk, with its crc32c: into a C-contiguous array, or into bytes."""
        size = math.prod(self.chunk) * self.dtype.itemsize
        if not self._compressed:
            return functools.partial(_raw, size)
        blosc = _libraries()[1]
        blosc.use_threads = False  # its threads would not survive a fork, and worker processes run in parallel anyway
        decompress, stated = blosc.decompress, size.to_bytes(4, "little")

        def decode(data: bytes, out: NDArray[Any] | None) -> bytes:
            # Else some of `out` would not be filled, or more be read than there is. Blosc stops where its frame does.
            if data[4:8] != stated or data[12:16] != (len(data) - 4).to_bytes(4, "little"):
                raise ValueError("a chunk has another size than its array states: the dataset is damaged")
            try:
                content: bytes = decompress(data, out)
            except RuntimeError:
                raise ValueError("a chunk cannot be decoded: the dataset is damaged") from None
            return content

        return decode


# ---- Tables for pandas


def volumes(dataset: Location) -> Any:
    """Return `volumes.csv` as a `pandas.DataFrame`, one row per volume.

    Parameters
    ----------
    dataset : path or URL
        The folder with `volumes.csv`, or a results folder that holds it as `dataset`; or a URL.

    Returns
    -------
    pandas.DataFrame
        Its index is `array`. `bits_stored`, `frames`, `source_bytes` and `stored_bytes` (bytes) are integers
        (``Int64``, which has a missing value). `shape` holds a tuple of int in the order of `axes`; `spacing_mm` a
        tuple of float (mm), the spatial axes in the same order, empty if unknown. `flags` becomes a column ``flag_…``
        (bool) for each flag that occurs. All other columns, labels among them, are text (``string``) as in the file,
        where an empty cell, and only that, is a missing value. `pandas.to_numeric` converts labels that are numbers.

    Raises
    ------
    FileNotFoundError
        If the folder has no `volumes.csv`.
    """
    pandas, place = _pandas(), place_of(dataset)
    text = _table(place / "volumes.csv", *_VOLUME_COLUMNS)
    table = pandas.read_csv(text, dtype="string", keep_default_na=False, na_values=[""])
    _check_count(place, "volumes.csv", table)
    for column in _INTEGER_COLUMNS:
        table[column] = table[column].astype("Int64")
    table["shape"] = [tuple(map(int, text.split("x"))) for text in table["shape"]]
    spacings = table["spacing_mm"].fillna("")
    table["spacing_mm"] = [tuple(float(part) for part in text.split("x") if part) for text in spacings]
    _flags_as_columns(table)
    return table.set_index("array")


def masks(dataset: Location) -> Any:
    """Return `masks.csv` as a `pandas.DataFrame`, one row per mask.

    Parameters
    ----------
    dataset : path or URL
        The folder with `masks.csv`, or a results folder that holds it as `dataset`; or a URL.

    Returns
    -------
    pandas.DataFrame
        Its index is `array` (that of the image) and `mask`. `voxels`, `slices` and `maximum_fraction` are integers
        (``Int64``), `volume_ml` and `outside` numbers (``Float64``). `shape` holds a tuple of int, `bounding_box` a
        tuple of (first, end) in the order of the axes, empty for an empty mask. `flags` becomes a column ``flag_…``
        (bool) for each flag that occurs. All other columns are text (``string``).

    Raises
    ------
    FileNotFoundError
        If the folder has no `masks.csv`.
    """
    pandas, place = _pandas(), place_of(dataset)
    text = _table(place / "masks.csv", *_MASK_COLUMNS)
    table = pandas.read_csv(text, dtype="string", keep_default_na=False, na_values=[""])
    _check_count(place, "masks.csv", table)
    for column, kind in _MASK_NUMBERS.items():
        if column in table:
            table[column] = table[column].astype(kind)
    if "shape" in table:
        table["shape"] = [tuple(map(int, text.split("x"))) for text in table["shape"]]
    table["bounding_box"] = [_ranges(text) for text in table["bounding_box"].fillna("")]
    _flags_as_columns(table)
    return table.set_index(["array", "mask"])


# ---- Samples for frameworks


def channel_xyz(sample: Mapping[str, Any], key: str = "image") -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the image or the mask of a sample as (channel, x, y, z) with its RAS affine, for MONAI and TorchIO.

    Parameters
    ----------
    sample : mapping
        A sample of `DicomZarrDataset`.
    key : str
        ``image`` or ``mask``.

    Returns
    -------
    values : ndarray, shape (channels, x, y, z)
        Channels are the colours, the times or the masks; a missing axis has length 1.
    affine : ndarray of float64, shape (4, 4)
        From index (x, y, z, 1) to RAS millimetres.

    Raises
    ------
    ValueError
        If the sample has no affine, no mask, or both several times and several colours or masks.
    """
    if key not in sample:
        raise ValueError(f"the sample has no {key!r}: key is 'image', or 'mask' of a dataset with masks=…")
    affine = sample["affine_ras"]
    if not np.isfinite(affine).all():
        raise ValueError(
            "the sample has no affine, and resampling with one of NaN gives a constant image: select images that have "
            "one with require_affine=True, or use the arrays of the sample, which need no affine"
        )
    axes, values = sample["axes" if key == "image" else f"{key}_axes"], sample[key]
    if "t" in axes and "c" in axes and values.shape[axes.index("c")] > 1:
        raise ValueError("the sample has both times and channels: read slices or patches, which have one time")
    values = values.transpose([axes.index(axis) for axis in "tcxyz" if axis in axes])
    for position, axis in enumerate("tcxyz"):
        values = values if axis in axes else np.expand_dims(values, position)
    return np.ascontiguousarray(values.reshape(-1, *values.shape[2:])), affine


_SIGNS = np.diag([-1.0, -1.0, 1.0, 1.0])  # of the axes of RAS in LPS


def ras_from_lps(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the affine to RAS coordinates (NIfTI, MONAI, TorchIO) for one to LPS coordinates (DICOM, ITK).

    Parameters
    ----------
    affine : ndarray of float64, shape (4, 4)
        From index (x, y, z, 1) to LPS millimetres.

    Returns
    -------
    ndarray of float64, shape (4, 4)
        From the same index to RAS millimetres.
    """
    return _SIGNS @ affine


# ---- The naive list


def load_images(folder: Location, source: Any = None) -> list[NDArray[Any]]:
    """Return what ``[dcmread(path, force=True).pixel_array for path in ...]`` returns: stored values, image by image.

    Parameters
    ----------
    folder : path or URL
        A results folder with `private/frames.csv`: one array for each extracted file, in the order of the paths in the
        manifest. Or a dataset folder alone, in its own order: a volume that is all of one multi-frame file is one
        array, with frames in the order of that file; every other frame is an array.
    source : path or mapping of str to path
        The source folder, or a source folder for each label, for the order of `os.walk` there. That order depends on
        the file system and differs between disks.

    Returns
    -------
    list of ndarray
        Stored values in the type of the dataset, shape (rows, columns), with an axis of frames first if a file has
        several, and 3 colours last. All images are in memory at once.

    Raises
    ------
    ValueError
        If `source` is given without `private/frames.csv`, or lacks files that the dataset was made from.
    """
    dataset, given = place_of(folder), _folder_or_url(folder)
    table = given / "private" / "frames.csv" if isinstance(given, Path) else None  # of a server there is no such file
    frames = {row["array"]: _as_frames(Volume(dataset / "images.zarr" / row["array"])) for row in read_rows(dataset)}
    if table is None or not table.is_file():
        if source is not None:
            raise ValueError("the order of the source needs private/frames.csv: give the results folder")
        opened = ((Volume(dataset / "images.zarr" / array), array_frames) for array, array_frames in frames.items())
        return [image for volume, array_frames in opened for image in _as_images(volume, array_frames)]
    depth = {row["array"]: _sizes(row).get("z", 1) for row in read_rows(dataset)}
    files: dict[str, list[tuple[int, NDArray[Any]]]] = {}
    with open(table, newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            number = int(row["t"] or 0) * depth[row["array"]] + int(row["z"] or 0)
            files.setdefault(row["path"], []).append((int(row["frame"]), frames[row["array"]][number]))
    images = {
        path: [frame for _, frame in sorted(numbered, key=lambda item: item[0])] for path, numbered in files.items()
    }
    order = list(images)
    if source is not None:
        walk = _walk_order(source)
        if not all(_decoded(path) in walk for path in order):
            raise ValueError("the source lacks files that the dataset was made from")
        order.sort(key=lambda path: walk[_decoded(path)])
    return [images[path][0] if len(images[path]) == 1 else np.stack(images[path]) for path in order]


def _as_frames(volume: Volume) -> list[NDArray[Any]]:
    """Return the frames of a volume in array order, each (rows, columns) or (rows, columns, 3)."""
    voxels = volume.read()
    if "c" in volume.axes:
        voxels = np.moveaxis(voxels, volume.axes.index("c"), -1)
    inner = voxels.shape[-3:] if "c" in volume.axes else voxels.shape[-2:]
    return [np.ascontiguousarray(frame) for frame in voxels.reshape(-1, *inner)]


def _as_images(volume: Volume, frames: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return the images of a volume: one if it is all of one multi-frame file, else one for each frame."""
    numbers = volume.facts.get("one_file")
    if numbers is None:
        return frames
    return [np.stack(frames)[np.argsort(range(len(frames)) if numbers is True else numbers)]]


def _walk_order(source: Any) -> dict[str, int]:
    """Return the position of each file in the order of `os.walk`, by its decoded path in the manifest."""
    roots = {f"{label}/": root for label, root in source.items()} if isinstance(source, Mapping) else {"": source}
    paths = (
        prefix + os.path.relpath(os.path.join(folder, name), root)
        for prefix, root in roots.items()
        for folder, _, names in os.walk(root)
        for name in names
    )
    return {path: number for number, path in enumerate(paths)}


def _decoded(path: str) -> str:
    """Return a path of the manifest without percent-encoding."""
    return os.fsdecode(unquote_to_bytes(path))


# ---- Inside: options


def _options(select: Select | None, sample: Sample | str | None, options: Mapping[str, Any]) -> tuple[Select, Sample]:
    """Return what to select and what to make of it, from objects, keywords, or both."""
    of_select, of_sample = ({field.name for field in fields(each)} for each in (Select, Sample))
    names = {*of_select, *of_sample, "select", "sample"} - {"kind"}  # `sample` is its short form
    for name in options:
        if name not in names:
            hint = _nearest(name, names).strip() or f"it has {', '.join(sorted(names))}"
            raise TypeError(f"DicomZarrDataset has no option {name!r}: {hint}")
    if not isinstance(select, Select | None):
        raise TypeError(f"select is a Select(…), not {type(select).__name__}")
    if not isinstance(sample, Sample | str | None):
        raise TypeError(f"sample is a Sample(…) or volume, slice or patch, not {type(sample).__name__}")
    if isinstance(sample, str):
        options, sample = {"kind": sample, **options}, None
    return (
        replace(select or Select(), **{name: value for name, value in options.items() if name in of_select}),
        replace(sample or Sample(), **{name: value for name, value in options.items() if name in of_sample}),
    )


def _texts(name: str, value: str | Collection[str]) -> tuple[str, ...]:
    """Return one text or several as a tuple."""
    texts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{name} is a text or a collection of texts, as in the tables: '1', not 1; found {value!r}")
    return texts


def _check_switches(options: Select | Sample, names: Sequence[str]) -> None:
    """Refuse what is neither True nor False: a text such as ``"false"``, as of a command line, would count as True."""
    for name in names:
        value = getattr(options, name)
        if not isinstance(value, bool | int | np.bool_) or value not in (0, 1):
            raise TypeError(f"{name} is True or False; found {value!r}")


def _check_dtype(dtype: Any) -> None:
    """Refuse what is no type of numbers in NumPy, such as a type of PyTorch."""
    try:
        is_number = dtype is None or np.dtype(dtype).kind in "biuf"
    except (TypeError, ValueError):
        is_number = False
    if not is_number:
        raise TypeError(f"dtype is a type of numbers in NumPy, such as 'float32'; found {dtype!r}")


def _check_callable(name: str, function: Any) -> None:
    """Refuse what is neither a function nor None."""
    if function is not None and not callable(function):
        raise TypeError(f"{name} is a function; found {function!r}")


def _is_window(window: Any) -> bool:
    """Return whether a window is two numbers, center and width, with a width above 0."""
    if isinstance(window, str | Set | Mapping):  # a set has no order
        return False
    try:
        center, width = map(float, window)
    except (TypeError, ValueError):
        return False
    return math.isfinite(center) and 0 < width < math.inf


def _sizes_along(name: str, sizes: Mapping[str, int] | None, axes: str) -> dict[str, int]:
    """Return sizes along axes as a dict of int."""
    if sizes is not None and not isinstance(sizes, Mapping):
        raise TypeError(f"{name} names the axes, such as {{'z': 16, 'y': 32, 'x': 32}}; found {sizes!r}")
    sizes = dict(sizes or {})
    if not set(sizes) <= set(axes):
        raise ValueError(f"{name} has sizes along {', '.join(axes[:-1])} and {axes[-1]}")
    return {axis: _whole(name, size, 1 if name == "patch" else 0) for axis, size in sizes.items()}


def _whole(name: str, number: Any, least: int) -> int:
    """Return a whole number that is not below another."""
    try:
        whole = operator.index(number)
    except TypeError:
        raise TypeError(f"{name} takes whole numbers; found {number!r}") from None
    if whole < least:
        raise ValueError(f"{name} takes whole numbers from {least} on; found {number!r}")
    return whole


def _index(index: Any, count: int, what: str) -> int:
    """Return an index from 0 on, for one that may count from the end."""
    try:
        number = operator.index(index)
    except TypeError:
        raise TypeError(
            f"the index of a {what} is a whole number; found {index!r}. For several, index one by one (a loader of "
            "PyTorch does), or choose rows with where=…"
        ) from None
    if not -count <= number < count:
        raise IndexError(f"there is no {what} {number}: the dataset has {_counted(count, what, what + 's')}")
    return number % count


def _nearest(word: str, known: Collection[str]) -> str:
    """Return a question for the nearest of the known words, with a blank after it; empty if none is near."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.65)
    return f"did you mean {close[0]!r}? " if close else ""


def _counted(number: int, singular: str, plural: str) -> str:
    """Return a number and words that fit it."""
    return f"{number} {singular if number == 1 else plural}"


def _listed(known: Collection[str]) -> str:
    """Return the known words, or the first of many, as a text."""
    shown = ", ".join(repr(each) for each in sorted(known)[:VALUES_SHOWN]) or "none"
    return shown + (f" and {len(known) - VALUES_SHOWN} more" if len(known) > VALUES_SHOWN else "")


def _check_known(what: str, values: Iterable[str], known: Collection[str]) -> None:
    """Refuse a value that no image has."""
    for value in values:
        if value not in known and set(known) == {""}:
            hint = "; configure `splits` and start the run again" if what == "split" else ""
            raise ValueError(f"no image has {what} {value!r}: none has any{hint}")
        if value not in known:
            raise ValueError(f"no image has {what} {value!r}: {_nearest(value, known)}there are {_listed(known)}")


# ---- Inside: selection


def _selected(rows: list[dict[str, str]], select: Select) -> list[dict[str, str]]:
    """Return the rows of `volumes.csv` that the filters by its columns select."""
    single = {"split": select.split, "modality": select.modality, "axes": select.axes, **(select.labels or {})}
    exact: dict[str, Collection[str]] = {column: values for column, values in single.items() if values is not None}
    columns = set(rows[0]) if rows else set(exact)
    for column, values in exact.items():
        if column not in columns:
            raise ValueError(
                f"volumes.csv has no column {column}: {_nearest(column, columns)}it has {_listed(columns)}"
            )
        _check_known(column, values, {row[column] for row in rows})
    _check_known("flag", select.with_flags, {flag for row in rows for flag in row["flags"].split()})
    sizes = {row["array"]: _sizes(row) for row in rows} if select.shape or select.min_shape else {}
    for axis, n in (select.shape or {}).items():
        known = {size.get(axis, 1) for size in sizes.values()}
        _check_known(f"size along {axis}", [str(n)], {str(size) for size in known})
    with_flags, without_flags = set(select.with_flags), set(select.without_flags)
    return [
        row
        for row in rows
        if all(row[column] in values for column, values in exact.items())
        and with_flags <= set(row["flags"].split())
        and not without_flags & set(row["flags"].split())
        and all(sizes[row["array"]].get(axis, 1) == n for axis, n in (select.shape or {}).items())
        and all(sizes[row["array"]].get(axis, 1) >= n for axis, n in (select.min_shape or {}).items())
    ]


# Flags of a mask without voxels which say that the structure is there all the same: no example of its absence.
_DRAWN = frozenset({"nothing_left", "point_contours"})


@dataclass(frozen=True, slots=True)
class _Mask:
    """One mask of an image, as `masks.csv` describes it."""

    folder: str
    name: str
    axes: str
    voxels: int
    maximum: int  # 1, or Maximum Fractional Value (0062,000E)
    box: tuple[tuple[int, int], ...] | None  # where its voxels are, along its axes; None if the table does not say
    flags: frozenset[str]

    @property
    def is_lost(self) -> bool:
        """Whether it has no voxel although the structure was drawn."""
        return not self.voxels and not _DRAWN.isdisjoint(self.flags)


def _mask_of(row: Mapping[str, str], image_axes: str) -> _Mask:
    """Return a mask from its row of `masks.csv` and the axes of its image."""
    spatial = "".join(axis for axis in image_axes if axis in "zyx")
    box = _ranges(row.get("bounding_box", ""))
    dimensions = row["shape"].count("x") + 1 if row.get("shape") else len(box)
    axes = "t" + spatial if dimensions > len(spatial) else spatial
    return _Mask(
        folder=row["mask"],
        name=row.get("name") or row["mask"],
        axes=axes,
        voxels=int(row["voxels"]),
        maximum=int(row.get("maximum_fraction") or 1),
        box=box if len(box) == len(axes) else None,
        flags=frozenset(row["flags"].split()),
    )


def _sizes(row: Mapping[str, str]) -> dict[str, int]:
    """Return the length of each axis of a volume."""
    return dict(zip(row["axes"], map(int, row["shape"].split("x")), strict=True))


def _frames(row: Mapping[str, str]) -> int:
    """Return the number of frames of a volume, over all t and z."""
    sizes = _sizes(row)
    return sizes.get("t", 1) * sizes.get("z", 1)


# ---- Inside: epochs


class _Epoch:
    """The number of an epoch, in memory that worker processes share with the process that started them.

    Workers may live longer than an epoch. A process that was started with the dataset and sets the number itself has
    its own from then on: of several processes that train, one may be an epoch ahead.
    """

    def __init__(self) -> None:
        self._process = -1  # whose memory it is
        self.set(0)

    def set(self, number: int) -> None:
        """Change the number in this process and in its workers."""
        if self._process != os.getpid():
            self._process, self._memory = os.getpid(), _shared_number()
        self._memory.value = number

    def get(self) -> int:
        """Return the number."""
        return int(self._memory.value)

    def __getstate__(self) -> tuple[int, int, Any]:
        # Shared memory can be handed to a process that is being started, and to no other.
        is_start = multiprocessing.context.get_spawning_popen() is not None
        return self.get(), self._process, self._memory if is_start else None

    def __setstate__(self, state: tuple[int, int, Any]) -> None:
        number, self._process, self._memory = state
        if self._memory is None:
            self._process = -1
            self.set(number)


def _shared_number() -> Any:
    """Return memory for a number, as `value`; in a process that may write no file at all, not shared."""
    try:
        return multiprocessing.RawValue("q", 0)
    except OSError:
        return SimpleNamespace(value=0)


@functools.lru_cache(maxsize=8)
def _beginning(seed: int, epoch: int) -> int:
    """Return by how many volumes the stretches are shifted of which one patch each is at foreground."""
    return int(np.random.default_rng([seed, epoch]).integers(1 << 20))


def _is_drawn(number: int, share: float, seed: int, epoch: int) -> bool:
    """Return whether a number is the one that is drawn of its stretch; `share` is above 0, a half at most."""
    top, bottom = float(share).as_integer_ratio()  # exact: each number is in one stretch
    stretch = number * top // bottom
    first, end = -(-stretch * bottom // top), -(-(stretch + 1) * bottom // top)
    random = np.random.default_rng([seed, epoch, stretch, 1])  # three numbers alone are those of a patch
    return number == first + int(random.integers(min(end - first, 1 << 62)))


# ---- Inside: values


def mirrored(stored: NDArray[Any], bits_stored: int) -> NDArray[Any]:
    """Return stored values mirrored in the range of Bits Stored (0028,0101): the smallest becomes the largest.

    Parameters
    ----------
    stored : ndarray of int
        Stored values, of any shape.
    bits_stored : int
        Bits Stored (0028,0101).

    Returns
    -------
    ndarray
        ``2**bits_stored - 1 - stored`` if unsigned, ``-1 - stored`` if signed; in the type of `stored`.

    Raises
    ------
    ValueError
        If the values are floating-point.
    """
    if stored.dtype.kind == "f":
        raise ValueError("floating-point pixel data has no range of Bits Stored, so it cannot be inverted")
    largest = (1 << bits_stored) - 1 if stored.dtype.kind == "u" else -1
    inverted: NDArray[Any] = stored.dtype.type(largest) - stored
    return inverted


def _frame_numbers(volume: Volume, region: Region) -> NDArray[np.intp]:
    """Return the number of the frame at each t and z of a region, in a shape that broadcasts with its values."""
    size = dict(zip(volume.axes, volume.shape, strict=True))
    within = dict(zip(volume.axes, region, strict=True))
    numbers = np.arange(size.get("t", 1) * size.get("z", 1)).reshape(size.get("t", 1), size.get("z", 1))
    numbers = numbers[within.get("t", slice(None)), within.get("z", slice(None))]
    lengths = {"t": numbers.shape[0], "z": numbers.shape[1]}
    return numbers.reshape([lengths.get(axis, 1) for axis in volume.axes])


def _of_frames(pairs: Any, frames: NDArray[np.intp], dtype: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the first and the second numbers of the pairs of frames, or of the one pair that all frames share.

    The numbers of a frame without a pair (null, or NaN in a small array) are NaN.
    """
    if not isinstance(pairs, np.ndarray):
        pairs = [(np.nan, np.nan) if pair is None else pair for pair in pairs]
    table = np.asarray(pairs, dtype)
    chosen = table[frames] if table.ndim == 2 else table
    return chosen[..., 0], chosen[..., 1]


def _rescaled(stored: NDArray[Any], facts: Mapping[str, Any], frames: NDArray[np.intp], missing: str) -> NDArray[Any]:
    """Return physical values: by rescale, Modality LUT or Dose Grid Scaling, the first that there is."""
    kind = np.result_type(stored.dtype, np.float32)
    values: NDArray[Any]
    if "rescale" in facts:
        slope, intercept = _of_frames(facts["rescale"], frames, kind)
        is_missing = np.isnan(slope) | np.isnan(intercept)
        if missing == "error" and is_missing.any():
            raise ValueError(NO_RESCALE)
        if missing == "stored":
            slope, intercept = np.where(is_missing, kind.type(1), slope), np.where(is_missing, kind.type(0), intercept)
        values = stored * slope + intercept
        return values
    if "modality_lut" in facts:
        lut = facts["modality_lut"]
        return _entries(stored, lut["first"], np.asarray(lut["values"], kind))
    values = stored.astype(kind) * kind.type(facts.get("dose_grid_scaling", 1))
    if "rescale_incomplete" in facts.get("flags", ()) and "dose_grid_scaling" not in facts and missing != "stored":
        if missing == "error":  # no frame has a whole pair
            raise ValueError(NO_RESCALE)
        values = np.full_like(values, np.nan)
    return values


def _through_window(
    values: NDArray[Any], center: NDArray[Any], width: NDArray[Any], function: NDArray[np.str_]
) -> NDArray[Any]:
    """Return values through windows whose functions are named as in VOI LUT Function (0028,1056), from 0 to 1.

    LINEAR: PS3.3 C.11.2.1.2.1, SIGMOID: C.11.2.1.3.1, LINEAR_EXACT: C.11.2.1.3.2. The width of LINEAR is 1, which is a
    step, or more: a smaller one is that of LINEAR_EXACT.
    """
    kind = values.dtype.type
    is_linear = (function == "LINEAR") & ~((width > 0) & (width < 1))
    middle, length = center - np.where(is_linear, kind(0.5), kind(0)), width - np.where(is_linear, kind(1), kind(0))
    ramp = np.clip((values - middle) / np.where(length > 0, length, kind(1)) + kind(0.5), 0, 1)
    shown: NDArray[Any] = np.where(length > 0, ramp, values > middle)
    is_sigmoid = (function == "SIGMOID") & (length > 0)
    if is_sigmoid.any():
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            shown = np.where(is_sigmoid, 1 / (1 + np.exp(-4 * (values - center) / width)), shown)
    return shown.astype(values.dtype, copy=False)


def _entries(stored: NDArray[Any], first: int, table: NDArray[Any]) -> NDArray[Any]:
    """Return the table entry of each stored value; values outside take the first or last one (PS3.3 C.11.1.1)."""
    entries: NDArray[Any] = table[np.clip(stored.astype(np.int64) - first, 0, len(table) - 1)]
    return entries


def _palette_colours(stored: NDArray[Any], facts: Mapping[str, Any], axes: str) -> tuple[NDArray[Any], str]:
    """Return the colours of palette indices, with the axis `c`, and the axes (PS3.3 C.7.9)."""
    if "palette" not in facts:
        raise ValueError(
            "the header states no palette: exclude the image with where=…, or read its indices without rgb"
        )
    palette = facts["palette"]
    kind = np.uint8 if palette["bits"] == 8 else np.uint16
    position = axes.find("t") + 1
    planes = [_entries(stored, palette["first"], np.asarray(palette[name], kind)) for name in ("red", "green", "blue")]
    return np.stack(planes, axis=position), axes[:position] + "c" + axes[position:]


# ---- Inside: tables


_VOLUME_COLUMNS = ("array", "axes", "shape", "flags")  # those that no version of the table lacks and all reading needs
_MASK_COLUMNS = ("array", "mask", "voxels", "flags")
_INTEGER_COLUMNS = ("bits_stored", "frames", "source_bytes", "stored_bytes")
_MASK_NUMBERS = {
    "voxels": "Int64", "slices": "Int64", "maximum_fraction": "Int64", "volume_ml": "Float64", "outside": "Float64",
}  # fmt: skip


def read_rows(dataset: Place) -> list[dict[str, str]]:
    """Return the rows of `volumes.csv` as text.

    Parameters
    ----------
    dataset : Path or RemotePath
        The dataset folder itself.

    Returns
    -------
    list of dict of str to str
    """
    rows = _rows_of(dataset / "volumes.csv", *_VOLUME_COLUMNS)
    _check_count(dataset, "volumes.csv", rows)
    return rows


def read_masks(dataset: Place) -> list[dict[str, str]]:
    """Return the rows of `masks.csv` as text.

    Parameters
    ----------
    dataset : Path or RemotePath
        The dataset folder itself.

    Returns
    -------
    list of dict of str to str
        Empty if the dataset has no such file.
    """
    path = dataset / "masks.csv"
    if not path.is_file():
        return []
    rows = _rows_of(path, *_MASK_COLUMNS)
    _check_count(dataset, "masks.csv", rows)
    return rows


def _table(path: Place, *columns: str) -> io.StringIO:
    """Return the text of a table that has some columns; raise `ValueError` if it was cut off."""
    try:
        text = path.read_bytes().decode("utf-8")
        header = next(csv.reader(io.StringIO(text, newline="")), [])
    except (UnicodeDecodeError, csv.Error):
        text, header = "", []
    if not text.endswith("\n") or not set(columns) <= set(header):
        raise _damaged_table(path)
    return io.StringIO(text, newline="")


def _rows_of(path: Place, *columns: str) -> list[dict[str, str]]:
    """Return the rows of a table that has some columns; each has all cells. Equal cells are one object in memory."""
    rows, texts = [], dict[str, str]()
    try:
        for row in csv.DictReader(_table(path, *columns)):
            if None in row or None in row.values():  # a cell too many, or one too few
                raise _damaged_table(path)
            rows.append({name: texts.setdefault(cell, cell) for name, cell in row.items()})
    except csv.Error:
        raise _damaged_table(path) from None
    return rows


def _check_count(dataset: Place, table: str, rows: Sized) -> None:
    """Refuse a table with fewer or more rows than dataset.json counts: cut off at the end of a row, it looks whole.

    Without dataset.json, which a run that changes the dataset removes, nothing is known.
    """
    path = dataset / "dataset.json"
    try:
        counted = json.loads(path.read_bytes())["counts"][Path(table).stem.replace("volumes", "arrays")]
    except (OSError, ValueError, LookupError, TypeError):
        return
    if counted != len(rows):
        raise ValueError(
            f"{dataset / table}: found {_counted(len(rows), 'row', 'rows')}, needed are {counted}, as "
            f"dataset.json counts; the table was cut off, or changed by another program{REMEDY}"
        )


def _damaged_table(path: Place) -> ValueError:
    return ValueError(f"{path} is damaged, or was changed by another program{REMEDY}")


def _pandas() -> Any:
    """Return pandas, of no stated type: this file is checked by mypy with and without the types of pandas."""
    return importlib.import_module("pandas")


def _flags_as_columns(table: Any) -> None:
    """Replace the column `flags` of a pandas table by a column of bool for each flag that occurs."""
    flags = [frozenset(text.split()) for text in table.pop("flags").fillna("")]
    for flag in sorted(frozenset().union(*flags)):
        table[f"flag_{flag}"] = [flag in row_flags for row_flags in flags]


def _ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges of a bounding box, such as ``3:9 10:20 0:5``."""
    pairs = (part.split(":") for part in text.split())
    return tuple((int(first), int(end)) for first, end in pairs)


# ---- Inside: open volumes


class _OpenVolumes:
    """Opens volumes, and holds those that were used last: at most a number of them, and of bytes of their indexes."""

    def __init__(self, folder: Place, most: int, newest: int | None = None) -> None:
        self._folder, self._most = folder, most
        self._newest = newest  # ns since 1970: what was written later is refused
        self._volumes: dict[str, Volume] = {}  # by path below the folder; the one that was used last is the last

    def __call__(self, array: str) -> Volume:
        volume = self._volumes.pop(array, None)
        is_new = volume is None
        if is_new and self._newest is not None:
            path = self._folder / array / "zarr.json"
            if isinstance(path, Path) and path.stat().st_mtime_ns > self._newest:
                raise ValueError(CHANGED)
        volume = self._volumes[array] = volume or Volume(self._folder / array)
        if is_new:
            held = list(self._volumes.items())
            size = sum(each.index_bytes for _, each in held)
            for number, (other, each) in enumerate(held[:-1]):
                if len(held) - number <= self._most and size <= OPEN_INDEXES:
                    break
                size -= each.index_bytes
                self._volumes.pop(other, None)
        return volume


def _described_until(dataset: Place) -> int | None:
    """Return when the tables of a dataset ceased to describe images that are written, ns since 1970.

    A run removes dataset.json before it replaces the first image, and writes the tables after the last one.
    """
    if not isinstance(dataset, Path):
        return None  # a published version never changes
    sealed, path = dataset / "dataset.json", dataset / "masks.csv"
    if sealed.is_file():
        return max(time.time_ns(), sealed.stat().st_mtime_ns)  # the clock of a file server may be ahead
    is_of_results = (dataset.parent / "private").is_dir()  # a run is at work only there; in copies times mean nothing
    return path.stat().st_mtime_ns if is_of_results and path.is_file() else time.time_ns()


# ---- Inside: metadata


def _state(folder: Place) -> tuple[int, int, int] | None:
    """Return what changes where a run replaces an image or a mask; None of a URL.

    Between metadata and voxels an image may be replaced: its facts would be those of the old one.
    """
    if not isinstance(folder, Path):
        return None  # a published version never changes
    state = (folder / "zarr.json").stat()
    return state.st_dev, state.st_ino, state.st_mtime_ns


def _metadata(folder: Place) -> dict[str, Any]:
    """Return the `zarr.json` of a group or an array."""
    path = folder / "zarr.json"
    try:
        metadata = json.loads(path.read_bytes())
    except ValueError:
        raise ValueError(f"{path} is damaged{REMEDY}") from None
    if not isinstance(metadata, dict):
        raise _wrong(path, "an object of JSON", metadata)
    return metadata


def _facts(folder: Place) -> dict[str, Any]:
    """Return the attribute `dicomzarr` of an image or a mask, as its `zarr.json` has it."""
    facts: dict[str, Any] = _value(folder / "zarr.json", _metadata(folder), "attributes.dicomzarr", dict)
    return facts


def _value(path: Place, metadata: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return a value of metadata, by its keys with a point between them; raise `ValueError` if its type is another."""
    value: Any = metadata
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, kind):
        raise _wrong(path, f"{name}, {'an object' if kind is dict else 'a list' if kind is list else 'a text'}", value)
    return value


def _lengths(path: Place, name: str, found: Any, axes: int) -> tuple[int, ...]:
    """Return whole numbers from 1, one for each axis."""
    if (
        not isinstance(found, list)
        or len(found) != axes
        or not all(type(length) is int and length > 0 for length in found)
    ):
        raise _wrong(path, f"{name}, a list of whole numbers from 1, one for each axis", found)
    return tuple(found)


def _shape_and_type(path: Place, metadata: Mapping[str, Any]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape of an array, and its type, little-endian."""
    shape = _value(path, metadata, "shape", list)
    shape = _lengths(path, "shape", shape, max(len(shape), 1))
    kind = _value(path, metadata, "data_type", str)
    if not re.fullmatch(r"bool|u?int(8|16|32|64)|float(16|32|64)", kind):
        raise _wrong(path, "data_type, a type of whole numbers or floating point", kind)
    return shape, np.dtype(kind).newbyteorder("<")


def _codecs(found: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return name and configuration of each codec; of what is none, no name."""
    listed = [each if isinstance(each, dict) else {} for each in (found if isinstance(found, list) else ())]
    pairs = [(str(each.get("name", "")), each.get("configuration")) for each in listed]
    return [(name, settings if isinstance(settings, dict) else {}) for name, settings in pairs]


def _wrong(path: Place, needed: str, found: Any) -> ValueError:
    """Return the error for metadata that is JSON, but not that of an array of dicomzarr."""
    text = "nothing" if found is None else json.dumps(found)
    text = text if len(text) <= VALUE_SHOWN else f"{text[:VALUE_SHOWN]}…"
    return ValueError(f"{path}: needed is {needed}; found {text}. Another program wrote or changed it{REMEDY}")


def _read_small_array(folder: Place) -> NDArray[Any]:
    """Return an uncompressed array of one chunk; long lists are stored like this beside an image."""
    path, metadata = folder / "zarr.json", _metadata(folder)
    if [name for name, _ in _codecs(_value(path, metadata, "codecs", list))] != ["bytes", "crc32c"]:
        raise ValueError(FOREIGN)
    shape, dtype = _shape_and_type(path, metadata)
    data = _checked(folder.joinpath("c", *("0" for _ in shape)).read_bytes())
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise _wrong(path, f"a shape of {len(data) // dtype.itemsize} values, as the chunk has", [*shape])
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))  # as zarr returns it


# ---- Inside: files


class _LocalFile:
    """A file on a disk that is read by ranges of bytes, as `RemoteFile` reads one below a URL."""

    longest_run = 1 << 20  # bytes of adjacent chunks that are read at once; a longer chunk is read whole

    def __init__(self, path: Path) -> None:
        self._handle = -1
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)

    def tail(self, length: int) -> bytes:
        """Return the last bytes of the file."""
        return os.pread(self._handle, length, max(os.fstat(self._handle).st_size - length, 0))

    def read(self, length: int, offset: int) -> bytes:
        """Return bytes from an offset."""
        return os.pread(self._handle, length, offset)


def _remote() -> Any:
    """Return the module that reads URLs; it may have been copied beside this file."""
    package = f"{__package__}." if __package__ else ""
    try:
        return importlib.import_module(f"{package}remote")
    except ModuleNotFoundError as error:
        if error.name == f"{package}remote":
            raise ImportError("a URL needs remote.py of dicomzarr beside this file: copy it too") from None
        raise


def _opened_file(path: Place) -> _LocalFile | RemoteFile:
    """Return a file whose bytes are read by ranges."""
    if isinstance(path, Path):
        return _LocalFile(path)
    file: RemoteFile = _remote().RemoteFile(path)
    return file


def _raw(size: int, data: bytes, out: NDArray[Any] | None) -> bytes:
    """Return the values of a chunk that is not compressed; `out`, if given, is filled with them."""
    content = data[:-4]
    if len(content) != size:
        raise ValueError("a chunk has another size than its array states: the dataset is damaged")
    if out is not None:
        out[...] = np.frombuffer(content, out.dtype).reshape(out.shape)
    return content


def _checked(data: bytes) -> bytes:
    """Return `data` without the crc32c at its end; raise `ValueError` if they do not match."""
    if len(data) < 4 or _libraries()[0](data) != CRC_OF_WHOLE:
        raise ValueError(DAMAGED)
    return data[:-4]


@functools.cache
def _libraries() -> tuple[Callable[[bytes], int], Any]:
    """Return the function for crc32c, and the module of Blosc: they are imported when something is read."""
    import google_crc32c

    return google_crc32c.value, importlib.import_module("numcodecs.blosc")
