"""Holds answers of the admin API to its own description."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator


def check(answer: Any, response: dict[str, Any], description: dict[str, Any]) -> None:
    """Validate, and allow nothing that is not named."""
    schema = response["content"]["application/json"]["schema"]
    strict = json.loads(json.dumps(description["components"]))
    for shape in strict["schemas"].values():
        if "properties" in shape:
            shape["additionalProperties"] = False
    Draft202012Validator({**schema, "components": strict}).validate(answer)
