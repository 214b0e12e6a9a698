"""Made-up DICOM files of every transfer syntax, pixel layout and kind of series, with the expected result.

Each case is a folder of files with known voxels. `test_fidelity.py` runs the workflow once on all of them.
"""

from __future__ import annotations

import cases_of_devices
import cases_of_frames
import cases_of_meaning
import cases_of_pixels
import cases_of_quantities
import cases_of_repetitions
import cases_of_series
from case_writer import CASES, FlowCase

__all__ = ["CASES", "FlowCase"]

for part in (
    cases_of_pixels,
    cases_of_series,
    cases_of_frames,
    cases_of_meaning,
    cases_of_quantities,
    cases_of_devices,
    cases_of_repetitions,
):
    part.add()
