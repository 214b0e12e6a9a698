"""Signatures of one file by a key of OpenSSH: `ssh-keygen -Y` (PROTOCOL.sshsig), which needs no network.

A signature holds the public key and nothing about its owner. Who may sign is said by a file of allowed signers
(ssh-keygen(1), ALLOWED SIGNERS), which whoever checks a signature has from elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dicomzarr.system import files
from dicomzarr.vocabulary.errors import UserError

NAMESPACE = "dicomzarr"  # what the signature is for: one for another purpose is refused
SUFFIX = ".sig"  # of the name of the signed file
NONE, UNCHECKED, GOOD, BAD = "none", "unchecked", "good", "bad"
_LARGEST = 1 << 20  # bytes that are read of a signature
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# A name in a file of allowed signers: no space, and none of the characters of patterns and lists.
_IDENTITY = re.compile(r"[^\s\"'#,*?!\x00-\x1f\x7f]{1,200}")


class NoProgram(UserError):
    """`ssh-keygen` is not installed."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What is known of the signature of a file.

    Attributes
    ----------
    state : str
        `none`, `unchecked`, `good` or `bad`.
    signer : str
        Of a good one, the name in the file of allowed signers.
    fails : bool
        Whether the check that was asked for failed.
    text : str
        A line for people; empty if there is nothing to say.
    """

    state: str = NONE
    signer: str = ""
    fails: bool = False
    text: str = ""


def path_of(signed: Path) -> Path:
    """Return the path of the signature of a file."""
    return signed.with_name(signed.name + SUFFIX)


def read(signed: Path) -> bytes | None:
    """Return the signature beside a file; None if there is none. A link, or what is no file, is an empty signature."""
    try:
        handle = os.open(path_of(signed), _OPEN)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return b""
    try:
        return os.read(handle, _LARGEST) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    finally:
        os.close(handle)


def sign(content: bytes, key: Path) -> bytes:
    """Return the signature of a content. `ssh-keygen` asks for a passphrase or a touch of the key where it needs one.

    Parameters
    ----------
    content : bytes
    key : Path
        A private key; or a public one, if an agent has the private one.

    Raises
    ------
    UserError
        If there is no such program or key, or it cannot sign.
    """
    if not files.is_file(key):
        found = f"{str(key)!r} is a folder, and no key" if files.is_dir(key) else f"there is no key {str(key)!r}"
        raise UserError(
            f"{found}; needed is a private key of OpenSSH. To make one: ssh-keygen -t ed25519 -f signing_key"
        )
    command = [_program(), "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE]
    done = subprocess.run(command, input=content, stdout=subprocess.PIPE, check=False)
    if done.returncode or not holds(content, done.stdout):
        raise UserError(f"ssh-keygen could not sign with the key {str(key)!r}; its message is above")
    return done.stdout


def holds(content: bytes, signature: bytes) -> bool:
    """Return whether a signature is one of this content, by whatever key; errors as `sign`."""
    with _in_file(signature) as path:
        return _ssh_keygen("check-novalidate", "-n", NAMESPACE, "-s", path, content=content).returncode == 0


def check(content: bytes, signature: bytes | None, signers: Path | None) -> Signature:
    """Check a signature.

    Parameters
    ----------
    content : bytes
        Of the signed file.
    signature : bytes, optional
        None if there is none.
    signers : Path, optional
        A file of allowed signers. Without one, nothing is checked.

    Raises
    ------
    UserError
        If there is no such program, or the file of allowed signers cannot be read.
    """
    if signers is None:
        if signature is None:
            return Signature()
        return Signature(UNCHECKED, text="signature there, and not checked: name who may sign with --signers FILE")
    try:
        listed = signers.read_bytes()
    except OSError as error:
        raise UserError(f"--signers: {str(signers)!r} cannot be read: {os.strerror(error.errno or 0)}") from None
    if signature is None:
        return Signature(NONE, fails=True, text="signature missing: needed by --signers")
    if not holds(content, signature):
        return Signature(BAD, fails=True, text="signature bad: it is not one of these bytes for dicomzarr")
    with _in_file(signature) as path:
        found = _ssh_keygen("find-principals", "-s", path, "-f", str(signers))
        for name in found.stdout.decode("utf-8", "replace").splitlines() if found.returncode == 0 else ():
            options = ("-n", NAMESPACE, "-s", path, "-f", str(signers), "-I", name)
            if _ssh_keygen("verify", *options, content=content).returncode == 0:
                return Signature(GOOD, name, text=f"signature good: of {name}")
    key = public_key(signature)
    if key and key.encode() in listed:
        line = 'NAME namespaces="dicomzarr" and the key'
        text = f"signature bad: its key is in that file, but not allowed for dicomzarr now; needed is a line of {line}"
        return Signature(BAD, fails=True, text=text)
    return Signature(BAD, fails=True, text=f"signature bad: no allowed signer has its key, {key}")


def public_key(signature: bytes) -> str:
    """Return the public key in a signature as in a file of allowed signers: its type and its base64; empty if none."""
    text = b"".join(line for line in signature.splitlines() if not line.startswith(b"-----"))
    with suppress(binascii.Error, ValueError):
        blob = base64.b64decode(text, validate=True)
        if blob[:6] == b"SSHSIG":
            key = _string(blob[10:])  # after the magic and the version
            return f"{_string(key).decode('ascii')} {base64.b64encode(key).decode('ascii')}"
    return ""


def allowed_signer(identity: str, signature: bytes) -> str:
    """Return the line of a file of allowed signers that lets the key of a signature sign, under a name.

    Raises
    ------
    UserError
        If the name cannot stand in such a file.
    """
    if not _IDENTITY.fullmatch(identity):
        raise UserError(
            f"--identity: found {identity!r}, needed is a name without spaces and , * ? ! ' \" #, such as "
            "curator@example.org"
        )
    return f'{identity} namespaces="{NAMESPACE}" {public_key(signature)}'


def _string(data: bytes) -> bytes:
    """Return the first string of a blob of SSH: its length in four bytes, then its bytes (RFC 4251, section 5)."""
    end = 4 + int.from_bytes(data[:4], "big")
    if len(data) < end:
        raise ValueError("cut off")
    return data[4:end]


@contextmanager
def _in_file(signature: bytes) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(prefix="dicomzarr-", suffix=SUFFIX) as stream:
        stream.write(signature)
        stream.flush()
        yield stream.name


def _ssh_keygen(verb: str, *options: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [_program(), "-Y", verb, *options]
    return subprocess.run(command, input=content, capture_output=True, check=False)


def _program() -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise NoProgram("ssh-keygen is not installed; it is part of OpenSSH (Debian: apt install openssh-client)")
    return program
