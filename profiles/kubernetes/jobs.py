#!/usr/bin/env python3
"""Submit, watch and delete jobs on Kubernetes: the commands of the executor `cluster-generic` in config.yaml.

    jobs.py submit CORES MEGABYTES MINUTES SCRIPT    prints the name of the job
    jobs.py status NAME                              prints running, success or failed
    jobs.py NAME ...                                 deletes jobs

A job runs a script of Snakemake in a copy of the pod that calls this: the same image, volumes, variables and working
folder. So it sees the same files under the same paths, and gets DICOMZARR_KEY from the same secret; the key is in no
script and in no command. The pod owns its jobs: when it is deleted, they are too.

Standard library only. Written to the API batch/v1 of Kubernetes; tried with a stand-in for its server, on no cluster.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where Kubernetes puts the token of a pod
COPIED = ("imagePullSecrets", "nodeSelector", "tolerations", "affinity", "securityContext", "priorityClassName")
COPIED_OF_CONTAINER = ("image", "imagePullPolicy", "env", "envFrom", "securityContext")
ATTEMPTS = 3


def call(method: str, path: str, body: object = None) -> dict:
    """Return the answer of the API of Kubernetes; tried again where the server is busy or cannot be reached.

    Raises
    ------
    urllib.error.HTTPError
        If it refuses.
    OSError
        If it cannot be reached.
    """
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    host = f"[{host}]" if ":" in host else host
    token = (ACCOUNT / "token").read_text("ascii").strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    for attempt in range(ATTEMPTS):
        request = urllib.request.Request(f"https://{host}:{port}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30, context=trusted) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if attempt + 1 == ATTEMPTS or (error.code != 429 and error.code < 500):
                raise
        except OSError:
            if attempt + 1 == ATTEMPTS:
                raise
        time.sleep(1 + attempt)
    raise AssertionError


def namespace() -> str:
    """Return the namespace of this pod."""
    return (ACCOUNT / "namespace").read_text("ascii").strip()


def job_like(pod: dict, name: str, script: str, cores: int, megabytes: int, minutes: int) -> dict:
    """Return the manifest of a job that runs a script in a copy of a pod.

    Parameters
    ----------
    pod : dict
        The pod of the main process, as the API returns it. Its first container is copied.
    name : str
        Of the job.
    script : str
        Path of the script.
    cores, megabytes, minutes : int
        What the job needs.
    """
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    # The token of the main process, with which jobs are made: no job needs it.
    volumes = [volume for volume in spec.get("volumes", []) if not volume["name"].startswith("kube-api-access-")]
    names = {volume["name"] for volume in volumes}
    of_job = {key: container[key] for key in COPIED_OF_CONTAINER if key in container}
    of_job |= {
        "name": "job",
        "command": ["/bin/sh", script],
        "workingDir": os.getcwd(),
        "volumeMounts": [mount for mount in container.get("volumeMounts", []) if mount["name"] in names],
        "resources": {
            "requests": {"cpu": str(cores), "memory": f"{megabytes}M"},
            "limits": {"memory": f"{megabytes}M"},
        },
    }
    of_pod = {key: spec[key] for key in COPIED if spec.get(key)}
    of_pod |= {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [of_job],
        "volumes": volumes,
    }
    labels = {"app.kubernetes.io/name": "dicomzarr", "app.kubernetes.io/component": "job"}
    owner = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "backoffLimit": 0,  # Snakemake tries a job again, with more memory and time
            "activeDeadlineSeconds": 60 * minutes,
            "ttlSecondsAfterFinished": 3600,
            "template": {"metadata": {"labels": labels}, "spec": of_pod},
        },
    }


def submit(cores: str, megabytes: str, minutes: str, script: str) -> str:
    """Create a job that runs a script; return its name."""
    place = namespace()
    pod = call("GET", f"/api/v1/namespaces/{place}/pods/{os.environ['HOSTNAME']}")
    name = f"dicomzarr-{uuid.uuid4().hex[:16]}"
    manifest = job_like(pod, name, script, int(cores), int(megabytes), int(minutes))
    call("POST", f"/apis/batch/v1/namespaces/{place}/jobs", manifest)
    return name


def status(name: str) -> str:
    """Return the state of a job in the words of the executor; one that was deleted has failed."""
    try:
        state = call("GET", f"/apis/batch/v1/namespaces/{namespace()}/jobs/{name}").get("status", {})
    except urllib.error.HTTPError as error:
        return "failed" if error.code == 404 else "running"
    except OSError:
        return "running"  # the server cannot be reached: ask again later
    ended = {condition["type"] for condition in state.get("conditions", []) if condition["status"] == "True"}
    if "Complete" in ended or state.get("succeeded"):
        return "success"
    return "failed" if "Failed" in ended or state.get("failed") else "running"


def delete(names: list) -> None:
    """Delete jobs and their pods; one that is gone is left alone."""
    for name in names:
        try:
            call("DELETE", f"/apis/batch/v1/namespaces/{namespace()}/jobs/{name}?propagationPolicy=Background")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise


def main(arguments: list) -> int:
    """Run a command; print one line if the server refuses or cannot be reached, and return 1."""
    try:
        if arguments[:1] == ["submit"]:
            print(submit(*arguments[1:]))
        elif arguments[:1] == ["status"]:
            print(status(*arguments[1:]))
        else:
            delete(arguments)
    except urllib.error.HTTPError as error:
        problem = f"refused ({error.code}): profiles/kubernetes/dicomzarr.yaml lists what the pod must be allowed to do"
    except (OSError, KeyError) as error:
        problem = f"did not answer ({type(error).__name__}): is this a pod with a service account?"
    else:
        return 0
    print(f"Kubernetes {problem}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
