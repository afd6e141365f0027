"""The reverse proxy's rules on bytes alone."""

from __future__ import annotations

from http import HTTPStatus

from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.group.hosting.proxy_http import (
    MAX_HEAD,
    METHODS,
    RecentClients,
    Request,
    empty_answer,
    read_answer,
    read_request,
)
from tests.daemon.group import proxy_client
from tests.federation.flower import running_superlink

GOOD = proxy_client.request("pull-messages", key=running_superlink.new_key())
LINES = {f"POST /v1/fleet/{method} HTTP/1.1" for method in METHODS}


@given(st.binary(max_size=300))
def test_bytes_without_a_line_of_the_list_are_refused(raw: bytes) -> None:
    line = raw.split(b"\r\n")[0].decode("latin-1")
    assume(line not in LINES and line != "GET /health HTTP/1.1" and not line.startswith("HTTP/1."))
    for head in (raw, raw + b"\r\n\r\n"):
        assert read_request(head) is None
        assert read_answer(head) is None


@given(st.binary(max_size=300))
def test_bytes_below_a_good_line_are_refused_or_written_anew(raw: bytes) -> None:
    for fields in (raw, b"content-type: application/protobuf\r\nx: " + raw):
        request = read_request(b"POST /v1/fleet/pull-messages HTTP/1.1\r\n" + fields + b"\r\n\r\n")
        if request is not None:
            check_written(request)


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=0, max_size=4))
def test_whatever_is_changed_the_superlink_hears_a_line_of_the_list(at: int, new: bytes) -> None:
    request = read_request(GOOD[:at] + new + GOOD[at + 1 :])
    if request is not None and request.method:
        check_written(request)


def check_written(request: Request) -> None:
    written = request.head("127.0.0.1:1")
    lines = written.decode("ascii").split("\r\n")
    assert lines[0] in LINES
    assert lines[1:3] == ["host: 127.0.0.1:1", "content-type: application/protobuf"]
    assert lines[3] == f"content-length: {request.length}"
    assert written.count(b"\r\n\r\n") == 1
    assert written.count(b"\n") == written.count(b"\r") == len(lines) - 1
    again = read_request(written)
    assert again is not None
    assert (again.method, again.length, again.fields) == (request.method, request.length, request.fields)


def test_a_head_has_an_end() -> None:
    assert read_request(GOOD) is not None
    field = b"x: " + b"y" * (MAX_HEAD - len(GOOD) - 5)
    at = len(GOOD) - 2
    full = GOOD[:at] + field + b"\r\n\r\n"
    assert len(full) == MAX_HEAD
    assert read_request(full) is not None
    assert read_request(full.replace(b"x: ", b"x: y")) is None


def test_two_keys_are_two_members_and_without_a_signature_it_is_nobody() -> None:
    one, other = (
        read_request(proxy_client.request("pull-messages", key=running_superlink.new_key())) for _ in range(2)
    )
    nobody = read_request(proxy_client.request("pull-messages"))
    assert one is not None
    assert other is not None
    assert nobody is not None
    assert one.client != other.client
    assert nobody.client == b""


def test_an_answer_says_nothing_of_who_gave_it() -> None:
    raw = (
        b"HTTP/1.1 412 Precondition Failed\r\ndate: today\r\nserver: uvicorn\r\nset-cookie: a=b\r\n"
        b"content-length: 12\r\ncontent-type: application/json\r\n"
        b"flwr-version-incompatibility-message: other\r\n\r\n"
    )
    answer = read_answer(raw)
    assert answer is not None
    assert answer.head(keep_alive=True) == (
        b"HTTP/1.1 412 Precondition Failed\r\ncontent-length: 12\r\ncontent-type: application/json\r\n"
        b"flwr-version-incompatibility-message: other\r\n\r\n"
    )
    assert empty_answer(HTTPStatus.NOT_FOUND) == proxy_client.NOT_FOUND


def test_html_from_behind_is_not_named() -> None:
    answer = read_answer(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-type: text/html\r\n\r\n")
    assert answer is not None
    assert answer.fields == ()


@given(st.lists(st.integers(0, 20), max_size=60))
def test_the_latest_ones_are_known(names: list[int]) -> None:
    known = RecentClients(5)
    for name in names:
        known.add(name)
    latest = list(dict.fromkeys(reversed(names)))[:5]
    assert {name for name in range(21) if name in known} == set(latest)
    for name in latest:
        known.discard(name)
        assert name not in known
