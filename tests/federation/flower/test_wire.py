"""The one form of our messages: as a map, as Flower's records and as Flower's objects."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from hypothesis import given
from hypothesis import strategies as st

from federation.carrier import PeerRefused
from federation.errors import Code, Refusal
from federation.flower import objects, proto, wire
from federation.flower.records import from_records, to_records
from federation.flower.serverapp import bundle

pytestmark = pytest.mark.flower

NAMES = st.text("abcdefghijklmnopqrstuvwxyz.0123456789", min_size=1, max_size=20)


def content_of(raw: bytes = b"raw", **blobs: bytes) -> dict[str, wire.Value]:
    return wire.request(raw, blobs)


def stored(content: wire.Content) -> tuple[objects.Tree, dict[str, bytes]]:
    """What a SuperLink has of a message with this content: its tree, and its objects."""
    _, node = objects.address({"message_type": wire.MESSAGE_TYPE}, objects.pack(content))
    return node.tree, {object_id: make() for object_id, make in node.objects.items()}


@given(st.binary(max_size=200), st.dictionaries(NAMES, st.binary(max_size=100), max_size=5))
def test_a_request_arrives_as_it_left(raw: bytes, blobs: dict[str, bytes]) -> None:
    tree, held = stored(wire.request(raw, blobs))
    assert wire.read_request(objects.unpack(tree, held.__getitem__, 10_000)) == (raw, blobs)


def test_an_answer_and_a_refusal_arrive_as_they_left() -> None:
    assert wire.read_answer("a.example", wire.answer(b"yes"), max_answer=3) == b"yes"
    with pytest.raises(PeerRefused) as refused:
        wire.read_answer("a.example", wire.refusal("busy", "later"), max_answer=3)
    assert (refused.value.code, refused.value.sentence) == ("busy", "later")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"v": 1},
        {"v": 2, "answer": b""},
        {"v": True, "answer": b""},
        {"answer": b""},
        {"v": 1, "answer": "text"},
        {"v": 1, "answer": b"", "more": b""},
        {"v": 1, "code": "busy"},
        {"v": 1, "code": "a\nb", "sentence": "x"},
        {"v": 1, "code": "busy", "sentence": "x" * 301},
        {"v": 1, "request": b""},
    ],
)
def test_anything_else_is_no_answer(content: dict[str, wire.Value]) -> None:
    with pytest.raises(Refusal) as refused:
        wire.read_answer("a.example", content, max_answer=10)
    assert refused.value.code is Code.MALFORMED


@pytest.mark.parametrize(
    "content",
    [
        {"v": 1},
        {"v": 0, "request": b""},
        {"v": 1, "request": "text"},
        {"v": 1, "request": b"", "blob.": b""},
        {"v": 1, "request": b"", "blob.x": "text"},
        {"v": 1, "request": b"", "fab": b""},
        {"v": 1, "request": b"", f"blob.{'x' * 65}": b""},
    ],
)
def test_anything_else_is_no_request(content: dict[str, wire.Value]) -> None:
    with pytest.raises(Refusal) as refused:
        wire.read_request(content)
    assert refused.value.code is Code.MALFORMED


def test_our_objects_are_those_that_flower_makes_and_reads() -> None:
    content = content_of(b"raw", large=bytes(range(256)) * 4096, small=b"s")
    ours, theirs = objects.pack(content), to_records(content)
    assert ours.object_id == theirs.object_id
    assert set(ours.objects) == set(get_all_nested_objects(theirs))
    assert ours.tree == get_object_tree(theirs)
    held = {object_id: make() for object_id, make in ours.objects.items()}
    assert all(hashlib.sha256(made).hexdigest() == object_id for object_id, made in held.items())
    again = inflate_object_from_contents(ours.object_id, held)
    assert isinstance(again, RecordDict)
    assert from_records(again) == content


def test_what_flower_splits_otherwise_is_read_too() -> None:
    """Flower's own chunks are larger than ours, and equal chunks are one object."""
    content = content_of(b"raw", large=bytes(11 << 20))
    theirs = get_all_nested_objects(to_records(content))
    held = {object_id: one.deflate() for object_id, one in theirs.items()}
    tree = proto.message.ObjectTree(children=[get_object_tree(to_records(content))])
    assert objects.unpack(tree, held.__getitem__, 12 << 20) == content


def test_a_part_is_made_once_for_many_messages() -> None:
    blob = bytes(5_000_000)
    array = objects.prepare(blob)
    first = objects.pack(wire.request(b"1"), {"blob.b": array})
    assert first.object_id == objects.pack(content_of(b"1", b=blob)).object_id
    assert first.size == pytest.approx(len(blob), abs=200)
    assert set(array.objects) < set(objects.pack(wire.request(b"2"), {"blob.b": array}).objects)


@pytest.mark.parametrize("size", [200_000, 3_000_000])
def test_too_much_is_refused_before_it_is_fetched(size: int) -> None:
    tree, held = stored(wire.answer(bytes(size)))
    fetched = 0

    def fetch(object_id: str) -> bytes:
        nonlocal fetched
        fetched += len(held[object_id])
        return held[object_id]

    with pytest.raises(Refusal) as refused:
        objects.unpack(tree, fetch, 100_000)
    assert refused.value.code is Code.OVERSIZED
    assert fetched < 10_000


def test_a_chunk_that_is_named_a_thousand_times_is_not_read_a_thousand_times() -> None:
    tree, held = stored(wire.answer(b"x" * 100_000))
    name = next(key for key, made in held.items() if made.startswith(b"Array "))
    about = json.loads(held[name].split(b"\0", 1)[1])
    body = json.dumps(about | {"arraychunk_ids": [0] * 1000}).encode()
    head = held[name].split(b"\0", 1)[0].rsplit(b" ", 1)[0]
    held[name] = head + b" %d\0" % len(body) + body
    with pytest.raises(Refusal, match="as long as it says"):
        objects.unpack(tree, held.__getitem__, 200_000)


LARGE = b"L" * 70_000
TREE, HELD = stored(content_of(b"raw", large=LARGE))
READ = sorted(HELD.keys() - {TREE.object_id})
"""All but the message itself: it holds metadata, which come from elsewhere."""


def read_changed(name: str, changed: bytes) -> tuple[bytes, dict[str, bytes]]:
    return wire.read_request(objects.unpack(TREE, (HELD | {name: changed}).__getitem__, 100_000))


@given(st.sampled_from(READ), st.data())
def test_an_object_that_was_cut_is_refused(name: str, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(HELD[name]) - 1))
    with pytest.raises(Refusal) as refused:
        read_changed(name, HELD[name][:end])
    assert refused.value.code is Code.MALFORMED


@given(st.sampled_from(READ), st.data())
def test_a_byte_that_was_changed_is_refused_or_changes_bytes_of_ours_alone(
    name: str, data: st.DataObject
) -> None:
    """Whether these are what was sent, signatures and hashes say."""
    made = HELD[name]
    place = data.draw(st.integers(0, min(len(made) - 1, 400)))
    try:
        raw, blobs = read_changed(name, made[:place] + b"\xff" + made[place + 1 :])
    except Refusal:
        return
    assert len(raw) == len(b"raw")
    assert {name: len(blob) for name, blob in blobs.items()} == {"large": len(LARGE)}


def test_trees_of_other_shapes_are_refused() -> None:
    for tree in (proto.message.ObjectTree(), proto.message.ObjectTree(children=[proto.message.ObjectTree()])):
        with pytest.raises(Refusal):
            objects.unpack(tree, lambda _: b"", 100)


@pytest.mark.parametrize(
    "records",
    [
        lambda: RecordDict(),
        lambda: RecordDict({"shoal": MetricRecord({"v": 1})}),
        lambda: RecordDict({"shoal": ConfigRecord({"v": 1.0})}),
        lambda: RecordDict({"shoal": ConfigRecord({"v": [1]})}),
        lambda: RecordDict({"shoal": ConfigRecord({"v": 1}), "other": ConfigRecord({})}),
        lambda: RecordDict(
            {
                "shoal": ConfigRecord({"v": 1}),
                "shoal.bytes": ArrayRecord({"v": Array("uint8", (1,), "shoal.bytes", b"1")}),
            }
        ),
        lambda: RecordDict(
            {
                "shoal": ConfigRecord({"v": 1}),
                "shoal.bytes": ArrayRecord({"a": Array("uint8", (1,), "numpy.ndarray", b"1")}),
            }
        ),
    ],
)
def test_records_that_are_not_ours_are_refused(records: Callable[[], RecordDict]) -> None:
    with pytest.raises(Refusal):
        from_records(records())


def test_the_bundle_is_always_the_same_and_holds_no_code() -> None:
    assert bundle() == bundle()
    assert len(bundle()) < 1_000


def test_flower_can_be_imported_whole_after_its_messages_were_loaded_alone() -> None:
    script = (
        "import sys, federation.flower.fleet, daemon.group.membership.fleet_client\n"
        "names = {name.split('.')[0] for name in sys.modules}\n"
        "assert 'flwr' not in sys.modules\n"
        "assert not names & {'numpy', 'grpc', 'httpx', 'sqlalchemy', 'pydantic'}\n"
        "import flwr.app, flwr.supernode.fleet_http_client\n"
        "from federation.flower import proto\n"
        "from flwr.proto import fleet_pb2\n"
        "assert flwr.app.Message and fleet_pb2 is proto.fleet\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
