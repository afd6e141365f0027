"""Why a video is suggested is said in the same words by the API and by the plugin's pages."""

import json
from typing import Any, get_args

import pytest

from daemon.serve.api.suggestions import sentence
from models.explain import Kind, Reason
from tests import ROOT

CASES = json.loads((ROOT / "tests" / "plugin" / "reasons.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["english"])
def test_a_reason_is_said_as_agreed(case: dict[str, Any]) -> None:
    said = case["reason"]
    why = Reason(said["kind"], said["users"], tuple(said["tags"]), tuple(said["words"]))
    assert sentence(why) == case["english"]


def test_every_kind_is_agreed_on() -> None:
    assert {case["reason"]["kind"] for case in CASES} == set(get_args(Kind))
