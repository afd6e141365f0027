"""The tables of docs/bounds.md, from the limits as the code has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from daemon import log
from daemon.config.schema import Cohort, Group, Guards, Model, Sharing
from daemon.group.hosting.reverse_proxy import Bounds
from daemon.group.membership import blob_cache
from daemon.peers import cards, ingress, peer_state
from daemon.process.limits import MOST_MB
from daemon.rounds import member_log, newcomer
from daemon.serve import connection_limit, federation_app
from federation.aggregator_driver import StageTimeouts
from federation.errors import Code
from federation.flower import objects
from federation.group.epoch_opening import RETRY
from federation.hello import MAX_HELLO
from federation.http import load_limits
from federation.introduction import LIFETIME, MAX_INSTANCES, MAX_INTRODUCTION
from federation.limits import Limits
from policies import rates, sharing

LIMITS, GUARDS, PROXY, GROUP = Limits(), Guards(), Bounds(), Group()
VECTOR: Final = Model().max_head * (Model().max_head - 1) // 2
PUBLIC: Final = cards.MAX_CARD + cards.MAX_ACTOR + cards.MAX_CONFIG + cards.MAX_NODEINFO
REVERSE_PROXY: Final = "`daemon/group/hosting/reverse_proxy.py`"
Row = tuple[str, str, str, str]
"""What is bounded, for one peer, for all of the others together, and where."""


def mb(size: float) -> str:
    """Write bytes in megabytes, kilobytes where they are few."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


PEERS: Final[Sequence[Row]] = [
    ("a request", mb(LIMITS.max_request), "the same", "`federation/limits.py`"),
    (
        "requests in a minute",
        f"{GUARDS.requests_per_minute}",
        f"{GUARDS.strangers_per_minute}",
        "`[guards]`, `policies/rates.py`",
    ),
    (
        "bytes of answers in a minute",
        mb(GUARDS.requests_per_minute * rates.BYTES_OF_A_REQUEST),
        mb(GUARDS.strangers_per_minute * rates.BYTES_OF_A_REQUEST),
        "`policies/rates.py`",
    ),
    (
        "requests at one time",
        f"{load_limits.MAX_PER_SENDER}",
        f"{load_limits.MAX_PER_SENDER}",
        "`federation/http/load_limits.py`",
    ),
    (
        "bytes of large answers on their way",
        mb(load_limits.MAX_SENDING_EACH),
        "none",
        f"the same; {mb(load_limits.MAX_SENDING)} for all",
    ),
    ("time to send an answer", f"{load_limits.SEND_WITHIN:g} s", "the same", "the same"),
    (
        "bodies being read",
        f"{load_limits.MAX_READING} of all, {load_limits.BODY_WITHIN:g} s each",
        "the same",
        "the same",
    ),
    (
        "requests being worked on",
        f"{load_limits.MAX_AT_ONCE} of all, {load_limits.MAX_WAITING} wait",
        "the same",
        "the same",
    ),
    (
        "connections",
        f"{connection_limit.MAX_CONNECTIONS} of all",
        "the same",
        "`daemon/serve/connection_limit.py`",
    ),
    (
        "sums being prepared",
        f"1, {load_limits.MAX_PREPARING} of all",
        "none",
        "`federation/http/load_limits.py`",
    ),
    ("sums prepared", f"{rates.PREPARATIONS} at once, as many in a day", "none", "`policies/rates.py`"),
    (
        "jobs that count",
        (
            f"{federation_app.COUNTING_AT_ONCE} of all: half of the memory, at most {MOST_MB:,} MiB, "
            f"{federation_app.COUNT_WITHIN:g} s"
        ),
        "none",
        "`daemon/serve/federation_app.py`, `[limits]`",
    ),
    (
        "public data fetched for a sum",
        (
            f"{mb(LIMITS.max_blob)}, {sharing.BLOB_BYTES['vocabulary']} bytes a video, "
            f"{load_limits.FETCH_WITHIN:g} s"
        ),
        "none",
        "`federation/limits.py`, `policies/sharing.py`",
    ),
    ("vocabulary", f"{Sharing().max_vocabulary:,} videos", "none", "`[sharing]`"),
    ("entries of a vector", f"{VECTOR:,} (head of {Model().max_head:,})", "none", "`[model]`"),
    (
        "open sums",
        f"1, {LIMITS.max_open_rounds} of all, {LIMITS.max_lifetime // 3600} h",
        "none",
        "`federation/limits.py`",
    ),
    (
        "sums that it passes on to us",
        (
            f"{86400 / newcomer.ASK_EVERY:g} in a day, {LIMITS.max_sub_cohorts} sub-cohorts, "
            f"{mb(4 * VECTOR)} each, {federation_app.CATCH_UP_WITHIN:,.0f} s"
        ),
        "none",
        "`daemon/rounds/catch_up.py`",
    ),
    (
        "disk of an open sum",
        f"{mb(2 * 4 * VECTOR)}, {mb(2 * 8 * VECTOR)} in the large ring",
        "none",
        "`federation/node.py`",
    ),
    (
        "sums on disk, finished ones",
        f"{LIMITS.max_rounds_per_peer}, each under {mb(4 * LIMITS.max_request)}",
        "none",
        "`federation/limits.py`",
    ),
    (
        "disk of a data window",
        mb(4 * VECTOR + 4 * Sharing().max_vocabulary),
        "none",
        "`daemon/rounds/data_windows.py`",
    ),
    (
        "rows: peers",
        "1",
        f"{GUARDS.max_requests_pending}, {peer_state.KEEP_REQUEST / 86400:g} days each",
        "`[guards]`, `daemon/peers/ingress.py`",
    ),
    ("rows: traffic", "1 in a month", "none", "`daemon/store/traffic.py`"),
    ("rows: rounds", f"{rates.PREPARATIONS} in a day", "none", "`policies/rates.py`"),
    ("rows: refusals", f"{len(Code)} of all", "the same", "one for each code"),
    (
        "ledger: rounds",
        f"{rates.PREPARATIONS} in a day",
        "none",
        "`daemon/rounds/member_log.py`",
    ),
    (
        "ledger: refused proposals",
        f"1 for each code in {member_log._SAME_REFUSAL / 3600:g} h",
        "none",
        "`daemon/rounds/member_log.py`",
    ),
    (
        "ledger: requests for approval",
        f"1 in {ingress.LEDGER_EVERY / 86400:g} days",
        f"{GUARDS.max_requests_pending} in {ingress.LEDGER_EVERY / 86400:g} days, and followed instances",
        "`daemon/peers/ingress.py`",
    ),
    (
        "lines of log in a minute",
        f"{log.LINES_A_MINUTE} of a kind",
        "the same",
        "`daemon/log.py`",
    ),
    (
        "jobs that contact a peer",
        f"1 in {ingress.CONTACT_EVERY:g} s, 1 of all at one time",
        "none",
        "`daemon/peers/ingress.py`",
    ),
    ("a hello", mb(MAX_HELLO), "the same", "`federation/hello.py`"),
    (
        "lists of instances",
        f"{mb(MAX_INTRODUCTION)}, {MAX_INSTANCES} instances, {rates.INTRODUCTIONS} in a day",
        "none",
        "`federation/introduction.py`, `policies/rates.py`",
    ),
    (
        "rows: introduced instances",
        f"{MAX_INSTANCES}, {LIFETIME // 86400} days each",
        "none",
        "`federation/introduction.py`",
    ),
    (
        "cards that we read at others' word",
        f"{MAX_INSTANCES} introduced, once a day",
        (
            f"one for each request, {rates.CARDS_FOR_STRANGERS} of all within an hour at once, "
            "others with the hourly job"
        ),
        "`daemon/peers/contact_job.py`, `policies/rates.py`",
    ),
    (
        "what we read of others in public",
        f"{mb(PUBLIC)}, {cards.TIMEOUT:g} s each",
        "the same",
        "`daemon/peers/cards.py`",
    ),
    (
        "an answer in a sum of ours",
        f"{mb(LIMITS.max_answer)}, or the vector; {StageTimeouts.at_once} vectors at one time",
        "none",
        "`federation/aggregator_driver.py`",
    ),
    (
        "a stage of a sum of ours",
        f"{Cohort().stage_timeout.total_seconds():g} s, the first {StageTimeouts.propose:g} s",
        "none",
        "`[cohort]`",
    ),
]

GROUPS: Final[Sequence[Row]] = [
    ("connections to a host's reverse proxy", f"{PROXY.per_address}", f"{PROXY.connections}", REVERSE_PROXY),
    (
        "new connections in a second",
        f"{PROXY.new_connections:g}, {PROXY.new_connections_burst:g} at once",
        "as many each",
        REVERSE_PROXY,
    ),
    (
        "requests in a second",
        f"{PROXY.requests:g}, {PROXY.requests_burst:g} at once",
        f"clients never accepted: {PROXY.strangers:g}, {PROXY.strangers_burst:g} at once",
        REVERSE_PROXY,
    ),
    (
        "a request's body",
        (
            f"{mb(PROXY.large)}, {mb(PROXY.uploads_each)} at one time; clients never accepted: "
            f"{mb(PROXY.stranger_body)}"
        ),
        f"{mb(PROXY.uploads)} at one time",
        REVERSE_PROXY,
    ),
    (
        "objects being sent",
        f"{PROXY.downloads}",
        f"{load_limits.MAX_AT_ONCE} at one time, {load_limits.MAX_WAITING} wait",
        REVERSE_PROXY,
    ),
    (
        "time",
        f"handshake and head {PROXY.handshake:g} s each, large ones at {mb(PROXY.slowest)}/s at least",
        f"{PROXY.answer:g} s until the SuperLink answers",
        REVERSE_PROXY,
    ),
    (
        "requests to join",
        "1, forgotten after 30 days",
        f"{GUARDS.max_requests_pending} of strangers; {GROUP.max_members:,} members",
        "`[group]`, `daemon/group/hosting/members_join_and_leave.py`",
    ),
    (
        "what a host sends for one sum",
        (f"{mb(blob_cache.MAX_BYTES)} on disk until it is handled, {mb(objects.MAX_OBJECT)} in one object"),
        "one host",
        "`daemon/group/membership/blob_cache.py`",
    ),
    ("published sums kept", "the newest", "the newest", "`daemon/group/published_sums.py`"),
    (
        "epochs",
        f"1 in 180 days; after one that failed, {RETRY // 3600} h",
        "one host",
        "`federation/group/epoch_opening.py`",
    ),
]

TABLES: Final = {
    "| | one approved peer | all strangers | where |\n|---|---|---|---|\n": PEERS,
    "| | one address or member | all together | where |\n|---|---|---|---|\n": GROUPS,
}


def renewed(document: str) -> str:
    """Return the document with its tables as they are now. Raises ValueError where one is missing."""
    for head, rows in TABLES.items():
        before, found, after = document.partition(head)
        if not found:
            raise ValueError(f"no table has the head {head}")
        after = re.sub(r"\A(\|.*\n)*", "", after)
        document = before + head + "".join(f"| {' | '.join(row)} |\n" for row in rows) + after
    return document
