"""What the reverse proxy lets through to the real SuperLink, and what not."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import ssl
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    PullMessagesRequest,
    RegisterNodeFleetRequest,
    UnregisterNodeFleetRequest,
)
from flwr.proto.node_pb2 import Node as NodeProto

from daemon.group.hosting.proxy_http import METHODS
from daemon.group.hosting.reverse_proxy import Bounds
from federation.flower import control
from tests.daemon.group import proxy_client
from tests.daemon.group.proxy_client import NOT_FOUND, RunningProxy
from tests.federation.flower import running_superlink

pytestmark = pytest.mark.flower

TYPED = "host: group.example\r\ncontent-type: application/protobuf\r\ncontent-length: 0\r\n"


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running_superlink.Link]:
    with running_superlink.running(tmp_path_factory.mktemp("superlink")) as found:
        yield found


@pytest.fixture(scope="module")
def proxy(link: running_superlink.Link, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    with proxy_client.opened(tmp_path_factory.mktemp("proxy"), link.access.address, link.access.ca) as found:
        yield found


@pytest.fixture(scope="module")
def member(link: running_superlink.Link) -> tuple[ec.EllipticCurvePrivateKey, int]:
    key = running_superlink.new_key()
    return key, control.register(link.access, running_superlink.public_pem(key))


@pytest.fixture(scope="module", params=["the authority alone", "a client certificate", "a member's key"])
def client(
    request: pytest.FixtureRequest,
    proxy: RunningProxy,
    member: tuple[ec.EllipticCurvePrivateKey, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[ssl.SSLContext, str]:
    """TLS settings and header fields of a client."""
    context = ssl.create_default_context(cafile=str(proxy.ca))
    if request.param == "the authority alone":
        return context, ""
    key = member[0] if request.param == "a member's key" else running_superlink.new_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "member")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("client") / "client.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    context.load_cert_chain(path)
    fields = proxy_client.signed(key) if request.param == "a member's key" else {}
    return context, "".join(f"{name}: {value}\r\n" for name, value in fields.items())


def everything_it_has(link: running_superlink.Link) -> list[tuple[str, str]]:
    """All methods and paths by which the SuperLink would do something, as it tells them itself."""
    context = ssl.create_default_context(cafile=str(link.access.ca))
    with urllib.request.urlopen(f"https://{link.access.address}/openapi.json", context=context) as answer:
        paths = json.load(answer)["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def test_nothing_but_the_members_methods_and_health_answers(
    link: running_superlink.Link, proxy: RunningProxy, client: tuple[ssl.SSLContext, str]
) -> None:
    context, fields = client
    passed = {("POST", f"/v1/fleet/{method}") for method in METHODS} | {("GET", "/health")}
    there = everything_it_has(link)
    assert passed <= set(there)
    assert len(there) > 50
    before = len(proxy.upstream.heads)
    others = [*(set(there) - passed), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/redoc")]
    others += [("GET", "/docs/oauth2-redirect"), ("GET", "/"), ("GET", "/v1/fleet/"), ("POST", "/v1/fleet")]
    for method, path in others:
        line = f"{method} {path.replace('{', '').replace('}', '')} HTTP/1.1\r\n"
        assert proxy.answer(f"{line}{TYPED}{fields}\r\n".encode(), context) == NOT_FOUND, (method, path)
    assert len(proxy.upstream.heads) == before


PULL = "/v1/fleet/pull-messages"
TRICKS = [
    "POST /v1/fleet/../control/list-runs HTTP/1.1",
    "POST /v1/fleet/pull-messages/../../control/list-runs HTTP/1.1",
    "POST /v1/fleet/%2e%2e/control/list-runs HTTP/1.1",
    "POST /v1/fleet/%2E%2E%2fcontrol/list-runs HTTP/1.1",
    "POST /v1/fleet/..;/control/list-runs HTTP/1.1",
    "POST /v1/fleet/pull%2dmessages HTTP/1.1",
    "POST /v1/%66leet/pull-messages HTTP/1.1",
    "POST //v1/control/list-runs HTTP/1.1",
    "POST //v1/fleet/pull-messages HTTP/1.1",
    "POST /v1//fleet/pull-messages HTTP/1.1",
    "POST /v1/fleet//pull-messages HTTP/1.1",
    "POST /v1/fleet/./pull-messages HTTP/1.1",
    "POST /v1/fleet/pull-messages/ HTTP/1.1",
    "POST /v1/fleet/pull-messages? HTTP/1.1",
    "POST /v1/fleet/pull-messages?x=/v1/control/list-runs HTTP/1.1",
    "POST /v1/fleet/pull-messages#x HTTP/1.1",
    "POST /v1/fleet\\pull-messages HTTP/1.1",
    "POST /V1/FLEET/PULL-MESSAGES HTTP/1.1",
    "POST https://127.0.0.1/v1/control/list-runs HTTP/1.1",
    "POST https://127.0.0.1/v1/fleet/pull-messages HTTP/1.1",
    "POST http://169.254.169.254/latest/meta-data HTTP/1.1",
    "CONNECT 127.0.0.1:8000 HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "PRI * HTTP/2.0",
    "POST /v1/fleet/pull-messages HTTP/1.0",
    "POST /v1/fleet/pull-messages HTTP/2",
    "POST /v1/fleet/pull-messages",
    "POST  /v1/fleet/pull-messages HTTP/1.1",
    "POST /v1/fleet/pull-messages  HTTP/1.1",
    " POST /v1/fleet/pull-messages HTTP/1.1",
    "post /v1/fleet/pull-messages HTTP/1.1",
    "POST /v1/fleet/pull-messages HTTP/1.1\nX: y",
    "POST /v1/fleet/pull-messages\t HTTP/1.1",
    "POST /v1/fleet/pull-messages\x00 HTTP/1.1",
    "GET /health/ HTTP/1.1",
    "GET /health?x HTTP/1.1",
    "HEAD /health HTTP/1.1",
    "POST /health HTTP/1.1",
    "GET /health/../docs HTTP/1.1",
    "GARBAGE",
    *(
        f"{method} {PULL} HTTP/1.1"
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")
    ),
]


def test_no_trick_with_the_request_line_passes(
    proxy: RunningProxy, client: tuple[ssl.SSLContext, str]
) -> None:
    context, fields = client
    before = len(proxy.upstream.heads)
    for line in TRICKS:
        assert proxy.answer(f"{line}\r\n{TYPED}{fields}\r\n".encode(), context) == NOT_FOUND, line
    assert len(proxy.upstream.heads) == before


FIELDS = [
    "upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\nconnection: Upgrade, HTTP2-Settings",
    "upgrade: websocket\r\nconnection: upgrade",
    "connection: upgrade",
    "connection: flwr-signature",
    "transfer-encoding: chunked",
    "Transfer-Encoding : chunked",
    "transfer-encoding:\tidentity",
    "content-length: 5",
    "content-length: +0",
    "content-type: text/plain",
    "content-encoding: gzip",
    "expect: 100-continue",
    "te: trailers",
    "trailer: x",
    "host: 127.0.0.1:8000\r\nhost: x",
    "no colon",
    ": empty name",
    "na me: x",
    "folded: x\r\n y",
    "bare: a\nb",
    "bare: a\rb",
    "high: \xff",
    "x" * 9_000 + ": y",
    "\r\n".join(f"x{number}: y" for number in range(50)),
]


@pytest.mark.parametrize("field", FIELDS, ids=range(len(FIELDS)))
def test_no_trick_with_the_header_passes(
    proxy: RunningProxy, member: tuple[ec.EllipticCurvePrivateKey, int], field: str
) -> None:
    before = len(proxy.upstream.heads)
    good = proxy_client.request("pull-messages", key=member[0])
    bad = good.replace(b"\r\n\r\n", b"\r\n" + field.encode("latin-1") + b"\r\n\r\n")
    assert proxy.answer(bad) == NOT_FOUND
    assert len(proxy.upstream.heads) == before


def test_a_second_request_hidden_in_the_first_stays_a_body(
    proxy: RunningProxy, link: running_superlink.Link, member: tuple[ec.EllipticCurvePrivateKey, int]
) -> None:
    key, node_id = member
    hidden = b"POST /v1/control/list-nodes HTTP/1.1\r\ncontent-length: 0\r\n\r\n"
    with proxy.connect() as connection:
        connection.sendall(proxy_client.request("pull-messages", hidden, key))
        status, _ = proxy_client.one_answer(connection)
        assert status == 400
        body = PullMessagesRequest(node=NodeProto(node_id=node_id)).SerializeToString()
        connection.sendall(proxy_client.request("pull-messages", body, key) + hidden)
        assert proxy_client.one_answer(connection)[0] == 200
        assert proxy_client.rest_of(connection) == NOT_FOUND
    assert "control/list-nodes" not in Path(link.access.ca.parent.parent / "superlink.log").read_text("utf-8")


def test_the_superlink_hears_only_what_was_understood(
    proxy: RunningProxy, member: tuple[ec.EllipticCurvePrivateKey, int]
) -> None:
    key, _ = member
    body = ActivateNodeRequest(
        public_key=running_superlink.public_pem(key), heartbeat_interval=30
    ).SerializeToString()
    strange = {
        "x-forwarded-for": "192.0.2.9",
        "forwarded": "for=192.0.2.9",
        "cookie": "a=b",
        "x-real-ip": "1",
    }
    answer = proxy.answer(
        proxy_client.request("activate-node", body, key, more={**strange, "connection": "close"})
    )
    assert proxy_client.status_of(answer) == 200
    lines = proxy.upstream.heads[-1].decode().split("\r\n")
    assert {line.split(":")[0] for line in lines[1:] if line} == {
        "host",
        "content-type",
        "content-length",
        "flwr-public-key",
        "flwr-timestamp",
        "flwr-signature",
    }
    assert lines[1] == f"host: {proxy.upstream.address}"
    told = answer.split(b"\r\n\r\n")[0].lower()
    assert {line.split(b":")[0] for line in told.split(b"\r\n")[1:]} == {
        b"content-length",
        b"content-type",
        b"connection",
    }
    assert b"uvicorn" not in told


def test_a_stranger_is_refused_a_member_let_in_and_shut_out(
    proxy: RunningProxy, link: running_superlink.Link
) -> None:
    with running_superlink.node(proxy.address, proxy.ca.read_bytes()) as node:
        with pytest.raises(httpx.HTTPStatusError, match="412"):
            node.activate()
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            node.pull(1)
        node_id = control.register(link.access, node.public)
        assert node.activate() == node_id
        assert list(node.pull(node_id).messages_list) == []
        control.unregister(link.access, node_id)
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            node.pull(node_id)
        with pytest.raises(httpx.HTTPStatusError, match="412"):
            node.activate()


def test_nobody_lets_themselves_in_or_out(
    proxy: RunningProxy, link: running_superlink.Link, member: tuple[ec.EllipticCurvePrivateKey, int]
) -> None:
    before = control.nodes(link.access)
    with (
        running_superlink.node(proxy.address, proxy.ca.read_bytes()) as node,
        pytest.raises(httpx.HTTPStatusError, match="404"),
    ):
        node.client.RegisterNode(RegisterNodeFleetRequest(public_key=node.public))
    known = running_superlink.node(proxy.address, proxy.ca.read_bytes(), member[0])
    with known as node, pytest.raises(httpx.HTTPStatusError, match="404"):
        node.client.UnregisterNode(UnregisterNodeFleetRequest(node_id=member[1]))
    assert control.nodes(link.access).keys() == before.keys()


def test_a_member_cannot_act_as_another(
    proxy: RunningProxy, link: running_superlink.Link, member: tuple[ec.EllipticCurvePrivateKey, int]
) -> None:
    other = running_superlink.new_key()
    node_id = control.register(link.access, running_superlink.public_pem(other))
    known = running_superlink.node(proxy.address, proxy.ca.read_bytes(), member[0])
    with known as node, pytest.raises(httpx.HTTPStatusError, match="401"):
        node.pull(node_id)


def test_without_a_signature_nothing_reaches_the_superlink(proxy: RunningProxy) -> None:
    before = len(proxy.upstream.heads)
    assert proxy_client.status_of(proxy.answer(proxy_client.request("pull-messages"))) == 401
    assert len(proxy.upstream.heads) == before


def test_health_tells_whether_the_superlink_is_there(proxy: RunningProxy) -> None:
    ask = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    assert proxy.answer(ask) == b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    proxy.up = False
    try:
        assert proxy_client.status_of(proxy.answer(ask)) == 503
        assert (
            proxy_client.status_of(
                proxy.answer(proxy_client.request("pull-messages", key=running_superlink.new_key()))
            )
            == 503
        )
    finally:
        proxy.up = True


def test_only_tls_from_1_2_on(proxy: RunningProxy) -> None:
    context = ssl.create_default_context(cafile=str(proxy.ca))
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        proxy.connect(context)
    host, _, port = proxy.address.rpartition(":")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.get(f"http://{host}:{port}/health")


def test_a_superlink_that_hangs_costs_a_request_and_no_more(
    link: running_superlink.Link, tmp_path: Path, member: tuple[ec.EllipticCurvePrivateKey, int]
) -> None:
    body = PullMessagesRequest(node=NodeProto(node_id=member[1])).SerializeToString()
    bounds = Bounds(answer=0.5)
    with proxy_client.opened(tmp_path, link.access.address, link.access.ca, bounds) as proxy:
        ask = proxy_client.request("pull-messages", body, member[0], more={"connection": "close"})
        assert proxy_client.status_of(proxy.answer(ask)) == 200
        os.kill(link.process.pid, signal.SIGSTOP)
        try:
            assert proxy_client.status_of(proxy.answer(ask)) in {503, 504}
        finally:
            os.kill(link.process.pid, signal.SIGCONT)
        running_superlink.wait_for(link)
        assert proxy_client.status_of(proxy.answer(ask)) == 200


def test_no_log_and_no_count_names_anybody(
    link: running_superlink.Link,
    tmp_path: Path,
    member: tuple[ec.EllipticCurvePrivateKey, int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with proxy_client.opened(tmp_path, link.access.address, link.access.ca, Bounds(head=0.3)) as proxy:
        proxy.answer(b"GARBAGE\r\n\r\n", source="127.0.0.77")
        proxy.answer(proxy_client.request("pull-messages", key=member[0], length=10), source="127.0.0.77")
        host, _, port = proxy.address.rpartition(":")
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(f"http://{host}:{port}/health")
    assert set(proxy.server.counts) == {"not found", "too slow", "broken off"}
    assert "127.0.0.77" not in caplog.text
