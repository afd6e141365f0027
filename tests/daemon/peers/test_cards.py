"""A card binds a key to a domain by its actor's signature, or it is refused with a sentence that helps."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientSession, web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from daemon.peers import cards
from daemon.peers.cards import (
    Card,
    NoCardError,
    PeerAnswerError,
    PeerSilentError,
    RedirectError,
    read_card,
)
from federation.envelope import VERSION
from federation.http.client import new_session
from federation.identity import Identity, format_key
from tests import ROOT
from tests.daemon.peer_instances import Front, actor_key

PLUGIN = ROOT / "peertube-plugin"
_PUBLIC = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
KEY = format_key(Identity("x.example", b"k" * 32).public.key)


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with new_session() as found:
        yield found


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[web.Application], Any]]:
    runners = []

    async def start(app: web.Application) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "localhost", 0).start()
        return f"localhost:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def front(serve: Callable[[web.Application], Any]) -> Front:
    front = Front(key=KEY)
    front.host = await serve(front.app())
    return front


def read(session: ClientSession, front: Front) -> Any:
    return read_card(session, front.host, f"http://{front.host}{cards.ROUTER}", now=time.time())


async def test_a_card_signed_by_its_domain_s_actor_is_bound(session: ClientSession, front: Front) -> None:
    url = f"http://{front.host}{cards.ROUTER}"
    assert await read(session, front) == Card(front.host, KEY, url, bound=True)
    front.actor = False
    assert await read(session, front) == Card(front.host, KEY, url, bound=False)


DAY = timedelta(days=1)


def day(after: timedelta) -> str:
    return (datetime.now(UTC) + after).date().isoformat()


@pytest.mark.parametrize(
    ("what", "changes", "message"),
    [
        ("changed", {"version": "2"}, "not show a card"),
        ("changed", {"key": "ed25519:short"}, "not show a card"),
        ("changed", {"key": None}, "not show a card"),
        ("changed", {"host": "other.example"}, "not that of"),
        ("changed", {"signature": None}, "incomplete"),
        ("changed", {"actor": "https://other.example/accounts/peertube"}, "another instance"),
        ("changed", {"actor": 5}, "incomplete"),
        ("changed", {"statement": "{}"}, "another card"),
        ("changed", {"statement": "[" * 1000}, "another card"),
        ("changed", {"signature": "AAAA"}, "did not sign"),
        ("changed", {"signature": "%"}, "did not sign"),
        ("changed", {"key": format_key(bytes(32))}, "another card"),
        ("statement", {"host": "other.example"}, "another card"),
        ("statement", {"key": format_key(bytes(32))}, "another card"),
        ("statement", {"actor": "http://localhost/accounts/peertube"}, "another card"),
        ("statement", {"date": "someday"}, "out of date"),
        ("statement", {"date": day(-9 * DAY)}, "out of date"),
        ("statement", {"date": day(2 * DAY)}, "out of date"),
        ("document", {"id": "http://localhost/accounts/peertube"}, "not the actor of its instance"),
        ("document", {"type": "Person"}, "not the actor of its instance"),
        ("document", {"publicKey": {"owner": "http://x.example/"}}, "not the actor of its instance"),
        ("document", {"publicKey": "none"}, "not the actor of its instance"),
    ],
    ids=str,
)
async def test_whatever_does_not_hold_together_is_refused(
    session: ClientSession, front: Front, what: str, changes: dict[str, Any], message: str
) -> None:
    setattr(front, what, changes)
    with pytest.raises(PeerAnswerError, match=message) as caught:
        await read(session, front)
    assert caught.value.advice


async def test_another_actor_s_signature_and_a_key_too_short_are_refused(
    session: ClientSession, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = rsa.generate_private_key(65537, 1024)
    pem = other.public_key().public_bytes(*_PUBLIC).decode()
    key = {"owner": front.address, "publicKeyPem": pem}
    front.document = {"publicKey": key}
    with pytest.raises(PeerAnswerError, match="did not sign"):
        await read(session, front)
    front.signer, front.document = other, {}
    assert (await read(session, front)).bound
    # 1,024 bits are good enough for a PeerTube on this machine, and for none elsewhere.
    monkeypatch.setattr(cards, "_RSA_BITS_HERE", cards._RSA_BITS)
    with pytest.raises(PeerAnswerError, match="did not sign"):
        await read(session, front)
    front.document = {"publicKey": {"owner": front.address, "publicKeyPem": "nonsense"}}
    with pytest.raises(PeerAnswerError, match="did not sign"):
        await read(session, front)


async def test_redirects_giants_and_silence(
    session: ClientSession, serve: Callable[[web.Application], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    went: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        kind = request.match_info["kind"]
        if kind == "redirect":
            raise web.HTTPFound("/target/federation/v1/card")
        if kind == "target":
            went.append(kind)
        if kind == "giant":
            return web.Response(body=b" " * (cards.MAX_CARD + 1))
        if kind == "hangs":
            await asyncio.sleep(30)
        if kind == "html":
            return web.Response(text="<html>")
        if kind == "list":
            return web.json_response([])
        raise web.HTTPServiceUnavailable if kind == "away" else web.HTTPNotFound

    app = web.Application()
    app.router.add_get("/{kind}/federation/v1/card", answer)
    host = await serve(app)
    monkeypatch.setattr(cards, "TIMEOUT", 0.3)
    for kind, error, message in (
        ("redirect", RedirectError, "redirects to another address"),
        ("giant", PeerAnswerError, "more than 8000 bytes"),
        ("html", PeerAnswerError, "no JSON"),
        ("list", PeerAnswerError, "no JSON"),
        ("absent", NoCardError, "status 404"),
        ("hangs", PeerSilentError, "cannot be reached: there was no answer in time"),
        ("away", PeerSilentError, "status 503"),
    ):
        with pytest.raises(error, match=message):
            await read_card(session, host, f"http://{host}/{kind}", now=time.time())
    assert went == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "is no PeerTube"),
        ({"serverVersion": "7.2.1", "plugin": {"registered": []}}, "is a PeerTube without Shoal"),
        (
            {"plugin": {"registered": [{"npmName": "peertube-plugin-shoal", "version": "0.1.0"}]}},
            "has the Shoal plugin, but shows no card",
        ),
    ],
)
async def test_an_admin_reads_what_an_instance_is_that_shows_no_card(
    session: ClientSession,
    serve: Callable[[web.Application], Any],
    config: dict[str, Any] | None,
    message: str,
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="<html>") if config is None else web.json_response(config)

    app = web.Application()
    app.router.add_get("/api/v1/config", answer)
    host = await serve(app)
    at_home = cards.base_url(host) + cards.ROUTER
    with pytest.raises(NoCardError, match=message) as caught:
        await cards.read_named_card(session, host, at_home, now=time.time())
    assert caught.value.advice
    # Where our admin gave an address of its own, its PeerTube is somewhere else.
    with pytest.raises(NoCardError, match="status 404"):
        await cards.read_named_card(session, host, f"http://{host}/elsewhere", now=time.time())


async def test_plugins_and_users_are_read_with_care(session: ClientSession, front: Front) -> None:
    assert await cards.plugin_version(session, front.host) == "0.1.0"
    assert await cards.users(session, front.host) == 120
    odd: Any
    for odd in ("many", None, -1, True, 1.5, {}):
        front.users = odd
        assert await cards.users(session, front.host) is None
    front.plugin = ""
    assert await cards.plugin_version(session, front.host) == ""
    front.plugin = "\x1b[2J"
    assert await cards.plugin_version(session, front.host) == "?"


def test_only_this_machine_is_asked_without_encryption() -> None:
    assert cards.base_url("tube.example") == "https://tube.example"
    assert cards.base_url("tube.example:8443") == "https://tube.example:8443"
    assert cards.base_url("localhost:9000") == "http://localhost:9000"
    assert cards.base_url("127.0.0.1:9000") == "http://127.0.0.1:9000"
    assert cards.base_url("localhost.example") == "https://localhost.example"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js, which PeerTube brings")
async def test_the_plugin_s_own_card_holds(
    session: ClientSession, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code that runs inside PeerTube signs; this side only reads."""
    pem = actor_key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    made = {
        "web": f"http://{front.host}",
        "actor": {"url": front.address, "privateKey": pem},
        "card": {"version": VERSION, "host": front.host, "key": KEY},
    }
    script = (
        "const { InstanceCard } = require(process.argv[1] + '/server/identity.js');const { systemClock } = "
        "require(process.argv[1] + '/server/clock.js');const made = JSON.parse(require('fs').readFileSync(0, "
        "'utf8'));const helpers = { server: { getServerActor: async () => made.actor }, config: { "
        "getWebserverUrl: () => made.web } };new InstanceCard({ daemon: { card: async () => made.card }, "
        "clock: systemClock, helpers }).card().then(card => console.log(JSON.stringify(card)))"
    )
    command = ["node", "-e", script, str(PLUGIN)]
    done = subprocess.run(command, input=json.dumps(made), capture_output=True, text=True, check=True)  # noqa: ASYNC221
    monkeypatch.setattr(front, "card", lambda: json.loads(done.stdout))
    assert (await read(session, front)).bound


async def test_an_instance_of_another_protocol_is_said_to_need_an_update(
    session: ClientSession, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    for spoken, older in ((1, front.host), (VERSION + 1, "this instance")):
        monkeypatch.setattr(
            front, "card", lambda spoken=spoken: {"version": spoken, "host": front.host, "key": KEY}
        )
        with pytest.raises(PeerAnswerError, match=f"speaks protocol {spoken}") as told:
            await read(session, front)
        assert f"Update Shoal on {older}" in told.value.advice
