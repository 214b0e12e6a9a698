"""Debian's Orthanc with its DICOMweb plugin, on a free port of this machine, with a password."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
import requests

USER, PASSWORD = "reader", "ein Paßwort: geheim"
HOST = "127.0.0.1"
NO_PROXY = {"NO_PROXY": HOST, "no_proxy": HOST}


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        return int(listening.getsockname()[1])


class Orthanc:
    """A server that keeps what it got in a folder, also when it is started again."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        plugins = sorted(Path("/usr/lib/orthanc").glob("libOrthancDicomWeb.so*"))
        if not program or not plugins:
            pytest.skip("no Orthanc with DICOMweb: apt-get install orthanc orthanc-dicomweb")
        self.folder, self.port, self._program = folder, free_port(), program
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
        for _ in range(600):
            with contextlib.suppress(requests.ConnectionError):
                if self._session.get(f"{self.root}/system").ok:
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        pytest.fail(f"Orthanc does not start:\n{(self.folder / 'log.txt').read_text()[-2000:]}")

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
