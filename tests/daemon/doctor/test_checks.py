"""Each check by itself: what it finds, and that it says what to do."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daemon.config import Config, load
from daemon.disclosure.waiting import Situation, waiting
from daemon.doctor import check, cryptography, history, machine, peers, serving
from daemon.doctor.check import Outcome, Report, Result
from daemon.doctor.peers import Network
from daemon.peers.cards import Card, PeerAnswerError, PeerSilentError
from daemon.peers.repository import Peer
from daemon.process.daemon_lock import Running
from daemon.process.live import Live
from daemon.source.plugin_probe import Outcome as Probed
from daemon.source.plugin_probe import Probe
from daemon.store.activity import JobRecord, RoundRecord
from daemon.store.activity import Outcome as RoundOutcome
from federation.identity import Identity, format_key

NOW = 1_800_000_000.0
DAY = 86400.0
MB = 2**20
ME = Identity("one.example", bytes([7]) * 32)
PEER = Identity("two.example", bytes([8]) * 32)
RUNNING = Running(77, "127.0.0.1:1", "127.0.0.1:2", NOW - DAY)
SERVES = Live(NOW - 2 * DAY, model="m", model_since=NOW - DAY, list_filled=NOW - 60)


def outcomes(results: Any) -> dict[str, Outcome]:
    return {one.check: one.outcome for one in results}


def test_whatever_is_not_well_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="what is to be done"):
        Result("disk", Outcome.FAILURE, "The disk is full.")


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([check.ok("a", "A.")], "Everything is fine."),
        ([check.failure("a", "A.", "B.")], "1 thing is wrong."),
        ([check.failure("a", "A.", "B.")] * 2, "2 things are wrong."),
        ([check.warning("a", "A.", "B.")], "Nothing is wrong, 1 deserves a look."),
        (
            [
                check.warning("a", "A.", "B."),
                check.unchecked("a", "A.", "B."),
                check.failure("a", "A.", "B."),
            ],
            "1 thing is wrong, 1 deserves a look, 1 could not be checked.",
        ),
    ],
)
def test_all_of_it_in_one_sentence(results: list[Result], said: str) -> None:
    report = Report.of(results)
    assert report.sentence == report.as_json()["sentence"] == said
    assert report.as_json()["fine"] is (report.wrong == 0)


@pytest.mark.parametrize(
    ("free", "outcome"),
    [(63 * MB, Outcome.FAILURE), (300 * MB, Outcome.WARNING), (800 * MB, Outcome.OK)],
)
def test_the_disk_needs_what_the_next_sync_and_training_write(free: int, outcome: Outcome) -> None:
    assert machine.disk(Path("/"), 200 * MB, lambda _folder: free).outcome is outcome


def test_a_disk_that_tells_nothing_is_not_called_full() -> None:
    def broken(_folder: Path) -> int:
        raise OSError(errno.EIO, "Input/output error")

    assert machine.disk(Path("/"), 0, broken).outcome is Outcome.UNCHECKED


def test_what_will_be_written_follows_from_what_there_is(tmp_path: Path) -> None:
    assert machine.will_be_written(tmp_path / "shoal.db", None) == 0
    (tmp_path / "shoal.db").write_bytes(bytes(100))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model").write_bytes(bytes(11))
    assert machine.will_be_written(tmp_path / "shoal.db", tmp_path / "m") == 111


@pytest.mark.parametrize(
    ("available", "outcome"),
    [(None, Outcome.UNCHECKED), (400, Outcome.FAILURE), (900, Outcome.WARNING), (2000, Outcome.OK)],
)
def test_memory(available: int | None, outcome: Outcome) -> None:
    assert machine.memory(1000, available).outcome is outcome


def test_available_memory_is_read_where_the_system_tells_it(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   2048000 kB\n")
    assert machine.available_memory(tmp_path / "meminfo") == 2000
    assert machine.available_memory(tmp_path / "none") is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\n")
    assert machine.available_memory(tmp_path / "meminfo") is None


@pytest.mark.parametrize(
    ("ahead", "outcome"),
    [
        (None, Outcome.UNCHECKED),
        (20.0, Outcome.OK),
        (-45.0, Outcome.WARNING),
        (301.0, Outcome.FAILURE),
        (-DAY, Outcome.FAILURE),
    ],
)
def test_the_clock(ahead: float | None, outcome: Outcome) -> None:
    # Whatever else is wrong with the plugin: the clock is compared all the same.
    probe = Probe(Probed.SECRET_REFUSED, "http://127.0.0.1:9000", clock_ahead=ahead)
    assert machine.clock(probe).outcome is outcome


def test_a_self_test_that_fails_refuses_to_start() -> None:
    cryptography.require(lambda: ())
    with pytest.raises(cryptography.SelfTestError, match="computes wrongly: masks, signatures") as raised:
        cryptography.require(lambda: ("masks", "signatures"))
    assert raised.value.advice


def test_lists_are_filled_or_not() -> None:
    found = {
        "stopped": serving.list_filled(None, NOW),
        "filled": serving.list_filled(SERVES, NOW),
        "no model": serving.list_filled(replace(SERVES, model=None, list_filled=None), NOW),
        "none for long": serving.list_filled(replace(SERVES, list_filled=None), NOW),
        "none since an hour": serving.list_filled(replace(SERVES, list_filled=None, started=NOW - 3600), NOW),
        "long ago": serving.list_filled(replace(SERVES, list_filled=NOW - 2 * DAY), NOW),
    }
    assert {name: one.outcome.value for name, one in found.items()} == {
        "stopped": "unchecked",
        "filled": "ok",
        "no model": "unchecked",
        "none for long": "warning",
        "none since an hour": "unchecked",
        "long ago": "warning",
    }


def test_a_model_serves_or_not() -> None:
    lost = replace(SERVES, model=None, problem="model m cannot be loaded")
    assert serving.model(None, None, None, NOW).outcome is Outcome.WARNING
    assert serving.model(SERVES, "m", NOW - DAY, NOW).outcome is Outcome.OK
    assert serving.model(SERVES, "m", NOW - 30 * DAY, NOW).outcome is Outcome.WARNING
    found = serving.model(lost, "m", NOW - DAY, NOW)
    assert (found.outcome, found.sentence) == (Outcome.FAILURE, "No model serves: model m cannot be loaded.")


def test_an_address_that_is_not_of_this_machine_is_named(tmp_path: Path) -> None:
    settings = config(tmp_path)
    elsewhere = settings.model_copy(
        update={"listen": settings.listen.model_copy(update={"api_host": "192.0.2.1"})}
    )
    [found] = serving.ports(elsewhere, None)
    assert found.outcome is Outcome.FAILURE
    assert found.sentence.startswith("Cannot listen on 192.0.2.1:9731 (")
    assert "listen.api_host" in found.next_step


# What peers meet.


def config(folder: Path, mode: str = "off", source: str = "") -> Config:
    folder.mkdir(exist_ok=True)
    path = folder / "shoal.toml"
    source = source or 'kind = "peertube"\nurl = "http://127.0.0.1:9"\nsecret = "a-secret-of-16-characters"'
    path.write_text(f'mode = "{mode}"\n[instance]\nhost = "one.example"\n[source]\n{source}\n')
    return load(path, {})


def network(cards: dict[str, Any], reached: tuple[str, ...] = ("http://127.0.0.1:2",)) -> Network:
    async def read_card(host: str, _url: str) -> Card:
        found = cards[host]
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, Card)
        return found

    async def reaches(url: str) -> bool:
        return url.startswith(reached)

    return Network(read_card, reaches)


def card(identity: Identity, *, bound: bool = True) -> Card:
    return Card(identity.host, format_key(identity.public.key), "https://x.example", bound)


SILENT = PeerSilentError("one.example cannot be reached: it is too busy", advice="Try again later.")
WRONG = PeerAnswerError("the actor of one.example signed another card", advice="Do not approve it.")


@pytest.mark.parametrize(
    ("shown", "reached", "listener", "key"),
    [
        (card(ME), ("http://127.0.0.1:2",), "ok", "ok"),
        (card(ME, bound=False), ("http://127.0.0.1:2",), "ok", "warning"),
        (replace(card(PEER), host=ME.host), ("http://127.0.0.1:2",), "ok", "failure"),
        (WRONG, ("http://127.0.0.1:2",), "ok", "failure"),
        (SILENT, ("http://127.0.0.1:2",), "failure", "unchecked"),
        (SILENT, ("http://127.0.0.1:2", "http://127.0.0.1:9/plugins"), "warning", "unchecked"),
        (card(ME), (), "failure", "unchecked"),
    ],
)
async def test_what_peers_meet(
    tmp_path: Path, shown: Any, reached: tuple[str, ...], listener: str, key: str
) -> None:
    net = network({ME.host: shown}, reached)
    found = await peers.own_card(config(tmp_path, "consume"), ME.public.key, RUNNING, net)
    assert outcomes(found) == {"listener": listener, "key": key}


async def test_without_peers_nothing_has_to_come_in(tmp_path: Path) -> None:
    found = await peers.own_card(config(tmp_path), ME.public.key, None, network({}))
    assert outcomes(found) == {"listener": "ok"}
    stopped = await peers.own_card(config(tmp_path, "consume"), ME.public.key, None, network({}))
    assert outcomes(stopped) == {"listener": "unchecked", "key": "unchecked"}
    files = await peers.own_card(
        config(tmp_path, "consume", 'path = "."'), ME.public.key, RUNNING, network({})
    )
    assert outcomes(files) == {"listener": "ok"}


async def test_each_peer_answers_or_is_named(tmp_path: Path) -> None:
    settings = config(tmp_path, "consume")
    known = [
        Peer(f"{name}.example", "https://x.example", format_key(PEER.public.key), "approved")
        for name in "abc"
    ]
    good = [Card(peer.host, peer.key, peer.url, bound=True) for peer in known]
    fine = await peers.peers(settings, known, network({one.host: one for one in good}))
    assert [(one.outcome, one.sentence) for one in fine] == [(Outcome.OK, "3 approved peers answer.")]
    other = {
        "a.example": good[0],
        "b.example": replace(good[1], key=format_key(ME.public.key)),
        "c.example": PeerSilentError(
            "c.example cannot be reached: there was no answer in time", advice="Try again later."
        ),
    }
    found = await peers.peers(settings, known, network(other))
    assert [one.outcome.value for one in found] == ["ok", "failure", "failure"]
    assert [one.sentence for one in found] == [
        "1 of 3 approved peers answers.",
        "b.example shows another key than the one that you approved.",
        "c.example cannot be reached: there was no answer in time.",
    ]
    assert outcomes(await peers.peers(settings, [], network({}))) == {"peers": Outcome.WARNING}
    assert outcomes(await peers.peers(config(tmp_path), known, network({}))) == {"peers": Outcome.OK}


# What happened lately.


def round_(number: int, outcome: RoundOutcome, role: Any = "aggregator") -> RoundRecord:
    ended = None if outcome == "running" else NOW - number * DAY
    survivors = ["a.example"] * 4 if outcome == "done" else []
    return RoundRecord(
        f"{number}" * 64,
        role,
        ME.host,
        NOW - number * DAY,
        ended,
        outcome,
        "too few members answered",
        survivors=survivors,
    )


def test_the_last_round() -> None:
    open_ = waiting(Situation("consume", [NOW - 30 * DAY], 7 * DAY, 4, 4), NOW)
    blocked = waiting(Situation("consume", [NOW - 30 * DAY], 7 * DAY, 1, 4), NOW)

    def outcome(*rounds: RoundRecord, mode: Any = "consume", then: Any = open_) -> str:
        return history.last_round(mode, rounds, then, NOW).outcome.value

    assert outcome(mode="off") == "ok"
    assert outcome() == "ok"
    assert outcome(then=blocked) == "warning"
    assert outcome(round_(1, "done"), round_(2, "abandoned")) == "ok"
    assert outcome(round_(0, "running"), round_(1, "abandoned", "member"), round_(2, "done")) == "ok"
    assert outcome(round_(1, "abandoned"), round_(2, "done")) == "warning"
    assert outcome(round_(1, "abandoned"), round_(2, "abandoned"), round_(3, "done")) == "warning"
    assert outcome(*(round_(n, "abandoned") for n in (1, 2, 3))) == "failure"
    told = history.last_round("consume", [round_(1, "abandoned")], open_, NOW)
    assert told.sentence == "The last round, 1 day ago, failed: too few members answered."


def test_a_job_that_failed_says_why() -> None:
    why = {"message": "nothing answers at http://127.0.0.1:9000", "advice": "Start PeerTube."}
    runs = {
        "sync": JobRecord("sync", NOW - 70, NOW - 60, "failed", "source", why),
        "train": JobRecord("train", NOW - 70, NOW - 60, "failed", "bug", {}),
        "prune": JobRecord("prune", NOW - 70, NOW - 60, "done", "", {}),
    }
    found = list(history.jobs(runs, NOW))
    assert [(one.sentence, one.next_step) for one in found] == [
        ("The job sync failed 1 minute ago: nothing answers at http://127.0.0.1:9000.", "Start PeerTube."),
        ("The job train failed 1 minute ago: an error of kind bug.", "See the daemon's log."),
    ]
    assert outcomes(history.jobs({}, NOW)) == {"jobs": Outcome.OK}
