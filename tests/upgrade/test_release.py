"""Which release `make test-upgrade` takes where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.upgrade.release import install, newest_release


def test_the_newest_release_is_the_one_with_the_highest_number() -> None:
    assert newest_release(["v0.9.0", "v0.10.0", "0.2.0", "v0.11.0-rc1", "sketch"]) == "v0.10.0"
    assert newest_release(["sketch"]) is None


@pytest.mark.parametrize("reference", ["no-such-reference", "--output=x"])
def test_what_is_no_reference_is_said_to_be_none(reference: str, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="not a valid object name"):
        install(reference, tmp_path)
