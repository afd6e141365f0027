"""A configuration is either usable, or every problem in it is named together with the fix."""

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import DatasetSource, PeerTubeSource, load
from daemon.config.template import render
from daemon.config.types import check_host, format_duration, parse_duration
from daemon.errors import ConfigError

MINIMAL = '[instance]\nhost = "one.example"\n[source]\npath = "dataset"\n'
KEY = "ed25519:" + base64.b64encode(bytes(32)).decode()


def write(folder: Path, text: str) -> Path:
    path = folder / "shoal.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), environ or {})
    return caught.value.problems


def test_defaults_listen_to_this_machine_only_and_share_nothing(tmp_path: Path) -> None:
    config = load(write(tmp_path, MINIMAL), {})
    assert config.mode == "off"
    assert config.peers == []
    assert config.listen.api_host == config.listen.federation_host == "127.0.0.1"
    assert config.cohort.min_cohort == 4
    assert config.data_dir == tmp_path
    assert isinstance(config.source, DatasetSource)
    assert config.source.path == tmp_path / "dataset"


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "[listen]\napi_port = 1000\n")
    peers = '[{"host": "two.example", "url": "https://two.example/x", "key": "' + KEY + '"}]'
    environ = {"SHOAL_LISTEN__API_PORT": "2000", "SHOAL_MODE": "simulate", "SHOAL_PEERS": peers, "HOME": "/"}
    config = load(path, environ)
    assert config.listen.api_port == 2000
    assert config.mode == "simulate"
    assert config.peers[0].host == "two.example"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[listen]\napi_port = 70000\n", "listen.api_port: 70000 is too high, the most is 65535."),
        ("[cohort]\nmin_cohort = 2\n", "cohort.min_cohort: 2 is too low, the least is 3. The default is 4."),
        (
            "[cohort]\nmin_cohrt = 4\n",
            "cohort.min_cohrt: there is no such setting. Did you mean cohort.min_cohort?",
        ),
        ("[cohort]\nrank = 4\n", "cohort.rank: there is no such setting. Did you mean model.rank?"),
        ("[schedule]\nsync = 'soon'\n", 'schedule.sync: is not a duration; write it like "30m"'),
        ("[model]\nrank = 'x'\n", 'model.rank: "x" is not a whole number. The default is 256.'),
        ("[schedule]\nenabled = 'perhaps'\n", 'schedule.enabled: "perhaps" is neither true nor false.'),
        ("[listen]\napi_host = '0.0.0.0'\n", "so every request needs the plugin's secret, and there is none"),
        ("listen = 3\n", "source.listen: there is no such setting. Remove it; known here: kind, path"),
    ],
)
def test_a_problem_names_key_and_fix(tmp_path: Path, text: str, expected: str) -> None:
    found = problems(tmp_path, MINIMAL + text)
    assert len(found) == 1
    assert expected in found[0]
    assert "\n" not in found[0]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "mode = 'on'\n[instance]\n[listen]\napi_port = -1\n", {"SHOAL_MODD": "x"})
    assert [line.split(":")[0] for line in found] == [
        "SHOAL_MODD",
        "mode",
        "instance.host",
        "source",
        "listen.api_port",
    ]
    assert "Did you mean SHOAL_MODE?" in found[0]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SHOAL_LISTEN__API_PORT", "x", 'SHOAL_LISTEN__API_PORT: "x" is not a whole number.'),
        ("SHOAL_LISTEN__API_PRT", "1", "Did you mean SHOAL_LISTEN__API_PORT?"),
        ("SHOAL_LISTEN", '{"api_port": -1}', "SHOAL_LISTEN.api_port: -1 is too low, the least is 0."),
        ("SHOAL_PEERS", '[{"host": "a b"}]', "SHOAL_PEERS[0].host: is not a host name"),
        ("SHOAL_PEERS", "{", "SHOAL_PEERS: is not JSON."),
        ("SHOAL_PEERS__0__HOST", "x", "SHOAL_PEERS__0__HOST: there is no such setting."),
        ("SHOAL_SOURCE__KIND", "rss", "SHOAL_SOURCE__KIND: is not one of 'dataset', 'peertube'."),
        (
            "SHOAL_SOURCE__URL",
            "x",
            'SHOAL_SOURCE__URL: there is no such setting. It is for source.kind = "peertube".',
        ),
    ],
)
def test_a_problem_in_a_variable_names_the_variable(
    tmp_path: Path, name: str, value: str, expected: str
) -> None:
    found = problems(tmp_path, MINIMAL, {name: value})
    assert expected in found[0]
    assert all(line.startswith(name) for line in found)


def test_secrets_are_not_echoed(tmp_path: Path) -> None:
    peer = (
        "[[peers]]\nhost = 'two.example'\nurl = 'https://me:hunter2@two.example'\nkey = 'ed25519:c2VjcmV0'\n"
    )
    found = problems(tmp_path, MINIMAL + peer, {"SHOAL_PEERS": "[hunter2"})
    assert len(found) == 3
    assert not any(word in line for line in found for word in ("hunter2", "c2VjcmV0"))


@pytest.mark.parametrize(
    "peer",
    [
        'host = "one.example"\nurl = "https://one.example"',
        'host = "two.example"\nurl = "http://two.example"',
        'host = "https://two.example"\nurl = "https://two.example"',
    ],
)
def test_unusable_peers_are_refused(tmp_path: Path, peer: str) -> None:
    assert problems(tmp_path, f'{MINIMAL}[[peers]]\n{peer}\nkey = "{KEY}"\n')


PEERTUBE = (
    '[instance]\nhost = "one.example"\n'
    '[source]\nkind = "peertube"\nurl = "http://127.0.0.1:9000"\nsecret = "0123456789abcdef"\n'
)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "shoal"])
def test_other_machines_may_be_let_in_where_there_is_a_secret(tmp_path: Path, host: str) -> None:
    config = load(write(tmp_path, f'{PEERTUBE}[listen]\napi_host = "{host}"\n'), {})
    assert config.listen.api_host == host
    assert not config.listen.api_is_local


def test_a_secret_may_be_in_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("fedcba9876543210\n")
    path = write(tmp_path, PEERTUBE)
    source = load(path, {"SHOAL_SOURCE__SECRET_FILE": str(file)}).source
    assert isinstance(source, PeerTubeSource)
    assert source.secret.get_secret_value() == "fedcba9876543210"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("", "does not hold one line"),
        ("fedcba9876543210\nand more\n", "does not hold one line"),
        ("f" * 20_000, "does not hold one line"),
        ("fedcba\n", "is not a secret of the plugin"),
        ("fedcba 9876543210", "is not a secret of the plugin"),
    ],
)
def test_what_is_wrong_with_the_file_of_a_secret_is_said_without_it(
    tmp_path: Path, content: str | None, said: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    (found,) = problems(tmp_path, PEERTUBE, {"SHOAL_SOURCE__SECRET_FILE": str(file)})
    assert found.startswith("SHOAL_SOURCE__SECRET_FILE: ")
    assert said in found
    assert "fedcba" not in found


def test_a_secret_comes_from_one_place_and_other_settings_from_no_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("fedcba9876543210")
    both = {"SHOAL_SOURCE__SECRET": "f" * 16, "SHOAL_SOURCE__SECRET_FILE": str(file)}
    (found,) = problems(tmp_path, PEERTUBE, both)
    assert "SHOAL_SOURCE__SECRET is set as well" in found
    (found,) = problems(tmp_path, PEERTUBE, {"SHOAL_SOURCE__URL_FILE": str(file)})
    assert "there is no such setting" in found


def test_a_peertube_is_a_source_with_careful_defaults(tmp_path: Path) -> None:
    config = load(write(tmp_path, PEERTUBE), {})
    assert isinstance(config.source, PeerTubeSource)
    assert (config.source.page, config.source.requests_per_second) == (1000, 20.0)
    assert config.source.check == timedelta(minutes=5)
    assert "0123456789abcdef" not in repr(config)
    environ = {"SHOAL_SOURCE__SECRET": "fedcba9876543210", "SHOAL_SOURCE__PAGE": "500"}
    changed = load(write(tmp_path, PEERTUBE), environ).source
    assert isinstance(changed, PeerTubeSource)
    assert (changed.page, changed.secret.get_secret_value()) == (500, "fedcba9876543210")


def test_real_viewers_are_in_sums_with_noise_only(tmp_path: Path) -> None:
    contribute = 'mode = "contribute"\n' + PEERTUBE
    assert load(write(tmp_path, contribute), {}).privacy.level == "default"
    (refused,) = problems(tmp_path, contribute + '[privacy]\nlevel = "none"\n')
    assert 'privacy.level is "none"' in refused
    assert 'mode = "consume"' in refused
    for level in ("default", "strict", "user-level"):
        assert load(write(tmp_path, f'{contribute}[privacy]\nlevel = "{level}"\n'), {}).privacy.level == level


@pytest.mark.parametrize("settings", ['window_max = "23h"', 'window_max = "1s"', "min_changed_users = 0"])
def test_sums_with_real_viewers_do_not_follow_each_other_closely(tmp_path: Path, settings: str) -> None:
    (refused,) = problems(tmp_path, f'mode = "contribute"\n{PEERTUBE}[privacy]\n{settings}\n')
    assert "privacy.window_max is under a day, or privacy.min_changed_users is 0" in refused
    fine = '[privacy]\nwindow_max = "1d"\nmin_changed_users = 1\n'
    load(write(tmp_path, f'mode = "contribute"\n{PEERTUBE}{fine}'), {})


@pytest.mark.parametrize("mode", ["off", "simulate", "consume"])
def test_where_nobody_is_in_a_sum_anything_goes(tmp_path: Path, mode: str) -> None:
    unsafe = '[privacy]\nlevel = "none"\nwindow_max = "1s"\nmin_changed_users = 0\n'
    assert load(write(tmp_path, f'mode = "{mode}"\n{PEERTUBE}{unsafe}'), {}).mode == mode
    # A data set has no viewers who could mind.
    assert load(write(tmp_path, f'mode = "contribute"\n{MINIMAL}{unsafe}'), {}).mode == "contribute"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("requests_per_second = 41\n", ""), "source.requests_per_second: 41 is too high, the most is 40.0"),
        (("page = 5000\n", ""), "source.page: 5000 is too high"),
        (("path = 'x'\n", ""), "source.path: there is no such setting."),
        (("", 'secret = "0123456789abcdef"\n'), "source.secret: is missing."),
        (("", 'url = "http://127.0.0.1:9000"\n'), "source.url: is missing."),
        (("pag = 5\n", ""), "source.pag: there is no such setting. Did you mean source.page?"),
    ],
)
def test_problems_of_a_peertube_source_are_named(
    tmp_path: Path, change: tuple[str, str], expected: str
) -> None:
    added, removed = change
    (found,) = problems(tmp_path, PEERTUBE.replace(removed, "") + added)
    assert expected in found
    assert "peertube." not in found
    assert "0123456789abcdef" not in found


@pytest.mark.parametrize(
    "url",
    [
        "http://video.example.org",
        "ftp://127.0.0.1",
        "http://me:pw@127.0.0.1:9000",
        "x",
        "http://8.8.8.8:9000",
    ],
)
def test_the_secret_is_not_sent_in_the_open(tmp_path: Path, url: str) -> None:
    (found,) = problems(tmp_path, PEERTUBE.replace("http://127.0.0.1:9000", url))
    assert found.startswith("source.url:")
    assert "me:pw" not in found


@pytest.mark.parametrize(
    "url", ["http://peertube:9000", "https://video.example.org", "http://172.18.0.42:9000/"]
)
def test_an_address_within_a_private_network_will_do(tmp_path: Path, url: str) -> None:
    source = load(write(tmp_path, PEERTUBE.replace("http://127.0.0.1:9000", url)), {}).source
    assert isinstance(source, PeerTubeSource)
    assert source.url == url.rstrip("/")


@pytest.mark.parametrize(
    "secret", ["short", "with space in it 0123456789", "x" * 300, "ümlaut-0123456789abc"]
)
def test_a_secret_can_stand_in_a_header(tmp_path: Path, secret: str) -> None:
    (found,) = problems(tmp_path, PEERTUBE.replace("0123456789abcdef", secret))
    assert "source.secret: is not a secret" in found
    assert secret not in found


def test_an_unknown_kind_of_source_is_told_the_known_ones(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, PEERTUBE.replace('"peertube"', '"mastodon"'))
    assert found.startswith("source.kind: is not one of 'dataset', 'peertube'")


def test_peers_are_distinct(tmp_path: Path) -> None:
    peer = f'[[peers]]\nhost = "two.example"\nurl = "https://two.example"\nkey = "{KEY}"\n'
    assert "twice" in problems(tmp_path, MINIMAL + peer + peer)[0]


@pytest.mark.parametrize("text", ["[instance", "\x00", "a = " + "[" * 2000])
def test_what_is_not_toml_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    assert len(problems(tmp_path, text)) == 1


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shoal init"):
        load(tmp_path / "shoal.toml", {})


def test_the_written_file_is_complete_and_changes_nothing(tmp_path: Path) -> None:
    text = render({"instance": {"host": "one.example"}, "source": {"path": "dataset"}})
    assert load(write(tmp_path, text), {}) == load(write(tmp_path, MINIMAL), {})
    live = "\n".join(
        line[2:]
        if line.startswith("# ") and (" = " in line and line.split(" = ")[0][2:].isidentifier())
        else line
        for line in text.splitlines()
    )
    optional = ("catalogue_host", "like_at", "url =", "key =", 'host = "peer')
    live = "\n".join(line for line in live.splitlines() if not line.startswith(optional))
    assert load(write(tmp_path, live), {}) == load(write(tmp_path, MINIMAL), {})


@given(st.integers(1, 10**7), st.sampled_from("smhdw"))
def test_durations_read_back_as_they_were_written(number: int, unit: str) -> None:
    value = parse_duration(f"{number}{unit}")
    assert isinstance(value, timedelta)
    assert parse_duration(format_duration(value)) == value


@given(st.text(max_size=80))
def test_a_host_is_refused_or_safe_in_an_address(text: str) -> None:
    try:
        host = check_host(text)
    except ValueError:
        return
    assert set(host) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-:")
    assert check_host(host) == host


@given(
    st.dictionaries(
        st.sampled_from(["mode", "instance", "source", "listen", "peers", "x"]), st.integers() | st.text()
    )
)
def test_nonsense_never_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("config")
    lines = [f"{key} = {value if isinstance(value, int) else '1.5'}" for key, value in tree.items()]
    with pytest.raises(ConfigError):
        load(write(folder, "\n".join(lines)), {})
