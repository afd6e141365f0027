"""The stock ClientApp: one message in, the member's answer out.

A SuperNode is told its instance with `--node-config 'instance="/folder"'`, and may be given
`journal="/folder"` to remember its sums beyond the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flwr.app import Context, Message, MetricRecord
from flwr.clientapp import ClientApp

from federation.errors import Refusal
from federation.flower import wire
from federation.flower.app import exchange, instance
from federation.flower.app.instance import Instance, InstanceError
from federation.flower.app.state import StateJournal
from federation.flower.records import to_records
from federation.journal import FileJournal, Journal

COST = "cost"
"""Record with `cpu`, seconds: only where an experiment asks for it, since times can give secrets away."""


def client_app(instance_of: Callable[[Context], Instance], *, measured: bool = False) -> Any:
    """Return a ClientApp that answers for the instance that its context names."""
    app = ClientApp()

    @app.query(exchange.WHO)  # type: ignore[misc,untyped-decorator,unused-ignore]
    def who(message: Message, context: Context) -> Message:
        """Say which host this node is; that proves nothing, signatures do."""
        host = instance_of(context).identity.host
        return Message(to_records({"host": host}), reply_to=message)

    @app.query(exchange.PROTOCOL)  # type: ignore[misc,untyped-decorator,unused-ignore]
    def protocol(message: Message, context: Context) -> Message:
        """Answer a protocol message, or say why not."""
        mine = instance_of(context)
        node = mine.node(_journal(context))
        # A daemon keeps its node in memory: what restoring it costs here is no cost of the protocol.
        started = time.thread_time()
        try:
            request, _ = wire.read_request(exchange.unpack(message.content))
            content = wire.answer(mine.answer(node, request))
        except Refusal as refusal:
            content = wire.refusal(refusal.code.value, refusal.sentence)
        found = to_records(content)
        if measured:
            found[COST] = MetricRecord({"cpu": time.thread_time() - started})
        return Message(found, reply_to=message)

    return app


def from_node_config(context: Context) -> Instance:
    """Return the instance whose folder the SuperNode was started with.

    Raises:
        InstanceError: it was started without, or the folder cannot be used.

    """
    folder = context.node_config.get("instance")
    if not isinstance(folder, str):
        raise InstanceError("start the SuperNode with --node-config 'instance=\"FOLDER\"'")
    return instance.read(Path(folder))


def _journal(context: Context) -> Journal:
    folder = context.node_config.get("journal")
    return FileJournal(Path(folder)) if isinstance(folder, str) else StateJournal(context.state)


app = client_app(from_node_config)
