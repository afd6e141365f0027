"""Which settings are in effect, where they come from, and that no secret is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from daemon.cli import terminal
from daemon.config import load
from daemon.config.effective import DEFAULT, HIDDEN, effective
from daemon.config.schema import Config, Section, tables_in
from federation.identity import Identity, format_key
from tests.daemon.shoal_command import shoal

SECRET = "plugin-secret-that-nobody-may-see"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    key = format_key(Identity("p.example", bytes(32)).public.key)
    path = tmp_path / "shoal.toml"
    path.write_text(
        'mode = "consume"\n[instance]\nhost = "one.example"\n[source]\nkind = "peertube"\n'
        f'url = "http://127.0.0.1:9000"\nsecret = "{SECRET}"\n[privacy]\nwindow_max = "2w"\n'
        f'[[peers]]\nhost = "p.example"\nurl = "https://p.example/s"\nkey = "{key}"\n'
    )
    return path


def test_a_variable_comes_before_the_file_and_the_file_before_the_default(toml: Path) -> None:
    environ = {"SHOAL_PRIVACY__WINDOW_MAX": "7d", "SHOAL_LISTEN__API_PORT": "9000", "PATH": "x"}
    found = {one.key: (one.value, one.origin) for one in effective(toml, environ)}
    assert found["mode"] == ("consume", "shoal.toml")
    assert found["privacy.window_max"] == ("1w", "SHOAL_PRIVACY__WINDOW_MAX")
    assert found["privacy.level"] == ("default", DEFAULT)
    assert found["listen.api_port"] == (9000, "SHOAL_LISTEN__API_PORT")
    assert found["peers"] == (["p.example"], "shoal.toml")
    assert found["source.secret"] == (HIDDEN, "shoal.toml")
    assert found["data_dir"] == (str(toml.parent), DEFAULT)


def test_every_setting_is_there_once_with_its_reason_and_what_is_in_effect(toml: Path) -> None:
    found = effective(toml, {})
    names = [one.key for one in found]
    assert len(names) == len(set(names))

    def keys(table: type[Section], at: str = "") -> set[str]:
        below = set()
        for name, field in table.model_fields.items():
            tables = [] if name == "peers" else tables_in(field.annotation)
            kinds = [
                one
                for one in tables
                if "peertube" in get_args(getattr(one.model_fields.get("kind"), "annotation", None))
            ]
            inner = (kinds or tables)[:1]
            below |= keys(inner[0], f"{at}{name}.") if inner else {f"{at}{name}"}
        return below

    assert set(names) == keys(Config)
    assert all(len(one.reason) > 20 and "\n" not in one.reason for one in found)
    config = load(toml, {})
    assert {one.key: one.value for one in found}[
        "guards.requests_per_minute"
    ] == config.guards.requests_per_minute
    free = {one.key for one in found if one.free_text}
    assert {"instance.host", "source.url", "source.secret", "data_dir", "peers"} <= free
    assert not free & {"mode", "privacy.level", "log.level", "privacy.window_max", "source.kind"}


@pytest.mark.parametrize("columns", [80, 120])
def test_it_is_readable_and_shows_what_was_asked_for(
    toml: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.out, "_width", columns)
    monkeypatch.setenv("SHOAL_LOG__LEVEL", "debug")
    few, everything = shoal("config", "show", "-c", toml), shoal("config", "show", "--all", "-c", toml)
    one, table = (shoal("config", "show", key, "-c", toml) for key in ("log.level", "log"))
    for done in (few, everything, one, table):
        assert done.returncode == 0
        assert SECRET not in done.stdout
        assert all(len(line) <= columns for line in done.stdout.splitlines())
    rows = [re.split(" {2,}", line.strip()) for line in few.stdout.splitlines()]
    assert ["log.level", '"debug"', "SHOAL_LOG__LEVEL"] in rows
    assert ["mode", '"consume"', "shoal.toml"] in rows
    assert "max_head" not in few.stdout
    assert ["model.max_head", "4096", "default"] in [
        re.split(" {2,}", line.strip()) for line in everything.stdout.splitlines()
    ]
    assert "Least severe events to log." in one.stdout
    assert "log.format" in table.stdout
    assert "log.format" not in one.stdout
    assert SECRET not in json.dumps(shoal("config", "show", "--all", "-c", toml, "-o", "json").json)
    missing = shoal("config", "show", "nothing", "-c", toml)
    assert (missing.returncode, "--all" in missing.stderr) == (2, True)
