"""Signatures by the real `ssh-keygen`: what it signed is checked here, and what is signed here by it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from signing_keys import allowed, key_pair, signed_by_hand

from dicomzarr.system import signatures
from dicomzarr.vocabulary.errors import UserError

CONTENT = b'{"digest":"ab","seal":"cd"}\n'


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("keys")
    return key_pair(folder, "curator", comment="Wolf^Anna"), key_pair(folder, "stranger")


def test_ssh_keygen_accepts_the_signature_and_the_printed_line(keys: tuple[Path, Path], tmp_path: Path) -> None:
    signature = signatures.sign(CONTENT, keys[0])
    (tmp_path / "sig").write_bytes(signature)
    line = signatures.allowed_signer("curator@example.org", signature)
    assert line + "\n" == allowed(keys[0], "curator@example.org", 'namespaces="dicomzarr"')
    (tmp_path / "signers").write_text(line)
    options = ["-f", "signers", "-I", "curator@example.org", "-n", "dicomzarr", "-s", "sig"]
    subprocess.run(["ssh-keygen", "-Y", "verify", *options], cwd=tmp_path, input=CONTENT, check=True)
    assert b"Wolf" not in signature + signatures.public_key(signature).encode()


def test_what_a_signature_must_be_to_be_good(keys: tuple[Path, Path], tmp_path: Path) -> None:
    curator, stranger = keys
    signed, signers = tmp_path / "dataset.json", tmp_path / "signers"
    signed.write_bytes(CONTENT)
    signers.write_text(allowed(stranger, "stranger") + allowed(curator, "curator", 'namespaces="dicomzarr"'))

    def state(content: bytes = CONTENT) -> tuple[str, str, bool]:
        found = signatures.check(content, signatures.read(signed), signers)
        assert found.text.startswith("signature ")
        return found.state, found.signer, found.fails

    assert state() == ("none", "", True)
    signed_by_hand(signed, curator)
    assert state() == ("good", "curator", False)
    assert state(CONTENT.replace(b"ab", b"ac")) == ("bad", "", True)
    signers.write_text(allowed(stranger, "stranger"))
    assert state() == ("bad", "", True)
    signers.write_text(allowed(curator, "curator", 'namespaces="git"'))
    assert state() == ("bad", "", True)
    signers.write_bytes(curator.with_suffix(".pub").read_bytes())
    assert (
        "its key is in that file, but not allowed" in signatures.check(CONTENT, signatures.read(signed), signers).text
    )
    signers.write_text(allowed(curator, "curator", 'valid-before="20200101"'))
    assert state() == ("bad", "", True)
    signers.write_text(allowed(curator, "curator"))
    assert state() == ("good", "curator", False)
    signed_by_hand(signed, curator, namespace="file")  # signed for another purpose
    assert state() == ("bad", "", True)
    signatures.path_of(signed).write_bytes(b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n")
    assert state() == ("bad", "", True)


def test_a_link_is_no_signature(keys: tuple[Path, Path], tmp_path: Path) -> None:
    signed = tmp_path / "dataset.json"
    signed.write_bytes(CONTENT)
    signed_by_hand(signed, keys[0])
    path = signatures.path_of(signed)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert signatures.read(signed) == b"" and not signatures.holds(CONTENT, b"")
    path.unlink()
    path.mkdir()
    assert signatures.read(signed) == b""


def test_without_a_list_of_signers_nothing_is_checked() -> None:
    assert signatures.check(CONTENT, None, None) == signatures.Signature()
    unchecked = signatures.check(CONTENT, b"nonsense", None)
    assert (unchecked.state, unchecked.fails) == ("unchecked", False) and "--signers FILE" in unchecked.text


def test_errors_say_what_to_do(keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="there is no key '.*none'.*ssh-keygen -t ed25519"):
        signatures.sign(CONTENT, tmp_path / "none")
    with pytest.raises(UserError, match="is a folder, and no key; needed is a private key of OpenSSH"):
        signatures.sign(b"x", tmp_path)
    (tmp_path / "text").write_text("no key")
    with pytest.raises(UserError, match="could not sign with the key"):
        signatures.sign(CONTENT, tmp_path / "text")
    with pytest.raises(UserError, match="--signers: '.*none' cannot be read: No such file"):
        signatures.check(CONTENT, b"", tmp_path / "none")
    with pytest.raises(UserError, match="--identity: found 'a b', needed is a name without spaces"):
        signatures.allowed_signer("a b", b"")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(signatures.NoProgram, match="openssh-client"):
        signatures.sign(CONTENT, keys[0])
