"""Read a dataset for training: whole volumes, slices or random patches, in any number of worker processes.

This file stands alone. Import it as `dicomzarr.dataset`, or copy it into your project: it needs numpy and zarr, whose
own codecs (numcodecs, google-crc32c) it calls. torch, MONAI and the like take its samples (docs/reading.md).

Nothing is opened before the first sample is asked for, and each process opens its own files: safe under fork and spawn.
"""

from __future__ import annotations

import csv
import functools
import itertools
import json
import math
import operator
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

OPEN_VOLUMES = 64  # per process; a dataset may hold more volumes than a process may open files
MISSING = 2**64 - 1  # offset of a chunk that a shard does not hold (ZEP 2)
Region = tuple[slice, ...]
Sample = dict[str, Any]


# ---- One volume


class Volume:
    """One image of the dataset: its facts, and its voxels by region.

    Parameters
    ----------
    folder : Path
        Of the image, `images.zarr/<series>/<volume>`.

    Attributes
    ----------
    axes : str
        Of the array, such as ``tzyx``.
    shape : tuple of int
    dtype : numpy.dtype
        Of the stored values.
    facts : dict
        The attribute `dicomzarr` of docs/outputs.md; long lists are in it, wherever they are stored.
    """

    def __init__(self, folder: Path) -> None:
        self._handle = -1
        self._folder = folder
        metadata = json.loads((folder / "0" / "zarr.json").read_bytes())
        self.axes = "".join(metadata["dimension_names"])
        self.shape: tuple[int, ...] = tuple(metadata["shape"])
        self.dtype = np.dtype(metadata["data_type"]).newbyteorder("<")
        codec = metadata["codecs"][0]
        inner = codec.get("configuration", {}).get("codecs", [])
        if codec["name"] != "sharding_indexed" or {each["name"] for each in inner} - {"bytes", "blosc", "crc32c"}:
            raise ValueError("an array that dicomzarr did not write: open it with zarr")
        self.chunk: tuple[int, ...] = tuple(codec["configuration"]["chunk_shape"])
        self._packed = any(each["name"] == "blosc" for each in inner)
        self._counts = tuple(math.ceil(n / c) for n, c in zip(self.shape, self.chunk, strict=True))
        self.facts = self._read_facts()
        self._handle = os.open(folder.joinpath("0", "c", *("0" for _ in self.shape)), os.O_RDONLY | os.O_CLOEXEC)
        self._index = self._read_index()

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)

    def _read_facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self._folder / "zarr.json").read_bytes())["attributes"]["dicomzarr"]
        for holder in (facts, *(value for value in facts.values() if isinstance(value, dict))):
            for key, value in holder.items():
                if isinstance(value, dict) and set(value) == {"array"}:
                    holder[key] = _read_small_array(self._folder / value["array"])
        return facts

    def _read_index(self) -> NDArray[np.uint64]:
        """Return (offset, length) of each chunk, shape (chunks, 2), from the end of the shard."""
        length = 16 * math.prod(self._counts) + 4
        data = os.pread(self._handle, length, os.fstat(self._handle).st_size - length)
        return np.frombuffer(_checked(data), "<u8").reshape(-1, 2)

    def _read_chunk(self, number: int, out: NDArray[Any]) -> None:
        """Decode a chunk into `out`, C-contiguous, of the chunk's shape."""
        offset, length = (int(each) for each in self._index[number])
        if offset == MISSING:
            raise ValueError("a chunk is missing: ./run verify tells what is damaged")
        data = _checked(os.pread(self._handle, length, offset))
        if self._packed:
            _unpack(data, out)
        else:
            out[...] = np.frombuffer(data, self.dtype).reshape(out.shape)

    def read(self, region: Region | None = None) -> NDArray[Any]:
        """Return the stored values of a region, one slice of step 1 for each axis; all without one.

        Raises
        ------
        ValueError
            If what is on disk is not what was written: each chunk carries a crc32c.
        """
        bounds = [
            each.indices(n) for each, n in zip(region or (slice(None),) * len(self.shape), self.shape, strict=True)
        ]
        out = np.empty([stop - start for start, stop, _ in bounds], self.dtype)
        spans = [range(lo // c, math.ceil(hi / c)) for (lo, hi, _), c in zip(bounds, self.chunk, strict=True)]
        scratch = np.empty(self.chunk, self.dtype)
        for place in itertools.product(*spans):
            number = int(np.ravel_multi_index(place, self._counts))
            target, source = [], []
            for at, edge, (lo, hi, _) in zip(place, self.chunk, bounds, strict=True):
                first, last = max(lo, at * edge), min(hi, (at + 1) * edge)
                target.append(slice(first - lo, last - lo))
                source.append(slice(first - at * edge, last - at * edge))
            view = out[tuple(target)]
            if view.shape == self.chunk and view.flags.c_contiguous:
                self._read_chunk(number, view)
            else:
                self._read_chunk(number, scratch)
                view[...] = scratch[tuple(source)]
        return out


def _checked(data: bytes) -> bytes:
    """Return `data` without the crc32c at its end, which must be right."""
    import google_crc32c

    content = data[:-4]
    if len(data) < 4 or google_crc32c.value(content) != int.from_bytes(data[-4:], "little"):
        raise ValueError("a chunk is damaged: ./run verify tells which, ./run verify --repair makes it anew")
    return content


def _read_small_array(folder: Path) -> NDArray[Any]:
    """Return an array of one chunk that is not compressed, as long lists are stored beside an image."""
    metadata = json.loads((folder / "zarr.json").read_bytes())
    if [codec["name"] for codec in metadata["codecs"]] != ["bytes", "crc32c"]:
        raise ValueError("an array that dicomzarr did not write: open it with zarr")
    data = _checked(folder.joinpath("c", *("0" for _ in metadata["shape"])).read_bytes())
    dtype = np.dtype(metadata["data_type"])
    # In the byte order of this machine, as zarr gives it.
    return np.frombuffer(data, dtype.newbyteorder("<")).reshape(metadata["shape"]).astype(dtype)


def _unpack(data: bytes, out: NDArray[Any]) -> None:
    from numcodecs import blosc

    blosc.use_threads = False  # its threads would not survive a fork; workers are the parallelism
    blosc.decompress(data, out)


# ---- The dataset


class DicomZarrDataset:
    """A map-style dataset over `volumes.csv`: `len(dataset)`, `dataset[i]`.

    A sample is a dict. `image` is an ndarray with the axes of the volume, in the order ``t c z y x``, less those that
    the sample has one index of. `array`, `series_id`, `study_id`, `subject_id`, `split`, `modality`, `flags` and every
    `label_…` are the texts of `volumes.csv`. `axes` names the axes of `image`, `start` is the place of its first voxel
    in the array, along all axes of the array. `affine_lps` and `affine_ras` (float64, 4 x 4) map the index (x, y, z, 1)
    **of the sample** to millimetres; all NaN where the dataset states no affine.

    Parameters
    ----------
    dataset : path
        The folder with `volumes.csv` and `images.zarr`, or a results folder that holds it as `dataset`.
    sample : str
        ``volume``, ``slice`` (each z of each t) or ``patch``.
    patch : mapping of str to int
        Size along each axis that a patch has, such as ``{"z": 96, "y": 96, "x": 96}``. `c` is always whole; of `t` and
        `z`, where not named, a patch has one index, drawn too.
    patches_per_volume : int
        How many patches of each volume an epoch has.
    seed : int
        A patch is a function of the seed, the epoch (`set_epoch`) and its index, whatever process makes it.
    split, modality, axes : str or collection of str
        Keep volumes with this value, or one of these.
    with_flags, without_flags : collection of str
        Keep volumes that have all of the first and none of the second.
    shape, min_shape : mapping of str to int
        Keep volumes of this size, or of this size at least, along the named axes; an axis that is absent counts as 1.
    labels : mapping of str to (str or collection of str)
        Keep volumes by their `label_…` columns.
    where : callable
        Called with each row of `volumes.csv` that is left, keeps those for which it is true.
    rescale : bool
        Apply what makes stored values physical: Rescale Slope and Intercept of each frame (PS3.3 C.11.1), else the
        Modality LUT, else Dose Grid Scaling. float32, or float64 for stored values of 32 bits and more.
    window : bool or pair of float
        Apply a linear window (PS3.3 C.11.2.1.2.1) after the rescale, which it implies: True for the first one of each
        frame's header, or (center, width). Values from 0 to 1.
    invert : bool
        Turn MONOCHROME1 around, so that larger is brighter: after a window, 1 - value; without, stored values are
        mirrored in the range of Bits Stored, before any rescale.
    rgb : bool
        Look palette indices up: adds the axis `c`.
    channel : bool
        Put an axis `c` of one in front of `y, x` or `z, y, x` where there is none.
    dtype : dtype-like
        Of `image`, by a plain cast at the end.
    transform : callable
        Called with each sample, returns what `dataset[i]` returns. Under spawn it must be picklable.

    Raises
    ------
    ValueError
        If the arguments contradict each other or the table.
    """

    def __init__(
        self,
        dataset: str | os.PathLike[str],
        *,
        sample: str = "volume",
        patch: Mapping[str, int] | None = None,
        patches_per_volume: int = 1,
        seed: int = 0,
        split: str | Collection[str] | None = None,
        modality: str | Collection[str] | None = None,
        axes: str | Collection[str] | None = None,
        with_flags: Collection[str] = (),
        without_flags: Collection[str] = (),
        shape: Mapping[str, int] | None = None,
        min_shape: Mapping[str, int] | None = None,
        labels: Mapping[str, str | Collection[str]] | None = None,
        where: Callable[[dict[str, str]], bool] | None = None,
        rescale: bool = False,
        window: bool | tuple[float, float] = False,
        invert: bool = False,
        rgb: bool = False,
        channel: bool = False,
        dtype: Any = None,
        transform: Callable[[Sample], Any] | None = None,
    ) -> None:
        if sample not in ("volume", "slice", "patch") or (sample == "patch") != bool(patch):
            raise ValueError("sample is volume, slice or patch; a patch, and nothing else, needs its size")
        if isinstance(with_flags, str) or isinstance(without_flags, str):
            raise ValueError("with_flags and without_flags are collections of flags")
        self.folder = _dataset_folder(Path(dataset))
        self.sample, self.patch, self.seed, self.epoch = sample, dict(patch or {}), seed, 0
        self.rescale, self.window, self.invert, self.rgb = rescale, window, invert, rgb
        self.channel, self.dtype, self.transform = channel, dtype, transform
        exact = {"split": split, "modality": modality, "axes": axes, **(labels or {})}
        self.rows = [
            row
            for row in read_rows(self.folder)
            if all(_fits(row, column, wanted) for column, wanted in exact.items())
            and set(with_flags) <= set(row["flags"].split())
            and not set(without_flags) & set(row["flags"].split())
            and all(_sizes(row).get(axis, 1) == n for axis, n in (shape or {}).items())
            and all(_sizes(row).get(axis, 1) >= n for axis, n in (min_shape or {}).items())
            and (where is None or where(row))
        ]
        if not set(self.patch) <= set("tzyx"):
            raise ValueError("a patch has sizes along t, z, y and x")
        small = sum(any(_sizes(row).get(axis, 1) < n for axis, n in self.patch.items()) for row in self.rows)
        if small:
            raise ValueError(f"{small} volumes are smaller than the patch: leave them out with min_shape")
        fixed = patches_per_volume if sample == "patch" else 1
        counts = [_frames(row) if sample == "slice" else fixed for row in self.rows]
        self._ends = np.cumsum(counts, dtype=np.int64)
        self._process = -1
        self._volume: Callable[[Path], Volume] = Volume

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_process": -1, "_volume": Volume}

    def set_epoch(self, epoch: int) -> None:
        """Draw other patches from now on; workers that are running already do not hear of it."""
        self.epoch = epoch

    def volume(self, number: int) -> Volume:
        """Return the volume of row `number`, opened by this process."""
        if self._process != os.getpid():  # after a fork what the parent opened is let go, not used
            self._volume = functools.lru_cache(OPEN_VOLUMES)(Volume)
            self._process = os.getpid()
        return self._volume(self.folder / "images.zarr" / self.rows[number]["array"])

    def __getitem__(self, index: Any) -> Any:
        """Return a sample, or what the transform makes of it."""
        index = operator.index(index)
        index += len(self) if index < 0 else 0
        if not 0 <= index < len(self):
            raise IndexError("no such sample")
        number = int(np.searchsorted(self._ends, index, side="right"))
        within = index - (int(self._ends[number - 1]) if number else 0)
        volume = self.volume(number)
        region, single = self._region(volume, index, within)
        sample = self._make(volume, region, single)
        row = self.rows[number]
        kept = ("array", "series_id", "study_id", "subject_id", "split", "modality", "flags")
        sample |= {key: value for key, value in row.items() if key in kept or key.startswith("label_")}
        return sample if self.transform is None else self.transform(sample)

    def _region(self, volume: Volume, index: int, within: int) -> tuple[Region, str]:
        """Return what to read of a volume, and the axes of which it is one index."""
        size = dict(zip(volume.axes, volume.shape, strict=True))
        start, length, single = dict.fromkeys(size, 0), dict(size), ""
        if self.sample == "slice":
            start |= dict(zip("tz", divmod(within, size.get("z", 1)), strict=True))
            single = "tz"
        elif self.sample == "patch":
            random = np.random.default_rng([self.seed, self.epoch, index])
            single = "".join(axis for axis in "tz" if axis not in self.patch)
            for axis in "tzyx":  # in this order, so that the same numbers are drawn for the same thing
                length[axis] = self.patch.get(axis, 1 if axis in "tz" else size.get(axis, 1))
                start[axis] = int(random.integers(size.get(axis, 1) - length[axis] + 1))
        length |= dict.fromkeys(single, 1)
        return tuple(slice(start[axis], start[axis] + length[axis]) for axis in volume.axes), single

    def _make(self, volume: Volume, region: Region, single: str) -> Sample:
        image, axes = self._converted(volume, region)
        affine = np.full((4, 4), np.nan)
        start = {axis: each.start for axis, each in zip(volume.axes, region, strict=True)}
        if "affine_lps" in volume.facts:
            affine = np.array(volume.facts["affine_lps"], float)
            affine[:, 3] = affine @ [start["x"], start["y"], start["z"], 1]
        image = image.squeeze(tuple(i for i, axis in enumerate(axes) if axis in single))
        axes = "".join(axis for axis in axes if axis not in single)
        if self.channel and "c" not in axes:
            place = axes.find("t") + 1
            image, axes = np.expand_dims(image, place), axes[:place] + "c" + axes[place:]
        if self.dtype is not None:
            image = image.astype(self.dtype, copy=False)
        image = np.ascontiguousarray(image.astype(image.dtype.newbyteorder("="), copy=False))
        return {
            "image": image, "axes": axes, "start": np.array(list(start.values())),
            "affine_lps": affine, "affine_ras": ras_from_lps(affine),
        }  # fmt: skip

    def _converted(self, volume: Volume, region: Region) -> tuple[NDArray[Any], str]:
        """Return the values of a region as asked for, with all axes of the array, and the axes."""
        stored, facts, axes = volume.read(region), volume.facts, volume.axes
        if facts["photometric"] == "PALETTE COLOR" and self.rgb:
            return _looked_up(stored, facts, axes)
        turn = self.invert and facts["photometric"] == "MONOCHROME1"
        if turn and not self.window:
            stored = mirrored(stored, facts["bits_stored"])
        if not (self.rescale or self.window):
            return stored, axes
        values = _rescaled(stored, facts, _frame_numbers(volume, region))
        if self.window:
            if not facts["photometric"].startswith("MONOCHROME"):
                raise ValueError("a window is for grey values: leave colour and palettes out with where=…")
            values = self._windowed(values, facts, _frame_numbers(volume, region))
            values = 1 - values if turn else values
        return values, axes

    def _windowed(self, values: NDArray[Any], facts: Mapping[str, Any], frames: NDArray[np.intp]) -> NDArray[Any]:
        if isinstance(self.window, bool) and "window" not in facts:
            raise ValueError("the header states no window: give one as (center, width)")
        pairs = facts["window"] if isinstance(self.window, bool) else self.window
        center, width = _of_frames(pairs, frames, values.dtype)
        straight = (values - (center - 0.5)) / np.where(width > 1, width - 1, 1).astype(values.dtype) + 0.5
        windowed: NDArray[Any] = np.where(width > 1, np.clip(straight, 0, 1), values > center - 0.5)
        return windowed.astype(values.dtype, copy=False)


def read_rows(dataset: Path) -> list[dict[str, str]]:
    """Return the rows of `volumes.csv`."""
    with open(dataset / "volumes.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


_WHOLE = ("bits_stored", "frames", "source_bytes", "stored_bytes")


def volumes(dataset: str | os.PathLike[str]) -> Any:
    """Return `volumes.csv` as a table: a `pandas.DataFrame` with one row a volume.

    Parameters
    ----------
    dataset : path
        The folder with `volumes.csv`, or a results folder that holds it as `dataset`.

    Returns
    -------
    pandas.DataFrame
        Its index is `array`. `bits_stored`, `frames`, `source_bytes` and `stored_bytes` (bytes) are whole numbers
        (``Int64``, which has a missing value). `shape` has a tuple of int for the axes in `axes`; `spacing_mm` a tuple
        of float, of the spatial axes in the same order, empty where unknown. `flags` becomes a column ``flag_…``
        (bool) for each flag that occurs. All else is text (``string``), as it is in the file: an empty cell is missing,
        and no other text is. So are labels: `pandas.to_numeric` turns those that are numbers into numbers.

    Raises
    ------
    FileNotFoundError
        If there is no such table.
    """
    import pandas

    path = _dataset_folder(Path(dataset)) / "volumes.csv"
    table = pandas.read_csv(path, dtype="string", keep_default_na=False, na_values=[""], encoding="utf-8")
    for column in _WHOLE:
        table[column] = table[column].astype("Int64")
    table["shape"] = [tuple(map(int, text.split("x"))) for text in table["shape"]]
    spacings = table["spacing_mm"].fillna("")
    table["spacing_mm"] = [tuple(float(part) for part in text.split("x") if part) for text in spacings]
    flags = [frozenset(text.split()) for text in table.pop("flags").fillna("")]
    for flag in sorted(frozenset().union(*flags)):
        table[f"flag_{flag}"] = [flag in those for those in flags]
    return table.set_index("array")


def _dataset_folder(folder: Path) -> Path:
    inner = folder / "dataset"
    return inner if (inner / "volumes.csv").is_file() else folder


def _fits(row: Mapping[str, str], column: str, wanted: str | Collection[str] | None) -> bool:
    if wanted is None:
        return True
    if column not in row:
        raise ValueError(f"volumes.csv has no column {column}")
    return row[column] in ({wanted} if isinstance(wanted, str) else wanted)


def _sizes(row: Mapping[str, str]) -> dict[str, int]:
    return dict(zip(row["axes"], map(int, row["shape"].split("x")), strict=True))


def _frames(row: Mapping[str, str]) -> int:
    sizes = _sizes(row)
    return sizes.get("t", 1) * sizes.get("z", 1)


# ---- Values


def mirrored(stored: NDArray[Any], bits_stored: int) -> NDArray[Any]:
    """Return stored values turned around in the range of Bits Stored (0028,0101), in their own dtype.

    The smallest becomes the largest: ``2**bits - 1 - v`` unsigned, ``-1 - v`` signed.
    """
    if stored.dtype.kind == "f":
        raise ValueError("float pixel data has no range of Bits Stored to be inverted in")
    largest = (1 << bits_stored) - 1 if stored.dtype.kind == "u" else -1
    turned: NDArray[Any] = stored.dtype.type(largest) - stored
    return turned


def _frame_numbers(volume: Volume, region: Region) -> NDArray[np.intp]:
    """Return the number of the frame of each t and z of a region, shaped to broadcast against its values."""
    size = dict(zip(volume.axes, volume.shape, strict=True))
    within = dict(zip(volume.axes, region, strict=True))
    numbers = np.arange(size.get("t", 1) * size.get("z", 1)).reshape(size.get("t", 1), size.get("z", 1))
    numbers = numbers[within.get("t", slice(None)), within.get("z", slice(None))]
    lengths = {"t": numbers.shape[0], "z": numbers.shape[1]}
    return numbers.reshape([lengths.get(axis, 1) for axis in volume.axes])


def _of_frames(pairs: Any, frames: NDArray[np.intp], dtype: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return both numbers of the pair that all frames share, or of each frame's own."""
    table = np.asarray(pairs, dtype)
    chosen = table[frames] if table.ndim == 2 else table
    return chosen[..., 0], chosen[..., 1]


def _rescaled(stored: NDArray[Any], facts: Mapping[str, Any], frames: NDArray[np.intp]) -> NDArray[Any]:
    kind = np.result_type(stored.dtype, np.float32)
    values: NDArray[Any]
    if "rescale" in facts:
        slope, intercept = _of_frames(facts["rescale"], frames, kind)
        values = stored * slope + intercept
        return values
    if "modality_lut" in facts:
        lut = facts["modality_lut"]
        return _entries(stored, lut["first"], np.asarray(lut["values"], kind))
    values = stored.astype(kind) * kind.type(facts.get("dose_grid_scaling", 1))
    return values


def _entries(stored: NDArray[Any], first: int, table: NDArray[Any]) -> NDArray[Any]:
    """Return the entry of each stored value; what is outside takes the first or last one (PS3.3 C.11.1.1)."""
    found: NDArray[Any] = table[np.clip(stored.astype(np.int64) - first, 0, len(table) - 1)]
    return found


def _looked_up(stored: NDArray[Any], facts: Mapping[str, Any], axes: str) -> tuple[NDArray[Any], str]:
    palette = facts["palette"]
    kind = np.uint8 if palette["bits"] == 8 else np.uint16
    place = axes.find("t") + 1
    planes = [_entries(stored, palette["first"], np.asarray(palette[name], kind)) for name in ("red", "green", "blue")]
    return np.stack(planes, axis=place), axes[:place] + "c" + axes[place:]


def ras_from_lps(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an affine to RAS millimetres (NIfTI, MONAI, TorchIO) from one to LPS (DICOM, ITK)."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def channel_xyz(sample: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the image of a sample as (channels, x, y, z), with its affine in RAS: what MONAI and TorchIO expect.

    Channels are the colours, or the times; an axis that the image does not have is one voxel long.
    """
    axes = sample["axes"]
    if "t" in axes and "c" in axes and sample["image"].shape[axes.index("c")] > 1:
        raise ValueError("both times and colours: take slices or patches of one time")
    image, order = sample["image"], [axes.index(axis) for axis in "tcxyz" if axis in axes]
    image = image.transpose(order)
    for place, axis in enumerate("tcxyz"):
        image = image if axis in axes else np.expand_dims(image, place)
    return np.ascontiguousarray(image.reshape(-1, *image.shape[2:])), sample["affine_ras"]


# ---- The list of images


def load_images(folder: str | os.PathLike[str], source: Any = None) -> list[NDArray[Any]]:
    """Return what ``[dcmread(path, force=True).pixel_array for path in ...]`` gives: stored values, image by image.

    Parameters
    ----------
    folder : path
        A results folder with `private/frames.csv`: one array for each extracted file, (rows, columns), with frames
        first where a file has several, and 3 colours last; in the order of the paths in the manifest. Or a dataset
        folder alone, in its own order: a volume that is one multi-frame file, whole, is one array in the order of that
        file; any other frame is an array of its own.
    source : path or mapping of str to path
        The source folder, or one for each label: files then come in the order of `os.walk` there. That order is the
        file system's and differs from one disk to the next.

    Returns
    -------
    list of ndarray
        In the type of the dataset. All of them in memory, as the name of the function says.
    """
    folder = Path(folder)
    dataset, table = _dataset_folder(folder), folder / "private" / "frames.csv"
    frames = {row["array"]: _as_frames(Volume(dataset / "images.zarr" / row["array"])) for row in read_rows(dataset)}
    if not table.is_file():
        if source is not None:
            raise ValueError("the order of the source needs private/frames.csv of the results folder")
        return [image for each in frames for image in _as_images(Volume(dataset / "images.zarr" / each), frames[each])]
    depth = {row["array"]: _sizes(row).get("z", 1) for row in read_rows(dataset)}
    files: dict[str, list[tuple[int, NDArray[Any]]]] = {}
    with open(table, newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            place = int(row["t"] or 0) * depth[row["array"]] + int(row["z"] or 0)
            files.setdefault(row["path"], []).append((int(row["frame"]), frames[row["array"]][place]))
    images = {path: [frame for _, frame in sorted(found, key=lambda f: f[0])] for path, found in files.items()}
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
    """Return the frames of a volume in array order as the images that their files held, as far as the dataset tells."""
    numbers = volume.facts.get("one_file")
    if numbers is None:
        return frames
    return [np.stack(frames)[np.argsort(range(len(frames)) if numbers is True else numbers)]]


def _walk_order(source: Any) -> dict[str, int]:
    """Return the place of each file in the order of `os.walk`, by its path as the manifest has it, decoded."""
    roots = {f"{label}/": root for label, root in source.items()} if isinstance(source, Mapping) else {"": source}
    paths = (
        prefix + os.path.relpath(os.path.join(folder, name), root)
        for prefix, root in roots.items()
        for folder, _, names in os.walk(root)
        for name in names
    )
    return {path: number for number, path in enumerate(paths)}


def _decoded(path: str) -> str:
    return os.fsdecode(unquote_to_bytes(path))
