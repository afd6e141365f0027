"""Messages of the stock app, and how a ServerApp asks many nodes at once through Flower's plain `Grid`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flwr.app import Message, RecordDict

from federation.aggregator import Aggregator, SumResult
from federation.carrier import PeerRefused
from federation.errors import FederationError, Refusal
from federation.flower import wire
from federation.flower.objects import BYTES_RECORD, CONFIG_RECORD
from federation.flower.records import from_records, to_records
from federation.flower.wire import Content

WHO = "who"
PROTOCOL = wire.MESSAGE_TYPE.removeprefix("query.")


@dataclass(frozen=True)
class Patience:
    """Seconds: until a stage ends whoever answered, from the threshold on, and between two looks."""

    stage: float = 120.0
    grace: float = 30.0
    poll: float = 0.1


OnReply = Callable[[str, str, bytes, Any], None]
"""Called with stage, host, request and the content of the reply."""


class NodesMissing(FederationError):
    """Not every member has a node that says it is its own."""


def unpack(content: Any) -> Content:
    """Return the content that Flower carried, an empty one where there is none of ours. Raises: Refusal."""
    ours = {name: content[name] for name in (CONFIG_RECORD, BYTES_RECORD) if name in content}
    return from_records(RecordDict(ours)) if ours else {}


def _host(reply: Any) -> str:
    try:
        host = "" if reply.has_error() else unpack(reply.content).get("host", "")
    except Refusal:
        return ""
    return host if isinstance(host, str) else ""


def nodes_of(grid: Any, hosts: frozenset[str], patience: Patience) -> dict[str, int]:
    """Wait for a node of each of `hosts`, asking every connected node whose it is.

    Raises:
        NodesMissing: some did not come within the patience for a stage.

    """
    found: dict[str, int] = {}
    asked: set[int] = set()
    waiting: set[str] = set()
    deadline = time.monotonic() + patience.stage
    while hosts - set(found):
        if time.monotonic() >= deadline:
            raise NodesMissing(f"no node for {', '.join(sorted(hosts - set(found)))}: start their SuperNodes")
        fresh = [node for node in grid.get_node_ids() if node not in asked]
        asked.update(fresh)
        questions = [Message(RecordDict(), dst_node_id=node, message_type=f"query.{WHO}") for node in fresh]
        waiting.update(identifier for identifier in grid.push_messages(questions) if identifier)
        for reply in grid.pull_messages(list(waiting)) if waiting else ():
            waiting.discard(reply.metadata.reply_to_message_id)
            host = _host(reply)
            if host in hosts:
                found.setdefault(host, reply.metadata.src_node_id)
        if hosts - set(found):
            time.sleep(patience.poll)
    return found


def drive(
    grid: Any,
    nodes: Mapping[str, int],
    aggregator: Aggregator,
    *,
    threshold: int,
    patience: Patience,
    on_reply: OnReply = lambda _stage, _host, _request, _content: None,
) -> SumResult:
    """Run one sum to its end, stage by stage; a member without a node, or that answers too late, is out.

    Raises:
        CohortLost: too few members are left; nothing was learned.
        Refusal: the last stage gave no sum.

    """
    while not aggregator.finished:
        _stage(grid, nodes, aggregator, threshold, patience, on_reply)
        aggregator.close()
    return aggregator.result


def _stage(
    grid: Any,
    nodes: Mapping[str, int],
    aggregator: Aggregator,
    threshold: int,
    patience: Patience,
    on_reply: OnReply,
) -> None:
    requests, stage = aggregator.requests(), str(aggregator.stage)
    for host in [host for host in requests if host not in nodes]:
        aggregator.drop(host, "unreachable")
    messages = [
        Message(to_records(wire.request(raw)), dst_node_id=nodes[host], message_type=wire.MESSAGE_TYPE)
        for host, raw in requests.items()
        if host in nodes
    ]
    waiting = {identifier for identifier in grid.push_messages(messages) if identifier}
    by_node = {nodes[host]: host for host in requests if host in nodes}
    deadline, answered = time.monotonic() + patience.stage, 0
    while waiting:
        for reply in grid.pull_messages(list(waiting)):
            waiting.discard(reply.metadata.reply_to_message_id)
            host = by_node[reply.metadata.src_node_id]
            if not reply.has_error():
                on_reply(stage, host, requests[host], reply.content)
            answered += _take(aggregator, host, reply)
        if answered >= threshold:
            deadline = min(deadline, time.monotonic() + patience.grace)
        if not waiting or time.monotonic() >= deadline:
            return
        time.sleep(patience.poll)


def _take(aggregator: Aggregator, host: str, reply: Any) -> bool:
    try:
        if reply.has_error():
            # Flower's own words about a node that failed: not ours to repeat.
            aggregator.drop(host, "unreachable")
            return False
        content = unpack(reply.content)
        aggregator.receive(host, wire.read_answer(host, content, max_answer=aggregator.max_answer))
    except (PeerRefused, Refusal) as refused:
        if host in aggregator.awaited:
            aggregator.drop(host, f"refused: {refused.code}")
        return False
    return True
