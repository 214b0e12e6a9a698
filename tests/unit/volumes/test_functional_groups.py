"""Functional groups: shared, per frame, or both; concatenations; numbers that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_enhanced import AXIAL, enhanced, group, header, item, position, read, through_bytes
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from dicomzarr.volumes.terms import UNITS

CORONAL = [1, 0, 0, 0, 0, -1]


def shared_only(count: int, shared: Dataset, **more: Any) -> Dataset:
    return header(count, SharedFunctionalGroupsSequence=Sequence([shared]), **more)


@pytest.mark.parametrize("implicit", [False, True])
def test_shared_groups_alone_describe_every_frame(implicit: bool) -> None:
    shared = group(
        PixelMeasuresSequence=item(PixelSpacing=[0.1, 0.2], SliceThickness=1),
        PixelValueTransformationSequence=item(RescaleSlope=2, RescaleIntercept=-5, RescaleType="US"),
        MREchoSequence=item(EffectiveEchoTime=7.5),
        FrameVOILUTSequence=item(WindowCenter=40, WindowWidth=80, VOILUTFunction="SIGMOID"),
    )
    frames = through_bytes(
        shared_only(4, shared, sop="1.2.840.10008.5.1.4.1.1.13.1.3", modality="MG"), implicit=implicit
    )
    assert len(frames) == 4
    for frame in frames:
        assert (frame.pixel_spacing, frame.spacing_source) == ((0.1, 0.2), "PixelSpacing")
        assert (frame.rescale, frame.window, frame.causes["echo_time_ms"]) == ((2, -5), ((40, 80),), 7.5)
        assert (frame.constants["slice_thickness_mm"], frame.window_function) == (1, "SIGMOID")
        assert (frame.position, frame.flags) == (None, ())


def test_a_shared_plane_is_that_of_every_frame() -> None:
    shared = group(
        PlanePositionSequence=position(5), PlaneOrientationSequence=item(ImageOrientationPatient=CORONAL),
        PixelMeasuresSequence=item(PixelSpacing=[1, 1]),
    )  # fmt: skip
    assert [(f.position, f.orientation) for f in through_bytes(shared_only(3, shared))] == [
        ((1, 2, 5), tuple(CORONAL))
    ] * 3


def test_the_frames_own_attribute_comes_first_and_the_shared_one_fills_in() -> None:
    def each(n: int) -> Dataset:
        measures = item(SliceThickness=3) if n == 0 else item(PixelSpacing=[9, 9])
        transformation = item(RescaleSlope=n + 1)
        return group(
            PlanePositionSequence=position(n),
            PixelMeasuresSequence=measures,
            PixelValueTransformationSequence=transformation,
        )

    dataset = enhanced(2, each)
    dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = Sequence(
        [item(RescaleIntercept=-7, RescaleSlope=99)]
    )
    first, second = through_bytes(dataset)
    assert (first.pixel_spacing, first.constants["slice_thickness_mm"]) == ((0.5, 0.25), 3)
    assert (second.pixel_spacing, second.constants["slice_thickness_mm"]) == ((9, 9), 2)
    assert [first.rescale, second.rescale] == [(1, -7), (2, -7)]


def test_an_empty_group_of_the_frame_hides_nothing() -> None:
    frames = through_bytes(
        enhanced(2, lambda n: group(PlanePositionSequence=position(n), PixelMeasuresSequence=Dataset()))
    )
    assert [frame.pixel_spacing for frame in frames] == [(0.5, 0.25)] * 2


def test_a_plane_outside_the_groups_is_that_of_a_single_frame_only() -> None:
    plane = {"ImagePositionPatient": [4, 5, 6], "ImageOrientationPatient": AXIAL, "PixelSpacing": [2, 2]}
    empty = lambda n: item(FrameContentSequence=Sequence([item(StackID="1")]))  # noqa: E731
    for count, expected in ((1, (4, 5, 6)), (2, None)):
        dataset = header(count, PerFrameFunctionalGroupsSequence=Sequence([empty(n) for n in range(count)]), **plane)
        frames = through_bytes(dataset)
        assert [frame.position for frame in frames] == [expected] * count
        assert [frame.pixel_spacing for frame in frames] == [(2, 2)] * count


def test_an_orientation_outside_the_groups_fills_in() -> None:
    def each(n: int) -> Dataset:
        return group(PlanePositionSequence=position(n))

    dataset = header(2, PerFrameFunctionalGroupsSequence=Sequence([each(0), each(1)]), ImageOrientationPatient=CORONAL)
    assert [frame.orientation for frame in through_bytes(dataset)] == [tuple(CORONAL)] * 2


def test_what_distinguishes_and_describes_frames() -> None:
    def each(n: int) -> Dataset:
        return group(
            PlanePositionSequence=position(0),
            CardiacSynchronizationSequence=item(NominalPercentageOfCardiacPhase=10.0 * n),
            RespiratorySynchronizationSequence=item(NominalPercentageOfRespiratoryPhase=5.0 * n),
            MRTimingAndRelatedParametersSequence=item(FlipAngle=15.0 + n, RepetitionTime=8.0),
            MRVelocityEncodingSequence=item(
                VelocityEncodingDirection=[0.0, 0.0, 1.0], VelocityEncodingMaximumValue=150.0
            ),
            TemporalPositionSequence=item(TemporalPositionTimeOffset=1.5 * n),
            MRImageFrameTypeSequence=item(
                FrameType=["ORIGINAL", "PRIMARY", "VELOCITY", "NONE"],
                ComplexImageComponent="PHASE" if n else "MAGNITUDE",
            ),
            FrameContentSequence=item(FrameAcquisitionNumber=n + 1, FrameAcquisitionDuration=250.0),
        )

    first, second = through_bytes(enhanced(2, each))
    assert (
        second.causes.items()
        >= {
            "cardiac_phase_percent": 10,
            "respiratory_phase_percent": 5,
            "flip_angle_deg": 16,
            "velocity_max_cm_s": 150,
            "velocity_direction_z": 1,
            "temporal_offset_s": 1.5,
            "frame_acquisition_number": 2,
        }.items()
    )
    assert second.constants.items() >= {"repetition_time_ms": 8, "frame_duration_ms": 250}.items()
    assert [f.terms["complex_component"] for f in (first, second)] == ["magnitude", "phase"]
    assert second.terms["image_component"] == "velocity_map"


def test_kernels_of_enhanced_ct() -> None:
    def each(n: int) -> Dataset:
        return group(
            PlanePositionSequence=position(n // 2),
            CTReconstructionSequence=item(ConvolutionKernel=["B30f", "B70f"][n % 2]),
            CTXRayDetailsSequence=item(KVP=80 + 60 * (n % 2)),
        )

    frames = through_bytes(enhanced(4, each, modality="CT", sop="1.2.840.10008.5.1.4.1.1.2.1"))
    assert [frame.kernel for frame in frames] == ["B30f", "B70f"] * 2
    assert [frame.causes["kvp"] for frame in frames] == [80, 140] * 2


@pytest.mark.parametrize("where", ["top", "shared", "frame"])
def test_a_real_world_mapping_wherever_it_stands(where: str) -> None:
    mapping = Sequence([item(RealWorldValueSlope=0.25, RealWorldValueIntercept=-1.0)])
    dataset = enhanced(2, lambda n: group(PlanePositionSequence=position(n)))
    at = {
        "top": dataset,
        "shared": dataset.SharedFunctionalGroupsSequence[0],
        "frame": dataset.PerFrameFunctionalGroupsSequence[1],
    }[where]
    at.RealWorldValueMappingSequence = mapping
    first, second = through_bytes(dataset)
    assert second.real_world == (0.25, -1)
    assert first.real_world == (None if where == "frame" else (0.25, -1))


@pytest.mark.parametrize("where", ["top", "shared", "frame"])
@pytest.mark.parametrize(
    ("scheme", "code", "unit"), [("UCUM", "mm2/s", "mm2/s"), ("UCUM", "Smith/s", None), ("99MINE", "mm2/s", None)]
)
def test_a_unit_of_the_list_is_stated_and_no_other(where: str, scheme: str, code: str, unit: str | None) -> None:
    units = item(CodeValue=code, CodingSchemeDesignator=scheme, CodeMeaning="Smith")
    mapping = item(RealWorldValueSlope=0.25, RealWorldValueIntercept=-1.0)
    mapping.MeasurementUnitsCodeSequence = Sequence([units])
    dataset = enhanced(2, lambda n: group(PlanePositionSequence=position(n)))
    at = {
        "top": dataset,
        "shared": dataset.SharedFunctionalGroupsSequence[0],
        "frame": dataset.PerFrameFunctionalGroupsSequence[1],
    }[where]
    at.RealWorldValueMappingSequence = Sequence([mapping])
    assert [frame.terms.get("real_world_units") for frame in through_bytes(dataset)] == (
        [None, unit] if where == "frame" else [unit, unit]
    )


def test_every_unit_of_the_list_is_one_of_dicom() -> None:
    from pydicom.sr._concepts_dict import concepts

    assert {code for name in concepts["UCUM"].values() for code in name} >= UNITS


def test_several_real_world_mappings_are_none() -> None:
    mappings = [item(RealWorldValueSlope=slope, RealWorldValueIntercept=0.0) for slope in (1.0, 2.0)]
    dataset = enhanced(1, lambda n: group(PlanePositionSequence=position(n)))
    dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = Sequence(mappings)
    assert through_bytes(dataset)[0].real_world is None


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ConcatenationFrameOffsetNumber": 40, "InConcatenationNumber": 3}, 40),
        ({"InConcatenationNumber": 1}, 0),
        ({"InConcatenationNumber": 2, "InConcatenationTotalNumber": 3}, 2),
        ({"InConcatenationNumber": 3, "InConcatenationTotalNumber": 3}, -1),  # the last part may be shorter
        ({}, -1),
    ],
)
def test_parts_of_a_concatenation(attributes: dict[str, int], expected: int) -> None:
    dataset = enhanced(2, lambda n: group(PlanePositionSequence=position(n)), ConcatenationUID="1.2.3.9", **attributes)
    for frame in through_bytes(dataset):
        assert (frame.concatenation, frame.concatenation_offset) == ("1.2.3.9", expected)
        part = attributes.get("InConcatenationNumber")
        assert frame.causes.get("in_concatenation_number") == part


def test_a_mosaic_that_became_frames_is_none() -> None:
    dataset = enhanced(2, lambda n: group(PlanePositionSequence=position(n)))
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    for frame in through_bytes(dataset):
        assert frame.image_type == ("ORIGINAL", "PRIMARY", "M", "ND")
        assert frame.mosaic is None


# -------------------------------------------------------------------------------------------------------- diffusion


def philips(b: float, direction: tuple[float, float, float] | None, block: int = 0x10) -> Dataset:
    private = Dataset()
    private.add(DataElement((0x2001, block), "LO", "Philips Imaging DD 001"))
    private.add(DataElement((0x2001, block << 8 | 3), "FL", b))
    private.add(DataElement((0x2001, block << 8 | 4), "CS", "O" if direction else "I"))
    if direction:
        private.add(DataElement((0x2005, block), "LO", "Philips MR Imaging DD 001"))
        for n, value in enumerate(direction):
            private.add(DataElement((0x2005, block << 8 | 0xB0 + n), "FL", value))
    return private


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("block", [0x10, 0x17])
def test_private_diffusion_of_philips_within_groups(below: bool, block: int) -> None:
    table = [(0.0, None), (800.0, (0.0, 1.0, 0.0)), (1000.0, None)]

    def each(n: int) -> Dataset:
        result = group(PlanePositionSequence=position(0))
        private = philips(*table[n], block)
        if below:
            result.add(DataElement((0x2005, 0x0014), "LO", "Philips MR Imaging DD 005"))
            result.add(DataElement((0x2005, 0x140F), "SQ", Sequence([private])))
        else:
            result.update(private)
        return result

    for frame, (b, direction) in zip(through_bytes(enhanced(3, each)), table, strict=True):
        vector = tuple(frame.causes[f"b_vector_{axis}"] for axis in "xyz")
        assert (frame.causes["b_value"], vector) == (b, direction or (0, 0, 0))


def test_a_frame_without_b_value_has_none() -> None:
    for frame in through_bytes(enhanced(2, lambda n: group(PlanePositionSequence=position(n)))):
        assert not {"b_value", "b_vector_x"} & frame.causes.keys()


def test_a_direction_of_the_shared_group_is_not_that_of_an_isotropic_frame() -> None:
    def each(n: int) -> Dataset:
        diffusion = item(DiffusionBValue=700.0, DiffusionDirectionality=["DIRECTIONAL", "ISOTROPIC"][n])
        return group(PlanePositionSequence=position(n), MRDiffusionSequence=diffusion)

    dataset = enhanced(2, each)
    gradient = item(DiffusionGradientOrientation=[1.0, 0.0, 0.0])
    shared = item(DiffusionGradientDirectionSequence=Sequence([gradient]))
    dataset.SharedFunctionalGroupsSequence[0].MRDiffusionSequence = Sequence([shared])
    assert [frame.causes["b_vector_x"] for frame in through_bytes(dataset)] == [1, 0]


# ---------------------------------------------------------------------------------------------------------- numbers


def with_text(**sequences: tuple[str, str]) -> Any:
    """Return a header of which some attributes within the groups are texts, as bytes would hold them."""

    def each(n: int) -> Dataset:
        result = group(PlanePositionSequence=position(n))
        for sequence, (keyword, value) in sequences.items():
            inner = Dataset()
            tag = Tag(tag_for_keyword(keyword) or 0)
            raw = value.encode()
            inner[tag] = RawDataElement(tag, "DS", len(raw), raw, 0, False, True)
            setattr(result, sequence, Sequence([inner]))
        return result

    return each


def test_decimal_commas_within_groups() -> None:
    frames = read(enhanced(2, with_text(PixelMeasuresSequence=("PixelSpacing", "0,143\\0,143"))))
    assert [frame.pixel_spacing for frame in frames] == [(0.143, 0.143)] * 2
    assert frames[0].flags == ("nonstandard_number",)
    assert frames[0].unreadable_numbers == ()


@pytest.mark.parametrize(
    ("sequence", "keyword", "value"),
    [
        ("PixelMeasuresSequence", "SliceThickness", "1.5 mm"),
        ("PlaneOrientationSequence", "ImageOrientationPatient", "1,234,5\\0\\0\\0\\1\\0"),
        ("PixelValueTransformationSequence", "RescaleSlope", "CANARY"),
    ],
)
def test_what_cannot_be_read_within_groups_is_named(sequence: str, keyword: str, value: str) -> None:
    frames = read(enhanced(2, with_text(**{sequence: (keyword, value)})))
    assert "unreadable_number" in frames[0].flags
    assert frames[0].unreadable_numbers == (keyword,)


def test_implausible_numbers_within_groups_are_dropped() -> None:
    frames = through_bytes(
        enhanced(
            1, lambda n: group(PlanePositionSequence=position(n), MRDiffusionSequence=item(DiffusionBValue=20031117.0))
        )
    )
    assert "b_value" not in frames[0].causes
    assert frames[0].flags == ("implausible_number",)


@pytest.mark.parametrize(
    "groups",
    [
        {"PlanePositionSequence": item(ImagePositionPatient=[0.0, 0.0, 1908193.0])},
        {"MRVelocityEncodingSequence": item(VelocityEncodingDirection=[491510000016.0, 0.0, 0.0])},
        {
            "MRDiffusionSequence": item(
                DiffusionGradientDirectionSequence=Sequence([item(DiffusionGradientOrientation=[0.0, 0.0, 1908193.0])])
            )
        },
        {"FrameContentSequence": item(FrameAcquisitionDuration=731000003.0)},
        {
            "PlanePositionSlideSequence": item(
                RowPositionInTotalImagePixelMatrix=1, ColumnPositionInTotalImagePixelMatrix=17081965
            )
        },
    ],
)
def test_numbers_that_may_identify_are_dropped_within_groups(groups: dict[str, Any]) -> None:
    (frame,) = through_bytes(enhanced(1, lambda _: group(**groups)))
    assert "implausible_number" in frame.flags
    assert frame.position is None
    assert all(abs(value) < 1e6 for values in (frame.causes, frame.constants) for value in values.values())


# --------------------------------------------------------------------------------------------------------- property

_MEASURES = st.fixed_dictionaries(
    {},
    optional={
        "PixelSpacing": st.sampled_from([[1.0, 2.0], [0.5, 0.5]]),
        "SliceThickness": st.sampled_from([1.0, 4.0]),
    },
)


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(st.none(), _MEASURES),
    st.lists(st.one_of(st.none(), _MEASURES), max_size=3),
    st.one_of(st.none(), st.sampled_from([[3.0, 3.0]])),
)
def test_each_attribute_comes_from_the_nearest_place(
    shared: dict[str, Any] | None, own: list[dict[str, Any] | None], top: list[float] | None
) -> None:
    def of(measures: dict[str, Any] | None) -> Dataset:
        return Dataset() if measures is None else group(PixelMeasuresSequence=item(**measures))

    dataset = header(max(len(own), 1), **({"PixelSpacing": top} if top else {}))
    if own:
        dataset.PerFrameFunctionalGroupsSequence = Sequence([of(measures) for measures in own])
    if shared is not None or not own:
        dataset.SharedFunctionalGroupsSequence = Sequence([of(shared)])
    frames = through_bytes(dataset)
    for frame, measures in zip(frames, own or [None], strict=True):
        nearest = {**({"PixelSpacing": top} if top else {}), **(shared or {}), **(measures or {})}
        spacing = nearest.get("PixelSpacing")
        assert frame.pixel_spacing == (tuple(spacing) if spacing else None)
        assert frame.constants.get("slice_thickness_mm") == nearest.get("SliceThickness")


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("where", ["shared", "frame"])
def test_the_anatomy_of_each_frame_may_name_the_head(where: str, implicit: bool) -> None:
    def anatomy(*meanings: str) -> Sequence:
        regions = Sequence([item(CodeValue="1", CodingSchemeDesignator="SCT", CodeMeaning=text) for text in meanings])
        return item(FrameLaterality="U", AnatomicRegionSequence=regions)

    if where == "shared":
        for meanings, of_head in ((("Abdomen",), False), (("Abdomen", "Head and Neck"), True), ((), False)):
            image = shared_only(2, group(FrameAnatomySequence=anatomy(*meanings)))
            assert [frame.names_head for frame in through_bytes(image, implicit=implicit)] == [of_head] * 2
        return
    parts = ("Chest", "Kopf", "Abdomen")
    image = enhanced(3, lambda n: group(PlanePositionSequence=position(n), FrameAnatomySequence=anatomy(parts[n])))
    assert [frame.names_head for frame in through_bytes(image, implicit=implicit)] == [False, True, False]
