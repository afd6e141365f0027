"""The member's side of Flower's Fleet API: pulls messages, has them handled, pushes the answers.

It does what a stock SuperNode does, but for one thing: it never fetches the run's app, and has nothing that
could run one. Only messages of our own type are read; any other is answered with an error, unread.
"""

from __future__ import annotations

import base64
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from federation.carrier import BY_PROXY, PeerRefused
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
"""Messages handled at one time: bounds memory, and leaves room beside a slow preparation."""
_CENTRE: Final = timedelta(seconds=150)
"""Flower accepts signatures from 305 seconds back to 5 ahead: ours are dated in the middle, so that clocks
may differ either way."""
_UNAUTHORIZED: Final = 401
_NOT_ACTIVATED: Final = "2004"
_BAD_INTERVAL: Final = "2003"
"""Flower's codes (`supercore/error/base.py`). It answers an unknown key and a node that is still connected
with the same code; only for a known key does it complain about an interval that it does not allow."""
_FOREIGN: Final = (1, "this node runs no foreign code")
_FIRST_BACK_OFF: Final = 1.0
_MAX_BACK_OFF: Final = 30.0
_SLOWDOWN: Final = 4
"""The next pull waits at least this many times as long as the last one took."""
_MAX_SLOWDOWN: Final = 5.0
_HANDLE_FIRST: Final = 1.0
_BUSY_FOR: Final = 20.0
"""Seconds of frequent polling after a message."""


class FleetRefused(FederationError):
    """The host does not accept this node's key, or no longer."""


@dataclass(frozen=True)
class Pace:
    """How often the host is polled, in seconds. An idle node makes five requests a minute."""

    idle: float = 20.0
    busy: float = 0.25
    heartbeat: float = 30.0


@dataclass(frozen=True)
class NodeSettings:
    """How a node connects and who handles its messages.

    Attributes:
        address: `HOST:PORT` of the group host's reverse proxy.
        ca: certificates to trust (PEM); empty for those of this machine.
        key_pem: private key of the node (PEM).
        handler: answers requests.
        max_message: bytes of the largest message that is accepted.
        busy: tells whether to poll frequently now.
        pace: how often the host is polled.
        on_event: told what happens.
        node_id: as last passed to `on_node_id`, 0 for none. Without it, Flower does not readmit a node that
            was killed until it has missed two heartbeats.
        on_node_id: called with the node's id after each connection.
    """

    address: str
    ca: bytes
    key_pem: bytes = field(repr=False)
    handler: Handler
    max_message: int
    busy: Callable[[], bool]
    pace: Pace = Pace()
    on_event: OnEvent = lambda _event: None
    node_id: int = 0
    on_node_id: Callable[[int], None] = lambda _node_id: None


def serve(settings: NodeSettings, stop: threading.Event) -> None:
    """Be a node of the host until `stop` is set; blocks, and reconnects when the connection is lost.

    Raises:
        FleetRefused: the host does not accept the key.

    """
    _Session(settings, stop).run()


class _Session:
    def __init__(self, settings: NodeSettings, stop: threading.Event) -> None:
        self._settings, self._stop = settings, stop
        self._pace, self._on_event = settings.pace, settings.on_event
        self._public = public_node_key(settings.key_pem)
        self._channel = Channel(settings.address, settings.ca, _signed(settings.key_pem, self._public))
        self._node_id = settings.node_id
        self._last_beat = 0.0
        self._busy_until = 0.0
        self._last_pull = float("-inf")
        self._busy_pause = settings.pace.busy
        self._free = threading.Semaphore(AT_ONCE)
        self._handled_one = threading.Event()
        self._lock = threading.Lock()
        self._in_progress: set[str] = set()

    def run(self) -> None:
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fleet")
        back_off = _FIRST_BACK_OFF
        connected = False
        try:
            while not self._stop.is_set():
                try:
                    if not connected:
                        self._connect()
                        self._settings.on_node_id(self._node_id)
                        connected, back_off = True, _FIRST_BACK_OFF
                        self._on_event("connected")
                    self._step(pool)
                except (RpcUnreachable, Refusal) as error:
                    if connected:
                        self._on_event("lost")
                    connected = False
                    log.info("the host does not answer", extra={"error": str(error)})
                    # With jitter, so that the members of a host that comes back do not all connect at once.
                    self._stop.wait(back_off * random.uniform(0.8, 1.2))  # noqa: S311
                    back_off = min(2 * back_off, _MAX_BACK_OFF)
                except RpcRefused as error:
                    if error.status != _UNAUTHORIZED or not connected:
                        raise FleetRefused(f"the host refuses this node's requests ({error})") from None
                    # Unregistered, or the SuperLink lost its state: the next attempt to connect tells.
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
        self._last_beat = time.monotonic()

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
        self._last_beat = time.monotonic()
        return bool(answer.success)

    def _leave(self) -> None:
        request = proto.fleet.DeactivateNodeRequest(node_id=self._node_id)
        try:
            self._call("deactivate-node", request, proto.fleet.DeactivateNodeResponse, timeout=3.0)
        except (RpcUnreachable, RpcRefused, Refusal):
            log.info("left without telling the host")

    def _step(self, pool: ThreadPoolExecutor) -> None:
        """Send a heartbeat or pull a message if either is due; else wait for a moment."""
        now = time.monotonic()
        beat_in = self._last_beat + self._pace.heartbeat - now
        if beat_in <= 0 and not self._beat():
            raise RpcRefused(_UNAUTHORIZED)
        busy = self._settings.busy() or now < self._busy_until
        pull_in = self._last_pull + (self._busy_pause if busy else self._pace.idle) - now
        if pull_in > 0:
            # Not for long: it may get busy meanwhile.
            self._stop.wait(min(pull_in, 1.0, max(beat_in, 0.01)))
        elif self._free.acquire(timeout=1.0):
            self._pull(pool)

    def _pull(self, pool: ThreadPoolExecutor) -> None:
        began = time.monotonic()
        taken = False
        try:
            request = proto.fleet.PullMessagesRequest(node=proto.Node(node_id=self._node_id))
            answer = self._call("pull-messages", request, proto.fleet.PullMessagesResponse)
            if answer.messages_list and answer.message_object_trees:
                self._handled_one.clear()
                pool.submit(self._handle, answer.messages_list[0], answer.message_object_trees[0])
                taken = True
        finally:
            if not taken:
                self._free.release()
        self._last_pull = time.monotonic()
        # An overloaded SuperLink answers slowly: then all nodes poll less often.
        self._busy_pause = max(self._pace.busy, min(_SLOWDOWN * (self._last_pull - began), _MAX_SLOWDOWN))
        if taken:
            self._busy_until = self._last_pull + _BUSY_FOR
            # The next request follows from this answer: there is none before it is pushed.
            self._handled_one.wait(_HANDLE_FIRST)

    def _handle(self, message: Any, tree: Any) -> None:
        try:
            self._on_event(self._answer(message, tree))
        except (FederationError, OSError) as error:
            log.info("a message was dropped", extra={"error": type(error).__name__})
            self._on_event("dropped")
        except Exception:
            log.exception("a message was dropped")
            self._on_event("dropped")
        finally:
            self._handled_one.set()
            self._free.release()

    def _answer(self, message: Any, tree: Any) -> str:
        metadata = message.metadata
        if metadata.message_type != wire.MESSAGE_TYPE or not tree.children:
            self._reply(metadata, None, _FOREIGN)
            return "foreign"
        content_id = str(tree.children[0].object_id)
        with self._lock:
            if content_id in self._in_progress:
                # A repeated request that is being handled already: the first answer is for both.
                return "dropped"
            self._in_progress.add(content_id)
        try:
            content = self._taken(metadata, tree)
            answer = self._handled(content)
            del content
            self._reply(metadata, objects.pack(answer), None)
            if objects.is_large(tree):
                self._confirm(metadata)
        finally:
            with self._lock:
                self._in_progress.discard(content_id)
        return "answered"

    def _taken(self, metadata: Any, tree: Any) -> Mapping[str, wire.Value] | Refusal:
        try:
            most = self._settings.max_message
            return objects.unpack(tree, lambda object_id: self._fetch(metadata, object_id), most)
        except Refusal as refusal:
            return refusal

    def _handled(self, content: Mapping[str, wire.Value] | Refusal) -> dict[str, wire.Value]:
        try:
            if isinstance(content, Refusal):
                raise content
            request, blobs = wire.read_request(content)
            return wire.answer(self._settings.handler(request, blobs))
        except PeerRefused as refused:
            return wire.refusal(refused.code, refused.sentence)
        except Refusal as refusal:
            return wire.refusal(refusal.code.value, refusal.sentence)
        except Exception:
            log.exception("a request was not answered")
            return wire.refusal(BY_PROXY, "this member cannot answer")

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

    def _reply(
        self, metadata: Any, content: objects.PackedObject | None, error: tuple[int, str] | None
    ) -> None:
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
            # The host gave the upload up: start again.
            self._pause(metadata, 1.0)

    def _pushed(self, metadata: Any, request: Any, node: objects.PackedObject) -> bool:
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
        """Call until it succeeds, the message expires or we stop; every call here may be repeated."""
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
