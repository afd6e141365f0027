"""Vectors on disk: what comes back is what was given, in less."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.rounds.packed_vector import pack, unpack

_ENTRIES = st.integers(-(2**31), 2**31 - 1)


@given(st.lists(_ENTRIES | st.integers(-200, 200), max_size=50), st.sampled_from([32, 64]))
def test_what_comes_back_is_what_was_given(entries: list[int], ring: int) -> None:
    packed = pack(np.array(entries, np.int64), ring)
    assert unpack(packed) == np.array(entries, f"<i{ring // 8}").tobytes()


@pytest.mark.parametrize("edge", [127, 128, -128, -129, 32767, 32768, -32768, -32769])
def test_no_entry_is_cut_at_the_edge_of_a_type(edge: int) -> None:
    assert np.frombuffer(unpack(pack(np.array([edge, 0]), 32)), "<i4").tolist() == [edge, 0]


def test_noise_takes_little_over_a_byte_an_entry() -> None:
    noise = np.rint(np.random.default_rng(1).normal(0.0, 90.0, 100_000)).astype(np.int64)
    assert len(pack(noise, 32)) < 1.3 * noise.size


def test_entries_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        pack(np.array([2**31]), 32)
    with pytest.raises(ValueError, match="a ring has"):
        pack(np.array([1]), 20)


@pytest.mark.parametrize("spoiled", [b"", b"\x04", b"\x04\x02", b"\x04\x02nothing", b"\x03\x02x\x9c\x03\x00"])
def test_other_bytes_are_refused(spoiled: bytes) -> None:
    with pytest.raises(ValueError, match="no packed vector"):
        unpack(spoiled)
