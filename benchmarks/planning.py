"""Measure time and memory of `plan_batches` on an index of millions of made-up rows.

    PYTHONPATH=scripts python benchmarks/planning.py [--rows 1000000] [--each 100] [--processes 2]

Ten million rows of about 1 kB need 10 GB in the temporary folder (TMPDIR), and another 10 GB for the plans.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.stages.plan_batches.batches import plan_batches
from dicomzarr.system.results_folder import Results

FACTS = {
    "AcquisitionDate": "20200101", "AcquisitionNumber": "1", "AcquisitionTime": "101112.000000", "BitsAllocated": 16,
    "BitsStored": 16, "BurnedInAnnotation": "NO", "Columns": 512, "ContentTime": "101112.000000", "EchoTime": "",
    "FrameOfReferenceUID": "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17", "HighBit": 15,
    "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0], "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "InstanceNumber": "1", "IssuerOfPatientID": "", "Modality": "CT", "PhotometricInterpretation": "MONOCHROME2",
    "PixelRepresentation": 1, "PixelSpacing": [0.488281, 0.488281], "RescaleIntercept": -1024.0, "RescaleSlope": 1.0,
    "RescaleType": "HU", "Rows": 512, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "SamplesPerPixel": 1,
    "SliceThickness": 1.25, "TransferSyntaxUID": "1.2.840.10008.1.2.1",
    "pixel": {"keyword": "PixelData", "length": 524288, "offset": 2512, "vr": "OW"},
}  # fmt: skip


def write_index(path: Path, rows: int, each: int) -> None:
    """Write a header index with `rows` files, `each` files per series."""
    with open(path, "w", encoding="ascii") as stream:
        for number in range(rows):
            series = number // each
            uids = {
                "ImagePositionPatient": [-125.0, -125.0, 2.5 * (number % each)],
                "PatientID": f"PATIENT{series // 4:09d}",
                "SOPInstanceUID": f"1.2.826.0.1.3680043.8.498.1{number:036d}",
                "SeriesInstanceUID": f"1.2.826.0.1.3680043.8.498.2{series:036d}",
                "StudyInstanceUID": f"1.2.826.0.1.3680043.8.498.3{series // 2:036d}",
            }
            row = {
                "facts": FACTS | uids, "flags": [], "outcome": "image", "path": f"{series:07d}/{number % each:05d}.dcm",
                "reason": "", "stat": [526800, 1700000000000000000 + number, 1700000000000000000, number],
            }  # fmt: skip
            stream.write(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--each", type=int, default=100, help="files per series")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Results(Path(folder))
        results.plans.mkdir(parents=True)
        index = results.private / "headers.jsonl"
        write_index(index, options.rows, options.each)
        for turn in ("first", "again"):
            start, before = time.perf_counter(), time.process_time()
            plans = plan_batches(
                results, index, results.plans / "contents.json", Pseudonyms(b"k" * 32),
                series_each=512, bytes_each=512_000_000, processes=options.processes,
            )  # fmt: skip
            assert plans.files == options.rows
            wall, cpu = time.perf_counter() - start, time.process_time() - before
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{turn}: {plans.files:,} rows, {plans.series:,} series, {plans.batches:,} batches: {wall:.1f} s, "
                f"{cpu:.1f} CPU s, {1e6 * cpu / plans.files:.1f} CPU µs per row; "
                f"index {os.path.getsize(index) / 1e6:,.0f} MB; peak {peak:,.0f} MiB"
            )


if __name__ == "__main__":
    main()
