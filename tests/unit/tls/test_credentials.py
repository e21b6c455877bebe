"""What is wrong with files of certificates is told by the file, with what to do."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloud_hub.dev_certs import Authority
from holdfast.tls.credentials import (
    VARIABLES,
    TlsFiles,
    TlsRefused,
    files_from,
    load,
    load_valid,
)
from holdfast.tls.identity import Role
from holdfast.tls.renewal import Renewal
from tests.certificates import TRUST, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.parametrize("role", Role)
def test_good_files_are_read_with_who_they_name(shop: Shop, role: Role) -> None:
    found = load_valid(shop.files(role, "x"))
    assert found.identity.uri == f"spiffe://{TRUST}/{role}/x"
    assert 86_000 < found.left_s() <= 86_400
    assert found.note == ""
    assert "PRIVATE" not in repr(found)


def _refused(files: TlsFiles) -> TlsRefused:
    with pytest.raises(TlsRefused) as caught:
        load_valid(files)
    assert caught.value.reason == "TLS_FILE_UNUSABLE"
    assert caught.value.exit_code == 78
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("name", ["edge-a.pem", "edge-a.key", "ca.pem"])
def test_a_file_that_is_not_there(shop: Shop, name: str) -> None:
    files = shop.files(Role.EDGE, "a")
    shop.remove(name)
    assert f"{name}: there is no such file" in _refused(files).message


@pytest.mark.parametrize("name", ["edge-a.pem", "edge-a.key", "ca.pem"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff", "half"], ids=["empty", "noise", "half"])
def test_a_file_that_is_broken(shop: Shop, name: str, content: bytes | str) -> None:
    files = shop.files(Role.EDGE, "a")
    path = shop.directory / name
    path.write_bytes(path.read_bytes()[:150] if isinstance(content, str) else content)
    assert name in _refused(files).message


def test_a_key_that_everybody_may_read(shop: Shop) -> None:
    files = shop.files(Role.EDGE, "a")
    Path(files.key).chmod(0o644)
    assert "every user can read this key" in _refused(files).message
    assert _refused(files).remedy.startswith("chmod 600")
    Path(files.key).chmod(0o640)  # a group of its own is usual for daemons
    load_valid(files)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_key_that_this_user_may_not_read(shop: Shop) -> None:
    files = shop.files(Role.EDGE, "a")
    Path(files.key).chmod(0)
    assert "may not read it" in _refused(files).message


def test_a_directory_in_place_of_a_file(shop: Shop) -> None:
    files = shop.files(Role.EDGE, "a")
    assert "directory" in _refused(TlsFiles(files.cert, files.key, shop.directory)).message


def test_a_key_of_another_certificate(shop: Shop) -> None:
    files, other = shop.files(Role.EDGE, "a"), shop.files(Role.EDGE, "b")
    assert "not the key of" in _refused(TlsFiles(files.cert, other.key, files.ca)).message


def test_a_key_with_a_password_asks_nobody(shop: Shop) -> None:
    files = shop.files(Role.EDGE, "a")
    key = serialization.load_pem_private_key(Path(files.key).read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    shop.put("edge-a.key", locked, 0o600)
    assert "encrypted" in _refused(files).message


def test_a_certificate_that_has_ended(shop: Shop) -> None:
    files = shop.files(Role.EDGE, "a", days=-1)
    assert "it has expired, at " in _refused(files).message
    assert load(files).left_s() < 0  # an edge goes on with it, and says so


def test_a_certificate_without_an_identity(shop: Shop) -> None:
    files = shop.files(Role.EDGE, "a")
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([]), dt.datetime.now(dt.UTC)
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    shop.put("edge-a.pem", cert.public_bytes(pem))
    shop.put("edge-a.key", key.private_bytes(pem, form, serialization.NoEncryption()), 0o600)
    assert "one URI" in _refused(files).message


def test_a_certificate_of_another_ca_is_told_and_allowed(shop: Shop) -> None:
    found = load(shop.files(Role.EDGE, "a", authority=Authority(TRUST, "other")))
    assert "is not of the CA in" in found.note


def test_some_files_and_not_all() -> None:
    assert files_from({}, VARIABLES) is None
    assert TlsFiles.from_environment({"HOLDFAST_TLS_NAME": "x"}) is None
    with pytest.raises(TlsRefused, match="HOLDFAST_TLS_KEY and HOLDFAST_TLS_CA is not given"):
        TlsFiles.from_environment({"HOLDFAST_TLS_CERT": "c"})
    everything = {name: member for member, name in VARIABLES.items()}
    assert TlsFiles.from_environment(everything) == TlsFiles("cert", "key", "ca", "name")


# -- renewal -----------------------------------------------------------------------------------


@pytest.mark.promise("tls.reload")
def test_files_are_read_again_when_they_change_and_only_then(shop: Shop) -> None:
    files = shop.files(Role.EDGE, "a")
    reads: list[TlsFiles] = []

    def read(given: TlsFiles):  # type: ignore[no-untyped-def]
        reads.append(given)
        return load(given)

    renewal = Renewal(files, read=read)
    assert renewal.look()
    first = renewal.current
    assert not renewal.look()
    assert len(reads) == 1
    shop.files(Role.EDGE, "a")
    assert renewal.look()
    assert renewal.current != first
    assert not renewal.look(anew=True)
    assert len(reads) == 3


@pytest.mark.promise("tls.reload")
def test_what_is_worse_is_not_taken_up_and_said_once(shop: Shop) -> None:
    files = shop.files(Role.EDGE, "a")
    told: list[str] = []
    renewal = Renewal(files, lambda found: told.append(str(found.problem)))
    renewal.look()
    first = renewal.current
    shop.put("edge-a.key", b"half a ke", 0o600)
    assert not renewal.look()
    assert not renewal.look(anew=True)
    assert renewal.current == first
    assert renewal.problem is not None
    assert [text[:4] for text in told] == ["None", "TLS_"]
    shop.files(Role.EDGE, "a")
    assert renewal.look()
    assert renewal.problem is None


def test_a_certificate_before_its_key_waits_for_that(shop: Shop, tmp_path: Path) -> None:
    files = shop.files(Role.EDGE, "a")
    old_key = Path(files.key).read_bytes()
    renewal = Renewal(files)
    renewal.look()
    first = renewal.current
    shop.files(Role.EDGE, "a")
    new_key = Path(files.key).read_bytes()
    shop.put("edge-a.key", old_key, 0o600)
    assert not renewal.look()
    assert renewal.current == first
    shop.put("edge-a.key", new_key, 0o600)
    assert renewal.look()
    shutil.rmtree(shop.directory)
    assert not renewal.look()
    assert renewal.current is not None
