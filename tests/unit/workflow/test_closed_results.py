"""Results that this user may not look into end a run with one line that names the place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from waiting import HANG

_RIGHTS = "-dac_override,-dac_read_search"  # with these, root reads everything
AS_A_USER = ["setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}"] if os.geteuid() == 0 else []
CHECK = """\
import sys
from pathlib import Path
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow import main_process
try:
    main_process._check_results(Results(Path(sys.argv[1])))
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(bool(AS_A_USER) and not shutil.which("setpriv"), reason="root reads everything")
@pytest.mark.parametrize(
    ("closed", "says"),
    [("dataset", "dataset/dataset.json: Permission denied"), ("private", "private/decisions.csv: Permission denied")],
)
def test_a_folder_that_is_closed_is_named(tmp_path: Path, closed: str, says: str) -> None:
    results = tmp_path / "results"
    for name in ("dataset", "private"):
        (results / name).mkdir(parents=True)
    (results / closed).chmod(0)
    command = [*AS_A_USER, sys.executable, "-c", CHECK, str(results)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, env=environment, check=False)
    (results / closed).chmod(0o700)
    assert (done.returncode, done.stderr, done.stdout) == (
        0,
        "",
        f"config key 'results': the folder cannot be prepared: {says}; check its permissions and the free space on its "
        "disk\n",
    )
