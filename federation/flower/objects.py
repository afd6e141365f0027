"""The contents of messages as Flower transfers and stores them: trees of objects named by their SHA-256.

Format of flwr 1.41 (`supercore/inflatable/inflatable_object.py`, `app/message/`): an object is its kind, the
ids of its children with commas, the length of its body, a zero byte, the body. A Message has a RecordDict,
that has our ConfigRecord and, where something is large, an ArrayRecord; an Array has chunks. Equal ones are
stored once, however many messages refer to them: a blob for fifty members is uploaded once.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from federation import cbor_fields
from federation.errors import Code, Refusal
from federation.flower import proto
from federation.flower.wire import MAX_FIELDS, Content, Value

CONFIG_RECORD: Final = "shoal"
BYTES_RECORD: Final = "shoal.bytes"
BYTES: Final = "shoal.bytes"
UNSIGNED: Final = "uint8"
INLINE: Final = 65_536
"""Byte strings up to this size stand in the ConfigRecord."""
CHUNK: Final = 1 << 21
"""Flower gives three minutes for each object: at this size 12 kB/s are enough. Bounds memory, too."""
MAX_OBJECT: Final = 8 << 20
"""What we take as one object: Flower's own chunks have 5 MiB."""
OVERHEAD: Final = 1 << 20
"""Bytes of all other objects of a message: names, and 64 for each chunk."""

_END: Final = b"\x00"
_MAX_CHILDREN: Final = 4_096

Tree: TypeAlias = Any
"""Protobuf's ObjectTree. The generated classes have no types of their own."""
Make = Callable[[], bytes]
Fetch = Callable[[str], bytes]


@dataclass(frozen=True)
class PackedObject:
    """An object with its descendants; `objects` makes the bytes of each when they are needed."""

    object_id: str
    tree: Tree
    objects: Mapping[str, Make]
    size: int
    """Bytes of the data in it."""


def prepare(data: bytes) -> PackedObject:
    """Return the Array of a byte string; worth keeping if it goes to many members."""
    view = memoryview(data)
    parts = [_chunk(view[start : start + CHUNK]) for start in range(0, len(view), CHUNK)]
    ids = list(dict.fromkeys(part.object_id for part in parts))
    place = {object_id: number for number, object_id in enumerate(ids)}
    about = {
        "dtype": UNSIGNED,
        "shape": [len(data)],
        "stype": BYTES,
        "arraychunk_ids": [place[part.object_id] for part in parts],
    }
    return _node("Array", json.dumps(about).encode(), parts, len(data))


def pack(content: Content, prepared: Mapping[str, PackedObject] | None = None) -> PackedObject:
    """Return the RecordDict of a content; `prepared` holds further parts, as `prepare` made them."""
    small: dict[str, Value] = {}
    arrays = dict(prepared or {})
    for name, value in content.items():
        if isinstance(value, bytes) and len(value) > INLINE:
            arrays[name] = prepare(value)
        else:
            small[name] = value
    body = proto.records.ConfigRecord(items=[_item(name, value) for name, value in small.items()])
    parts = {CONFIG_RECORD: _node("ConfigRecord", body.SerializeToString(), (), body.ByteSize())}
    if arrays:
        references = {name: array.object_id for name, array in arrays.items()}
        parts[BYTES_RECORD] = _node("ArrayRecord", json.dumps(references).encode(), arrays.values())
    references = {name: part.object_id for name, part in parts.items()}
    return _node("RecordDict", json.dumps(references).encode(), parts.values())


def address(
    metadata: Mapping[str, Any], content: PackedObject | None, error: tuple[int, str] | None = None
) -> tuple[Any, PackedObject]:
    """Return a message for the wire and the tree of its objects; it has a content or an error."""
    message = proto.message.Message(metadata=proto.message.Metadata(**metadata))
    if error is not None:
        message.error.code, message.error.reason = error
    body = message.SerializeToString(deterministic=True)
    node = _node("Message", body, () if content is None else (content,))
    message.metadata.message_id = node.object_id
    if content is not None:
        # Empty: what is in it are the objects.
        message.content.SetInParent()
    return message, node


def is_large(tree: Tree) -> bool:
    """Whether a message brings arrays: its objects are worth deleting before the run ends."""
    return any(record.children for content in tree.children for record in content.children)


def unpack(tree: Tree, fetch: Fetch, most: int) -> dict[str, Value]:
    """Return the content of the message with this tree of objects; `fetch` returns the bytes of one.

    Raises:
        Refusal: `malformed`, or `oversized` where it has more than `most` bytes.

    """
    reader = _Reader(fetch, most)
    try:
        record = tree.children[0]
        if len(record.children) == 1 and not record.children[0].children:
            # All is in the ConfigRecord: one object less to fetch.
            return reader.config(record.children[0].object_id)
        return reader.content(record.object_id)
    except (ValueError, LookupError, TypeError, RecursionError, AttributeError):
        raise cbor_fields.malformed("its objects do not have Flower's form") from None


class _Reader:
    """Reads objects of an untrusted sender, at most `most` bytes of data."""

    def __init__(self, fetch: Fetch, most: int) -> None:
        self._fetch = fetch
        self._most = most
        # A record's own tags and names beside the data.
        self._left = most + INLINE
        self._overhead = OVERHEAD

    def content(self, object_id: str) -> dict[str, Value]:
        children, body = self._take(object_id, "RecordDict")
        references = _references(bytes(body), children)
        if CONFIG_RECORD not in references or set(references) - {CONFIG_RECORD, BYTES_RECORD}:
            raise cbor_fields.malformed("expected our records and no others")
        content = self.config(references[CONFIG_RECORD])
        if BYTES_RECORD in references:
            children, body = self._take(references[BYTES_RECORD], "ArrayRecord")
            for name, array in _references(bytes(body), children).items():
                if name in content:
                    raise cbor_fields.malformed("a field is there twice")
                content[name] = self._array(array)
        return content

    def config(self, object_id: str) -> dict[str, Value]:
        _, body = self._take(object_id, "ConfigRecord")
        self._spend(len(body))
        try:
            items = proto.records.ConfigRecord.FromString(bytes(body)).items
        # Protobuf's own error is not ours to import.
        except Exception:
            raise cbor_fields.malformed("a record cannot be read") from None
        if len(items) > MAX_FIELDS:
            raise cbor_fields.malformed("it has too many fields")
        content: dict[str, Value] = {}
        for item in items:
            kind = item.value.WhichOneof("value")
            if kind not in ("sint64", "uint64", "string", "bytes"):
                raise cbor_fields.malformed("a value has a type that is not ours")
            content[item.key] = getattr(item.value, kind)
        return content

    def _array(self, object_id: str) -> bytes:
        children, body = self._take(object_id, "Array")
        about = json.loads(bytes(body))
        size = cbor_fields.integer(about["shape"][0])
        if (about["dtype"], about["shape"], about["stype"]) != (UNSIGNED, [size], BYTES):
            raise cbor_fields.malformed("an array is not ours")
        self._spend(size)
        # Grows in place and hands its buffer out: one copy of a large part, not two.
        whole = io.BytesIO()
        for place in about["arraychunk_ids"]:
            chunk_id = children[cbor_fields.integer(place, high=len(children) - 1)]
            _, chunk = self._take(chunk_id, "ArrayChunk", data=True)
            if not chunk or whole.tell() + len(chunk) > size:
                raise cbor_fields.malformed("an array is not as long as it says")
            whole.write(chunk)
        if whole.tell() != size:
            raise cbor_fields.malformed("an array is not as long as it says")
        return whole.getvalue()

    def _take(self, object_id: str, kind: str, *, data: bool = False) -> tuple[list[str], memoryview]:
        raw = self._fetch(object_id)
        end = raw.find(_END)
        name, ids, length = raw[: max(0, end)].decode("ascii").split(" ")
        children = ids.split(",") if ids else []
        body = memoryview(raw)[end + 1 :]
        if name != kind or length != str(len(body)) or len(children) > _MAX_CHILDREN:
            raise cbor_fields.malformed(f"expected a {kind}")
        if not data and kind != "ConfigRecord":
            self._overhead -= len(raw)
            if self._overhead < 0:
                raise self._oversized()
        return children, body

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise self._oversized()

    def _oversized(self) -> Refusal:
        return Refusal(Code.OVERSIZED, f"a message has at most {self._most} bytes")


def _references(body: bytes, children: list[str]) -> dict[str, str]:
    found = json.loads(body)
    if not isinstance(found, dict) or len(found) > MAX_FIELDS:
        raise cbor_fields.malformed("expected a map of records")
    if not all(child in children for child in found.values()):
        raise cbor_fields.malformed("a record is not where its parent says")
    return found


def _item(name: str, value: Value) -> Any:
    kind = {int: "sint64", str: "string", bytes: "bytes"}[type(value)]
    return proto.records.ConfigRecord.Item(key=name, value=proto.records.ConfigRecordValue(**{kind: value}))


def _chunk(view: memoryview) -> PackedObject:
    head = b"ArrayChunk  %d\x00" % len(view)
    named = hashlib.sha256(head)
    named.update(view)
    object_id = named.hexdigest()
    tree = proto.message.ObjectTree(object_id=object_id)
    return PackedObject(object_id, tree, {object_id: lambda: head + view}, len(view))


def _node(kind: str, body: bytes, children: Iterable[PackedObject], size: int = 0) -> PackedObject:
    unique = {child.object_id: child for child in children}
    raw = f"{kind} {','.join(unique)} {len(body)}".encode() + _END + body
    object_id = hashlib.sha256(raw).hexdigest()
    objects: dict[str, Make] = {}
    for child in unique.values():
        objects |= child.objects
    objects[object_id] = lambda: raw
    tree = proto.message.ObjectTree(object_id=object_id, children=[child.tree for child in unique.values()])
    return PackedObject(
        object_id, tree, objects, size + sum(child.size for child in unique.values() if not size)
    )
