"""Certificates of a throw-away CA as files, for tests that shake hands.

shop = Shop(tmp_path)
files = shop.files(Role.EDGE, "a")
shop.files(Role.EDGE, "a", days=-1)      # the same files, now with a certificate that has ended
"""

from __future__ import annotations

import os
from pathlib import Path

from cloud_hub.dev_certs import Authority
from holdfast.tls.credentials import TlsFiles
from holdfast.tls.identity import Role

TRUST = "test.example"
HOSTS = ("localhost", "127.0.0.1")


class Shop:
    """Issues into a directory. What is issued anew takes the place of what was there, each file as
    a whole, as who renews certificates does."""

    def __init__(self, directory: Path, trust: str = TRUST) -> None:
        self.directory, self.trust = directory, trust
        self.authority = Authority(trust)
        self.other = Authority(trust, "another CA")
        directory.mkdir(exist_ok=True)
        self.trusts(self.authority)

    def trusts(self, *authorities: Authority) -> Path:
        """The file of CAs that all trust."""
        return self.put("ca.pem", b"".join(each.cert for each in authorities))

    def files(
        self, role: Role, name: str, *, hosts: tuple[str, ...] = HOSTS, days: float = 1,
        authority: Authority | None = None, hub_name: str = "",
    ) -> TlsFiles:  # fmt: skip
        """Certificate and key of an identity."""
        issued = (authority or self.authority).issued(
            role, name, hosts if role is Role.HUB else (), days
        )
        stem = f"{role}-{name}"
        key = self.put(f"{stem}.key", issued.key, 0o600)
        return TlsFiles(
            self.put(f"{stem}.pem", issued.cert), key, self.directory / "ca.pem", hub_name
        )

    def remove(self, name: str) -> None:
        (self.directory / name).unlink()

    def put(self, name: str, data: bytes, mode: int = 0o644) -> Path:
        """A file, written under another name and then renamed."""
        path, fresh = self.directory / name, self.directory / f"{name}.new"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)
        return fresh.replace(path)
