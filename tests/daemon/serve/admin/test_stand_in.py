"""What the page's tests take for the daemon answers as the daemon does, and says only what it can say."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from daemon.sentences import catalogue, gaps
from daemon.serve.admin.routes import ROUTES
from tests import ROOT

ANSWERS = ROOT / "tests" / "plugin" / "host" / "answers.js"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_the_stand_in_answers_as_the_daemon_does() -> None:
    shapes = {(row.method, row.path): row.answer.values() for row in ROUTES}
    printed = subprocess.run(["node", ANSWERS], capture_output=True, check=True, text=True).stdout
    answers = [json.loads(line) for line in printed.splitlines()]
    assert len(answers) > 30
    wrong = []
    for one in answers:
        place = f"{one['method']} {one['path']}"
        assert one["status"] == 200, place
        fits = [_fits(shape, one["answer"]) for shape in shapes[one["method"], one["path"]]]
        if "" not in fits:
            wrong.append(f"{place}: {fits[0]}")
        wrong += [f"{place}: {why}" for why in _not_said(one["answer"])]
    assert wrong == []


def _fits(shape: Any, answer: Any) -> str:
    """Return what is wrong with an answer, "" if nothing is; more than the daemon answers is wrong, too."""
    adapter = TypeAdapter(shape)
    try:
        same = adapter.dump_python(adapter.validate_python(answer), mode="json") == answer
    except ValidationError as error:
        return str(error)
    return "" if same else "it has more than the daemon answers"


def _not_said(value: Any) -> Iterator[str]:
    """Yield sentences within an answer that are not in the catalogue, or lack a parameter."""
    if isinstance(value, dict):
        if value.keys() == {"code", "params"}:
            template = catalogue("en").get(value["code"])
            if template is None:
                yield f"{value['code']} is not in the catalogue"
            elif lacks := {gap.partition(":")[0] for gap in gaps(template)} - value["params"].keys():
                yield f"{value['code']} lacks {lacks}"
        for inner in value.values():
            yield from _not_said(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _not_said(inner)
