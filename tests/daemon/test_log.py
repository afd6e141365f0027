"""What must not be in a log is not in it, even where somebody forgets."""

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import log


def record(message: str, **extra: object) -> logging.LogRecord:
    return logging.getLogger("shoal.test").makeRecord(
        "shoal.test", logging.INFO, "file", 1, message, (), None, extra=extra
    )


@pytest.mark.parametrize("formatter", [log.TextFormatter(), log.JsonFormatter()])
def test_one_line_with_named_fields(formatter: logging.Formatter) -> None:
    line = formatter.format(record("job done", job="train", seconds=3.5, why='two\n"lines"'))
    assert "\n" not in line
    assert "job done" in line
    assert "train" in line
    assert "3.5" in line


def test_json_logs_parse() -> None:
    found = json.loads(log.JsonFormatter().format(record("job done", job="train")))
    assert (found["message"], found["job"], found["level"]) == ("job done", "train", "info")


@given(st.ip_addresses().filter(lambda address: not address.is_loopback and not address.is_unspecified))
def test_no_network_address_reaches_a_log(address: object) -> None:
    line = log.TextFormatter().format(
        record(f"refused {address}", peer=f"{address}", why=f"from [{address}]:80")
    )
    assert str(address) not in line


@pytest.mark.parametrize("name", sorted(log.FORBIDDEN))
def test_fields_about_people_and_secrets_are_dropped_by_name(name: str) -> None:
    assert "the-value" not in log.TextFormatter().format(record("something", **{name: "the-value"}))


def test_what_follows_a_secret_word_is_replaced() -> None:
    assert "hunter2" not in log.scrub("Authorization: Bearer hunter2, token=hunter2 password: hunter2")


def test_own_addresses_and_times_stay_readable() -> None:
    line = log.TextFormatter().format(
        record("serving", api="127.0.0.1:9731", host="a.example", at="12:30:45")
    )
    for word in ("127.0.0.1:9731", "a.example", "12:30:45"):
        assert word in line


def test_an_exception_tells_its_place_but_not_its_message() -> None:
    try:
        raise ValueError("alice watched a video")
    except ValueError:
        entry = record("request failed")
        entry.exc_info = sys.exc_info()
    line = log.TextFormatter().format(entry)
    assert "alice" not in line
    assert "ValueError" in line
    assert "test_an_exception" in line


def test_a_flood_of_one_kind_is_cut_and_told_and_others_come_through() -> None:
    now = [0.0]
    few = log.AtMost(lambda: now[0])
    written = [few.filter(record("refused", code="busy")) for _ in range(1000)]
    assert written == [True] * log.LINES_A_MINUTE + [False] * (1000 - log.LINES_A_MINUTE)
    assert few.filter(record("refused", code="malformed"))
    assert few.filter(record("job done"))
    now[0] = 60.0
    later = record("refused", code="busy")
    assert few.filter(later)
    assert f"left_out={1000 - log.LINES_A_MINUTE}" in log.TextFormatter().format(later)
    after = record("refused", code="busy")
    assert few.filter(after)
    assert "left_out" not in log.TextFormatter().format(after)


def test_texts_that_are_not_constant_are_one_kind_in_the_end() -> None:
    few = log.AtMost(lambda: 0.0)
    written = sum(few.filter(record(f"text {number}")) for number in range(10 * log.MAX_KINDS))
    assert written <= log.MAX_KINDS + log.LINES_A_MINUTE
    assert len(few._kinds) <= log.MAX_KINDS + 1


def test_every_line_is_written_where_an_admin_looks_for_something() -> None:
    few = log.AtMost(lambda: 0.0)
    line = record("request")
    line.levelno = logging.DEBUG
    assert all(few.filter(line) for _ in range(100))
