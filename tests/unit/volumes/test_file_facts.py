"""Facts of files without functional groups: positions of tomography, spacings, causes, terms and constants."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_enhanced import AXIAL, header, item, through_bytes
from pydicom import Dataset
from pydicom.sequence import Sequence

from dicomzarr.volumes import file_facts
from dicomzarr.volumes.frame_attributes import Defects
from dicomzarr.volumes.image_type import kind_of_image
from dicomzarr.volumes.stacking import lay_out

NM, PET, MR, CT, DX = (
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("20", "128", "4", "2", "1.1")
)  # fmt: skip
CORONAL = [1, 0, 0, 0, 0, -1]


def tomography(count: int, between: float | None, orientation: list[int] = AXIAL, **more: Any) -> Dataset:
    detector = item(ImagePositionPatient=[-140, -140, 100], ImageOrientationPatient=orientation)
    attributes: dict[str, Any] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"],
        "PixelSpacing": [4.4, 4.4],
        "SliceThickness": 5,
        "SliceVector": list(range(1, count + 1)),
        "NumberOfSlices": count,
        "DetectorInformationSequence": Sequence([detector]),
    }
    attributes |= {"SpacingBetweenSlices": between} if between is not None else {}
    attributes |= more
    return header(count, "NM", NM, **{key: value for key, value in attributes.items() if value is not None})


# ------------------------------------------------------------------------------------------------------- tomography


@pytest.mark.parametrize(
    ("between", "orientation", "step"),
    [
        (-4.4, AXIAL, (0, 0, -4.4)),
        (4.4, AXIAL, (0, 0, 4.4)),
        (-2.0, CORONAL, (0, -2.0, 0)),
        (3.0, CORONAL, (0, 3.0, 0)),
    ],
)
def test_slices_lie_along_the_normal_and_the_sign_counts(
    between: float, orientation: list[int], step: tuple[float, ...]
) -> None:
    frames = through_bytes(tomography(5, between, orientation))
    for index, frame in enumerate(frames):
        expected = [start + index * part for start, part in zip((-140, -140, 100), step, strict=True)]
        assert frame.position == pytest.approx(expected)
        assert frame.orientation == tuple(orientation)
    (volume,) = lay_out(frames)
    assert (volume.axes, volume.spacing_mm["z"]) == (("z", "y", "x"), abs(between))
    ascending = [place.frame.number for place in volume.places]
    assert ascending == (list(range(5)) if between > 0 else [4, 3, 2, 1, 0])


def test_frames_follow_the_slice_vector_and_gates_are_told_apart() -> None:
    dataset = tomography(
        6, -2.0, ImageType=["ORIGINAL", "PRIMARY", "RECON GATED TOMO"], SliceVector=[1, 2, 3, 1, 2, 3],
        TimeSlotVector=[1, 1, 1, 2, 2, 2], RRIntervalVector=[1] * 6, NumberOfSlices=3,
    )  # fmt: skip
    frames = through_bytes(dataset)
    assert [frame.position and frame.position[2] for frame in frames] == [100, 98, 96] * 2
    assert [frame.causes["time_slot"] for frame in frames] == [1, 1, 1, 2, 2, 2]
    assert frames[0].causes["rr_interval"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"SpacingBetweenSlices": None},  # Slice Thickness is no distance
        {"SpacingBetweenSlices": 0},
        {"SliceVector": [1, 2]},
        {"DetectorInformationSequence": None},
    ],
)
def test_no_position_is_invented(change: dict[str, Any]) -> None:
    assert [frame.position for frame in through_bytes(tomography(3, -4.4, **change))] == [None] * 3


@given(st.integers(2, 9), st.sampled_from([-4.0, 4.0]), st.randoms(use_true_random=False))
def test_slice_vectors_from_0_place_slices_as_those_from_1(count: int, between: float, rng: random.Random) -> None:
    order = rng.sample(range(count), count)
    from_0, from_1 = (tomography(count, between, SliceVector=[first + n for n in order]) for first in (0, 1))
    assert [f.position for f in through_bytes(from_0)] == [f.position for f in through_bytes(from_1)]
    assert through_bytes(from_0)[order.index(0)].position == (-140, -140, 100)


@pytest.mark.parametrize(
    ("vectors", "is_timed"),
    [
        ({"DetectorVector": [1, 2, 1, 2]}, False),
        ({"DetectorVector": [1] * 4, "AngularViewVector": [1, 2, 3, 4]}, False),
        ({"DetectorVector": [1] * 4, "TimeSliceVector": [1, 2, 3, 4]}, True),
        ({}, True),
    ],
)
def test_frame_time_counts_frames_of_one_detector_alone(vectors: dict[str, list[int]], is_timed: bool) -> None:
    static = {"ImageType": ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"], "SliceVector": None, "NumberOfSlices": None}
    frames = through_bytes(tomography(4, None, FrameTime=40.0, **static, **vectors))
    assert [f.causes.get("frame_time_s") for f in frames] == ([0, 0.04, 0.08, 0.12] if is_timed else [None] * 4)


@pytest.mark.parametrize(
    ("vector", "times"),
    [
        ([0, 40, 80, 40], [0, 0.04, 0.12, 0.16]),
        ([0, 40, 80], None),  # one step is lost, and not all are as Frame Time says
        ([40, 80, 40, 40], None),
        ([0, 40, 40], [0, 0.04, 0.08, 0.12]),
        ([40, 40, 40, 40], [0, 0.04, 0.08, 0.12]),
        ([0, 0, 0], [0, 0.04, 0.08, 0.12]),
        (None, [0, 0.04, 0.08, 0.12]),
    ],
)
def test_a_vector_that_does_not_fit_says_that_frame_time_is_not_that_of_each(
    vector: list[float] | None, times: list[float] | None
) -> None:
    dataset = header(4, "XA", "1.2.840.10008.5.1.4.1.1.12.1", FrameTime=40.0, FrameTimeVector=vector)
    if vector is None:
        del dataset.FrameTimeVector
    frames = through_bytes(dataset)
    assert [f.causes.get("frame_time_s") for f in frames] == (times or [None] * 4)


def test_two_detectors_place_nothing() -> None:
    dataset = tomography(3, -4.4)
    other = item(ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=AXIAL)
    dataset.DetectorInformationSequence.append(other)
    assert [frame.position for frame in through_bytes(dataset)] == [None] * 3


def test_a_position_of_the_file_is_that_of_the_first_slice() -> None:
    dataset = tomography(
        3, 4.0, DetectorInformationSequence=None, ImagePositionPatient=[1, 2, 3], ImageOrientationPatient=AXIAL
    )
    assert [frame.position for frame in through_bytes(dataset)] == [(1, 2, 3), (1, 2, 7), (1, 2, 11)]


def test_planar_images_have_their_numbers_and_no_position() -> None:
    dataset = tomography(
        4, None, ImageType=["ORIGINAL", "PRIMARY", "DYNAMIC", "EMISSION"], SliceVector=None, NumberOfSlices=None,
        EnergyWindowVector=[1, 1, 2, 2], DetectorVector=[1, 2, 1, 2], PhaseVector=[1] * 4, TimeSliceVector=[1, 2, 3, 4],
    )  # fmt: skip
    frames = through_bytes(dataset)
    assert [frame.position for frame in frames] == [None] * 4
    assert [frame.causes["energy_window"] for frame in frames] == [1, 1, 2, 2]
    assert [frame.causes["detector"] for frame in frames] == [1, 2, 1, 2]
    assert [frame.causes["time_slice"] for frame in frames] == [1, 2, 3, 4]


def planar(number: int, **more: Any) -> Dataset:
    dataset = tomography(1, None, ImageType=["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"], SliceVector=None, **more)
    dataset.InstanceNumber = number
    dataset.SOPInstanceUID = f"1.2.{number}.{more.get('DetectorVector', 0)}"
    return dataset


def test_planar_images_of_one_frame_state_their_detector() -> None:
    views = [planar(n, DetectorVector=n, EnergyWindowVector=1) for n in (1, 2, 3)]
    (volume,) = lay_out([replace(f, source=n) for n, view in enumerate(views) for f in through_bytes(view)])
    assert volume.t_axis == {"means": ["detector"], "values": [1, 2, 3]}
    assert volume.acquisition["energy_window"] == 1


def test_planar_images_whose_numbers_start_again_are_an_array_for_each_detector() -> None:
    views = [planar(n, DetectorVector=detector) for detector in (1, 2) for n in (1, 2, 3)]
    frames = [replace(f, source=n) for n, view in enumerate(views) for f in through_bytes(view)]
    volumes = lay_out(frames)
    assert sorted((volume.acquisition["detector"], volume.shape[0]) for volume in volumes) == [(1, 3), (2, 3)]


def test_tomography_with_and_without_attenuation_correction_is_two_volumes() -> None:
    frames = []
    for number, words in enumerate((["UNIF", "COR"], ["UNIF", "COR", "ATTN"])):
        dataset = tomography(4, -4.4, CorrectedImage=words, InstanceNumber=number, ContentTime=f"10000{number}")
        frames += [replace(f, source=number) for f in through_bytes(dataset)]
    volumes = lay_out(frames)
    assert {volume.acquisition["attenuation_correction"] for volume in volumes} == {"NO", "YES"}
    assert [volume.axes for volume in volumes] == [("z", "y", "x")] * 2


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.floats(0.5, 9.0), st.booleans(), st.randoms(use_true_random=False))
def test_any_order_of_slices_is_one_stack(count: int, between: float, down: bool, random: Any) -> None:
    between = round(between, 2) * (-1 if down else 1)
    order = list(range(1, count + 1))
    random.shuffle(order)
    frames = through_bytes(tomography(count, between, SliceVector=order))
    (volume,) = lay_out(frames)
    assert volume.spacing_mm["z"] == pytest.approx(abs(between))
    by_height = sorted(range(count), key=lambda n: order[n] * between)
    assert [place.frame.number for place in volume.places] == by_height


# ---------------------------------------------------------------------------------------------------------- spacing


@pytest.mark.parametrize(
    ("attributes", "spacing", "source", "flags"),
    [
        ({"PixelSpacing": [0.2, 0.3], "ImagerPixelSpacing": [0.4, 0.5]}, (0.2, 0.3), "PixelSpacing", ()),
        ({"PixelSpacing": [0.2, 0.3], "EstimatedRadiographicMagnificationFactor": 2}, (0.2, 0.3), "PixelSpacing", ()),
        (
            {"ImagerPixelSpacing": [0.3, 0.6], "EstimatedRadiographicMagnificationFactor": 1.5},
            (0.2, 0.4),
            "ImagerPixelSpacing/EstimatedRadiographicMagnificationFactor",
            (),
        ),
        ({"ImagerPixelSpacing": [0.3, 0.6]}, None, "", ("detector_spacing",)),
        (
            {"ImagerPixelSpacing": [0.3, 0.6], "EstimatedRadiographicMagnificationFactor": 0.5},
            None,
            "",
            ("detector_spacing",),
        ),
        ({"EstimatedRadiographicMagnificationFactor": 1.5}, None, "", ()),
    ],
)
def test_the_source_of_the_spacing(
    attributes: dict[str, Any], spacing: tuple[float, float] | None, source: str, flags: tuple[str, ...]
) -> None:
    (frame,) = through_bytes(header(1, "DX", DX, **attributes))
    assert frame.pixel_spacing == (pytest.approx(spacing) if spacing else None)
    assert (frame.spacing_source, frame.flags) == (source, flags)
    if "ImagerPixelSpacing" in attributes:
        row, column = attributes["ImagerPixelSpacing"]
        assert frame.constants.items() >= {"detector_spacing_row_mm": row, "detector_spacing_column_mm": column}.items()


@pytest.mark.parametrize(
    ("modality", "suffix", "spacing"),
    [
        ("XA", "2", (0.4, 0.4)),  # slices of a C-arm
        ("MG", "2", (0.4, 0.4)),
        ("MG", "13.1.3", (0.4, 0.4)),
        ("MG", "13.1.4", None),  # projections from which slices are computed
        ("XA", "12.1", None),
        ("CT", "2", (0.4, 0.4)),
    ],
)
def test_slices_keep_a_spacing_that_equals_that_at_the_detector(
    modality: str, suffix: str, spacing: tuple[float, float] | None
) -> None:
    """Only of projections it means that nothing was corrected for the magnification (PS3.3 10.7.1.1)."""
    same = {"PixelSpacing": [0.4, 0.4], "ImagerPixelSpacing": [0.4, 0.4]}
    (frame,) = through_bytes(header(1, modality, f"1.2.840.10008.5.1.4.1.1.{suffix}", **same))
    assert frame.pixel_spacing == spacing
    assert frame.flags == (() if spacing else ("detector_spacing",))


# ------------------------------------------------------------------------------------------------------------- facts


def test_causes_of_classic_images() -> None:
    (frame,) = through_bytes(
        header(
            1, "MR", MR, FlipAngle=15, RepetitionTime=8.5, MagneticFieldStrength=3, EchoTime=2.5, SliceThickness=4,
            SpacingBetweenSlices=4.5, DiffusionBValue=700.0, DiffusionGradientOrientation=[0.0, 1.0, 0.0],
            NominalPercentageOfCardiacPhase=30.0, TemporalPositionIdentifier=2, KVP=0, ComplexImageComponent="REAL",
        )
    )  # fmt: skip
    assert frame.causes.items() >= {
        "flip_angle_deg": 15, "echo_time_ms": 2.5, "b_value": 700, "b_vector_y": 1, "cardiac_phase_percent": 30,
        "temporal_position": 2,
    }.items()  # fmt: skip
    assert frame.constants == {
        "repetition_time_ms": 8.5, "magnetic_field_strength_t": 3, "slice_thickness_mm": 4,
        "spacing_between_slices_mm": 4.5,
    }  # fmt: skip
    assert frame.terms["complex_component"] == "real"


@pytest.mark.parametrize(("sop_class", "facts"), [(MR, {"flip_angle_deg": 15.0}), (CT, {"kvp": 120.0})])
def test_a_file_without_a_modality_has_the_facts_of_its_class(sop_class: str, facts: dict[str, float]) -> None:
    (frame,) = through_bytes(header(1, "", sop_class, FlipAngle=15, KVP=120))
    assert {name: frame.causes[name] for name in ("flip_angle_deg", "kvp") if name in frame.causes} == facts


def test_an_isotropic_image_has_the_null_vector() -> None:
    (frame,) = through_bytes(
        header(
            1, "MR", MR, DiffusionBValue=700.0, DiffusionDirectionality="ISOTROPIC",
            DiffusionGradientOrientation=[0.0, 1.0, 0.0],
        )
    )  # fmt: skip
    assert [frame.causes[f"b_vector_{axis}"] for axis in "xyz"] == [0, 0, 0]


def test_a_direction_of_ge_is_no_b_vector() -> None:
    dataset = header(1, "MR", MR, Manufacturer="GE MEDICAL SYSTEMS")
    parameters, acquisition = (
        dataset.private_block(group, name, create=True)
        for group, name in ((0x43, "GEMS_PARM_01"), (0x19, "GEMS_ACQU_01"))
    )
    parameters.add_new(0x39, "IS", [1000, 8, 0, 0])
    for n, value in enumerate((0.5, 0.0, -0.5)):
        acquisition.add_new(0xBB + n, "DS", str(value))
    (frame,) = through_bytes(dataset)
    assert frame.causes["b_value"] == 1000
    assert [frame.causes[f"b_vector_image_{n}"] for n in (1, 2, 3)] == [0.5, 0, -0.5]
    assert "b_vector_x" not in frame.causes


def test_energies_and_kernels_of_ct() -> None:
    (frame,) = through_bytes(
        header(1, "CT", CT, KVP=140, ConvolutionKernel=["Br40d", "3"], MonoenergeticEnergyEquivalent=55.0)
    )
    assert (frame.kernel, frame.causes["kvp"], frame.causes["monoenergetic_kev"]) == ("Br40d\\3", 140, 55)


def test_facts_of_pet() -> None:
    pharmaceutical = item(Radiopharmaceutical="CANARY", RadionuclideHalfLife=6586.2, RadionuclideTotalDose=3.7e8)
    (frame,) = through_bytes(
        header(
            1, "PT", PET, Units="BQML", CountsSource="EMISSION", DecayCorrection="START", SUVType="BW",
            ActualFrameDuration=60000, RadiopharmaceuticalInformationSequence=Sequence([pharmaceutical]),
        )
    )  # fmt: skip
    assert frame.terms == {
        "units": "BQML", "counts_source": "EMISSION", "decay_correction": "START", "suv_type": "BW",
    }  # fmt: skip
    assert frame.constants == {"half_life_s": 6586.2, "dose_bq": 3.7e8, "frame_duration_ms": 60000}
    (frame,) = through_bytes(header(1, "PT", PET, Units="CANARY", CountsSource="CANARY", DecayCorrection="X"))
    assert frame.terms == {}


@pytest.mark.parametrize(
    ("modality", "dose", "expected"),
    [("PT", 3.7e8, 3.7e8), ("NM", 740, 7.4e8), ("PT", 370, None), ("NM", 7.4e8, None), ("PT", -1, None)],
)
def test_a_dose_is_in_becquerel_or_left_out(modality: str, dose: float, expected: float | None) -> None:
    pharmaceutical = item(RadionuclideTotalDose=dose)
    sop = NM if modality == "NM" else PET
    dataset = header(1, modality, sop, RadiopharmaceuticalInformationSequence=Sequence([pharmaceutical]))
    assert through_bytes(dataset)[0].constants.get("dose_bq") == expected


def test_numbers_that_cannot_be_used_flag_the_frame() -> None:
    dataset = header(1, "MR", MR, EchoTime=1e6, DiffusionBValue=2e7)
    (frame,) = through_bytes(dataset)
    assert frame.flags == ("implausible_number",)
    assert not {"echo_time_ms", "b_value"} & frame.causes.keys()


# -------------------------------------------------------------------------------------------------------- image type


@pytest.mark.parametrize(
    ("image_type", "part", "component"),
    [
        ("ORIGINAL PRIMARY M_FFE M FFE", "magnitude", None),
        ("ORIGINAL PRIMARY PHASE_MAP P FFE", "phase", "phase_map"),
        ("ORIGINAL PRIMARY VELOCITY_MAP P PCA", "phase", "velocity_map"),
        ("ORIGINAL PRIMARY B0_MAP B0 UNSPECIFIED", None, "field_map"),
        ("ORIGINAL PRIMARY B0 B0 UNSPECIFIED", None, "field_map"),
        ("DERIVED SECONDARY FIELDMAPHZ", None, "field_map"),
        ("DERIVED PRIMARY B1_MAP", None, "b1_map"),
        ("DERIVED PRIMARY DIXON WATER", None, "water"),
        ("DERIVED PRIMARY DIXON IP", None, "in_phase"),
        ("DERIVED PRIMARY T1_MAP", None, "t1_map"),
        ("ORIGINAL PRIMARY DIFFUSION B0", None, None),  # a technique's remark in another place
        ("ORIGINAL PRIMARY CANARY", None, None),
    ],
)
@pytest.mark.parametrize("spaced", [False, True])
def test_components_of_image_type(image_type: str, part: str | None, component: str | None, spaced: bool) -> None:
    words = [word.replace("_MAP", " MAP") if spaced else word for word in image_type.split()]
    (frame,) = through_bytes(header(1, "MR", MR, ImageType=words))
    assert frame.terms.get("complex_component") == part
    assert frame.terms.get("image_component") == component


def test_maps_of_phases_are_kinds_of_their_own() -> None:
    maps = ("P", "PHASE MAP", "VELOCITY MAP", "B0 MAP", "M")
    assert len({kind_of_image(("ORIGINAL", "PRIMARY", word)) for word in maps}) == len(maps)


# ---------------------------------------------------------------------------------------------------------- rescale


@pytest.mark.parametrize("alone", [{"RescaleSlope": 2}, {"RescaleIntercept": -1024}])
def test_a_slope_without_an_intercept_is_no_rescale_but_flagged(alone: dict[str, Any]) -> None:
    for more in ({}, {"RescaleIntercept": None} if "RescaleSlope" in alone else {"RescaleSlope": None}):
        (frame,) = through_bytes(header(1, "CT", CT, **alone, **more))
        assert frame.rescale is None
        assert "rescale_incomplete" in frame.flags
        shared = Dataset()
        shared.PixelValueTransformationSequence = Sequence([item(**alone, RescaleType="US")])
        for frame in through_bytes(header(2, "CT", CT, SharedFunctionalGroupsSequence=Sequence([shared]))):
            assert (frame.rescale, "rescale_incomplete" in frame.flags) == (None, True)
    for whole in ({}, {"RescaleSlope": 2, "RescaleIntercept": 0}):
        (frame,) = through_bytes(header(1, "CT", CT, **whole))
        assert "rescale_incomplete" not in frame.flags


# -------------------------------------------------------------------------------- what the files of a series agree in


class Asked(dict[str, Any]):
    """Facts that remember what they were asked for."""

    def __init__(self, facts: dict[str, Any]) -> None:
        super().__init__(facts)
        self.keywords: set[str] = set()

    def get(self, keyword: str, default: Any = None) -> Any:
        self.keywords.add(keyword)
        return super().get(keyword, default)


@pytest.mark.parametrize(
    "facts",
    [{}, {"Modality": "MR"}, {"Modality": "CT", "KVP": 120.0}, {"ImagerPixelSpacing": [0.1, 0.1], "radionuclide": {}}],
)
def test_the_key_of_a_series_holds_all_that_is_asked_for(facts: dict[str, Any]) -> None:
    asked = Asked(facts)
    file_facts._of_series(asked)  # type: ignore[arg-type]
    assert asked.keywords <= set(file_facts._OF_SERIES)


def test_numbers_that_are_equal_but_not_the_same_are_not_mixed_up() -> None:
    for zero in (0.0, -0.0, 0.0):
        facts: Any = {"real_world": [1, zero], "PixelSpacing": [1, 2]}
        shared = file_facts.of_all_frames(facts, Defects())
        assert repr(shared.real_world) == repr((1.0, zero))


def test_values_of_pydicom_are_interpreted_without_a_key() -> None:
    header = Dataset()
    header.PixelSpacing = ["0.5", "0.75"]
    facts: Any = {"PixelSpacing": header.PixelSpacing}
    assert file_facts.of_all_frames(facts, Defects()).spacing == (0.5, 0.75)


@pytest.mark.parametrize(
    ("quantity", "terms"),
    [
        ("field_map", {"image_component": "field_map"}),
        ("magnitude", {"image_component": "magnitude", "complex_component": "magnitude"}),
        ("superior_inferior", {"velocity_component": "superior_inferior"}),
    ],
)
def test_what_an_image_of_ge_shows_is_named(quantity: str, terms: dict[str, str]) -> None:
    facts: Any = {"Modality": "MR", "quantity_of_ge": quantity}
    if quantity == "magnitude":
        facts["ComplexImageComponent"] = "MAGNITUDE"
    assert file_facts.of_all_frames(facts, Defects()).terms == terms
