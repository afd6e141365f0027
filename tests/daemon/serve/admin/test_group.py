"""The admin API about groups: real services of neighbours, approved only by the key that was compared."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from daemon.group import repository
from daemon.serve.admin.mount import PREFIX
from daemon.serve.admin.openapi import describe
from daemon.serve.admin.routes import ROUTES
from daemon.serve.server import build_api, build_context
from federation.identity import format_key
from federation.key_words import words
from tests.daemon.peer_instances import Neighbour, neighbours
from tests.daemon.serve.admin.description import check

GROUP = "video-cooperative"
DESCRIPTION = describe(ROUTES)
SEEN: set[tuple[str, str]] = set()


@dataclass
class Admin:
    """An admin of an instance, who asks its API; answers are held to the description."""

    neighbour: Neighbour
    client: Any
    token: str

    @property
    def host(self) -> str:
        return self.neighbour.host

    @property
    def key(self) -> str:
        return format_key(self.neighbour.identity.public.key)

    @property
    def words(self) -> list[str]:
        return list(words(self.neighbour.identity.public.key))

    async def ask(self, path: str, body: Any = None, *, status: int = 200, route: str = "") -> Any:
        method = "get" if body is None else "post"
        headers = {"X-Shoal-Admin": self.token}
        async with self.client.request(method, f"{PREFIX}/{path}", json=body, headers=headers) as answer:
            found = await answer.json()
            assert answer.status == status, found
        template = f"{PREFIX}/{route or path}"
        responses = DESCRIPTION["paths"][template][method]["responses"]
        check(found, responses[str(status)] if status == 200 else responses["default"], DESCRIPTION)
        if status == 200:
            SEEN.add((method, template))
        return found

    async def refused(self, path: str, body: Any, status: int, *, route: str = "") -> str:
        found = await self.ask(path, body, status=status, route=route)
        assert found["advice"]
        code: str = found["code"]
        return code

    async def about(self, other: Admin, what: str, body: Any, **more: Any) -> Any:
        """Order something about a member."""
        path = f"group/members/{other.host.replace(':', '%3A')}/{what}"
        return await self.ask(path, body, route=f"group/members/{{host}}/{what}", **more)

    async def members(self) -> dict[str, tuple[str, str]]:
        found = await self.ask("group")
        return {one["host"]: (one["state"], one["approved"]) for one in found["members"]}


@pytest.fixture
async def admins(tmp_path: Path) -> AsyncIterator[list[Admin]]:
    async with neighbours(tmp_path, 3) as found, AsyncExitStack() as stack:
        made = []
        for neighbour in found:
            context = build_context(neighbour.config, neighbour.config_file)
            stack.callback(context.engine.dispose)
            stack.callback(context.stored.close)
            client = await stack.enter_async_context(TestClient(TestServer(build_api(context))))
            token = (neighbour.config.data_dir / "admin.token").read_text()
            made.append(Admin(neighbour, client, token))
        yield made


async def test_from_an_invitation_to_members_that_approve_each_other(admins: list[Admin]) -> None:
    host, a, b = admins
    assert (await a.ask("group"))["membership"] is None
    begun = await host.ask("group/host", {"name": GROUP, "url": host.neighbour.url})
    assert begun["membership"]["role"] == "host"
    invitation = begun["invitation"]
    assert (invitation["words"], invitation["public"]) == (host.words, False)
    assert invitation["command"] == f"shoal group join {host.neighbour.url} --group {GROUP}"

    # A look binds nothing, on either side.
    offer = await a.ask("group/look", {"url": host.host})
    assert (offer["group"], offer["host"]["words"], offer["host"]["voucher"]) == (GROUP, host.words, "domain")
    assert [one["host"] for one in offer["members"]] == [host.host]
    assert repository.current(a.neighbour.engine) is None
    assert (await host.ask("group"))["requests"] == []
    wish = {"url": offer["url"], "group": GROUP}
    assert await a.refused("group/join", {**wish, "key": b.key}, 403) == "refused"
    assert repository.current(a.neighbour.engine) is None
    asked = await a.ask("group/join", {**wish, "key": offer["host"]["key"]})
    assert (asked["membership"]["state"], asked["membership"]["host"]) == ("asked", host.host)
    assert await a.refused("group/look", {"url": b.host}, 502) == "group-host-refused"

    (request,) = (await host.ask("group"))["requests"]
    assert (request["host"], request["words"], request["peer"]) == (a.host, a.words, "no")
    shown = await host.ask("group/key", {"host": a.host})
    assert (shown["key"], shown["voucher"]) == (a.key, "domain")
    wrong = await host.about(a, "admit", {"key": b.key}, status=403)
    assert "a different key" in wrong["message"]
    assert (await host.about(a, "admit", {"key": a.key}))["requests"] == []
    invited = await host.ask("group/key", {"host": b.host})
    await host.ask("group/invite", {"host": b.host, "key": invited["key"]})
    assert await host.members() == {
        host.host: ("member", "yes"),
        a.host: ("member", "yes"),
        b.host: ("invited", "yes"),
    }
    inside = await b.ask("group/join", {**wish, "key": host.key})
    assert inside["membership"]["state"] == "member"
    await a.ask("group/join", {**wish, "key": host.key})
    stands = (await a.ask("group"))["membership"]
    assert (stands["members"], stands["counted"]["approved"], stands["members_needed"]) == (3, 1, 5)
    assert stands["counted"]["strangers"] == [b.host]

    order = [{"host": b.host, "key": a.key}, {"host": "far.example", "key": a.key}]
    other = await a.ask("group/approve", {"members": order})
    assert [one["host"] for one in other["not_approved"]] == [b.host, "far.example"]
    assert "a different key" in other["not_approved"][0]["problem"]["message"]
    right = await a.ask("group/approve", {"members": [{"host": b.host, "key": b.key}]})
    assert [(one["host"], one["voucher"]) for one in right["approved"]] == [(b.host, "domain")]
    assert (await a.members())[b.host] == ("member", "yes")
    pause = f"peers/{b.host.replace(':', '%3A')}/pause"
    await a.ask(pause, {}, route="peers/{host}/pause")
    assert (await a.ask("group"))["against"] == [b.host]

    assert (await host.about(b, "eject", {}))["membership"]["members"] == 2
    assert (await a.ask("group/leave", {}))["membership"] is None
    assert await host.members() == {
        host.host: ("member", "yes"),
        a.host: ("left", "yes"),
        b.host: ("ejected", "yes"),
    }
    assert (await host.ask("group/close", {}))["membership"] is None


async def test_what_cannot_be_done_is_told_and_why(admins: list[Admin]) -> None:
    host, a, _ = admins
    key = {"host": "far.example", "key": a.key}
    assert await a.refused("group/leave", {}, 409) == "no-group"
    assert await a.refused("group/key", {"host": "far.example"}, 409) == "no-group"
    assert await a.refused("group/invite", key, 409) == "no-group"
    assert await a.refused("group/host", {"name": "NO"}, 400) == "bad-request"
    assert await a.refused("group/look", {"url": "ftp://x"}, 400) == "bad-request"
    assert await a.refused("group/look", {"url": a.host}, 400) == "bad-request"
    assert await a.refused("group/approve", {"members": []}, 400) == "bad-request"
    assert await a.refused("group/approve", {"members": [key] * 101}, 400) == "bad-request"
    await host.ask("group/host", {"name": GROUP})
    assert await host.refused("group/host", {"name": "another"}, 400) == "bad-request"
    assert await host.refused("group/start", {"at": 5.0}, 400) == "bad-request"
    assert await host.refused("group/start", {}, 403) == "refused"
    assert await host.refused("group/leave", {}, 400) == "bad-request"
    silent = await host.refused("group/key", {"host": "localhost:1"}, 502)
    assert silent.startswith("peer")
    for what, body in (("refuse", {}), ("eject", {}), ("admit", {"key": a.key})):
        route = f"group/members/{{host}}/{what}"
        found = await host.refused(f"group/members/far.example/{what}", body, 404, route=route)
        assert found == "unknown-member"


async def test_a_sum_is_announced_and_a_request_refused(admins: list[Admin]) -> None:
    host, a, b = admins
    await host.ask("group/host", {"name": GROUP, "url": host.neighbour.url})
    await b.ask("group/join", {"url": host.neighbour.url, "key": host.key})
    assert (await host.about(b, "refuse", {}))["requests"] == []
    now = host.neighbour.clock()
    for number in range(4):
        member = repository.GroupMember(f"m{number}.example", a.key, state="member", since=now)
        repository.change_member(host.neighbour.engine, member.host, lambda _, one=member: one)  # type: ignore[misc]
    soon = (await host.ask("group/start", {}))["membership"]["next_at"]
    assert soon == pytest.approx(now + host.neighbour.config.group.notice.total_seconds(), abs=60)
    later = (await host.ask("group/start", {"at": now + 86400.0}))["membership"]["next_at"]
    assert later == now + 86400.0


def test_every_route_about_groups_was_seen_to_keep_its_word() -> None:
    rows = {(row.method.lower(), PREFIX + row.path) for row in ROUTES if row.path.startswith("/group")}
    assert rows <= SEEN
