"""Sentences are put into words from one catalogue, and none that the code says is missing from it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.sentences import Template, catalogue, english, gaps, sentence

ROOT = Path(__file__).parents[3]
DAEMON = ROOT / "daemon"
BY_ENGLISH = {"lib.json", "told.json"}


_IMPORTED = re.compile(r"^from (?:daemon\.sentences|policies\.sentence) import .*\bsentence\b", re.MULTILINE)


def said() -> Iterator[tuple[str, ast.expr, set[str | None]]]:
    """Yield every sentence that the code says: where, its code, and the names of its parameters."""
    for file in (*DAEMON.rglob("*.py"), *(ROOT / "policies").rglob("*.py")):
        text = file.read_text("utf-8")
        # Others have functions of their own with this name.
        if not _IMPORTED.search(text):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sentence":
                given = {keyword.arg for keyword in node.keywords}
                yield f"{file.relative_to(ROOT)}:{node.lineno}", node.args[0], given


def test_each_sentence_of_the_code_is_in_the_catalogue_with_its_parameters() -> None:
    known = catalogue("en")
    for where, argument, given in said():
        assert isinstance(argument, ast.Constant), f"{where}: a code is written out, so that it can be found"
        code = str(argument.value)
        assert code in known, f"{where}: no {code} in daemon/sentences/en"
        wanted = {gap.partition(":")[0] for gap in gaps(known[code])}
        if None not in given:
            assert wanted <= given, f"{where}: {code} lacks {wanted - given}"


@pytest.mark.parametrize("language", ["fr"])
def test_a_language_says_all_that_english_says_with_the_same_gaps(language: str) -> None:
    ours, theirs = catalogue("en"), catalogue(language)
    alone = json.loads((DAEMON / "sentences" / "en" / "cli.json").read_text("utf-8"))
    for code, template in ours.items():
        if code in alone:
            continue
        assert gaps(theirs[code]) == gaps(template), code


def test_a_code_is_in_one_file_only() -> None:
    for language in ("en", "fr"):
        found: dict[str, str] = {}
        for file in sorted((DAEMON / "sentences" / language).glob("*.json")):
            for code in () if file.name in BY_ENGLISH else json.loads(file.read_text("utf-8")):
                assert code not in found, f"{code} is in {found.get(code)} and {file.name}"
                found[code] = file.name


def test_gaps_are_written_in_their_form(monkeypatch: pytest.MonkeyPatch) -> None:
    templates: dict[str, Template] = {
        "inner": "{host} is silent",
        "outer": "{why:sentence}, {share:percent} since {at:day}",
        "many": {"one": "{count:number} video", "other": "{count:number} videos of {hosts:list}"},
    }
    monkeypatch.setattr("daemon.sentences.catalogue", lambda _: templates)
    inner = sentence("inner", host="a.example")
    assert english(sentence("outer", why=inner, share=0.25, at=0)) == (
        "a.example is silent, 25% since 1 January 1970"
    )
    assert english(sentence("many", count=1)) == "1 video"
    assert english(sentence("many", count=1234, hosts=["a", "b", "c"])) == "1,234 videos of a, b and c"
    assert english(sentence("many", count=2, hosts=[])) == "2 videos of "


def test_what_is_not_known_stays_visible() -> None:
    assert english(sentence("of-tomorrow", host="{at:day}")) == "of-tomorrow"


def test_a_value_is_no_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.sentences.catalogue", lambda _: {"one": "{host}"})
    assert english(sentence("one", host="{host} {at:day}")) == "{host} {at:day}"
