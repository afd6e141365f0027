"""Every kind of data that leaves has its sentence, and nothing else leaves."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from typing import Any

import pytest
from typer.testing import CliRunner

from daemon.cli.main import app
from daemon.disclosure import data_kinds
from daemon.group.hosting import proxy_http
from federation import messages, passed_on, rosters
from federation.envelope import Stage
from federation.group import enrolment, epoch_document, epoch_opening, published
from federation.hello import Hello
from federation.http import CARD_PATH, MESSAGE_PATH
from federation.introduction import Introduction
from federation.proposal import Proposal, Segment
from policies.sharing import BLOB_BYTES, PARAMETERS
from tests import ROOT
from tests.daemon.disclosure.sharing_instance import (
    Place,
)


def standing_for(attribute: str) -> set[Any]:
    return {part for kind in data_kinds.DATA_KINDS for part in getattr(kind, attribute)}


def test_every_message_between_instances_is_of_a_kind() -> None:
    assert standing_for("stages") == set(Stage)


def test_every_field_of_every_message_is_of_a_kind() -> None:
    payloads: list[Any] = [
        value
        for value in vars(messages).values()
        if dataclasses.is_dataclass(value) and getattr(value, "__module__", "") == messages.__name__
    ]
    assert len(payloads) >= 4
    payloads += [
        value
        for module in (enrolment, epoch_document, epoch_opening, published, rosters)
        for value in vars(module).values()
        if dataclasses.is_dataclass(value) and getattr(value, "__module__", "") == module.__name__
    ]
    # What both kinds of documents with sums have in common stands in each.
    payloads = [*(value for value in payloads if value is not published.SumsOfRun), passed_on.PassedOn]
    assert len(payloads) >= 16
    fields = {
        f"{c.__name__}.{f.name}"
        for c in [*payloads, Hello, Introduction, Proposal, Segment]
        for f in dataclasses.fields(c)
    }
    fields |= {f"Listed.{name}" for name in epoch_opening.Listed._fields}
    names = (published.proposal_blob, published.counts_blob, published.pairs_blob)
    fields |= {f"blobs.{name(0).replace('0', 'N')}" for name in names} | {f"blobs.{published.HEAD}"}
    fields |= {f"parameters.{name}" for name in PARAMETERS}
    fields |= {f"blobs.{name}" for name in BLOB_BYTES}
    assert standing_for("fields") == fields | {"Refusal.code", "Refusal.sentence"}


def test_every_route_that_others_can_call_is_of_a_kind(place: Place) -> None:
    """Those of the listener for peers, and those of the plugin that need no account."""
    served = {MESSAGE_PATH, CARD_PATH}
    listener = (ROOT / "federation/http/listener.py").read_text()
    assert set(re.findall(r"web\.(?:get|post|put)\((\w+)", listener)) == {"MESSAGE_PATH", "CARD_PATH"}
    for path in (ROOT / "peertube-plugin/server").glob("*.js"):
        served |= set(re.findall(r"router\.\w+\(\s*'([^']+)',\s*guards\.everybody", path.read_text()))
    assert len(served) > 2
    # What members call at the listener of a group's host, and what everybody can.
    assert set(data_kinds.FLEET) == {f"/v1/fleet/{method}" for method in proxy_http.METHODS}
    assert proxy_http.read_request(b"GET /health HTTP/1.1\r\n\r\n") is not None
    assert standing_for("routes") == served | {*data_kinds.FLEET, "/health"}


ASKS_FOR = {
    "daemon.cli.instance": "enrolment",
    "daemon.cli.status": "questions",
    "daemon.doctor.peers": "questions",
    "daemon.group.learning": "receipts",
    "daemon.group.membership.host_client": "enrolment",
    "daemon.group.membership.join_and_leave": "enrolment",
    "daemon.group.membership.key_verification": "questions",
    "daemon.peers.candidates": "questions",
    "daemon.peers.cards": "questions",
    "daemon.peers.contact_job": "hello",
    "daemon.rounds.aggregate_job": "terms",
    "daemon.rounds.catch_up": "newcomer",
    "daemon.serve.admin.group_keys": "enrolment",
    "daemon.serve.federation_app": "keys",
    "daemon.serve.group_supervisor": "enrolment",
}
"""Which kind of data leaves when a module asks others over HTTP."""
NOT_LEAVING = {
    "daemon.source.peertube_client": "asks our own PeerTube",
    "daemon.source.plugin_probe": "asks our own PeerTube",
    "daemon.lab.demo.processes": "runs a demo on this machine",
    "daemon.lab.demo.group": "runs a demo on this machine",
    "daemon.group.hosting.proxy_upstream": "asks our own SuperLink",
}
_ASKING = re.compile(r"\b(ClientSession|PeerClient|new_session|urlopen|open_connection|create_connection)\b")


def test_every_module_that_asks_others_is_of_a_kind() -> None:
    asking = set()
    for path in (ROOT / "daemon").rglob("*.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        names |= {n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)}
        if any(_ASKING.fullmatch(name) for name in names):
            asking.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert set(ASKS_FOR) == asking - set(NOT_LEAVING)
    assert set(ASKS_FOR.values()) <= {kind.id for kind in data_kinds.DATA_KINDS}
    assert set(NOT_LEAVING) <= asking


def test_the_readme_has_the_list_of_the_code() -> None:
    readme = (ROOT / "docs" / "what-leaves.md").read_text("utf-8")
    assert data_kinds.written_into(readme) == readme
    assert readme.count(data_kinds.block()) == 1


def test_the_api_and_the_command_tell_the_same_kinds(place: Place) -> None:
    told = [kind.shown for kind in data_kinds.DATA_KINDS]
    assert place.report()["kinds"] == told
    done = CliRunner().invoke(app, ["share", "kinds", "-o", "json"])
    assert json.loads(done.stdout) == told
    assert len({kind["id"] for kind in told}) == len(told)
    assert all(kind["sentence"].endswith(".") for kind in told)


def test_a_list_is_only_written_between_its_marks() -> None:
    assert (
        data_kinds.written_into(f"a\n{data_kinds.BEGIN}\nold\n{data_kinds.END}\nb")
        == f"a\n{data_kinds.block()}\nb"
    )
    for broken in (
        "",
        data_kinds.BEGIN,
        data_kinds.END,
        data_kinds.END + data_kinds.BEGIN,
        2 * (data_kinds.BEGIN + data_kinds.END),
    ):
        with pytest.raises(ValueError, match="marks"):
            data_kinds.written_into(broken)
