from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from federation.flower import control, superlink
from federation.flower.control import SuperLinkError
from federation.flower.superlink import SuperLinkAccess
from tests.federation.flower import running_superlink
from tests.ports import free_port

pytestmark = pytest.mark.flower


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running_superlink.Link]:
    with running_superlink.running(tmp_path_factory.mktemp("superlink")) as found:
        yield found


@pytest.fixture
def access(link: running_superlink.Link) -> SuperLinkAccess:
    return link.access


def test_a_registered_node_is_let_in_and_shut_out_again(access: SuperLinkAccess) -> None:
    with running_superlink.node(access.address, access.ca.read_bytes()) as node:
        node_id = control.register(access, node.public)
        assert control.nodes(access)[node_id] is False
        assert node.activate() == node_id
        assert control.nodes(access)[node_id] is True
        assert list(node.pull(node_id).messages_list) == []
        control.unregister(access, node_id)
        assert node_id not in control.nodes(access)
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            node.pull(node_id)
        with pytest.raises(httpx.HTTPStatusError, match="412"):
            node.activate()


def test_a_stranger_is_refused(access: SuperLinkAccess) -> None:
    with running_superlink.node(access.address, access.ca.read_bytes()) as node:
        with pytest.raises(httpx.HTTPStatusError, match="412"):
            node.activate()
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            node.pull(1)


def test_registering_twice_gives_the_same_id_however_the_key_is_written(access: SuperLinkAccess) -> None:
    key = running_superlink.public_pem(running_superlink.new_key())
    first = control.register(access, key)
    assert control.register(access, key) == first
    assert control.register(access, key.replace(b"\n", b"\r\n") + b"\n\n") == first


def test_two_keys_are_two_nodes(access: SuperLinkAccess) -> None:
    ids = {
        control.register(access, running_superlink.public_pem(running_superlink.new_key())) for _ in range(3)
    }
    assert len(ids) == 3
    assert ids <= control.nodes(access).keys()


def test_taking_out_twice_is_no_error(access: SuperLinkAccess) -> None:
    before = control.nodes(access)
    node_id = control.register(access, running_superlink.public_pem(running_superlink.new_key()))
    assert control.nodes(access).keys() == {*before, node_id}
    control.unregister(access, node_id)
    control.unregister(access, node_id)
    control.unregister(access, 12345)
    assert control.nodes(access) == before


def test_a_key_that_was_taken_out_never_comes_back(access: SuperLinkAccess) -> None:
    key = running_superlink.public_pem(running_superlink.new_key())
    control.unregister(access, control.register(access, key))
    with pytest.raises(SuperLinkError, match="with a new key"):
        control.register(access, key)


def spki(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"ssh-ed25519 AAAA",
        spki(ed25519.Ed25519PrivateKey.generate().public_key()),
        spki(ec.generate_private_key(ec.SECP256R1()).public_key()),
    ],
)
def test_other_keys_are_refused(access: SuperLinkAccess, key: bytes) -> None:
    with pytest.raises(SuperLinkError, match="join again"):
        control.register(access, key)


def test_who_is_registered_survives_a_restart(tmp_path: Path) -> None:
    key, gone = running_superlink.new_key(), running_superlink.new_key()
    with running_superlink.running(tmp_path) as link:
        node_id = control.register(link.access, running_superlink.public_pem(key))
        control.unregister(link.access, control.register(link.access, running_superlink.public_pem(gone)))
        link.process.kill()
    with running_superlink.running(tmp_path) as link:
        assert set(control.nodes(link.access)) == {node_id}
        with running_superlink.node(link.access.address, link.access.ca.read_bytes(), key) as node:
            assert node.activate() == node_id


def test_nobody_there_is_said_clearly(tmp_path: Path) -> None:
    superlink.prepare(tmp_path)
    with pytest.raises(SuperLinkError, match="check that the daemon is running"):
        control.nodes(superlink.access(tmp_path, free_port()))
    with pytest.raises(SuperLinkError, match="certificate cannot be read"):
        control.nodes(superlink.access(tmp_path / "nothing", 1))


def test_another_server_on_the_port_is_not_believed(access: SuperLinkAccess, tmp_path: Path) -> None:
    superlink.prepare(tmp_path)
    port = int(access.address.rpartition(":")[2])
    with pytest.raises(SuperLinkError, match="ConnectError"):
        control.nodes(superlink.access(tmp_path, port))
