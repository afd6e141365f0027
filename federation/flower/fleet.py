"""The member's side of Flower's Fleet API: takes messages, hands them on, brings the answers back.

What a stock SuperNode does, less one thing: it never asks for the run's app, and knows nothing that could run
one. Only messages of our own type are looked at; any other gets an error, unread.
"""

from __future__ import annotations

import base64
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from federation.carrier import PeerRefused
from federation.errors import FederationError, ProtocolMisuse, Refusal
from federation.flower import objects, proto, wire
from federation.flower.rpc import Channel, Headers, RpcRefused, RpcUnreachable
from federation.group.node_key import public_node_key

log = logging.getLogger(__name__)

Handler = Callable[[bytes, Mapping[str, bytes]], bytes]
"""From a request and its blobs to the answer; raises PeerRefused or Refusal. Called in several threads."""

OnEvent = Callable[[str], None]
"""Called with `connected`, `lost`, `answered`, `foreign` (a message that is not ours) or `dropped`."""

AT_ONCE: Final = 3
"""Messages that are worked on at one time: bounds memory, and leaves room beside a slow preparation."""
_CENTRE: Final = timedelta(seconds=150)
"""Flower accepts signatures from 305 seconds back to 5 ahead: ours are dated in the middle, so that a clock
may be wrong either way."""
_UNAUTHORIZED: Final = 401
_NOT_ACTIVATED: Final = "2004"
_BAD_INTERVAL: Final = "2003"
"""Flower's codes (`supercore/error/base.py`). It answers a key that it does not know and a node that is still
connected alike; asked with an interval that it does not allow, it tells them apart."""
_FOREIGN: Final = (1, "this node runs no code of others")
_BROKEN: Final = "http"
"""The code of an answer that is no daemon's: the aggregator counts it as nobody there."""
_FIRST_BACK_OFF: Final = 1.0
_MAX_BACK_OFF: Final = 30.0
_YIELD: Final = 4
_MAX_YIELD: Final = 5.0
_WORK_FIRST: Final = 1.0
_BUSY_FOR: Final = 20.0
"""Seconds for which it keeps asking quickly after a message."""


class FleetRefused(FederationError):
    """The host does not know this node's key, or no longer."""


@dataclass(frozen=True)
class Pace:
    """How often the host is asked, in seconds. Idle, that is five requests a minute."""

    idle: float = 20.0
    busy: float = 0.25
    heartbeat: float = 30.0


def serve(
    fence: str,
    ca: bytes,
    key_pem: bytes,
    handler: Handler,
    *,
    busy_at: Callable[[], bool],
    stop: threading.Event,
    pace: Pace,
    most: int,
    on_event: OnEvent = lambda _event: None,
    node_id: int = 0,
    on_node: Callable[[int], None] = lambda _node_id: None,
) -> None:
    """Be a node of the host at `fence` (HOST:PORT) until `stop`; blocks, and connects again when cut off.

    `ca` holds the certificates to trust (PEM), empty for those of this machine; `most` is the size of the
    largest message that is taken. Flower does not let a node that was killed in again until it has missed two
    heartbeats, unless it says which it is: `node_id` from the last time, told by `on_node`.

    Raises:
        FleetRefused: the host does not know the key.

    """
    session = _Session(fence, ca, key_pem, handler, busy_at, stop, pace, most, on_event, node_id)
    session.run(on_node)


class _Session:
    def __init__(
        self,
        fence: str,
        ca: bytes,
        key_pem: bytes,
        handler: Handler,
        busy_at: Callable[[], bool],
        stop: threading.Event,
        pace: Pace,
        most: int,
        on_event: OnEvent,
        node_id: int,
    ) -> None:
        self._public = public_node_key(key_pem)
        self._channel = Channel(fence, ca, _signed(key_pem, self._public))
        self._handler = handler
        self._busy_at = busy_at
        self._stop = stop
        self._pace = pace
        self._most = most
        self._on_event = on_event
        self._node_id = node_id
        self._beaten = 0.0
        self._busy_until = 0.0
        self._looked = float("-inf")
        self._hurry = pace.busy
        self._free = threading.Semaphore(AT_ONCE)
        self._worked = threading.Event()
        self._lock = threading.Lock()
        self._working: set[str] = set()

    def run(self, on_node: Callable[[int], None]) -> None:
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fleet")
        back_off = _FIRST_BACK_OFF
        connected = False
        try:
            while not self._stop.is_set():
                try:
                    if not connected:
                        self._connect()
                        on_node(self._node_id)
                        connected, back_off = True, _FIRST_BACK_OFF
                        self._on_event("connected")
                    self._turn(pool)
                except (RpcUnreachable, Refusal) as error:
                    if connected:
                        self._on_event("lost")
                    connected = False
                    log.info("the host does not answer", extra={"error": str(error)})
                    # Members of a host that comes back do not all come in the same moment.
                    self._stop.wait(back_off * random.uniform(0.8, 1.2))  # noqa: S311
                    back_off = min(2 * back_off, _MAX_BACK_OFF)
                except RpcRefused as error:
                    if error.status != _UNAUTHORIZED or not connected:
                        raise FleetRefused(f"the host lets this node do nothing ({error})") from None
                    # Shut out while connected, or another SuperLink's state: connecting tells.
                    connected, self._node_id = False, 0
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            if connected:
                self._leave()
            self._channel.close()

    def _call(self, name: str, request: Any, answer: Any, **limits: Any) -> Any:
        return self._channel.call(f"/v1/fleet/{name}", request, answer, **limits)

    def _connect(self) -> None:
        if self._node_id and self._beat():
            return
        try:
            self._node_id = self._activate(self._pace.heartbeat)
        except RpcRefused as error:
            if error.code != _NOT_ACTIVATED or not self._known():
                raise FleetRefused(f"the host does not know the key of this node ({error})") from None
            raise RpcUnreachable("the node still counts as connected; it will not for long") from None
        self._beaten = time.monotonic()

    def _activate(self, interval: float) -> int:
        request = proto.fleet.ActivateNodeRequest(public_key=self._public, heartbeat_interval=interval)
        return int(self._call("activate-node", request, proto.fleet.ActivateNodeResponse).node_id)

    def _known(self) -> bool:
        try:
            self._activate(0.0)
        except RpcRefused as error:
            return error.code == _BAD_INTERVAL
        return True

    def _beat(self) -> bool:
        request = proto.heartbeat.SendNodeHeartbeatRequest(
            node=proto.Node(node_id=self._node_id), heartbeat_interval=self._pace.heartbeat
        )
        try:
            answer = self._call("send-node-heartbeat", request, proto.heartbeat.SendNodeHeartbeatResponse)
        except RpcRefused:
            self._node_id = 0
            return False
        self._beaten = time.monotonic()
        return bool(answer.success)

    def _leave(self) -> None:
        request = proto.fleet.DeactivateNodeRequest(node_id=self._node_id)
        try:
            self._call("deactivate-node", request, proto.fleet.DeactivateNodeResponse, timeout=3.0)
        except (RpcUnreachable, RpcRefused, Refusal):
            log.info("left without saying so")

    def _turn(self, pool: ThreadPoolExecutor) -> None:
        """Beat if it is time; take a message if it is time to look for one; else wait for a moment."""
        now = time.monotonic()
        beat_in = self._beaten + self._pace.heartbeat - now
        if beat_in <= 0 and not self._beat():
            raise RpcRefused(_UNAUTHORIZED)
        busy = self._busy_at() or now < self._busy_until
        look_in = self._looked + (self._hurry if busy else self._pace.idle) - now
        if look_in > 0:
            # Not for long: it may get busy meanwhile.
            self._stop.wait(min(look_in, 1.0, max(beat_in, 0.01)))
        elif self._free.acquire(timeout=1.0):
            self._look(pool)

    def _look(self, pool: ThreadPoolExecutor) -> None:
        began = time.monotonic()
        taken = False
        try:
            request = proto.fleet.PullMessagesRequest(node=proto.Node(node_id=self._node_id))
            answer = self._call("pull-messages", request, proto.fleet.PullMessagesResponse)
            if answer.messages_list and answer.message_object_trees:
                self._worked.clear()
                pool.submit(self._work, answer.messages_list[0], answer.message_object_trees[0])
                taken = True
        finally:
            if not taken:
                self._free.release()
        self._looked = time.monotonic()
        # A SuperLink that many ask at once answers slowly: then all ask less.
        self._hurry = max(self._pace.busy, min(_YIELD * (self._looked - began), _MAX_YIELD))
        if taken:
            self._busy_until = self._looked + _BUSY_FOR
            # What is asked next follows from the answer: nothing new before it is brought.
            self._worked.wait(_WORK_FIRST)

    def _work(self, message: Any, tree: Any) -> None:
        try:
            self._on_event(self._answer(message, tree))
        except (FederationError, OSError) as error:
            log.info("a message was dropped", extra={"error": type(error).__name__})
            self._on_event("dropped")
        except Exception:
            log.exception("a message was dropped")
            self._on_event("dropped")
        finally:
            self._worked.set()
            self._free.release()

    def _answer(self, message: Any, tree: Any) -> str:
        metadata = message.metadata
        if metadata.message_type != wire.MESSAGE_TYPE or not tree.children:
            self._reply(metadata, None, _FOREIGN)
            return "foreign"
        content_id = str(tree.children[0].object_id)
        with self._lock:
            if content_id in self._working:
                # The host asks again what is being worked on: the first answer is for both.
                return "dropped"
            self._working.add(content_id)
        try:
            content = self._taken(metadata, tree)
            answer = self._handled(content)
            del content
            self._reply(metadata, objects.pack(answer), None)
            if objects.is_large(tree):
                self._confirm(metadata)
        finally:
            with self._lock:
                self._working.discard(content_id)
        return "answered"

    def _taken(self, metadata: Any, tree: Any) -> Mapping[str, wire.Value] | Refusal:
        try:
            return objects.unpack(tree, lambda object_id: self._fetch(metadata, object_id), self._most)
        except Refusal as refusal:
            return refusal

    def _handled(self, content: Mapping[str, wire.Value] | Refusal) -> dict[str, wire.Value]:
        try:
            if isinstance(content, Refusal):
                raise content
            request, blobs = wire.read_request(content)
            return wire.answer(self._handler(request, blobs))
        except PeerRefused as refused:
            return wire.refusal(refused.code, refused.sentence)
        except Refusal as refusal:
            return wire.refusal(refusal.code.value, refusal.sentence)
        except Exception:
            log.exception("a request was not answered")
            return wire.refusal(_BROKEN, "this member cannot answer")

    def _fetch(self, metadata: Any, object_id: str) -> bytes:
        request = proto.message.PullObjectRequest(
            node=proto.Node(node_id=self._node_id), run_id=metadata.run_id, object_id=object_id
        )
        pause = 0.02
        while True:
            answer = self._again(
                metadata, "pull-object", request, proto.message.PullObjectResponse, most=objects.MAX_OBJECT
            )
            if answer.object_available:
                return bytes(answer.object_content)
            if not answer.object_found:
                raise RpcUnreachable("the message is not whole")
            self._pause(metadata, pause)
            pause = min(2 * pause, 0.5)

    def _confirm(self, metadata: Any) -> None:
        request = proto.message.ConfirmMessageReceivedRequest(
            node=proto.Node(node_id=self._node_id),
            run_id=metadata.run_id,
            message_object_id=metadata.message_id,
        )
        self._again(
            metadata, "confirm-message-received", request, proto.message.ConfirmMessageReceivedResponse
        )

    def _reply(self, metadata: Any, content: objects.Node | None, error: tuple[int, str] | None) -> None:
        reply = {
            "run_id": metadata.run_id,
            "src_node_id": self._node_id,
            "dst_node_id": metadata.src_node_id,
            "reply_to_message_id": metadata.message_id,
            "group_id": metadata.group_id,
            "message_type": metadata.message_type,
            # Not by our clock: what matters is that both messages expire together.
            "created_at": metadata.created_at,
            "ttl": metadata.ttl,
        }
        message, node = objects.address(reply, content, error)
        request = proto.fleet.PushMessagesRequest(
            node=proto.Node(node_id=self._node_id),
            messages_list=[message],
            message_object_trees=[node.tree],
            clientapp_runtime_list=[0.0],
        )
        while not self._pushed(metadata, request, node):
            # The upload was given up at the host: from the start.
            self._pause(metadata, 1.0)

    def _pushed(self, metadata: Any, request: Any, node: objects.Node) -> bool:
        answer = self._again(metadata, "push-messages", request, proto.fleet.PushMessagesResponse)
        for object_id in answer.objects_to_push:
            make = node.objects.get(object_id)
            if make is None:
                continue
            upload = proto.message.PushObjectRequest(
                node=proto.Node(node_id=self._node_id),
                run_id=metadata.run_id,
                object_id=object_id,
                object_content=make(),
                session_id=answer.session_id,
            )
            if not self._again(metadata, "push-object", upload, proto.message.PushObjectResponse).stored:
                return False
        return True

    def _again(self, metadata: Any, name: str, request: Any, answer: Any, **limits: Any) -> Any:
        """Call until it gets through, the message expires or we stop; every call here may be repeated."""
        pause = 0.25
        while True:
            try:
                return self._call(name, request, answer, **limits)
            except RpcUnreachable:
                self._pause(metadata, pause)
                pause = min(2 * pause, 5.0)

    def _pause(self, metadata: Any, seconds: float) -> None:
        expired = time.time() > metadata.created_at + metadata.ttl + _CENTRE.total_seconds()
        if expired or self._stop.wait(seconds):
            raise RpcUnreachable("the message has expired, or this node stops")


def _signed(key_pem: bytes, public: bytes) -> Headers:
    """Return headers by which Flower knows a node (`supernode/node_auth_http_interceptor.py`)."""
    key = load_pem_private_key(key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ProtocolMisuse("a node's key is on the curve P-384")
    encoded = base64.b64encode(public).decode("ascii")

    def headers(_method: str, _body: bytes) -> Mapping[str, str]:
        timestamp = (datetime.now(UTC) - _CENTRE).isoformat()
        signature = key.sign(timestamp.encode("ascii"), ec.ECDSA(hashes.SHA256()))
        return {
            "flwr-public-key": encoded,
            "flwr-timestamp": timestamp,
            "flwr-signature": base64.b64encode(signature).decode("ascii"),
        }

    return headers
