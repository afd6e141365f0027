"""Which nodes the host's SuperLink accepts, through Flower's Control API. Every call blocks.

Not for the serving process: `flwr` takes 60 MB and half a second to import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from flwr.proto import control_pb2
from flwr.supercore.control.control_http_client import ControlHttpClient

from federation.errors import FederationError
from federation.flower.superlink import SuperLinkAccess

_Answer = TypeVar("_Answer")

_ONLINE: Final = "online"
_GONE: Final = "unregistered"
_TAKEN: Final = 412
"""HTTP status where a public key is in use already (`supercore/error/catalog.py`)."""
_UNKNOWN: Final = 404

# A node as `ListNodes` tells of it. The generated classes have no types of their own.
_Client = Any
_Node = Any


class SuperLinkError(FederationError):
    """The SuperLink did not answer, or refused; the message says what to do."""


class NodeKeyRefusedError(SuperLinkError):
    """A node key cannot be registered, now or later; its member needs another one."""


def register(access: SuperLinkAccess, node_key_pem: bytes) -> int:
    """Register a node by its public key (PEM, P-384) and return its id; a key known already keeps its id.

    Raises:
        NodeKeyRefusedError: not such a key, or one that was unregistered before.
        SuperLinkError: the SuperLink does not answer.
    """
    key = _canonical(node_key_pem)
    with _client(access) as client:
        request = control_pb2.RegisterNodeRequest(public_key=key)
        answer = _ask(lambda: client.RegisterNode(request), tolerate=_TAKEN)
        if answer is not None:
            return int(answer.node_id)
        known = [node for node in _nodes(client) if bytes(node.public_key) == key]
    if not known or known[0].status == _GONE:
        raise NodeKeyRefusedError(
            "this node key was unregistered before, and Flower never accepts it again: the member has to "
            "leave the group and join with a new key"
        )
    return int(known[0].node_id)


def unregister(access: SuperLinkAccess, node_id: int) -> None:
    """Unregister a node, from its next request on; one that is not registered is no error.

    Raises:
        SuperLinkError: the SuperLink does not answer.
    """
    with _client(access) as client:
        request = control_pb2.UnregisterNodeRequest(node_id=node_id)
        _ask(lambda: client.UnregisterNode(request), tolerate=_UNKNOWN)


def nodes(access: SuperLinkAccess) -> dict[int, bool]:
    """Return the ids of all registered nodes, and whether each is connected now.

    Raises:
        SuperLinkError: the SuperLink does not answer.
    """
    with _client(access) as client:
        return {int(node.node_id): node.status == _ONLINE for node in _nodes(client) if node.status != _GONE}


def _nodes(client: _Client) -> list[_Node]:
    answer = _ask(lambda: client.ListNodes(control_pb2.ListNodesRequest()))
    return [] if answer is None else list(answer.nodes_info)


@contextmanager
def _client(access: SuperLinkAccess) -> Iterator[_Client]:
    try:
        authority = access.ca.read_bytes()
        client: _Client = ControlHttpClient.from_server_address(access.address, False, authority, ())  # noqa: FBT003
    except (OSError, ValueError) as error:
        raise SuperLinkError(
            f"the SuperLink's certificate cannot be read ({error}): start the daemon that hosts the group"
        ) from None
    with client:
        yield client


def _ask(call: Callable[[], _Answer], tolerate: int | None = None) -> _Answer | None:
    """Return the answer, None where its HTTP status is the one to tolerate."""
    try:
        return call()
    # Flower lets errors of its HTTP library through, which is not ours to import.
    except Exception as error:
        response = getattr(error, "response", None)
        if response is None:
            raise SuperLinkError(
                f"the SuperLink does not answer ({type(error).__name__}): check that the daemon is running"
            ) from error
        if response.status_code == tolerate:
            return None
        raise SuperLinkError(f"the SuperLink refused, with status {response.status_code}") from error


def _canonical(pem: bytes) -> bytes:
    """Return a key as Flower compares it: byte for byte (`supercore/primitives/asymmetric.py`)."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError) as error:
        raise NodeKeyRefusedError("not a public key in PEM: the member has to join again") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise NodeKeyRefusedError("not a P-384 public key: the member has to join again")
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
