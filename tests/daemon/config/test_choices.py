"""What the admin chose on the page holds over shoal.toml, below variables, and never by accident."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import choices, load
from daemon.config.choices import Choice
from daemon.config.effective import effective
from daemon.errors import ConfigError

MINIMAL = '[instance]\nhost = "one.example"\n[source]\npath = "dataset"\n'


def toml(folder: Path, text: str = "") -> Path:
    path = folder / "shoal.toml"
    path.write_text(text + MINIMAL, encoding="utf-8")
    return path


def choose(folder: Path, **chosen: Choice) -> None:
    by_key = {key.replace("__", "."): choice for key, choice in chosen.items()}
    (folder / choices.NAME).write_bytes(choices.encode(by_key))


def origin(path: Path, key: str, environ: dict[str, str] | None = None) -> str:
    return next(one.origin for one in effective(path, environ or {}) if one.key == key)


def test_a_choice_holds_over_what_was_written_then_and_below_a_variable(tmp_path: Path) -> None:
    path = toml(tmp_path, 'mode = "simulate"\n')
    choose(tmp_path, mode=Choice("consume", "simulate"), privacy__level=Choice("strict", None))
    config = load(path, {})
    assert (config.mode, config.privacy.level) == ("consume", "strict")
    assert origin(path, "mode") == origin(path, "privacy.level") == "choices.json"
    assert origin(path, "serve.discovery") == "default"
    for environ in ({"SHOAL_PRIVACY__LEVEL": "default"}, {"SHOAL_PRIVACY": '{"level": "default"}'}):
        assert load(path, environ).privacy.level == "default"
        assert origin(path, "privacy.level", environ) == next(iter(environ))


@pytest.mark.parametrize("later", ["off", "simulate"])
def test_what_was_written_since_holds_over_a_choice(tmp_path: Path, later: str) -> None:
    """An admin who writes a mode into the file and restarts gets it, whatever was chosen before."""
    toml(tmp_path)
    choose(tmp_path, mode=Choice("contribute", None))
    path = toml(tmp_path, f'mode = "{later}"\n')
    assert load(path, {}).mode == later
    assert origin(path, "mode") == "shoal.toml"


def test_choices_are_beside_the_database_wherever_that_is(tmp_path: Path) -> None:
    path, data = toml(tmp_path, 'data_dir = "elsewhere"\n'), tmp_path / "data"
    for folder in (tmp_path / "elsewhere", data):
        folder.mkdir()
    choose(tmp_path / "elsewhere", mode=Choice("consume", None))
    assert load(path, {}).mode == "consume"
    assert load(path, {"SHOAL_DATA_DIR": str(data)}).mode == "off"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"version": 1, "chosen": {"mode": {"value": "off"}}}',
        b'{"version": 2, "chosen": {}}',
        b'{"version": 1, "chosen": {"privacy.yearly_budget_pair": {"value": "0", "over": null}}}',
        b'{"version": 1, "chosen": {"mode": {"value": ["contribute"], "over": null}}}',
        b"\xff\xfe",
        b"[" * 9_000,
        b" " * 10_001,
    ],
)
def test_a_damaged_file_is_refused_as_a_whole(tmp_path: Path, content: bytes) -> None:
    path = toml(tmp_path, 'mode = "contribute"\n')
    (tmp_path / choices.NAME).write_bytes(content)
    with pytest.raises(ConfigError, match=r"choices\.json: is not what the daemon wrote") as caught:
        load(path, {})
    assert str(tmp_path / choices.NAME) in caught.value.advice
    assert "mode" in caught.value.advice


def test_half_of_a_file_is_refused_too(tmp_path: Path) -> None:
    whole = choices.encode({"mode": Choice("off", "contribute"), "privacy.level": Choice("strict", None)})
    path = toml(tmp_path, 'mode = "contribute"\n')
    for length in range(len(whole)):
        (tmp_path / choices.NAME).write_bytes(whole[:length])
        with pytest.raises(ConfigError):
            load(path, {})


def test_a_value_that_is_none_is_named_with_its_place(tmp_path: Path) -> None:
    path = toml(tmp_path)
    choose(tmp_path, mode=Choice("everything", None))
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    (problem,) = caught.value.problems
    assert problem.startswith('mode in choices.json: "everything" is not one of')


def test_what_does_not_go_with_real_viewers_is_refused_from_here_too(tmp_path: Path) -> None:
    path = tmp_path / "shoal.toml"
    path.write_text(
        'mode = "contribute"\n[instance]\nhost = "one.example"\n'
        '[source]\nkind = "peertube"\nurl = "http://127.0.0.1:9"\nsecret = "0123456789abcdef"\n'
    )
    with pytest.raises(ConfigError, match="sums would contain real viewers"):
        load(path, {}, chosen={"privacy.level": Choice("none", None)})


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.text(max_size=9),
        lambda inner: st.dictionaries(st.text(max_size=9), inner),
    ).map(lambda tree: json.dumps({"version": 1, "chosen": tree}).encode())
)
def test_anything_is_choices_or_refused(raw: bytes) -> None:
    try:
        found = choices.decode(raw)
    except ValueError:
        return
    assert choices.decode(choices.encode(found)) == found
