"""Keys of OpenSSH, and signatures by the real `ssh-keygen`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def key_pair(folder: Path, name: str, comment: str = "") -> Path:
    """Make a key pair and return the path of the private key; skip the test without `ssh-keygen`."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed (Debian: openssh-client)")
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(key)], check=True)
    return key


def allowed(key: Path, identity: str, *options: str) -> str:
    """Return the line of a file of allowed signers, from the public key file."""
    kind, blob, *_ = key.with_name(f"{key.name}.pub").read_text().split()
    return " ".join([identity, *options, kind, blob]) + "\n"


def signed_by_hand(path: Path, key: Path, namespace: str = "dicomzarr") -> None:
    """Sign a file as the manual of `ssh-keygen` says; the signature lies beside it."""
    path.with_name(f"{path.name}.sig").unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", namespace, str(path)], check=True, capture_output=True
    )
