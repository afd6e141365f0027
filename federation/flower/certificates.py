"""TLS with a certificate authority of our own, and one server certificate.

Clients get the authority's certificate in another way, and trust nothing else.
"""

from __future__ import annotations

import ipaddress
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID: Final = timedelta(days=3650)
RENEW: Final = timedelta(days=365)
"""Made anew at the first start with less than this left."""
_BACKDATED: Final = timedelta(days=1)
"""A client's clock may be behind."""


@dataclass(frozen=True)
class Material:
    """PEM files: the authority's certificate (public), and the server's key with its certificate."""

    ca: Path
    server: Path


@dataclass(frozen=True)
class _Pair:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def pem(self) -> bytes:
        secret = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return secret + self.certificate.public_bytes(Encoding.PEM)

    def good_at(self, now: datetime) -> bool:
        begun = self.certificate.not_valid_before_utc <= now
        return begun and now < self.certificate.not_valid_after_utc - RENEW


def ensure(folder: Path, names: Sequence[str], now: datetime) -> Material:
    """Return material for a server called `names` (host names or addresses); make what is missing or old.

    The authority stays the same for as long as it is valid, whatever happens to the names.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    material = Material(folder / "ca.pem", folder / "server.pem")
    authority_file = folder / "authority.pem"
    authority = _read(authority_file)
    if authority is None or not authority.good_at(now):
        authority = _authority(now)
        write_secret(authority_file, authority.pem())
    public = authority.certificate.public_bytes(Encoding.PEM)
    if not material.ca.is_file() or material.ca.read_bytes() != public:
        write_secret(material.ca, public)
    server = _read(material.server)
    if server is None or not server.good_at(now) or not _is_of(server.certificate, authority, names):
        write_secret(material.server, _server(authority, names, now).pem())
    return material


def write_secret(path: Path, content: bytes) -> None:
    """Replace a file that only this user may read; readers see all of it or what was there before."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read(path: Path) -> _Pair | None:
    """Return what a file holds, None where it holds nothing usable."""
    try:
        content = path.read_bytes()
        key = load_pem_private_key(content, password=None)
        certificate = x509.load_pem_x509_certificate(content)
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return _Pair(key, certificate)


def _is_of(certificate: x509.Certificate, authority: _Pair, names: Sequence[str]) -> bool:
    try:
        certificate.verify_directly_issued_by(authority.certificate)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    return found == _alternatives(names)


def _authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Shoal group authority")])
    builder = _builder(name, name, key, key, now)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return _Pair(key, builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()))


def _server(authority: _Pair, names: Sequence[str], now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Shoal group host")])
    builder = _builder(name, authority.certificate.subject, key, authority.key, now)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=False)
    builder = builder.add_extension(_alternatives(names), critical=False)
    return _Pair(key, builder.sign(authority.key, hashes.SHA256()))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.CertificateBuilder:
    own, above = key.public_key(), signer.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(own)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - _BACKDATED)
        .not_valid_after(now.astimezone(UTC) + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False)
    )


def _alternatives(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative(name) for name in dict.fromkeys(names)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
