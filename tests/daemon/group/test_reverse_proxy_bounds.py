"""What one visitor, or a crowd of them, can make the fence hold: little, and not for long."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.fleet_pb2 import PullMessagesRequest
from flwr.proto.message_pb2 import PushObjectRequest
from flwr.proto.node_pb2 import Node as NodeProto

from daemon.group.hosting.reverse_proxy import Bounds
from federation.flower import certificates, control
from federation.flower.objects import MAX_OBJECT
from tests.daemon.group import proxy_client
from tests.daemon.group.proxy_client import Door
from tests.federation.flower import running_superlink

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
def door(link: running_superlink.Link, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Door]:
    """A fence with the bounds that the test's parameter names."""
    with proxy_client.opened(tmp_path, link.access.address, link.access.ca, request.param) as found:
        yield found


def bounded(**values: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("door", [Bounds(**values)], indirect=True, ids=[""])  # type: ignore[arg-type]


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
def test_who_sends_a_head_byte_by_byte_is_cut_off(door: Door) -> None:
    with door.connect() as connection:
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
def test_who_says_nothing_is_cut_off(door: Door) -> None:
    with door.connect() as connection:
        assert until_closed(connection) < 2.0


@bounded(idle=0.3, head=SECONDS)
def test_who_has_an_answer_and_asks_no_more_is_cut_off(door: Door, member: Member) -> None:
    with door.connect() as connection:
        for _ in range(2):
            connection.sendall(pull(member, connection="keep-alive"))
            assert proxy_client.one_answer(connection)[0] == 200
        assert until_closed(connection) < SOON
    assert door.fence.counts == {"passed": 2}


@bounded(visits=0.001, visits_at_once=2, spare_loopback=False)
def test_one_address_comes_so_often(door: Door) -> None:
    for _ in range(2):
        assert proxy_client.status_of(door.answer(HEALTH, source="127.0.0.2")) == 200
    with pytest.raises(OSError):  # noqa: PT011
        door.connect(source="127.0.0.2")
    assert proxy_client.status_of(door.answer(HEALTH, source="127.0.0.3")) == 200


@bounded(handshake=0.4)
def test_who_does_not_finish_the_handshake_is_cut_off(door: Door) -> None:
    host, _, port = door.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=SOON) as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        assert time.monotonic() - began < 2.0


@bounded(head=0.4)
def test_a_body_that_does_not_come_is_not_waited_for(door: Door, member: Member) -> None:
    answer = door.answer(proxy_client.request("pull-messages", b"x", member[0], length=1_000))
    assert proxy_client.status_of(answer) == 504
    assert door.upstream.heads == []


@bounded(head=0.4, slowest=1e9, answer=0.4)
def test_a_large_body_that_does_not_come_is_not_waited_for(door: Door, member: Member) -> None:
    assert proxy_client.status_of(door.answer(pull(member))) == 200
    answer = door.answer(proxy_client.request("push-object", b"x" * 70_000, member[0], length=1_000_000))
    assert proxy_client.status_of(answer) == 504
    assert proxy_client.status_of(door.answer(pull(member))) == 200


@bounded(small=1_000, stranger_body=900)
def test_large_bodies_are_for_members_and_have_an_end(door: Door, member: Member) -> None:
    large = door.fence._bounds.large

    def push(length: int, name: str = "push-object") -> int:
        return proxy_client.status_of(door.answer(proxy_client.request(name, b"", member[0], length=length)))

    assert push(901) == 503
    assert proxy_client.status_of(door.answer(pull(member))) == 200
    assert push(large + 1) == 413
    assert push(1_001, "pull-messages") == 413
    assert push(10**12 - 1) == 413
    assert push(10**12) == 404
    assert len(door.upstream.heads) == 1


@bounded()
def test_the_largest_object_of_a_member_passes(door: Door, member: Member) -> None:
    assert proxy_client.status_of(door.answer(pull(member))) == 200
    content = PushObjectRequest(
        node=NodeProto(node_id=member[1]), run_id=1, object_id="0" * 64, object_content=b"\0" * MAX_OBJECT
    ).SerializeToString()
    answer = door.answer(
        proxy_client.request("push-object", content, member[0], more={"connection": "close"})
    )
    # The SuperLink read all of it, and says in its own words that it knows no such run.
    assert proxy_client.status_of(answer) not in {413, 502, 503, 504}
    assert b"application/json" in answer
    assert b"push-object" in door.upstream.heads[-1]
    assert door.fence.counts["passed"] == 2


@bounded(connections=3)
def test_in_a_crowd_the_one_idle_longest_gives_way(door: Door) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(door.connect()) for _ in range(3)]
        assert proxy_client.status_of(door.answer(HEALTH)) == 200
        assert until_closed(idle[0]) < SOON
        idle[2].sendall(HEALTH)
        assert proxy_client.one_answer(idle[2])[0] == 200
    assert door.fence.counts["gave way"] >= 1


@bounded(connections=3, head=SOON)
def test_half_a_request_holds_no_place(door: Door, member: Member) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(door.connect())
            connection.sendall(proxy_client.request("pull-messages", b"x", member[0], length=1_000))
        began = time.monotonic()
        assert proxy_client.status_of(door.answer(HEALTH)) == 200
        assert time.monotonic() - began < SOON / 2


@bounded(per_address=2, spare_loopback=False)
def test_one_address_has_so_many_connections(door: Door) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(door.connect(source="127.0.0.2"))
        with pytest.raises(OSError):  # noqa: PT011
            door.connect(source="127.0.0.2")
        assert proxy_client.status_of(door.answer(HEALTH, source="127.0.0.3")) == 200
    assert door.fence.counts["crowded"] == 1


@bounded(requests=0.001, requests_at_once=2, spare_loopback=False)
def test_one_address_has_so_many_requests(door: Door, member: Member) -> None:
    found = [proxy_client.status_of(door.answer(pull(member), source="127.0.0.2")) for _ in range(4)]
    assert found == [200, 200, 503, 503]
    assert proxy_client.status_of(door.answer(pull(member), source="127.0.0.3")) == 200
    assert len(door.upstream.heads) == 3


@bounded(strangers=0.001, strangers_at_once=3)
def test_strangers_together_have_so_many_requests_and_members_their_own(door: Door, member: Member) -> None:
    assert proxy_client.status_of(door.answer(pull(member))) == 200
    strangers = [(running_superlink.new_key(), number) for number in range(4)]
    assert [proxy_client.status_of(door.answer(pull(one))) for one in strangers] == [401, 401, 503, 503]
    assert proxy_client.status_of(door.answer(pull(member))) == 200


# -- a server in the SuperLink's place that does what a broken or taken over one could -----------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[[Callable[[ssl.SSLSocket], None]], tuple[str, Path]]]:
    """Start a TLS server on loopback that does with each connection what it is told."""
    material = certificates.ensure(tmp_path / "server", ("127.0.0.1",), datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(material.server)
    threads: list[threading.Thread] = []
    listener = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()

    def start(answer: Callable[[ssl.SSLSocket], None]) -> tuple[str, Path]:
        def serve() -> None:
            while not ending.is_set():
                plain, _ = listener.accept()
                with (
                    plain,
                    contextlib.suppress(OSError),
                    context.wrap_socket(plain, server_side=True) as secure,
                ):
                    answer(secure)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return f"127.0.0.1:{listener.getsockname()[1]}", material.ca

    yield start
    ending.set()
    with contextlib.suppress(OSError):
        socket.create_connection(listener.getsockname(), timeout=SOON).close()
    for thread in threads:
        thread.join(SOON)
    listener.close()


def says(*parts: bytes) -> Callable[[ssl.SSLSocket], None]:
    def answer(connection: ssl.SSLSocket) -> None:
        connection.settimeout(SOON)
        connection.recv(65_536)
        for part in parts:
            connection.sendall(part)
            time.sleep(0.01)

    return answer


def endless(connection: ssl.SSLSocket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    began = time.monotonic()
    while time.monotonic() - began < SOON:
        connection.sendall(b"x: " + b"y" * 60_000)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"), 502),
        (says(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1_000), 503),
        (says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"5\r\nhello\r\n"), 503),
        (says(b"HTTP/1.1 101 Switching\r\ncontent-length: 0\r\n\r\n"), 503),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"), 503),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"), 503),
        (says(b"nonsense\r\n\r\n"), 503),
        (says(), 503),
        (endless, 503),
    ],
    ids=range(9),
)
def test_an_answer_without_a_clear_end_is_not_passed_on(
    server: Callable[[Callable[[ssl.SSLSocket], None]], tuple[str, Path]],
    tmp_path: Path,
    answer: Callable[[ssl.SSLSocket], None],
    status: int,
) -> None:
    with proxy_client.opened(tmp_path, *server(answer), Bounds(answer=2.0)) as door:
        found = door.answer(proxy_client.request("pull-messages", b"", running_superlink.new_key()))
        assert found == f"HTTP/1.1 {status} ".encode() + found[13:]
        assert found.endswith(b"content-length: 0\r\nconnection: close\r\n\r\n")


def test_an_object_that_never_ends_is_cut_off(
    server: Callable[[Callable[[ssl.SSLSocket], None]], tuple[str, Path]], tmp_path: Path
) -> None:
    def trickle(connection: ssl.SSLSocket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        began = time.monotonic()
        while time.monotonic() - began < SOON:
            connection.sendall(b"x")
            time.sleep(0.05)

    bounds = Bounds(head=0.3, slowest=1e9, answer=2.0)
    with proxy_client.opened(tmp_path, *server(trickle), bounds) as door:
        began = time.monotonic()
        found = door.answer(proxy_client.request("pull-object", b"", running_superlink.new_key()))
        assert len(found) < 1_000
        assert time.monotonic() - began < 3.0
        assert door.fence.counts["too slow"] == 1


def test_what_comes_unasked_is_never_taken_for_the_next_answer(
    server: Callable[[Callable[[ssl.SSLSocket], None]], tuple[str, Path]], tmp_path: Path
) -> None:
    def chatty(connection: ssl.SSLSocket) -> None:
        connection.settimeout(SOON)
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad")
        with contextlib.suppress(TimeoutError):
            connection.settimeout(1.0)
            connection.recv(1)

    with (
        proxy_client.opened(tmp_path, *server(chatty), Bounds(answer=2.0)) as door,
        door.connect() as connection,
    ):
        for _ in range(2):
            connection.sendall(proxy_client.request("pull-messages", b"", running_superlink.new_key()))
            assert proxy_client.one_answer(connection) == (200, b"ok")


def test_a_connection_that_the_superlink_closed_is_not_the_members_problem(
    server: Callable[[Callable[[ssl.SSLSocket], None]], tuple[str, Path]], tmp_path: Path
) -> None:
    once = says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    with (
        proxy_client.opened(tmp_path, *server(once), Bounds(answer=2.0)) as door,
        door.connect() as connection,
    ):
        for _ in range(3):
            connection.sendall(proxy_client.request("pull-messages", b"", running_superlink.new_key()))
            assert proxy_client.one_answer(connection) == (200, b"ok")


def test_a_superlink_with_another_certificate_gets_nothing(
    server: Callable[[Callable[[ssl.SSLSocket], None]], tuple[str, Path]], tmp_path: Path
) -> None:
    heard: list[bytes] = []
    address, _ = server(lambda connection: heard.append(connection.recv(1_000)))
    other = certificates.ensure(tmp_path / "other", ("127.0.0.1",), datetime.now(UTC))
    with proxy_client.opened(tmp_path, address, other.ca) as door:
        assert (
            proxy_client.status_of(
                door.answer(proxy_client.request("pull-messages", b"", running_superlink.new_key()))
            )
            == 503
        )
    assert heard == []


def test_nobody_behind_it(tmp_path: Path, link: running_superlink.Link) -> None:
    with proxy_client.opened(tmp_path, f"127.0.0.1:{running_superlink.free_port()}", link.access.ca) as door:
        assert (
            proxy_client.status_of(
                door.answer(proxy_client.request("pull-messages", b"", running_superlink.new_key()))
            )
            == 503
        )
