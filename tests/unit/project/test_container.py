"""The image, the profiles of clusters, and the commands that make jobs on Kubernetes."""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import FULL, ROOT

KUBERNETES = ROOT / "profiles" / "kubernetes"
KEY_OF_SECRET = {"name": "DICOMZARR_KEY", "valueFrom": {"secretKeyRef": {"name": "dicomzarr-key", "key": "key"}}}


def pod() -> dict[str, Any]:
    """Return the pod of the main process as Kubernetes shows it: the template of dicomzarr.yaml, completed by it."""
    manifests = {each["kind"]: each for each in yaml.safe_load_all((KUBERNETES / "dicomzarr.yaml").read_text())}
    spec = json.loads(json.dumps(manifests["Job"]["spec"]["template"]["spec"]))
    token = {"name": "kube-api-access-x7z", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    spec["containers"][0]["volumeMounts"].append(token)
    spec["volumes"].append({"name": token["name"], "projected": {"sources": []}})
    return {"metadata": {"name": "dicomzarr-abcde", "uid": "11-22"}, "spec": spec}


class Server:
    """A stand-in for the server of Kubernetes: it has one pod, and notes the jobs that are made and deleted."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.busy = 0  # how often it answers that it is busy

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.calls.append(f"{method} {path}")
        if self.busy:
            self.busy -= 1
            return 503, {}
        place, _, name = path.partition("?")[0].rpartition("/")
        if (method, path) == ("GET", "/api/v1/namespaces/imaging/pods/dicomzarr-abcde"):
            return 200, pod()
        if (method, path) == ("POST", "/apis/batch/v1/namespaces/imaging/jobs"):
            self.jobs[body["metadata"]["name"]] = body
            return 201, body
        if place == "/apis/batch/v1/namespaces/imaging/jobs" and name in self.jobs:
            return 200, self.jobs.pop(name) if method == "DELETE" else self.jobs[name]
        return 404, {}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    stand_in = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _any(self) -> None:
            assert self.headers["Authorization"] == "Bearer the-token"
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = stand_in.answer(self.command, self.path, json.loads(data) if data else None)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        do_GET = do_POST = do_DELETE = _any

        def log_message(self, *_: Any) -> None:
            pass

    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kubernetes"]
        + [
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            str(tmp_path / "key"),
            "-out",
            str(tmp_path / "ca.crt"),
        ],
        check=True,
        capture_output=True,
    )
    (tmp_path / "token").write_text("the-token\n")
    (tmp_path / "namespace").write_text("imaging")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(listening.server_address[1]))
        monkeypatch.setenv("HOSTNAME", "dicomzarr-abcde")
        yield stand_in
        listening.shutdown()


def command(account: Path, *arguments: str) -> str:
    """Run a command of `jobs.py` in this process, with the account of a pod; return what it prints."""
    spec = importlib.util.spec_from_file_location("kubernetes_jobs", KUBERNETES / "jobs.py")
    assert spec and spec.loader
    jobs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(jobs)
    jobs.ACCOUNT = account
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs.time, "sleep", lambda _: None)
        if arguments[0] in ("submit", "status"):
            return str(getattr(jobs, arguments[0])(*arguments[1:]))
        jobs.delete(list(arguments))
    return ""


def test_a_job_on_kubernetes_is_a_copy_of_the_pod_with_its_own_resources(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.busy = 2
    name = command(tmp_path, "submit", "4", "2500", "40", "/data/.snakemake/tmp.a/job.sh")
    spec = server.jobs[name]["spec"]
    inside = spec["template"]["spec"]
    (container,) = inside["containers"]
    assert container["command"] == ["/bin/sh", "/data/.snakemake/tmp.a/job.sh"]
    assert container["workingDir"] == str(tmp_path)
    assert container["resources"]["requests"] == {"cpu": "4", "memory": "2500M"}
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (2400, 0)
    assert container["image"] == "registry.example.org/dicomzarr:1" and container["env"] == [KEY_OF_SECRET]
    # The volume, and neither the token of the main process nor a new one.
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/data"]
    assert [volume["name"] for volume in inside["volumes"]] == ["data"]
    assert inside["automountServiceAccountToken"] is False and "serviceAccountName" not in inside
    assert inside["securityContext"]["runAsUser"] == 1000
    assert server.jobs[name]["metadata"]["ownerReferences"][0]["uid"] == "11-22"


def test_the_state_of_a_job_in_the_words_of_the_executor(server: Server, tmp_path: Path) -> None:
    name = command(tmp_path, "submit", "1", "700", "10", "/data/job.sh")
    assert command(tmp_path, "status", name) == "running"
    for status, expected in (
        ({"active": 1}, "running"),
        ({"succeeded": 1}, "success"),
        ({"failed": 1}, "failed"),
        ({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}, "failed"),
        ({"conditions": [{"type": "Suspended", "status": "True"}]}, "running"),
    ):
        server.jobs[name]["status"] = status
        assert command(tmp_path, "status", name) == expected
    server.busy = 3  # each attempt: the server will answer later
    assert command(tmp_path, "status", name) == "running"
    command(tmp_path, name, "dicomzarr-gone")
    assert not server.jobs and command(tmp_path, "status", name) == "failed"


def test_a_command_outside_of_a_pod_says_so_in_one_line() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES")}
    done = subprocess.run(
        [sys.executable, str(KUBERNETES / "jobs.py"), "submit", "1", "1", "1", "job.sh"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1


def test_the_profile_calls_the_commands_as_they_are() -> None:
    profile = yaml.safe_load((KUBERNETES / "config.yaml").read_text())
    path = "/opt/dicomzarr/profiles/kubernetes/jobs.py"
    assert profile["cluster-generic-submit-cmd"].split() == [
        path, "submit", "{threads}", "{resources.mem_mb}", "{resources.runtime}",
    ]  # fmt: skip
    assert profile["cluster-generic-status-cmd"] == f"{path} status" and profile["cluster-generic-cancel-cmd"] == path
    assert os.access(KUBERNETES / "jobs.py", os.X_OK)
    role = next(
        each for each in yaml.safe_load_all((KUBERNETES / "dicomzarr.yaml").read_text()) if each["kind"] == "Role"
    )
    assert [rule["verbs"] for rule in role["rules"]] == [["get"], ["create", "get", "delete"]]


# ---- the image


def test_the_pin_of_the_executor_is_that_of_the_lock() -> None:
    pattern = r"^snakemake-executor-plugin-cluster-generic==\S+ \\\n(?: +--hash=\S+(?: \\)?\n)+"
    pins = [
        re.search(pattern, path.read_text(), re.MULTILINE)
        for path in (KUBERNETES / "requirements.txt", ROOT / "requirements-dev.lock")
    ]
    assert pins[0] and pins[1] and pins[0][0] == pins[1][0]


def test_the_containerfile_is_clean_and_has_the_steps_of_one_script() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert hadolint, "hadolint is among the locked packages of the tests"
    checked = subprocess.run([hadolint, str(ROOT / "Containerfile")], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    text = (ROOT / "Containerfile").read_text()
    assert re.findall(r"^RUN (.*)$", text, re.MULTILINE) == ["/opt/dicomzarr/envs/container.sh"]
    # Nothing is copied but what is named: a clone may hold results, a source or a key.
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*" and all((ROOT / line[1:]).exists() for line in ignored if line.startswith("!"))
    assert not {"!results", "!demo", "!.git", "!tests"} & {*ignored}


@pytest.mark.skipif(not FULL, reason="takes minutes, and a network: DICOMZARR_TEST_FULL=1")
def test_the_image_is_built_where_there_is_an_engine() -> None:
    engine = next((name for name in ("podman", "docker") if shutil.which(name)), "")
    if not engine or subprocess.run([engine, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no container engine runs here")
    subprocess.run([engine, "build", "--file", "Containerfile", "--tag", "dicomzarr-test", "."], cwd=ROOT, check=True)
    done = subprocess.run([engine, "run", "--rm", "dicomzarr-test"], capture_output=True, text=True, check=True)
    assert "./run" in done.stdout
