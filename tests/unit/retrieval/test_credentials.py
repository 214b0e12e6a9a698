"""Credentials come from the environment alone, reach the server, and stand in no message."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from dicoms import ct_slice
from faulty_pacs import HASTY, FaultyPacs, serving

from dicomzarr.retrieval.request_list import Line
from dicomzarr.retrieval.server import Server, ServerProblem, credentials
from dicomzarr.vocabulary.errors import UserError

SECRET = "Zyxwsecret"
SLICE = ct_slice("x", 0)


def test_they_are_sent_and_neither_netrc_nor_another_host_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    basic = {"DICOMWEB_USER": "reader", "DICOMWEB_PASSWORD": "päss:wörd", "DICOMWEB_HEADER": "X-Key: abc: d"}
    for variables, expected in (
        ({"DICOMWEB_TOKEN": SECRET}, f"Bearer {SECRET}"),
        (basic, "Basic cmVhZGVyOnDDpHNzOnfDtnJk"),
        ({}, None),
    ):
        with serving(FaultyPacs([SLICE])) as pacs:
            server = Server(pacs.url, credentials(variables), HASTY)
            server.series(SLICE.StudyInstanceUID)
            with server.retrieve(SLICE.StudyInstanceUID, SLICE.SeriesInstanceUID) as answer:
                assert answer.status == 200
        assert {headers.get("Authorization") for headers in pacs.headers} == {expected}
        assert {headers.get("X-Key") for headers in pacs.headers} == {"abc: d" if variables is basic else None}


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"DICOMWEB_USER": SECRET}, "belong together"),
        ({"DICOMWEB_PASSWORD": SECRET}, "belong together"),
        ({"DICOMWEB_TOKEN": SECRET, "DICOMWEB_USER": "a", "DICOMWEB_PASSWORD": "b"}, "not both"),
        ({"DICOMWEB_TOKEN": SECRET + "\n"}, "DICOMWEB_TOKEN holds a line break"),
        ({"DICOMWEB_HEADER": SECRET}, "a name, a colon and a value"),
        ({"DICOMWEB_HEADER": f"a b: {SECRET}"}, "a name, a colon and a value"),
        ({"DICOMWEB_TOKEN": SECRET + "ä"}, "ASCII only"),
        ({"DICOMWEB_USER": f"a:{SECRET}", "DICOMWEB_PASSWORD": "b"}, "holds a colon"),
    ],
)
def test_what_is_wrong_with_them_is_said_without_them(variables: dict[str, str], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        credentials(variables)
    assert SECRET not in str(caught.value)


def test_a_certificate_must_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    options = ["-nodes", "-days", "2", "-subj", "/CN=pacs", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", *options, "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)

    def ask(pacs: FaultyPacs) -> list[str]:
        return Server(pacs.url, {}, HASTY).studies(Line(2, study=SLICE.StudyInstanceUID))[0]

    with serving(FaultyPacs([SLICE]), context) as pacs:
        with pytest.raises(ServerProblem, match="set REQUESTS_CA_BUNDLE"):
            ask(pacs)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert ask(pacs) == [SLICE.StudyInstanceUID]
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none"))
        with pytest.raises(ServerProblem, match="is its path right") as caught:
            ask(pacs)
        assert str(tmp_path) not in str(caught.value)
