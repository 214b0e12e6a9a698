"""Made-up DICOM files of every transfer syntax, pixel layout and kind of series, with what must become of them.

Each case is a folder of files with known voxels. `test_fidelity.py` sends all of them through the workflow in one run.
"""

from __future__ import annotations

import cases_of_frames
import cases_of_pixels
import cases_of_series
from case_writer import CASES, Made

__all__ = ["CASES", "Made"]

for part in (cases_of_pixels, cases_of_series, cases_of_frames):
    part.add()
