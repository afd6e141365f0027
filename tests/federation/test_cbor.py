"""One value, one encoding; anything else is refused as malformed and costs nothing."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import cbor
from federation.errors import Code, Refusal

scalars = st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary() | st.text()
items = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
).filter(lambda item: _depth(item) <= 6)


def _depth(item: object) -> int:
    parts = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return 1 + max(map(_depth, parts), default=0)


def decoded(data: bytes) -> cbor.Item:
    """Return what `data` encodes, or the code of its refusal, which is no item that these tests make."""
    try:
        return cbor.decode(data)
    except Refusal as refusal:
        return refusal.code


@given(items)
def test_what_is_encoded_is_decoded(item: cbor.Item) -> None:
    assert cbor.decode(cbor.encode(item)) == item


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_are_the_one_encoding(data: bytes) -> None:
    item = decoded(data)
    assert item is Code.MALFORMED or cbor.encode(item) == data


@given(items, st.data())
def test_changed_bytes_are_refused_or_mean_something_else(item: cbor.Item, data: st.DataObject) -> None:
    raw = bytearray(cbor.encode(item))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    changed = decoded(bytes(raw))
    assert changed is Code.MALFORMED or cbor.encode(changed) == bytes(raw) != cbor.encode(item)


# RFC 8949, appendix A, as far as its values are allowed here.
APPENDIX_A: list[tuple[str, cbor.Item]] = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1000000),
    ("1b000000e8d4a51000", 1000000000000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("3bffffffffffffffff", -18446744073709551616),
    ("20", -1),
    ("3903e7", -1000),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("40", b""),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("60", ""),
    ("6449455446", "IETF"),
    ("62225c", '"\\'),
    ("62c3bc", "ü"),
    ("63e6b0b4", "水"),
    ("64f0908591", "𐅑"),
    ("80", []),
    ("83010203", [1, 2, 3]),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a0", {}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("a56161614161626142616361436164614461656145", {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"}),
]


@pytest.mark.parametrize(("encoded", "item"), APPENDIX_A, ids=[row[0] for row in APPENDIX_A])
def test_the_examples_of_rfc_8949(encoded: str, item: cbor.Item) -> None:
    assert cbor.encode(item) == bytes.fromhex(encoded)
    assert cbor.decode(bytes.fromhex(encoded)) == item


def test_keys_are_in_the_order_of_rfc_8949_4_2_1() -> None:
    keys = ["b", "aa", "a", "", "z" * 23, "y" * 24, "é"]
    raw = cbor.encode(dict.fromkeys(keys, 0))
    order = [cbor2.dumps(key) for key in cbor2.loads(raw)]
    assert order == sorted(order)


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("", id="empty"),
        pytest.param("0000", id="two items"),
        pytest.param("1817", id="longer integer than needed"),
        pytest.param("1b0000000000000001", id="much longer integer than needed"),
        pytest.param("5800", id="longer length than needed"),
        pytest.param("a2616201616101", id="keys out of order"),
        pytest.param("a2616101616102", id="duplicate key"),
        pytest.param("a10101", id="integer key"),
        pytest.param("a1410101", id="bytes key"),
        pytest.param("9f01ff", id="indefinite list"),
        pytest.param("bf616101ff", id="indefinite map"),
        pytest.param("5f4101ff", id="indefinite bytes"),
        pytest.param("7f6161ff", id="indefinite text"),
        pytest.param("f90000", id="float"),
        pytest.param("fb7ff8000000000000", id="nan"),
        pytest.param("f7", id="undefined"),
        pytest.param("f818", id="reserved simple value"),
        pytest.param("ff", id="break"),
        pytest.param("1c", id="reserved length"),
        pytest.param("62c328", id="invalid UTF-8"),
        pytest.param("c249010000000000000000", id="big integer"),
        pytest.param("c11a514b67b0", id="date"),
        pytest.param("d8236161", id="regular expression"),
        pytest.param("d9010080", id="string references"),
        pytest.param("d81c80", id="shared value"),
        pytest.param("d9d9f700", id="self-described"),
        pytest.param("da7fffffff00", id="unknown tag"),
        pytest.param("81" * 9 + "00", id="too deep"),
        pytest.param("81" * 100_000, id="far too deep"),
        pytest.param("9b7fffffffffffffff", id="list of 2^63"),
        pytest.param("5b7fffffffffffffff", id="bytes of 2^63"),
        pytest.param("bb7fffffffffffffff", id="map of 2^63"),
    ],
)
def test_everything_else_is_malformed(encoded: str) -> None:
    with pytest.raises(Refusal) as refused:
        cbor.decode(bytes.fromhex(encoded))
    assert refused.value.code is Code.MALFORMED
