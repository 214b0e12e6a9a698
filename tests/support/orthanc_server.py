"""Debian's Orthanc with its DICOMweb plugin, on a free port of this machine, with a password."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
import requests
from ports import HOST, free_ports
from waiting import wait_until

USER, PASSWORD = "reader", "ein Paßwort: geheim"
NO_PROXY = {"NO_PROXY": HOST, "no_proxy": HOST}


class Orthanc:
    """A server that keeps what it got in a folder, also when it is started again."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        plugins = sorted(Path("/usr/lib/orthanc").glob("libOrthancDicomWeb.so*"))
        if not program or not plugins:
            pytest.skip("no Orthanc with DICOMweb: apt-get install orthanc orthanc-dicomweb")
        self.folder, self.port, self._program = folder, free_ports(1)[0], program
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = (USER.encode(), PASSWORD.encode())
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "StorageDirectory": str(folder),
            "IndexDirectory": str(folder),
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "MaximumStorageCacheSize": 0,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "Plugins": [str(plugins[-1])],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))
        self.start()

    @property
    def root(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.root}/dicom-web"

    def start(self) -> None:
        log = open(self.folder / "log.txt", "ab")  # noqa: SIM115
        with log:
            command = [self._program, str(self.folder / "orthanc.json")]
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        wait_until(lambda: self._answers() or self._has_ended())
        if self._has_ended():
            pytest.fail(f"Orthanc does not start:\n{(self.folder / 'log.txt').read_text()[-2000:]}")

    def _answers(self) -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return self._session.get(f"{self.root}/system").ok
        return False

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def upload(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self._session.post(f"{self.root}/instances", data=path.read_bytes()).raise_for_status()

    def signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)

    def lose(self, content: bytes) -> None:
        """Remove a file from the disk of the server, which goes on listing its instance."""
        stored = [path for path in self.folder.glob("*/*/*") if path.read_bytes() == content]
        assert stored
        for path in stored:
            path.unlink()

    def delete(self, sop_instance_uid: str) -> None:
        (found,) = self._session.post(f"{self.root}/tools/lookup", data=sop_instance_uid).json()
        self._session.delete(f"{self.root}{found['Path']}").raise_for_status()
