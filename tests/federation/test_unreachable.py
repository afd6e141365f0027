"""Why an instance cannot be reached, told from what real sockets do."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from federation.carrier import PeerUnreachable
from federation.http.client import PeerClient, Retry, new_session
from federation.http.unreachable import Trouble, advice, sentence, trouble_of

DAY = timedelta(days=1)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def hangs_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # Until the other side has had enough.
    while await reader.read(1000):
        pass
    writer.close()


@asynccontextmanager
async def listening(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


def certificate(folder: Path, name: str, *, until: datetime) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return TLS for a server, self-signed for a name on this machine, and for a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(until - 10 * DAY)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(secret + made.public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=made.public_bytes(Encoding.PEM).decode())


async def trouble_at(url: str, tls: ssl.SSLContext | None = None, within: float = 20.0) -> Trouble:
    """Ask once, and check that no words about what went wrong hold an address of a machine."""
    async with new_session() as session:
        try:
            async with asyncio.timeout(within), session.get(url, ssl=tls or True):
                pytest.fail("it answered")
        except (aiohttp.ClientError, OSError, TimeoutError, UnicodeError) as error:
            found = trouble_of(error)
    words = sentence("tube.example", found) + advice(found)
    assert words.startswith("tube.example cannot be reached: ")
    assert "127.0.0" not in words
    return found


async def test_an_unknown_name() -> None:
    assert await trouble_at("https://no-such-name.invalid/") is Trouble.UNKNOWN_NAME
    assert await trouble_at(f"https://{'a' * 70}.invalid/") is Trouble.UNKNOWN_NAME


async def test_a_closed_port() -> None:
    with socket.socket() as bound:
        # Bound and not listening: nobody else gets it meanwhile.
        bound.bind(("127.0.0.1", 0))
        assert await trouble_at(f"http://127.0.0.1:{bound.getsockname()[1]}/") is Trouble.CLOSED


async def test_silence_and_a_connection_that_breaks_off() -> None:
    async with listening(says_nothing) as port:
        assert await trouble_at(f"http://127.0.0.1:{port}/", within=0.3) is Trouble.SILENT
        assert await trouble_at(f"https://127.0.0.1:{port}/", within=0.3) is Trouble.SILENT
    async with listening(hangs_up) as port:
        assert await trouble_at(f"http://127.0.0.1:{port}/") is Trouble.BROKEN_OFF


async def test_certificates(tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path, "localhost", until=datetime.now(UTC) + DAY)
    async with listening(says_nothing, server) as port:
        assert await trouble_at(f"https://localhost:{port}/") is Trouble.UNTRUSTED
        assert await trouble_at(f"https://127.0.0.1:{port}/", trusting) is Trouble.OTHER_NAME
        # With the right name and trust nothing is wrong with it.
        assert await trouble_at(f"https://localhost:{port}/", trusting, within=0.5) is Trouble.SILENT
    server, trusting = certificate(tmp_path, "other.example", until=datetime.now(UTC) + DAY)
    async with listening(says_nothing, server) as port:
        assert await trouble_at(f"https://localhost:{port}/", trusting) is Trouble.OTHER_NAME
    server, trusting = certificate(tmp_path, "localhost", until=datetime.now(UTC) - DAY)
    async with listening(says_nothing, server) as port:
        assert await trouble_at(f"https://localhost:{port}/", trusting) is Trouble.EXPIRED


async def test_plain_http_where_tls_is_expected() -> None:
    async def speaks_http(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with listening(speaks_http) as port:
        assert await trouble_at(f"https://127.0.0.1:{port}/") is Trouble.NO_TLS


async def test_a_message_that_is_not_taken_says_why_and_what_to_do() -> None:
    async def busy(_request: web.Request) -> web.Response:
        return web.Response(status=503)

    app = web.Application()
    app.router.add_post("/{rest:.*}", busy)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    once = Retry(attempts=1)
    try:
        async with new_session() as session, listening(says_nothing) as silent:
            client = PeerClient(session, retry=once)
            for where, why in ((port, Trouble.BUSY), (silent, Trouble.SILENT)):
                with pytest.raises(PeerUnreachable) as caught:
                    await client.send(
                        "tube.example", f"http://127.0.0.1:{where}", b"", max_answer=100, timeout=0.5
                    )
                assert str(caught.value) == sentence("tube.example", why)
                assert caught.value.advice == advice(why)
    finally:
        await runner.cleanup()
