"""Whatever is wrong between daemon and plugin is named, and the secret goes to nobody else."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest
from aiohttp import web

from daemon.log import scrub
from daemon.source.plugin_probe import Outcome, Probe, probe_now
from tests.daemon import fake_peertube as pt
from tests.daemon.fake_peertube import PeerTube, peertube, small_world

DAY = 86_400.0


@pytest.fixture
def server() -> Iterator[PeerTube]:
    with peertube(small_world()) as running:
        yield running


def asked(server: PeerTube, secret: str = pt.SECRET, host: str = "") -> Probe:
    return probe_now(server.url, secret, host=host)


def is_a_problem(found: Probe, outcome: Outcome, *words: str) -> None:
    assert found.outcome is outcome, found
    assert not found.ok
    assert all(word in found.message for word in words), found.message
    assert found.advice.endswith(".")
    assert pt.SECRET not in repr(found) + found.message + found.advice
    assert (found.error().message, found.error().advice) == (found.message, found.advice)


def test_where_all_is_well_two_requests_tell_everything(server: PeerTube) -> None:
    found = asked(server, host=pt.HOST)
    assert found.ok, found
    assert (found.message, found.advice) == ("", "")
    assert (found.host, found.plugin, found.peertube) == (pt.HOST, pt.PLUGIN, "7.2.1")
    assert found.clock_ahead is not None
    assert abs(found.clock_ahead) < 30
    assert server.paths() == ["config", "status"]
    assert server.secrets == []


def test_a_wrong_secret_is_told_from_a_plugin_that_is_missing_or_did_not_start(server: PeerTube) -> None:
    is_a_problem(asked(server, secret="another-secret-0123456789"), Outcome.SECRET_REFUSED, "secret")
    server.started = False
    is_a_problem(asked(server), Outcome.PLUGIN_STOPPED, "did not start")
    server.plugin = None
    is_a_problem(asked(server), Outcome.PLUGIN_MISSING, "no Shoal plugin")


@pytest.mark.parametrize(
    ("release", "outcome"),
    [
        ("0.0.9", Outcome.PLUGIN_OLD),
        ("1000.0.0", Outcome.PLUGIN_NEW),
        ("new", Outcome.MISFIT),
        (f"{pt.PLUGIN}-rc.1", Outcome.OK),
    ],
)
def test_plugin_and_daemon_are_of_the_same_release(server: PeerTube, release: str, outcome: Outcome) -> None:
    server.plugin = release
    found = asked(server)
    assert found.outcome is outcome
    assert found.plugin == release


def test_another_instance_than_the_one_of_the_settings_is_noticed(server: PeerTube) -> None:
    is_a_problem(asked(server, host="two.example"), Outcome.OTHER_HOST, pt.HOST, "two.example")


@pytest.mark.parametrize(
    ("ahead", "said"), [(DAY + 60, "1 day ahead of"), (-2 * DAY, "2 days behind"), (-420, "7 minutes behind")]
)
def test_a_clock_that_is_off_is_noticed_when_all_else_is_well(
    server: PeerTube, ahead: float, said: str
) -> None:
    async def dated(_request: web.Request) -> web.Response:
        return web.json_response(
            server.config(), headers={"Date": formatdate(time.time() + ahead, usegmt=True)}
        )

    server.faults["config"] = dated
    found = asked(server)
    is_a_problem(found, Outcome.CLOCK, said)
    assert found.clock_ahead == pytest.approx(ahead, abs=30)
    # What is wrong besides comes first, and is still said with the difference.
    other = asked(server, secret="another-secret-0123456789")
    assert other.outcome is Outcome.SECRET_REFUSED
    assert other.clock_ahead == pytest.approx(ahead, abs=30)


@pytest.mark.parametrize(
    ("status", "outcome", "said"),
    [
        (502, Outcome.DOWN, "behind it"),
        (301, Outcome.NOT_PEERTUBE, "redirects"),
        (404, Outcome.NOT_PEERTUBE, "is not PeerTube"),
        (200, Outcome.NOT_PEERTUBE, "is not PeerTube"),
        (500, Outcome.FAILING, "500"),
        (429, Outcome.FAILING, "429"),
    ],
)
def test_what_is_not_a_working_peertube_never_sees_the_secret(
    server: PeerTube, status: int, outcome: Outcome, said: str
) -> None:
    seen: list[str] = []

    async def other(request: web.Request) -> web.Response:
        seen.extend(request.headers.getall("X-Shoal-Secret", []))
        return web.Response(text="<html>", status=status, headers={"Location": "https://x.example"})

    server.faults["config"] = server.faults["status"] = other
    is_a_problem(asked(server), outcome, said)
    assert seen == []
    assert server.paths() == ["config"]


def test_an_address_where_nothing_answers_is_down_and_an_unknown_name_is_no_address(
    free_port: int,
) -> None:
    is_a_problem(probe_now(f"http://127.0.0.1:{free_port}", pt.SECRET), Outcome.DOWN, "nothing answers")
    found = probe_now("http://no-such-name.invalid", pt.SECRET)
    is_a_problem(found, Outcome.UNKNOWN_ADDRESS, "cannot be resolved")


@pytest.fixture
def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def test_plain_http_where_tls_is_expected_is_no_tls(server: PeerTube) -> None:
    found = probe_now(server.url.replace("http://", "https://"), pt.SECRET)
    is_a_problem(found, Outcome.NO_TLS, "encrypted")


@pytest.mark.parametrize("page", ["config", "status"])
def test_silence_ends_in_time_and_what_was_heard_before_is_kept(server: PeerTube, page: str) -> None:
    async def never(_request: web.Request) -> web.StreamResponse | None:
        await asyncio.sleep(30)
        return None

    server.faults[page] = never
    began = time.monotonic()
    found = probe_now(server.url, pt.SECRET, within=0.5)
    assert time.monotonic() - began < 2.0
    is_a_problem(found, Outcome.SILENT, "in time")
    assert (found.peertube != "") == (page == "status")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (web.json_response, Outcome.MISFIT),
        (lambda _nothing: web.Response(status=503), Outcome.FAILING),
    ],
)
def test_a_plugin_that_answers_something_else_does_not_fit(
    server: PeerTube, answer: object, outcome: Outcome
) -> None:
    async def strange(_request: web.Request) -> web.StreamResponse | None:
        assert callable(answer)
        found = answer({"plugin": pt.PLUGIN, "host": "a b"})
        assert isinstance(found, web.StreamResponse)
        return found

    server.faults["status"] = strange
    assert asked(server).outcome is outcome


def test_a_connection_that_breaks_off_and_an_endless_answer_are_failures(server: PeerTube) -> None:
    async def broken(request: web.Request) -> web.StreamResponse | None:
        assert request.transport is not None
        request.transport.abort()
        return None

    async def endless(request: web.Request) -> web.StreamResponse | None:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(40):
            await answer.write(b" " * 2**20)
        return answer

    server.faults["config"] = broken
    assert asked(server).outcome is Outcome.FAILING
    server.faults["config"] = endless
    assert asked(server).outcome is Outcome.NOT_PEERTUBE


def test_every_outcome_has_a_sentence_of_its_own_and_a_next_step() -> None:
    said = [
        (found.message, found.advice)
        for outcome in Outcome
        for found in [Probe(outcome, "http://127.0.0.1:9000", clock_ahead=DAY, daemon="0.1.0")]
        if outcome is not Outcome.OK
    ]
    assert len({message for message, _ in said}) == len(Outcome) - 1
    assert all(message and not message.endswith(".") and advice.endswith(".") for message, advice in said)
    # The log takes away what follows the word "secret".
    assert all(scrub(text) == text for pair in said for text in pair)
