"""Measure headers per CPU second: the reader of the header index against pydicom, on made-up CT and small MR files.

    PYTHONPATH=scripts python benchmarks/headers.py [--files 400] [--rounds 5] [--seed 0]

Both open, read and close each file; the files are in the page cache. Rounds are interleaved, and the median is printed.
The script fails if the reader and pydicom do not return the same values.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from dicomzarr.headers.classify import read_header

TEXTS = {
    "SpecificCharacterSet": "ISO_IR 100",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "StudyDate": "20200101",
    "SeriesDate": "20200101",
    "AcquisitionDate": "20200101",
    "ContentDate": "20200101",
    "StudyTime": "101112.000000",
    "SeriesTime": "101112.000000",
    "AcquisitionTime": "101112.000000",
    "ContentTime": "101112.000000",
    "AccessionNumber": "1234567890",
    "Manufacturer": "MADE UP",
    "InstitutionName": "NOWHERE",
    "InstitutionAddress": "NO STREET 1",
    "ReferringPhysicianName": "NOBODY^NO",
    "StationName": "STATION1",
    "StudyDescription": "STUDY",
    "SeriesDescription": "SERIES",
    "ManufacturerModelName": "MODEL",
    "PatientName": "NOBODY^NO",
    "PatientID": "ID0001",
    "PatientBirthDate": "19500101",
    "PatientSex": "O",
    "PatientAge": "070Y",
    "PatientWeight": "70",
    "BodyPartExamined": "HEAD",
    "SliceThickness": "1.25",
    "DeviceSerialNumber": "12345",
    "SoftwareVersions": ["1.0", "2.0"],
    "ProtocolName": "PROTOCOL",
    "PatientPosition": "HFS",
    "StudyID": "1",
    "SeriesNumber": "4",
    "AcquisitionNumber": "1",
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "SliceLocation": "12.5",
    "PhotometricInterpretation": "MONOCHROME2",
    "PixelSpacing": [0.488281, 0.488281],
    "BurnedInAnnotation": "NO",
    "WindowCenter": [40, 400],
    "WindowWidth": [80, 2000],
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
    "RescaleType": "HU",
}
CT = {
    "KVP": "120",
    "DataCollectionDiameter": "500",
    "ReconstructionDiameter": "250",
    "DistanceSourceToDetector": "949.1",
    "DistanceSourceToPatient": "541",
    "GantryDetectorTilt": "0",
    "TableHeight": "157.5",
    "RotationDirection": "CW",
    "ExposureTime": "1000",
    "XRayTubeCurrent": "300",
    "Exposure": "300",
    "FilterType": "HEAD FILTER",
    "GeneratorPower": "36000",
    "FocalSpots": [0.7],
    "ConvolutionKernel": "STANDARD",
}
MR = {
    "ScanningSequence": "SE",
    "SequenceVariant": ["SK", "SP"],
    "ScanOptions": "PFP",
    "MRAcquisitionType": "2D",
    "SequenceName": "*se2d1",
    "RepetitionTime": "500",
    "EchoTime": "12.5",
    "NumberOfAverages": "1",
    "ImagingFrequency": "63.6",
    "ImagedNucleus": "1H",
    "EchoNumbers": "1",
    "MagneticFieldStrength": "1.5",
    "SpacingBetweenSlices": "6",
    "NumberOfPhaseEncodingSteps": "256",
    "EchoTrainLength": "1",
    "PercentSampling": "100",
    "PercentPhaseFieldOfView": "80",
    "PixelBandwidth": "130",
    "FlipAngle": "90",
    "SAR": "0.05",
}


def dataset(kind: str, number: int, random_: random.Random) -> Dataset:
    """Return a header of a CT or MR scanner, with private elements and two sequences."""
    result = Dataset()
    for keyword, value in (TEXTS | (CT if kind == "CT" else MR)).items():
        setattr(result, keyword, value)
    result.Modality = kind
    result.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2" if kind == "CT" else "1.2.840.10008.5.1.4.1.1.4"
    result.SOPInstanceUID = generate_uid(entropy_srcs=[kind, str(number)])
    result.StudyInstanceUID = generate_uid(entropy_srcs=[kind, "study"])
    result.SeriesInstanceUID = generate_uid(entropy_srcs=[kind, "series"])
    result.FrameOfReferenceUID = generate_uid(entropy_srcs=[kind, "frame"])
    result.InstanceNumber = number + 1
    result.ImagePositionPatient = [-125, -125, round(random_.uniform(-500, 500), 3)]
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = result.SOPClassUID, generate_uid(None)
    result.ReferencedImageSequence = Sequence([reference] * 3)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99", "NOTHING"
    result.ProcedureCodeSequence = Sequence([code])
    for group in (0x0009, 0x0019, 0x0043):
        block = result.private_block(group, "MADE UP", create=True)
        for element in range(10):
            block.add_new(element, "DS", str(random_.randrange(10**6)))
    if kind == "MR":
        result.private_block(0x0029, "MADE UP CSA", create=True).add_new(0x10, "OB", random_.randbytes(9000))
    side = 512 if kind == "CT" else 64
    result.SamplesPerPixel, result.Rows, result.Columns = 1, side, side
    result.BitsAllocated, result.BitsStored, result.HighBit, result.PixelRepresentation = 16, 12, 11, 0
    result.SmallestImagePixelValue, result.LargestImagePixelValue = 0, 4095
    result.PixelData = bytes(2 * side * side)
    return result


def write(folder: Path, kind: str, syntax: str, count: int, seed: int) -> list[bytes]:
    random_ = random.Random(seed)
    paths = []
    for number in range(count):
        content = dataset(kind, number, random_)
        content["PixelData"].VR = "OW"
        content.file_meta = FileMetaDataset()
        content.file_meta.TransferSyntaxUID = syntax
        path = folder / f"{kind}-{syntax[-1]}-{number}"
        content.save_as(path, enforce_file_format=True)
        paths.append(os.fsencode(path))
    return paths


def by_index(path: bytes) -> tuple[object, ...]:
    fd = os.open(path, os.O_RDONLY)
    facts = read_header(partial(os.pread, fd), os.fstat(fd).st_size).facts
    os.close(fd)
    return facts["SOPInstanceUID"], facts["Rows"], tuple(facts["ImagePositionPatient"]), facts["RescaleIntercept"]


def by_pydicom(path: bytes) -> tuple[object, ...]:
    """Parse only: pydicom converts values on access."""
    return (pydicom.dcmread(os.fsdecode(path), stop_before_pixels=True),)


def seconds(read: Callable[[bytes], object], paths: list[bytes]) -> float:
    start = time.process_time()
    for path in paths:
        read(path)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{'files':<24}{'index, files/CPU s':>20}{'pydicom':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("CT", "MR"):
            for name, syntax in (("explicit", ExplicitVRLittleEndian), ("implicit", ImplicitVRLittleEndian)):
                paths = write(Path(folder), kind, syntax, options.files, options.seed)
                for path in paths[:20]:
                    (ds,) = by_pydicom(path)
                    expected = ds.SOPInstanceUID, ds.Rows, tuple(ds.ImagePositionPatient), float(ds.RescaleIntercept)
                    assert by_index(path) == expected
                ours, theirs = [], []
                for _ in range(options.rounds):
                    ours.append(seconds(by_index, paths))
                    theirs.append(seconds(by_pydicom, paths))
                fast, slow = (len(paths) / statistics.median(times) for times in (ours, theirs))
                print(f"{kind + ' ' + name:<24}{fast:>20.0f}{slow:>12.0f}{fast / slow:>8.1f}")
                for path in paths:
                    os.unlink(path)


if __name__ == "__main__":
    main()
