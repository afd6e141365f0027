from __future__ import annotations

import itertools
import os
import ssl
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from federation.flower import certificates, superlink
from tests.federation.flower import running_superlink

pytestmark = pytest.mark.flower

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_there_stays(tmp_path: Path) -> None:
    superlink.prepare(tmp_path / "host", NOW)
    before = snapshot(tmp_path)
    superlink.prepare(tmp_path / "host", NOW + certificates.VALID / 2)
    assert snapshot(tmp_path) == before
    assert {"host/serverapp.secret", "host/tls/ca.pem", "host/tls/server.pem"} <= before.keys()


def test_only_this_user_may_read_what_is_secret(tmp_path: Path) -> None:
    superlink.prepare(tmp_path / "host", NOW)
    for path in (tmp_path / "host").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_each_host_has_a_secret_of_its_own(tmp_path: Path) -> None:
    secrets = []
    for name in ("one", "two"):
        superlink.prepare(tmp_path / name, NOW)
        secrets.append(superlink.access(tmp_path / name, 1).secret.read_bytes())
    assert secrets[0] != secrets[1]
    assert all(len(secret) == 64 for secret in secrets)


def test_certificates_are_renewed_before_they_end(tmp_path: Path) -> None:
    superlink.prepare(tmp_path, NOW)
    before = snapshot(tmp_path)
    superlink.prepare(tmp_path, NOW + certificates.VALID - certificates.RENEW + timedelta(days=1))
    after = snapshot(tmp_path)
    assert {name for name in before if after[name] != before[name]} == {
        "tls/authority.pem",
        "tls/ca.pem",
        "tls/server.pem",
    }


def test_new_names_keep_the_authority(tmp_path: Path) -> None:
    first = certificates.ensure(tmp_path, ("127.0.0.1",), NOW)
    ca, server = first.ca.read_bytes(), first.server.read_bytes()
    second = certificates.ensure(tmp_path, ("127.0.0.1", "video.example.org"), NOW)
    assert second.ca.read_bytes() == ca
    assert second.server.read_bytes() != server
    found = x509.load_pem_x509_certificate(second.server.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["video.example.org"]


@pytest.mark.parametrize("name", ["authority.pem", "ca.pem", "server.pem"])
@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_broken_file_is_made_anew(tmp_path: Path, name: str, content: bytes) -> None:
    certificates.ensure(tmp_path, ("127.0.0.1",), NOW)
    (tmp_path / name).write_bytes(content)
    material = certificates.ensure(tmp_path, ("127.0.0.1",), NOW)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(material.server)
    authority = x509.load_pem_x509_certificate(material.ca.read_bytes())
    x509.load_pem_x509_certificate(material.server.read_bytes()).verify_directly_issued_by(authority)


def test_an_empty_secret_is_not_kept(tmp_path: Path) -> None:
    superlink.prepare(tmp_path, NOW)
    superlink.access(tmp_path, 1).secret.write_bytes(b"")
    superlink.prepare(tmp_path, NOW)
    assert superlink.access(tmp_path, 1).secret.read_bytes()


def test_it_is_the_stock_program_with_everything_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLWR_INTERNAL_GRPC_CONTROL_API", "FLWR_TELEMETRY_ENABLED", "FLWR_DATABASE", "UVICORN_HOST"):
        monkeypatch.setenv(name, "1")
    arguments, environment = superlink.command(tmp_path, 4321)
    assert Path(arguments[0]) == Path(sys.executable).parent / "flower-superlink"
    assert os.access(arguments[0], os.X_OK)
    pairs = dict(itertools.pairwise(arguments))
    assert (pairs["--host"], pairs["--port"], pairs["--isolation"]) == ("127.0.0.1", "4321", "process")
    assert {"--enable-supernode-auth", "--disable-runtime-dependency-installation"} <= set(arguments)
    assert "--insecure" not in arguments
    assert pairs["--superexec-auth-secret-file"] == str(superlink.access(tmp_path, 4321).secret)
    assert environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert environment["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert environment["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    assert Path(environment["FLWR_HOME"]).is_relative_to(tmp_path)
    allowed = {"FLWR_HOME", "FLWR_TELEMETRY_ENABLED", "FLWR_DISABLE_UPDATE_CHECK"}
    allowed |= {"FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"}
    assert {name for name in environment if name.startswith(("FLWR", "UVICORN"))} == allowed


def test_it_listens_on_loopback_alone_and_calls_nobody(tmp_path: Path) -> None:
    with running_superlink.running(tmp_path) as link:
        pid = link.process.pid
        port = int(link.access.address.rpartition(":")[2])
        found = running_superlink.connections(pid)
        assert {where for where, _, listens in found if listens} == {("127.0.0.1", port)}
        assert {there[0] for _, there, listens in found if not listens} <= {"127.0.0.1"}
        assert Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii") == ""
