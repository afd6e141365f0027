"""docs/protocol.md names every stage, every refusal, every field and every limit, as the code has them."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from federation import cbor, envelope
from federation.envelope import Stage
from federation.errors import Code
from federation.hello import MAX_HELLO, say
from federation.identity import Identity, PublicIdentity
from federation.introduction import LIFETIME, MAX_INSTANCES, MAX_INTRODUCTION, introduce
from federation.limits import Limits
from federation.messages import Advertisement, Confirmation, Revealed, SealedShares
from federation.node import ANSWERS
from federation.proposal import Proposal
from tests import ROOT

DOCUMENT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")

HELLO = say(Identity("alice.example", b"a" * 32), "bob.example", 0.0, approves=False)

INTRODUCTION = introduce(
    Identity("alice.example", b"a" * 32), PublicIdentity("b.example", bytes(32)), [], 0.0
)

REFUSALS = DOCUMENT[DOCUMENT.index("## Refusals") :]


@pytest.mark.parametrize("code", list(Code))
def test_every_refusal_has_a_row_with_cause_and_remedy(code: Code) -> None:
    rows = re.findall(rf"^\| `{code}` \| (.+) \| (.+) \|$", REFUSALS, flags=re.MULTILINE)
    assert len(rows) == 1
    assert all(len(cell) >= len("nothing") for cell in rows[0])


def test_no_refusal_is_described_that_does_not_exist() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \|", REFUSALS, flags=re.MULTILINE)) == set(Code)


def test_every_stage_has_a_row() -> None:
    for request, answer in ANSWERS.items():
        assert re.search(rf"^\| `{request}` \| .+ \| `{answer}` \|", DOCUMENT, flags=re.MULTILINE)
    between = {*ANSWERS, *ANSWERS.values(), Stage.FETCH, Stage.HELLO}
    # Those of groups have a table of their own.
    for stage in set(Stage) - between:
        assert re.search(rf"^\| .*`{stage}`.* \|", DOCUMENT, flags=re.MULTILINE), stage
    assert f"`{Stage.FETCH}`" in DOCUMENT
    assert f"`{Stage.HELLO}`" in DOCUMENT


def test_every_field_is_described() -> None:
    payloads = (
        Advertisement(b"", b"", b"").to_payload(),
        SealedShares({}, {}).to_payload(),
        Confirmation(b"", b"", b"").to_payload(),
        Revealed({}, {}).to_payload(),
        bytes(envelope.parse(HELLO, max_size=MAX_HELLO).payload),
        bytes(envelope.parse(INTRODUCTION, max_size=MAX_INTRODUCTION).payload),
    )
    names = {field.name for field in fields(Proposal)} | {
        "v",
        "round",
        "stage",
        "from",
        "to",
        "payload",
        "blob",
    }
    for payload in payloads:
        content = cbor.decode(payload)
        assert isinstance(content, dict)
        names |= set(content)
    assert [name for name in sorted(names) if f"`{name}`" not in DOCUMENT] == []


def test_every_limit_is_the_one_in_use() -> None:
    limits = DOCUMENT[DOCUMENT.index("## Limits") : DOCUMENT.index("## Refusals")]
    numbers = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", limits)}
    assert {getattr(Limits(), field.name) for field in fields(Limits)} | {
        MAX_HELLO,
        MAX_INTRODUCTION,
        MAX_INSTANCES,
        LIFETIME // 86400,
    } <= numbers
