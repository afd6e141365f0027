"""A run on the host's SuperLink as the carrier of sums: what Flower's Grid does, for many requests at once.

Flower's own Grid polls every three seconds, and fetches answers one after the other, with a second's pause
for each object that is still being uploaded. Here one thread polls for all pending answers of the run, every
`poll` seconds, and the objects of each answer are fetched on their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from federation import cbor_fields, envelope
from federation.carrier import Carrier, PeerRefused, PeerUnreachable
from federation.envelope import Stage
from federation.errors import Code, FederationError, Refusal
from federation.flower import objects, proto, serverapp, wire
from federation.flower.objects import PackedObject
from federation.flower.rpc import RpcRefused, RpcUnreachable
from federation.flower.serverapp import Task
from federation.flower.superlink import SuperLinkAccess

log = logging.getLogger(__name__)

OnTraffic = Callable[[str, int, int], None]

CARRIES_BLOBS: Final = frozenset({Stage.PROPOSE, Stage.PUBLISH})
_AGAIN: Final = 20.0
"""Seconds after which a request is repeated: a node that was killed may have taken it."""
_ATTEMPTS: Final = 4
_FIRST_PAUSE: Final = 0.5
_AWAY: Final = 5
"""Flower's code for a node that is not connected (`flwr/common/constant.py`)."""
_BEAT: Final = 10.0
_FETCHING: Final = 8
_MAX_WAIT: Final = 0.5
_AT_ONCE: Final = 64
"""Messages in one call."""


@dataclass(eq=False)
class PendingRequest:
    """One request to one node, and the answer it waits for."""

    host: str
    node: int
    content: PackedObject
    max_answer: int
    deadline: float
    answer: Future[bytes] = field(default_factory=Future)
    sent: int = 0
    next: float = 0.0
    """When it is due to be sent (again), monotonic."""

    def settle(self, outcome: bytes | BaseException) -> None:
        """Set the outcome, unless there is one already."""
        with contextlib.suppress(InvalidStateError):
            if isinstance(outcome, bytes):
                self.answer.set_result(outcome)
            else:
                self.answer.set_exception(outcome)


class FlowerRun:
    """One Flower run, open. Made by `open_run`."""

    def __init__(self, task: Task, nodes: Mapping[str, int], poll: float) -> None:
        self.run_id = task.run_id
        self._task = task
        self._nodes = dict(nodes)
        self._poll = poll
        self._lock = threading.Lock()
        self._asks: set[PendingRequest] = set()
        self._sent: dict[str, PendingRequest] = {}
        self._closing = threading.Event()
        self._due = threading.Event()
        self._fetchers = ThreadPoolExecutor(_FETCHING, thread_name_prefix="flower-fetch")
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("flower-push", self._push_all), ("flower-pull", self._pull_all))
        ]

    def online(self) -> frozenset[str]:
        """Return the hosts whose node is connected. Blocks for a moment; none if the SuperLink is away."""
        try:
            answer = self._task.ask(
                "get-nodes", proto.runtime.GetNodesRequest(), proto.runtime.GetNodesResponse, most=16 << 20
            )
        except (RpcUnreachable, RpcRefused):
            return frozenset()
        ids = {int(node.node_id) for node in answer.nodes}
        return frozenset(host for host, node in self._nodes.items() if node in ids)

    def carrier(
        self,
        blobs: Mapping[str, bytes] | None = None,
        on_traffic: OnTraffic = lambda _host, _sent, _received: None,
    ) -> Carrier:
        """Return a carrier to the members of this run; `blobs` go along with proposals and publications."""
        return _FlowerCarrier(
            self, {f"blob.{name}": blob for name, blob in (blobs or {}).items()}, on_traffic
        )

    def start(self) -> None:
        """Start the two threads."""
        for thread in self._threads:
            thread.start()

    def finish(self, outcome: str, details: str) -> None:
        """End the run; pending requests fail with `PeerUnreachable`. Blocks."""
        self._settle_all()
        self._task.finish(outcome, details)

    def close(self) -> None:
        """Abandon the run without telling Flower, as when this process dies. Blocks."""
        self._settle_all()
        self._task.close()

    def _settle_all(self) -> None:
        self._closing.set()
        self._due.set()
        with self._lock:
            left = list(self._asks)
        for ask in left:
            ask.settle(PeerUnreachable(f"{ask.host} did not answer before the run ended"))
        for thread in self._threads:
            thread.join()
        self._fetchers.shutdown(wait=True, cancel_futures=True)

    def ask(self, host: str, content: PackedObject, max_answer: int, timeout: float) -> PendingRequest:
        """Queue a request; its `answer` is set in another thread. Call `forget` in the end."""
        node = self._nodes.get(host)
        if node is None or self._closing.is_set():
            raise PeerUnreachable(f"{host} has no node in this run")
        ask = PendingRequest(
            host, node, content, max_answer, time.monotonic() + timeout, next=time.monotonic()
        )
        with self._lock:
            self._asks.add(ask)
        self._due.set()
        return ask

    def forget(self, ask: PendingRequest) -> None:
        """Stop polling for an answer."""
        with self._lock:
            self._asks.discard(ask)
            self._sent = {message: one for message, one in self._sent.items() if one is not ask}

    def _push_all(self) -> None:
        pause = 0.0
        while not self._closing.is_set():
            now = time.monotonic()
            with self._lock:
                waiting = [one for one in self._asks if not one.answer.done()]
            due = [one for one in waiting if one.next <= now][:_AT_ONCE]
            if not due:
                soonest = min((one.next - now for one in waiting), default=60.0)
                self._due.wait(max(0.0, min(soonest, 60.0)))
                self._due.clear()
                continue
            try:
                self._push(due)
                pause = 0.0
            except RpcUnreachable:
                # The SuperLink may be restarting: requests stay pending until their own deadline.
                for ask in due:
                    ask.next = 0.0
                pause = min(max(2 * pause, self._poll), 2.0)
                self._closing.wait(pause)
            except (RpcRefused, Refusal) as error:
                for ask in due:
                    ask.settle(PeerUnreachable(f"Flower refused the message for {ask.host} ({error})"))

    def _push(self, due: list[PendingRequest]) -> None:
        now, wall = time.monotonic(), time.time()
        messages, trees = [], []
        makes: dict[str, objects.Make] = {}
        for ask in due:
            metadata = {
                "run_id": self.run_id,
                "src_node_id": proto.SUPERLINK,
                "dst_node_id": ask.node,
                "message_type": wire.MESSAGE_TYPE,
                "created_at": wall,
                "ttl": max(1.0, ask.deadline - now),
            }
            message, node = objects.address(metadata, ask.content)
            messages.append(message)
            trees.append(node.tree)
            makes.update(node.objects)
        request = proto.runtime.PushAppMessagesRequest(messages_list=messages, message_object_trees=trees)
        answer = self._task.ask("push-messages", request, proto.runtime.PushAppMessagesResponse)
        for ask, message in zip(due, messages, strict=True):
            taken = message.metadata.message_id in answer.message_ids
            self._note_sent(ask, message.metadata.message_id, now=now, taken=taken)
        for object_id in answer.objects_to_push:
            if object_id in makes:
                self._push_object(answer.session_id, object_id, makes[object_id]())

    def _note_sent(self, ask: PendingRequest, message_id: str, *, now: float, taken: bool) -> None:
        if not taken:
            ask.settle(PeerUnreachable(f"Flower knows no node of {ask.host}"))
            return
        ask.sent += 1
        ask.next = now + _AGAIN
        with self._lock:
            if ask in self._asks:
                self._sent[message_id] = ask

    def _push_object(self, session: str, object_id: str, content: bytes) -> None:
        request = proto.message.PushObjectRequest(
            node=proto.Node(node_id=proto.SUPERLINK),
            run_id=self.run_id,
            object_id=object_id,
            object_content=content,
            session_id=session,
        )
        self._task.ask("push-object", request, proto.message.PushObjectResponse)

    def _pull_all(self) -> None:
        beat = time.monotonic()
        wait = self._poll
        while not self._closing.wait(wait):
            began = time.monotonic()
            wait = self._poll
            try:
                if began - beat >= _BEAT:
                    beat = began
                    self._task.beat()
                self._pull()
            except RpcUnreachable:
                wait = max(self._poll, 0.5)
            except (RpcRefused, Refusal) as error:
                log.warning("the SuperLink no longer serves the run", extra={"error": str(error)})
                self._give_up(error)
                wait = 1.0
            # A busy SuperLink is polled less often.
            wait = max(wait, min(2 * (time.monotonic() - began), _MAX_WAIT))

    def _give_up(self, error: Exception) -> None:
        with self._lock:
            left = list(self._asks)
        for ask in left:
            ask.settle(PeerUnreachable(f"the run ended before {ask.host} answered ({error})"))

    def _pull(self) -> None:
        with self._lock:
            ids = list(self._sent)
        if not ids:
            return
        request = proto.runtime.PullAppMessagesRequest(message_ids=ids)
        answer = self._task.ask(
            "pull-messages", request, proto.runtime.PullAppMessagesResponse, most=64 << 20
        )
        for message, tree in zip(answer.messages_list, answer.message_object_trees, strict=False):
            with self._lock:
                ask = self._sent.pop(str(message.metadata.reply_to_message_id), None)
            if ask is not None and not ask.answer.done():
                self._fetchers.submit(self._receive, ask, message, tree)

    def _receive(self, ask: PendingRequest, message: Any, tree: Any) -> None:
        try:
            ask.settle(self._read(ask, message, tree))
        except _Away:
            ask.next = time.monotonic() + _FIRST_PAUSE * 2 ** (ask.sent - 1)
            self._due.set()
        except (PeerRefused, PeerUnreachable) as error:
            ask.settle(error)
        except Refusal as refusal:
            malformed = PeerUnreachable(f"{ask.host} sent a malformed answer")
            ask.settle(malformed if refusal.code is Code.MALFORMED else refusal)
        except FederationError as error:
            ask.settle(PeerUnreachable(f"the answer of {ask.host} cannot be fetched ({error})"))
        except Exception as error:
            log.exception("an answer could not be read")
            ask.settle(PeerUnreachable(f"the answer of {ask.host} is unusable ({type(error).__name__})"))

    def _read(self, ask: PendingRequest, message: Any, tree: Any) -> bytes:
        if message.HasField("error"):
            if message.error.code == _AWAY and ask.sent < _ATTEMPTS:
                raise _Away
            raise PeerUnreachable(
                f"the node of {ask.host} cannot answer (Flower's code {message.error.code})"
            )
        if not tree.children:
            raise cbor_fields.malformed("a message without content")
        try:
            content = objects.unpack(tree, self._fetch(ask), ask.max_answer)
        finally:
            if objects.is_large(tree):
                self._confirm(str(message.metadata.message_id))
        return wire.read_answer(ask.host, content, max_answer=ask.max_answer)

    def _fetch(self, ask: PendingRequest) -> Callable[[str], bytes]:
        def fetch(object_id: str) -> bytes:
            request = proto.message.PullObjectRequest(
                node=proto.Node(node_id=proto.SUPERLINK), run_id=self.run_id, object_id=object_id
            )
            pause = 0.02
            while True:
                found = True
                with contextlib.suppress(RpcUnreachable):
                    answer = self._task.ask(
                        "pull-object", request, proto.message.PullObjectResponse, most=objects.MAX_OBJECT
                    )
                    if answer.object_available:
                        return bytes(answer.object_content)
                    found = answer.object_found
                if not found or ask.answer.done() or time.monotonic() > ask.deadline:
                    raise PeerUnreachable(f"the answer of {ask.host} did not arrive complete")
                self._closing.wait(pause)
                pause = min(2 * pause, 0.5)

        return fetch

    def _confirm(self, message_id: str) -> None:
        request = proto.message.ConfirmMessageReceivedRequest(
            node=proto.Node(node_id=proto.SUPERLINK), run_id=self.run_id, message_object_id=message_id
        )
        with contextlib.suppress(RpcUnreachable, RpcRefused):
            self._task.ask("confirm-message-received", request, proto.message.ConfirmMessageReceivedResponse)


class _Away(FederationError):
    """The node is not connected at this moment."""


@dataclass(frozen=True)
class _FlowerCarrier:
    run: FlowerRun
    blobs: Mapping[str, bytes]
    on_traffic: OnTraffic
    _nodes: dict[bytes, PackedObject] = field(default_factory=dict)
    _arrays: dict[str, PackedObject] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def send(self, host: str, request: bytes, *, max_answer: int, timeout: float) -> bytes:  # noqa: ASYNC109
        """Send a request to the node of a member; see `Carrier`."""
        content = await asyncio.to_thread(self._content, request)
        ask = self.run.ask(host, content, max_answer, timeout)
        try:
            async with asyncio.timeout(timeout):
                answer = await asyncio.wrap_future(ask.answer)
        except TimeoutError:
            raise PeerUnreachable(f"{host} did not answer within {timeout:g} s") from None
        finally:
            self.run.forget(ask)
        self.on_traffic(host, content.size, len(answer))
        return answer

    def _content(self, request: bytes) -> PackedObject:
        # A proposal is the same for all members: hashed once, and stored once by Flower.
        with self._lock:
            return self._packed(request)

    def _packed(self, request: bytes) -> PackedObject:
        known = self._nodes.get(request)
        if known is None:
            stage = envelope.parse(request, max_size=len(request)).stage
            blobs = self.blobs if stage in CARRIES_BLOBS else {}
            for name, blob in blobs.items():
                if len(blob) > objects.INLINE and name not in self._arrays:
                    self._arrays[name] = objects.prepare(blob)
            large = {name: node for name, node in self._arrays.items() if name in blobs}
            small = {name: blob for name, blob in blobs.items() if name not in large}
            known = objects.pack(wire.request(request) | small, large)
            if len(self._nodes) < 2:
                self._nodes[request] = known
        return known


@asynccontextmanager
async def open_run(
    access: SuperLinkAccess, nodes: Mapping[str, int], *, poll: float = 0.1
) -> AsyncIterator[FlowerRun]:
    """Open a run on the host's SuperLink, with `nodes` by host; polls for answers every `poll` seconds.

    Flower shows it as completed, as failed after an error, or as stopped if the caller was cancelled.

    Raises:
        RunFailed: Flower did not start it.

    """
    run = FlowerRun(await asyncio.to_thread(serverapp.start, access), nodes, poll)
    run.start()
    outcome, details = serverapp.COMPLETED, ""
    try:
        yield run
    except asyncio.CancelledError:
        outcome, details = serverapp.STOPPED, ""
        raise
    except BaseException as error:
        outcome, details = serverapp.FAILED, type(error).__name__
        raise
    finally:
        await asyncio.shield(asyncio.to_thread(run.finish, outcome, details))
