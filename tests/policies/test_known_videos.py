"""Whether a list of videos is long enough is judged by those that the member itself has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.schema import Sharing
from federation.errors import Code, Refusal
from policies.sharing import check_known

LEAST = Sharing().min_vocabulary


def urls(count: int, host: str = "v.example") -> tuple[str, ...]:
    return tuple(f"https://{host}/{number}" for number in range(count))


def test_an_instance_with_thirty_videos_can_ask_and_is_asked() -> None:
    check_known(urls(30), urls(30), LEAST)
    check_known(urls(30), urls(10_000), LEAST)
    check_known(urls(10_000), urls(30), LEAST)


@pytest.mark.parametrize("made_up", [0, 99, 100_000])
def test_made_up_addresses_make_no_list_longer(made_up: int) -> None:
    asked = (*urls(LEAST - 1), *urls(made_up, "invented.example"))
    with pytest.raises(Refusal, match=f"{LEAST - 1} videos of the vocabulary are known here") as refused:
        check_known(asked, urls(500), LEAST)
    assert refused.value.code is Code.VOCABULARY_TOO_SMALL
    check_known((*asked, *urls(LEAST)), urls(500), LEAST)


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)), st.integers(1, 20))
def test_only_what_both_have_counts_and_once(asked: set[int], known: set[int], least: int) -> None:
    names = [f"https://v.example/{n}" for n in sorted(asked)]
    own = {f"https://v.example/{n}" for n in known}
    allowed = len(asked & known) >= least
    try:
        check_known(names * 2, own, least)
    except Refusal:
        assert not allowed
    else:
        assert allowed
