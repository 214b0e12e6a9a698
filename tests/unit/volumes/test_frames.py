from __future__ import annotations

import io
import math
import time
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_enhanced import AXIAL, enhanced, group, header, item, position, read, through_bytes
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.sequence import Sequence

from dicomzarr.dicom.header_values import FARTHEST_MM, date_time, number, numbers, vector
from dicomzarr.volumes.file_facts import dose_positions
from dicomzarr.volumes.frames import needs_header
from dicomzarr.volumes.model import Volume
from dicomzarr.volumes.stacking import lay_out

# ---------------------------------------------------------------------------------------------------- single frames


def test_a_single_frame_is_described_by_its_facts() -> None:
    (frame,) = read(
        header(
            ImagePositionPatient=[1, 2, 3],
            ImageOrientationPatient=AXIAL,
            PixelSpacing=[0.5, 0.25],
            EchoTime=12.5,
            InstanceNumber=7,
            AcquisitionDate="20240229",
            AcquisitionTime="000001.5",
            RescaleSlope=2,
            RescaleIntercept=-1024,
            WindowCenter=[40, 300],
            WindowWidth=[400, 1500],
            ImageType=["ORIGINAL", "PRIMARY", "M"],
        )
    )
    assert (frame.position, frame.orientation, frame.pixel_spacing) == ((1, 2, 3), tuple(AXIAL), (0.5, 0.25))
    assert frame.causes["echo_time_ms"] == 12.5
    assert frame.causes["instance_number"] == 7
    assert frame.causes["acquisition_time_s"] == date_time("20240229000001.5")
    assert (frame.rescale, frame.window) == ((2, -1024), ((40, 400), (300, 1500)))
    assert frame.flags == ()


@pytest.mark.parametrize(
    ("word", "function"),
    [("LINEAR_EXACT", "LINEAR_EXACT"), ("SIGMOID", "SIGMOID"), ("LINEAR", ""), ("PRIVATE WORD", ""), (None, "")],
)
def test_the_function_of_a_window_is_one_of_the_standard(word: str | None, function: str) -> None:
    stated = {} if word is None else {"VOILUTFunction": word}
    of_file = {"WindowCenter": "0.75", "WindowWidth": "1", **stated}
    (frame,) = read(header(**of_file))
    assert (frame.window, frame.window_function) == (((0.75, 1.0),), function)

    def each(n: int) -> Dataset:
        window = {"WindowCenter": 40, "WindowWidth": 400, **(stated if n else {"VOILUTFunction": "SIGMOID"})}
        return group(FrameVOILUTSequence=item(**window))

    assert [frame.window_function for frame in read(enhanced(2, each))] == ["SIGMOID", function]


def test_an_orientation_that_is_no_plane_counts_as_unknown() -> None:
    (frame,) = read(header(ImagePositionPatient=[1, 2, 3], ImageOrientationPatient=[1, 0, 0, 1, 0, 0]))
    assert (frame.position, frame.orientation, frame.flags) == (None, None, ("invalid_orientation",))


def test_spacing_at_the_detector_is_no_spacing_in_the_patient() -> None:
    (frame,) = read(header(modality="DX", ImagerPixelSpacing=[0.1, 0.1]))
    assert (frame.pixel_spacing, frame.flags) == (None, ("detector_spacing",))


def test_spacing_at_the_detector_of_an_enhanced_projection() -> None:
    properties = group(FramePixelDataPropertiesSequence=item(ImagerPixelSpacing=[0.2, 0.3]))
    dataset = enhanced(2, lambda _: properties, modality="XA", sop="1.2.840.10008.5.1.4.1.1.12.1.1")
    assert {frame.flags for frame in through_bytes(dataset)} == {()}  # Pixel Measures have a spacing
    del dataset.SharedFunctionalGroupsSequence
    for frame in through_bytes(dataset):
        assert (frame.pixel_spacing, frame.flags) == (None, ("detector_spacing",))
        assert frame.constants == {"detector_spacing_row_mm": 0.2, "detector_spacing_column_mm": 0.3}


def test_which_files_need_their_header() -> None:
    assert needs_header({"has_functional_groups": True})
    assert needs_header({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.6", "NumberOfFrames": 4})
    assert not needs_header({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "NumberOfFrames": 4})


# ------------------------------------------------------------------------------------------------- functional groups


def test_an_enhanced_mr_of_echoes_times_and_slices() -> None:
    cells = [(z, echo, t) for t in range(2) for echo in (30.0, 10.0) for z in (4, 0, 2)]

    def each(n: int) -> Dataset:
        z, echo, t = cells[n]
        return group(
            PlanePositionSequence=position(z),
            MREchoSequence=item(EffectiveEchoTime=echo),
            FrameContentSequence=item(TemporalPositionIndex=t + 1, StackID="1", InStackPositionNumber=z // 2 + 1),
            PixelValueTransformationSequence=item(RescaleSlope=1 + n, RescaleIntercept=0, RescaleType="US"),
            FrameVOILUTSequence=item(WindowCenter=n, WindowWidth=10),
            MRImageFrameTypeSequence=item(FrameType=["ORIGINAL", "PRIMARY", "M", "NONE"]),
        )

    frames = read(enhanced(12, each))
    assert [f.rescale for f in frames] == [(1 + n, 0) for n in range(12)]
    assert frames[3].window == ((3, 10),)
    (volume,) = lay_out(frames)
    assert (volume.axes, volume.shape) == (("t", "z", "y", "x"), (4, 3, 4, 6))
    assert volume.t_axis == {
        "means": ["temporal_position", "echo_time_ms"],
        "values": [[1, 10], [1, 30], [2, 10], [2, 30]],
    }
    assert volume.affine_lps == ((0.25, 0, 0, 1), (0, 0.5, 0, 2), (0, 0, 2, 0), (0, 0, 0, 1))
    for place in volume.places:
        z, echo, t = cells[place.frame.number]
        assert place.z == z // 2
        assert place.t == 2 * t + (echo == 30)


def test_diffusion_directions_and_the_frame_without_one() -> None:
    table = [(0, None), (800, [1, 0, 0]), (800, [0, 1, 0])]

    def each(n: int) -> Dataset:
        b, direction = table[n % 3]
        diffusion = item(DiffusionBValue=b, DiffusionDirectionality="DIRECTIONAL" if direction else "NONE")
        if direction:
            diffusion.DiffusionGradientDirectionSequence = Sequence([item(DiffusionGradientOrientation=direction)])
        return group(PlanePositionSequence=position(n // 3), MRDiffusionSequence=diffusion)

    (volume,) = lay_out(read(enhanced(6, each)))
    assert volume.shape == (3, 2, 4, 6)
    assert volume.t_axis is not None
    assert volume.t_axis["values"] == [[0, 0, 0, 0], [800, 1, 0, 0], [800, 0, 1, 0]]  # as stored


def test_trigger_delays_times_and_inversions_of_frames() -> None:
    def each(n: int) -> Dataset:
        return group(
            PlanePositionSequence=position(0),
            CardiacSynchronizationSequence=item(NominalCardiacTriggerDelayTime=20.0 * n),
            MRModifierSequence=item(InversionTimes=[100.0 + n]),
            FrameContentSequence=item(
                FrameAcquisitionDateTime=f"2024010112000{n}.25",
                FrameReferenceDateTime=f"2024010112010{n}",
                DimensionIndexValues=[1, n],
            ),
        )

    frames = read(enhanced(3, each))
    assert frames[2].causes["trigger_time_ms"] == 40
    assert frames[2].causes["inversion_time_ms"] == 102
    assert frames[2].causes["dimension_2"] == 2
    assert frames[2].causes["acquisition_time_s"] - frames[0].causes["acquisition_time_s"] == 2
    assert frames[0].causes["reference_time_s"] - frames[0].causes["acquisition_time_s"] == 59.75


def test_dimension_indices_sort_frames_as_a_last_resort() -> None:
    def each(n: int) -> Dataset:
        content = item(DimensionIndexValues=[n % 2 + 1, 9 - n // 2])
        return group(PlanePositionSequence=position(n % 2), FrameContentSequence=content)

    (volume,) = lay_out(read(enhanced(6, each)))
    assert volume.flags == ("t_order_only",)
    assert volume.t_axis == {"means": ["dimension_2"], "values": [7, 8, 9]}


def test_frames_are_split_by_stack_id() -> None:
    def each(n: int) -> Dataset:
        place = position(n if n < 3 else n + 0.4)
        return group(PlanePositionSequence=place, FrameContentSequence=item(StackID="AB"[n // 3]))

    assert [len(v.places) for v in lay_out(read(enhanced(6, each)))] == [3, 3]


def test_no_frame_is_placed_if_the_number_of_groups_differs() -> None:
    dataset = enhanced(4, lambda n: group(PlanePositionSequence=position(n)))
    dataset.NumberOfFrames = 5
    frames = read(dataset)
    assert [f.position for f in frames] == [None] * 5
    (volume,) = lay_out(frames)
    assert volume.flags == ("functional_groups_mismatch", "t_order_only")
    assert (volume.axes, volume.affine_lps) == (("t", "y", "x"), None)


def test_one_frame_without_position_leaves_all_without() -> None:
    frames = read(enhanced(3, lambda n: group(PlanePositionSequence=position(n)) if n else Dataset()))
    assert [f.position for f in frames] == [None] * 3
    assert frames[0].flags == ("partial_geometry",)


@pytest.mark.parametrize("bad", [[1, 2], ["a", "b", "c"], [1, 2, 1e9], [], None, [float("inf"), 0, 0]])
def test_malformed_positions_count_as_unknown(bad: Any) -> None:
    assert vector(bad) is None


def test_empty_sequences_count_as_absent() -> None:
    dataset = enhanced(2, lambda n: item(PlanePositionSequence=Sequence([])))
    dataset.SharedFunctionalGroupsSequence = Sequence([])
    assert [(f.position, f.orientation) for f in read(dataset)] == [(None, None)] * 2


def test_reading_takes_time_in_proportion_to_the_frames() -> None:
    seconds = {}  # of processor time, the least of three tries, by number of frames
    for count in (125, 1000):
        groups = {"FrameContentSequence": item(StackID="1")}
        dataset = enhanced(count, lambda n, groups=groups: group(PlanePositionSequence=position(n), **groups))
        tries = []
        for _ in range(3):
            began = time.thread_time()
            (volume,) = lay_out(read(dataset))
            tries.append(time.thread_time() - began)
            assert volume.shape == (count, 4, 6)
        seconds[count] = min(tries)
    assert seconds[1000] < 16 * seconds[125]  # 8 in proportion, up to 64 if each frame is compared with each


# ------------------------------------------------------------------------------------------------- tiles and segments


def test_functional_groups_are_freed_once_they_are_read() -> None:
    def each(n: int) -> Dataset:
        return group(
            PlanePositionSequence=position(n),
            MREchoSequence=item(EffectiveEchoTime=5),
            MRDiffusionSequence=item(DiffusionBValue=n),
            PixelValueTransformationSequence=item(RescaleSlope=1, RescaleIntercept=0, RescaleType="US"),
            FrameVOILUTSequence=item(WindowCenter=40, WindowWidth=400),
            FrameContentSequence=item(StackID="1", DimensionIndexValues=[1, n]),
        )

    stream = io.BytesIO()
    dcmwrite(stream, enhanced(250, each), implicit_vr=False, little_endian=True)
    parsed = dcmread(stream, force=True)
    len(parsed.PerFrameFunctionalGroupsSequence)  # which pydicom reads on demand
    tracemalloc.start()
    frames = read(parsed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(frames) == 250 and frames[7].causes["b_value"] == 7
    assert peak < 250 * 6000


def test_tiles_of_a_tiled_full_image_run_row_by_row() -> None:
    dataset = header(
        12, "SM", "1.2.840.10008.5.1.4.1.1.77.1.6",
        DimensionOrganizationType="TILED_FULL", TotalPixelMatrixRows=7, TotalPixelMatrixColumns=13,
        TotalPixelMatrixFocalPlanes=2,
        SharedFunctionalGroupsSequence=Sequence([group(PixelMeasuresSequence=item(PixelSpacing=[0.001, 0.002]))]),
    )  # fmt: skip
    (volume,) = lay_out(read(dataset))
    assert (volume.kind, volume.spacing_mm) == ("tiles", {"y": 0.001, "x": 0.002})
    assert volume.t_axis is not None
    assert volume.t_axis["means"] == ["row_offset", "column_offset", "focal_plane"]
    offsets = [(0, 0), (0, 6), (0, 12), (4, 0), (4, 6), (4, 12)]
    assert volume.t_axis["values"] == [[*offset, plane] for plane in (0, 1) for offset in offsets]


def test_tiles_that_do_not_fit_get_no_offsets() -> None:
    dataset = header(
        5, "SM", "1.2.840.10008.5.1.4.1.1.77.1.6",
        DimensionOrganizationType="TILED_FULL", TotalPixelMatrixRows=7, TotalPixelMatrixColumns=13,
    )  # fmt: skip
    (volume,) = lay_out(read(dataset))
    assert (volume.kind, volume.flags) == ("tiles", ("unplaced_tiles",))
    assert volume.t_axis == {"means": ["frame"], "values": [0, 1, 2, 3, 4]}


def part_of_slide(first: int, count: int, part: int, **more: Any) -> Dataset:
    """Part of a slide of 2 x 3 tiles, whose places the header leaves implicit."""
    return header(
        count, "SM", "1.2.840.10008.5.1.4.1.1.77.1.6",
        DimensionOrganizationType="TILED_FULL", TotalPixelMatrixRows=7, TotalPixelMatrixColumns=13,
        ConcatenationUID="1.2.9", InConcatenationNumber=part, ConcatenationFrameOffsetNumber=first, **more,
    )  # fmt: skip


def laid_out(*parts: Dataset) -> list[Volume]:
    """Lay out the frames of several files."""
    return lay_out([replace(frame, source=n) for n, part in enumerate(parts) for frame in read(part)])


@pytest.mark.parametrize("counts", [(2, 2, 2), (4, 1, 1), (6,)])
def test_tiles_run_on_through_the_parts_of_a_slide(counts: tuple[int, ...]) -> None:
    firsts = [sum(counts[:n]) for n in range(len(counts))]
    total = {"InConcatenationTotalNumber": len(counts)}
    (volume,) = laid_out(
        *(part_of_slide(f, c, n, **total) for n, (f, c) in enumerate(zip(firsts, counts, strict=True), 1))
    )
    offsets = [[0, 0], [0, 6], [0, 12], [4, 0], [4, 6], [4, 12]]
    assert (volume.t_axis, volume.flags) == ({"means": ["row_offset", "column_offset"], "values": offsets}, ())


def test_tiles_of_a_slide_in_parts_have_their_planes_and_paths() -> None:
    (volume,) = laid_out(*(part_of_slide(8 * n, 8, n + 1, TotalPixelMatrixFocalPlanes=2) for n in range(3)))
    assert volume.t_axis is not None
    assert volume.t_axis["means"] == ["row_offset", "column_offset", "focal_plane", "optical_path"]
    rows = volume.t_axis["values"]
    assert [row[2:] for row in rows] == [[n // 6 % 2, n // 12] for n in range(24)]  # type: ignore[attr-defined]


def test_tiles_in_parts_that_do_not_fit_get_no_offsets() -> None:
    (volume,) = laid_out(*(part_of_slide(3 * n, 3, n + 1, InConcatenationTotalNumber=3) for n in range(3)))
    assert volume.flags == ("unplaced_tiles",)


def test_planes_and_paths_of_sparse_tiles_are_numbered_over_all_parts() -> None:
    def part(number: int, depths: tuple[float, ...], paths: str, column: int) -> Dataset:
        def each(n: int) -> Dataset:
            where = item(RowPositionInTotalImagePixelMatrix=1, ColumnPositionInTotalImagePixelMatrix=column + 1)
            where.ZOffsetInSlideCoordinateSystem = depths[n]
            return group(
                PlanePositionSlideSequence=where, OpticalPathIdentificationSequence=item(OpticalPathIdentifier=paths[n])
            )

        more = {"InConcatenationNumber": number, "ConcatenationFrameOffsetNumber": 2 * (number - 1)}
        slide = {"modality": "SM", "sop": "1.2.840.10008.5.1.4.1.1.77.1.6", "ConcatenationUID": "1.2.9"}
        return enhanced(2, each, **slide, **more)

    (volume,) = laid_out(part(1, (0.1, 0.2), "AA", 0), part(2, (0.2, 0.3), "AA", 6))
    assert volume.t_axis == {
        "means": ["row_offset", "column_offset", "focal_plane"],
        "values": [[0, 0, 0], [0, 0, 1], [0, 6, 1], [0, 6, 2]],
    }
    (volume,) = laid_out(part(1, (0.1, 0.1), "AC", 0), part(2, (0.1, 0.1), "BC", 6))
    assert volume.t_axis == {
        "means": ["row_offset", "column_offset", "optical_path"],
        "values": [[0, 0, 0], [0, 0, 2], [0, 6, 1], [0, 6, 2]],
    }


def test_sparse_tiles_count_from_zero() -> None:
    def each(n: int) -> Dataset:
        where = item(RowPositionInTotalImagePixelMatrix=1 + 4 * n, ColumnPositionInTotalImagePixelMatrix=7)
        return group(
            PlanePositionSlideSequence=where, SegmentIdentificationSequence=item(ReferencedSegmentNumber=n + 1)
        )

    (volume,) = lay_out(read(enhanced(2, each, modality="SEG", sop="1.2.840.10008.5.1.4.1.1.66.4")))
    assert volume.t_axis == {
        "means": ["segment_number", "row_offset", "column_offset"],
        "values": [[1, 0, 6], [2, 4, 6]],
    }


# -------------------------------------------------------------------------------------------------------------- dose


def dose(offsets: list[float], z: float = -50.0, orientation: list[int] = AXIAL) -> Dataset:
    return header(
        len(offsets), "RTDOSE", "1.2.840.10008.5.1.4.1.1.481.2",
        ImagePositionPatient=[10, 20, z], ImageOrientationPatient=orientation, PixelSpacing=[3, 3],
        GridFrameOffsetVector=offsets,
    )  # fmt: skip


def test_dose_offsets_from_the_first_plane() -> None:
    (volume,) = lay_out(read(dose([0, 2.5, 5])))
    assert (volume.kind, volume.axes, volume.spacing_mm["z"]) == ("dose", ("z", "y", "x"), 2.5)
    assert volume.origin_lps == (10, 20, -50)


def test_dose_offsets_that_are_coordinates() -> None:
    (volume,) = lay_out(read(dose([-50, -47.5, -45])))
    assert volume.origin_lps == (10, 20, -50)
    assert volume.affine_lps is not None
    assert [row[2] for row in volume.affine_lps] == [0, 0, 2.5, 0]


def test_descending_dose_offsets() -> None:
    (volume,) = lay_out(read(dose([0, -2, -4])))
    assert [p.frame.number for p in volume.places] == [2, 1, 0]
    assert volume.origin_lps == (10, 20, -54)


def test_dose_offsets_run_along_the_normal() -> None:
    positions = dose_positions((1.0, 2.0, 3.0), (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), [0.0, 2.0], 2)
    assert positions == [(1.0, 2.0, 3.0), (-1.0, 2.0, 3.0)]
    assert dose_positions((1.0, 2.0, 3.0), (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), [3.0, 5.0], 2) is None


def test_no_dose_plane_is_placed_if_the_number_of_offsets_differs() -> None:
    dataset = dose([0, 2, 4])
    dataset.NumberOfFrames = 2
    (volume,) = lay_out(read(dataset))
    assert (volume.axes, volume.flags) == (("t", "y", "x"), ("dose_offsets_mismatch",))


def test_one_dose_plane_lies_at_its_position() -> None:
    dataset = dose([0, 2, 4])
    dataset.NumberOfFrames = 1
    (volume,) = lay_out(read(dataset))
    assert (volume.axes, volume.origin_lps) == (("y", "x"), (10, 20, -50))


# ------------------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("day", "clock", "seconds"),
    [
        ("19500101", "000000", 0),
        ("19500102", "0101", 86400 + 3660),
        ("1950.01.01", "01:02:03.5", 3723.5),
        ("", "010203", 3723),
        ("19500101010203.000001", None, 3723.000001),
        ("19500101010203+0100", None, 123),
        ("20000101", None, None),
        ("19491231", "235959", -1),
        ("20001301", "00", None),
        ("20000101", "", None),
        ("2000", None, None),
        ("", "noon", None),
        ("", "", None),
    ],
)
def test_a_date_and_a_time_are_seconds_or_unknown(day: str, clock: str | None, seconds: float | None) -> None:
    assert date_time(day, clock) == (pytest.approx(seconds) if seconds is not None else None)


@given(st.one_of(st.none(), st.text(), st.binary(), st.floats(), st.lists(st.one_of(st.text(), st.floats()))))
def test_no_value_of_a_header_raises(value: Any) -> None:
    converted = number(value)
    assert converted is None or math.isfinite(converted)
    numbers(value)
    date_time(value)
    date_time("20200101", value)
    position = vector(value)
    assert position is None or max(map(abs, position)) <= FARTHEST_MM


@pytest.mark.parametrize(
    ("modality", "sop", "samples", "flags"),
    [
        ("CT", "1.2.840.10008.5.1.4.1.1.2", 1, ("t_order_only",)),
        ("PT", "1.2.840.10008.5.1.4.1.1.128", 1, ("t_order_only",)),
        ("OPT", "1.2.840.10008.5.1.4.1.1.77.1.5.4", 1, ("t_order_only",)),
        ("MG", "1.2.840.10008.5.1.4.1.1.13.1.3", 1, ("t_order_only",)),
        ("CT", "1.2.840.10008.5.1.4.1.1.7.4", 3, ()),  # a capture in colour
        ("XA", "1.2.840.10008.5.1.4.1.1.12.1", 1, ()),
        ("NM", "1.2.840.10008.5.1.4.1.1.20", 1, ()),  # projections
    ],
)
def test_slices_without_positions_have_an_order_and_no_more(
    modality: str, sop: str, samples: int, flags: tuple[str, ...]
) -> None:
    frames = [replace(f, samples=samples) for f in read(header(4, modality=modality, sop=sop))]
    (volume,) = lay_out(frames)
    assert volume.flags == flags
    assert volume.t_axis == {"means": ["frame"], "values": [0.0, 1.0, 2.0, 3.0]}


def shared(numbers: list[int], each: Any) -> list[Any]:
    """Volumes of a file whose frames have one position, and the numbers of their places in the stack."""

    def of(n: int) -> Dataset:
        content = item(InStackPositionNumber=numbers[n], StackID="1", **each(n))
        return group(FrameContentSequence=content, PlanePositionSequence=position(0))

    return lay_out(read(enhanced(len(numbers), of)))


def times(n: int) -> dict[str, str]:
    return {"FrameAcquisitionDateTime": f"2020010210{n:02d}00"}


def test_a_position_that_all_slices_of_a_stack_share_is_not_used() -> None:
    for each in (times, lambda n: {}, lambda n: {**times(n), "TemporalPositionIndex": n // 4 + 1}):
        for volume in shared([1, 2, 3, 4] * 2, each):
            assert "shared_position" in volume.flags
            assert (volume.axes, volume.origin_lps, volume.affine_lps) == (("t", "y", "x"), None, None)
            assert [place.frame.number for place in volume.places] == list(range(8))


def test_times_of_one_place_keep_their_position() -> None:
    """One number for all, or a writer who counts times in it: what varies is the time."""
    for counted, each in (
        ([1] * 6, times),
        ([1, 2, 3, 4, 5, 6], lambda n: {"TemporalPositionIndex": n + 1}),
    ):
        (volume,) = shared(counted, each)
        assert (volume.flags, volume.shape[0], volume.origin_lps) == ((), 6, (1, 2, 0))
