"""Every command, setting, route and metric is documented, with what the code says of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ROOT
from tests.docs import generate
from tests.docs.generate import BEGIN, END


@pytest.mark.parametrize(("path", "make"), generate.PAGES.items(), ids=[path.name for path in generate.PAGES])
def test_a_page_is_what_the_code_makes(path: Path, make: Callable[[str], str]) -> None:
    if make is generate.api_types and not generate.OPENAPI_TYPESCRIPT.exists():
        pytest.skip("openapi-typescript is not installed: npm ci in tests/plugin")
    text = path.read_text("utf-8")
    assert make(text) == text, f"{path.relative_to(ROOT)} is old; run: make docs"


@pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, 2 * (BEGIN + END)])
def test_a_page_is_written_between_its_marks_alone(text: str) -> None:
    with pytest.raises(ValueError, match="marks"):
        generate.renewed(text, "made\n")


def test_every_command_and_option_says_what_it_does() -> None:
    commands = generate.commands()
    assert [item.name for item in commands if not item.command.help] == []
    silent = [
        (item.name, one.name)
        for item in commands
        for one in item.parameters
        if one.param_type_name == "option" and not getattr(one, "help", None)
    ]
    assert silent == []


def test_options_that_are_described_once_mean_the_same_everywhere() -> None:
    texts: dict[str, set[str]] = {}
    for item in generate.commands():
        for one in item.parameters:
            for name in generate.EVERYWHERE & set(one.opts):
                texts.setdefault(name, set()).add(str(getattr(one, "help", "")))
    assert texts.keys() == generate.EVERYWHERE
    assert {name: said for name, said in texts.items() if len(said) > 1} == {}


def test_every_setting_says_why_it_is_there() -> None:
    rows = re.findall(r"^\| `\w+` \| [^|]+ \|(.*)\|$", generate.settings(), flags=re.MULTILINE)
    assert len(rows) > 50
    assert [row for row in rows if not row.strip()] == []


def test_every_route_and_metric_says_what_it_answers() -> None:
    served = generate.served()
    assert len(served.local) > 40
    assert [row for row in [*served.local, *served.peers, *served.metrics] if not row[-1]] == []


def test_the_plugin_documents_every_route_that_it_adds() -> None:
    readme = (ROOT / "peertube-plugin" / "README.md").read_text("utf-8")
    table = readme[readme.index("## Routes") : readme.index("## Settings")]
    known = {
        (method, path)
        for methods, path in re.findall(r"^\| ([A-Z, ]+) `([^`]+)`", table, flags=re.MULTILINE)
        for method in methods.split(", ")
    }
    added = set()
    for path in (ROOT / "peertube-plugin" / "server").glob("*.js"):
        for method, route in re.findall(r"router\.(\w+)\('/([^']+)'", path.read_text("utf-8")):
            added.add((method.upper(), route))
    assert len(added) > 15
    assert added - known == set()
