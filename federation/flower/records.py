"""Contents of messages as `flwr.app` has them: for apps that run in Flower's own processes."""

from __future__ import annotations

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from federation import cbor_fields
from federation.flower.objects import BYTES, BYTES_RECORD, CONFIG_RECORD, INLINE, UNSIGNED
from federation.flower.wire import MAX_FIELDS, Content, Value


def to_records(content: Content) -> RecordDict:
    """Return the records that hold a content."""
    large = {
        name: value for name, value in content.items() if isinstance(value, bytes) and len(value) > INLINE
    }
    records = RecordDict({CONFIG_RECORD: ConfigRecord({k: v for k, v in content.items() if k not in large})})
    if large:
        arrays = {name: Array(UNSIGNED, (len(part),), BYTES, part) for name, part in large.items()}
        records[BYTES_RECORD] = ArrayRecord(arrays)
    return records


def from_records(records: RecordDict) -> dict[str, Value]:
    """Return the content that records hold.

    Raises:
        Refusal: `malformed`.

    """
    config, arrays = records.get(CONFIG_RECORD), records.get(BYTES_RECORD)
    extra = set(records) - {CONFIG_RECORD, BYTES_RECORD}
    if extra or not isinstance(config, ConfigRecord) or not isinstance(arrays, ArrayRecord | None):
        raise cbor_fields.malformed("expected our records and no others")
    content: dict[str, Value] = {}
    for name, value in config.items():
        if isinstance(value, bool) or not isinstance(value, int | str | bytes):
            raise cbor_fields.malformed("a value has a type that is not ours")
        content[name] = value
    for name, array in (arrays or {}).items():
        if name in content or (array.dtype, array.shape, array.stype) != (
            UNSIGNED,
            (len(array.data),),
            BYTES,
        ):
            raise cbor_fields.malformed("an array is not ours")
        content[name] = array.data
    if len(content) > MAX_FIELDS:
        raise cbor_fields.malformed("it has too many fields")
    return content
