"""The UIDs of the standard are those of pydicom's dictionary, which is read without the rest of pydicom."""

from __future__ import annotations

import subprocess
import sys

from conftest import ROOT
from pydicom._uid_dict import UID_dictionary

from dicomzarr.dicom.standard_uids import is_standard_uid


def test_every_uid_of_the_dictionary_is_standard_and_no_other() -> None:
    assert len(UID_dictionary) > 400
    assert all(map(is_standard_uid, UID_dictionary))
    for text in ("", "1.2.840.10008", "1.2.840.10008.1.2.", "1.2.840.10008.1.2.99999", "1.2.826.0.1.3680043.8.498.1"):
        assert not is_standard_uid(text)


def test_pydicom_is_not_imported() -> None:
    program = f"""
import sys
sys.path.insert(0, {str(ROOT / "scripts")!r})
from dicomzarr.dicom.standard_uids import is_standard_uid
assert is_standard_uid("1.2.840.10008.1.2")
assert "pydicom" not in sys.modules, "0.3 s in each process that reads headers"
"""
    subprocess.run([sys.executable, "-c", program], check=True)
