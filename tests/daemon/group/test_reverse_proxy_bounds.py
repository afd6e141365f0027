"""What one client, or many together, can make the reverse proxy hold: little, and not for long."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.fleet_pb2 import PullMessagesRequest
from flwr.proto.message_pb2 import PushObjectRequest
from flwr.proto.node_pb2 import Node as NodeProto

from daemon.group.hosting.reverse_proxy import Bounds
from federation.flower import control
from federation.flower.objects import MAX_OBJECT
from tests.daemon.group import proxy_client
from tests.daemon.group.proxy_client import RunningProxy
from tests.federation.flower import running_superlink

pytestmark = pytest.mark.flower

Member = tuple[ec.EllipticCurvePrivateKey, int]
HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
SOON = 5.0
SECONDS = 60.0


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running_superlink.Link]:
    with running_superlink.running(tmp_path_factory.mktemp("superlink")) as found:
        yield found


@pytest.fixture(scope="module")
def member(link: running_superlink.Link) -> Member:
    key = running_superlink.new_key()
    return key, control.register(link.access, running_superlink.public_pem(key))


@pytest.fixture
def proxy(
    link: running_superlink.Link, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[RunningProxy]:
    """A reverse proxy with the bounds that the test's parameter names."""
    with proxy_client.opened(tmp_path, link.access.address, link.access.ca, request.param) as found:
        yield found


def bounded(**values: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("proxy", [Bounds(**values)], indirect=True, ids=[""])  # type: ignore[arg-type]


def pull(member: Member, **more: str) -> bytes:
    body = PullMessagesRequest(node=NodeProto(node_id=member[1])).SerializeToString()
    return proxy_client.request("pull-messages", body, member[0], more={"connection": "close", **more})


def until_closed(connection: ssl.SSLSocket) -> float:
    """Seconds until the other side closes."""
    began = time.monotonic()
    with contextlib.suppress(OSError):
        while connection.recv(4_096):
            pass
    return time.monotonic() - began


@bounded(head=0.4)
def test_who_sends_a_head_byte_by_byte_is_cut_off(proxy: RunningProxy) -> None:
    with proxy.connect() as connection:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < SOON:
                connection.sendall(b"x")
                time.sleep(0.05)
                connection.settimeout(0.001)
                with contextlib.suppress(TimeoutError):
                    if not connection.recv(1):
                        break
                connection.settimeout(SOON)
        assert time.monotonic() - began < 2.0


@bounded(head=0.4)
def test_who_says_nothing_is_cut_off(proxy: RunningProxy) -> None:
    with proxy.connect() as connection:
        assert until_closed(connection) < 2.0


@bounded(idle=0.3, head=SECONDS)
def test_who_has_an_answer_and_asks_no_more_is_cut_off(proxy: RunningProxy, member: Member) -> None:
    with proxy.connect() as connection:
        for _ in range(2):
            connection.sendall(pull(member, connection="keep-alive"))
            assert proxy_client.one_answer(connection)[0] == 200
        assert until_closed(connection) < SOON
    assert proxy.server.counts == {"forwarded": 2}


@bounded(new_connections=0.001, new_connections_burst=2, exempt_loopback=False)
def test_one_address_comes_so_often(proxy: RunningProxy) -> None:
    for _ in range(2):
        assert proxy_client.status_of(proxy.answer(HEALTH, source="127.0.0.2")) == 200
    with pytest.raises(OSError):  # noqa: PT011
        proxy.connect(source="127.0.0.2")
    assert proxy_client.status_of(proxy.answer(HEALTH, source="127.0.0.3")) == 200


@bounded(handshake=0.4)
def test_who_does_not_finish_the_handshake_is_cut_off(proxy: RunningProxy) -> None:
    host, _, port = proxy.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=SOON) as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        assert time.monotonic() - began < 2.0


@bounded(head=0.4)
def test_a_body_that_does_not_come_is_not_waited_for(proxy: RunningProxy, member: Member) -> None:
    answer = proxy.answer(proxy_client.request("pull-messages", b"x", member[0], length=1_000))
    assert proxy_client.status_of(answer) == 504
    assert proxy.upstream.heads == []


@bounded(head=0.4, slowest=1e9, answer=0.4)
def test_a_large_body_that_does_not_come_is_not_waited_for(proxy: RunningProxy, member: Member) -> None:
    assert proxy_client.status_of(proxy.answer(pull(member))) == 200
    answer = proxy.answer(proxy_client.request("push-object", b"x" * 70_000, member[0], length=1_000_000))
    assert proxy_client.status_of(answer) == 504
    assert proxy_client.status_of(proxy.answer(pull(member))) == 200


@bounded(small=1_000, stranger_body=900)
def test_large_bodies_are_for_members_and_have_an_end(proxy: RunningProxy, member: Member) -> None:
    large = proxy.server._bounds.large

    def push(length: int, name: str = "push-object") -> int:
        return proxy_client.status_of(proxy.answer(proxy_client.request(name, b"", member[0], length=length)))

    assert push(901) == 503
    assert proxy_client.status_of(proxy.answer(pull(member))) == 200
    assert push(large + 1) == 413
    assert push(1_001, "pull-messages") == 413
    assert push(10**12 - 1) == 413
    assert push(10**12) == 404
    assert len(proxy.upstream.heads) == 1


@bounded()
def test_the_largest_object_of_a_member_passes(proxy: RunningProxy, member: Member) -> None:
    assert proxy_client.status_of(proxy.answer(pull(member))) == 200
    content = PushObjectRequest(
        node=NodeProto(node_id=member[1]), run_id=1, object_id="0" * 64, object_content=b"\0" * MAX_OBJECT
    ).SerializeToString()
    answer = proxy.answer(
        proxy_client.request("push-object", content, member[0], more={"connection": "close"})
    )
    # The SuperLink read all of it, and says in its own words that it knows no such run.
    assert proxy_client.status_of(answer) not in {413, 502, 503, 504}
    assert b"application/json" in answer
    assert b"push-object" in proxy.upstream.heads[-1]
    assert proxy.server.counts["forwarded"] == 2


@bounded(connections=3)
def test_the_connection_that_is_idle_longest_gives_way_to_a_new_one(proxy: RunningProxy) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(proxy.connect()) for _ in range(3)]
        assert proxy_client.status_of(proxy.answer(HEALTH)) == 200
        assert until_closed(idle[0]) < SOON
        idle[2].sendall(HEALTH)
        assert proxy_client.one_answer(idle[2])[0] == 200
    assert proxy.server.counts["closed for a new one"] >= 1


@bounded(connections=3, head=SOON)
def test_half_a_request_holds_no_place(proxy: RunningProxy, member: Member) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(proxy.connect())
            connection.sendall(proxy_client.request("pull-messages", b"x", member[0], length=1_000))
        began = time.monotonic()
        assert proxy_client.status_of(proxy.answer(HEALTH)) == 200
        assert time.monotonic() - began < SOON / 2


@bounded(per_address=2, exempt_loopback=False)
def test_one_address_has_so_many_connections(proxy: RunningProxy) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(proxy.connect(source="127.0.0.2"))
        with pytest.raises(OSError):  # noqa: PT011
            proxy.connect(source="127.0.0.2")
        assert proxy_client.status_of(proxy.answer(HEALTH, source="127.0.0.3")) == 200
    assert proxy.server.counts["too many connections"] == 1


@bounded(requests=0.001, requests_burst=2, exempt_loopback=False)
def test_one_address_has_so_many_requests(proxy: RunningProxy, member: Member) -> None:
    found = [proxy_client.status_of(proxy.answer(pull(member), source="127.0.0.2")) for _ in range(4)]
    assert found == [200, 200, 503, 503]
    assert proxy_client.status_of(proxy.answer(pull(member), source="127.0.0.3")) == 200
    assert len(proxy.upstream.heads) == 3


@bounded(strangers=0.001, strangers_burst=3)
def test_strangers_together_have_so_many_requests_and_members_their_own(
    proxy: RunningProxy, member: Member
) -> None:
    assert proxy_client.status_of(proxy.answer(pull(member))) == 200
    strangers = [(running_superlink.new_key(), number) for number in range(4)]
    assert [proxy_client.status_of(proxy.answer(pull(one))) for one in strangers] == [401, 401, 503, 503]
    assert proxy_client.status_of(proxy.answer(pull(member))) == 200
