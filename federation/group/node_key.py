"""The node key, by which Flower knows an instance: NIST P-384, ECDSA with SHA-256, PEM.

Flower compares keys by their PEM, so a public key is only accepted in the form in which Flower's own nodes
send it (SubjectPublicKeyInfo, as written here). The enrolment binds it to the instance's own key.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from federation.errors import Code, ProtocolMisuse, Refusal

MAX_NODE_KEY = 256
"""Bytes of a public key: PEM of P-384 has 215."""
MAX_NODE_SIGNATURE = 104
"""Bytes: two integers below 2^384 in DER."""
_ALGORITHM = ec.ECDSA(hashes.SHA256())


def new_node_key() -> bytes:
    """Return a new private key, PEM of unencrypted PKCS 8."""
    return ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_node_key(pem: bytes) -> bytes:
    """Return the public half of a private key, PEM, as Flower registers it. Raises: ProtocolMisuse."""
    return _written(_private(pem).public_key())


def sign_with_node_key(pem: bytes, data: bytes) -> bytes:
    """Return the signature over `data` by a private key. Raises: ProtocolMisuse."""
    return _private(pem).sign(data, _ALGORITHM)


def check_node_key(public_pem: bytes) -> ec.EllipticCurvePublicKey:
    """Return a public key that is of P-384 and written in the one accepted form.

    Raises:
        Refusal: `keys-invalid`.

    """
    try:
        key = serialization.load_pem_public_key(public_pem) if len(public_pem) <= MAX_NODE_KEY else None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if (
        not isinstance(key, ec.EllipticCurvePublicKey)
        or not isinstance(key.curve, ec.SECP384R1)
        or _written(key) != public_pem
    ):
        raise Refusal(Code.KEYS_INVALID, "the node key is not a P-384 key in PEM as Flower writes it")
    return key


def verify_node_key(public_pem: bytes, data: bytes, signature: bytes) -> bool:
    """Tell whether `signature` over `data` is by this public key.

    Raises:
        Refusal: `keys-invalid`, when it is no key.

    """
    try:
        check_node_key(public_pem).verify(signature, data, _ALGORITHM)
    except InvalidSignature:
        return False
    return True


def _private(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ProtocolMisuse("the node key cannot be read; delete it and join the group again") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ProtocolMisuse("the node key is not a P-384 key; delete it and join the group again")
    return key


def _written(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
