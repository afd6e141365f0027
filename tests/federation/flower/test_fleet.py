"""What a node does with hosts that refuse it, want it to run code, or send it something else than agreed."""

from __future__ import annotations

import contextlib
import io
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from federation.carrier import PeerRefused
from federation.errors import Code
from federation.flower import control, objects, proto, serverapp, wire
from federation.flower.fleet import FleetRefused
from federation.flower.rpc import Channel, RpcRefused, RpcUnreachable
from federation.group.node_key import new_node_key
from tests.federation.flower.fleets import MOST, Member, wait_until
from tests.federation.flower.superlinks import SuperLink, running

pytestmark = pytest.mark.flower

MARK = "shoal-hostile-app-ran"


@pytest.fixture(scope="module")
def superlink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLink]:
    with running(tmp_path_factory.mktemp("superlink")) as one:
        yield one


@pytest.fixture
def member(superlink: SuperLink) -> Iterator[Member]:
    one = Member(superlink, *superlink.new_node())
    one.start()
    wait_until(lambda: one.connected)
    yield one
    one.leave()


@contextlib.contextmanager
def a_run(superlink: SuperLink) -> Iterator[serverapp.Task]:
    task = serverapp.start(superlink.access)
    try:
        yield task
    finally:
        task.finish(serverapp.COMPLETED, "")


def ask(task: serverapp.Task, node_id: int, kind: str, content: wire.Content, *, ttl: float = 30.0) -> Any:
    """Send one message as any host could, and return the reply and the tree of its objects."""
    metadata = {
        "run_id": task.run_id,
        "src_node_id": proto.SUPERLINK,
        "dst_node_id": node_id,
        "message_type": kind,
        "created_at": time.time(),
        "ttl": ttl,
    }
    message, node = objects.address(metadata, objects.pack(content))
    request = proto.runtime.PushAppMessagesRequest(messages_list=[message], message_object_trees=[node.tree])
    answer = task.ask("push-messages", request, proto.runtime.PushAppMessagesResponse)
    for object_id in answer.objects_to_push:
        upload = proto.message.PushObjectRequest(
            node=proto.Node(node_id=proto.SUPERLINK),
            run_id=task.run_id,
            object_id=object_id,
            object_content=node.objects[object_id](),
            session_id=answer.session_id,
        )
        task.ask("push-object", upload, proto.message.PushObjectResponse)
    found: list[Any] = []

    def replied() -> bool:
        look = proto.runtime.PullAppMessagesRequest(message_ids=list(answer.message_ids))
        reply = task.ask("pull-messages", look, proto.runtime.PullAppMessagesResponse)
        found.extend(zip(reply.messages_list, reply.message_object_trees, strict=True))
        return bool(found)

    wait_until(replied)
    return found[0]


def content_of(task: serverapp.Task, tree: Any) -> dict[str, wire.Value]:
    def fetch(object_id: str) -> bytes:
        request = proto.message.PullObjectRequest(
            node=proto.Node(node_id=proto.SUPERLINK), run_id=task.run_id, object_id=object_id
        )
        content: list[bytes] = []

        def there() -> bool:
            answer = task.ask("pull-object", request, proto.message.PullObjectResponse)
            content.append(bytes(answer.object_content))
            return bool(answer.object_available)

        wait_until(there)
        return content[-1]

    return objects.unpack(tree, fetch, 1_000_000)


BUNDLE = serverapp.bundle()


def hostile_bundle() -> bytes:
    """An app that leaves a mark wherever it is imported."""
    code = f"import pathlib\npathlib.Path({MARK!r}).write_text('x')\nprint({MARK!r})\napp = None\n"
    project = zipfile.ZipFile(io.BytesIO(BUNDLE)).read("pyproject.toml").decode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("pyproject.toml", project.replace("federation.flower.app", "hostile"))
        archive.writestr("hostile/__init__.py", code)
        archive.writestr("hostile/client.py", code)
        archive.writestr("hostile/server.py", code)
    return content.getvalue()


def test_a_node_that_is_offered_code_neither_fetches_nor_runs_it(
    superlink: SuperLink, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    monkeypatch.setattr(serverapp, "bundle", hostile_bundle)
    asked: list[str] = []
    handled: list[bytes] = []
    call = Channel.call
    one = Member(superlink, *superlink.new_node())
    one.handler = lambda request, _blobs: handled.append(request) or b"answer"  # type: ignore[func-returns-value]

    def counted(channel: Channel, method: str, *arguments: Any, **limits: Any) -> Any:
        asked.append(method)
        return call(channel, method, *arguments, **limits)

    monkeypatch.setattr(Channel, "call", counted)
    one.start()
    wait_until(lambda: one.connected)
    kinds = ["train", "evaluate", "query", "query.other", "train.shoal", "system"]
    with a_run(superlink) as task:
        for kind in kinds:
            reply, _ = ask(task, one.node_id, kind, wire.request(b"run this"))
            assert reply.error.code == 1
            assert reply.error.reason == "this node runs no foreign code"
        assert handled == []
        # It is a node as good as before.
        _, tree = ask(task, one.node_id, wire.MESSAGE_TYPE, wire.request(b"a question"))
        assert content_of(task, tree) == wire.answer(b"answer")
    one.leave()
    assert one.events["foreign"] == len(kinds)
    fleet_calls = {method for method in asked if method.startswith("/v1/fleet/")}
    assert fleet_calls <= {
        f"/v1/fleet/{name}"
        for name in (
            "activate-node",
            "send-node-heartbeat",
            "pull-messages",
            "pull-object",
            "push-messages",
            "push-object",
            "deactivate-node",
        )
    }
    assert "get-fab" not in superlink.log
    assert "GetFab" not in superlink.log
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"v": 1}, Code.MALFORMED),
        ({"v": 9, "request": b"x"}, Code.MALFORMED),
        ({"v": 1, "request": b"x", "fab": b"code"}, Code.MALFORMED),
        ({"v": 1, "request": b"x" * (MOST // 400)}, Code.OVERSIZED),
    ],
    ids=["nothing", "version", "more", "large"],
)
def test_a_malformed_request_is_refused(
    superlink: SuperLink, monkeypatch: pytest.MonkeyPatch, content: wire.Content, code: Code
) -> None:
    monkeypatch.setattr("tests.federation.flower.fleets.MOST", MOST // 800)
    one = Member(superlink, *superlink.new_node())
    one.start()
    with a_run(superlink) as task:
        wait_until(lambda: one.connected)
        _, tree = ask(task, one.node_id, wire.MESSAGE_TYPE, content)
        with pytest.raises(PeerRefused) as refused:
            wire.read_answer("x.example", content_of(task, tree), max_answer=10)
    one.leave()
    assert refused.value.code == code.value


def test_an_unknown_key_is_refused_and_nobody_is_interrupted(superlink: SuperLink) -> None:
    interrupts: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: interrupts.append(number))
    try:
        stranger = Member(superlink, new_node_key(), 0)
        stranger.start()
        wait_until(lambda: stranger.error is not None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert isinstance(stranger.error, FleetRefused)
    assert stranger.events["connected"] == 0
    assert interrupts == []
    assert "127.0.0.1" not in str(stranger.error)


def test_a_member_that_is_shut_out_hears_of_it(superlink: SuperLink, member: Member) -> None:
    interrupts: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: interrupts.append(number))
    try:
        control.unregister(superlink.access, member.node_id)
        wait_until(lambda: member.error is not None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert isinstance(member.error, FleetRefused)
    assert interrupts == []


def test_a_node_that_was_killed_says_who_it_is_and_is_back_at_once(
    superlink: SuperLink, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flower still counts it as connected, and does not activate it a second time."""
    again = Member(superlink, member.key, member.node_id)
    tries = superlink.log.count("/v1/fleet/activate-node")
    again.start()
    wait_until(lambda: superlink.log.count("/v1/fleet/activate-node") >= tries + 3)
    assert not again.connected
    assert again.error is None
    again.leave()
    remembering = Member(superlink, member.key, member.node_id, remembered=member.node_id)
    remembering.start()
    wait_until(lambda: remembering.connected, 5.0)
    remembering.leave()


def test_a_lost_host_is_tried_again_until_told_to_stop(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("lost")) as own:
        one = Member(own, *own.new_node())
        one.start()
        wait_until(lambda: one.connected)
        own.kill()
        wait_until(lambda: one.events["lost"] == 1)
        own.start()
        wait_until(lambda: one.events["connected"] == 2)
        own.kill()
        wait_until(lambda: one.events["lost"] == 2)
        began = time.monotonic()
        one.leave()
        assert time.monotonic() - began < 5
        assert one.error is None


def test_calls_are_bounded_and_their_errors_name_no_address(superlink: SuperLink) -> None:
    channel = Channel(superlink.access.address, superlink.ca)
    request = proto.control.ListRunsRequest()
    answer = proto.control.ListRunsResponse
    with pytest.raises(RpcRefused) as missing:
        channel.call("/v1/control/nothing", request, answer)
    assert missing.value.status == 404
    untrusted = Channel(superlink.access.address, b"")
    with pytest.raises(RpcUnreachable) as unknown:
        untrusted.call("/v1/control/list-runs", request, answer)
    assert "127.0.0.1" not in str(unknown.value)
    with pytest.raises(RpcUnreachable):
        channel.call("/v1/control/list-runs", request, proto.message.Message, most=1 << 20, timeout=0.000001)
    channel.close()


def test_threads_share_a_channel(superlink: SuperLink) -> None:
    channel = Channel(superlink.access.address, superlink.ca)
    failed: list[Exception] = []

    def call() -> None:
        try:
            channel.call(
                "/v1/control/list-runs", proto.control.ListRunsRequest(), proto.control.ListRunsResponse
            )
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    channel.close()
    assert failed == []
