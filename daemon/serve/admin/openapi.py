"""The OpenAPI 3.1 description of the admin API, made from the table that its routes are made from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, TypeAlias

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema
from typing_extensions import override

from daemon.errors import Problem
from daemon.serve import plugin_secret
from daemon.serve.admin import access, token
from daemon.serve.admin.mount import PREFIX
from daemon.serve.admin.routing import Route

REFERENCE: Final = "#/components/schemas/{model}"
PATH_PARAMETERS: Final = {
    "host": "Host name of a peer, percent-encoded.",
    "id": "Id of a model.",
}


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the document."""
    rows = list(routes)
    shapes = _Shapes(rows)
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(PREFIX + row.path, {})[row.method.lower()] = _operation(row, shapes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Shoal's admin API",
            "version": version("shoal"),
            "description": "Served on loopback only. The plugin forwards it to PeerTube's administrators.",
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": shapes.components,
            "securitySchemes": {
                "admin": {
                    "type": "apiKey",
                    "in": "header",
                    "name": access.HEADER,
                    "description": f"The content of {token.FILE_NAME}, see `shoal admin`.",
                },
                "plugin": {
                    "type": "apiKey",
                    "in": "header",
                    "name": plugin_secret.HEADER,
                    "description": "The secret that the plugin and the daemon share.",
                },
            },
        },
        "security": [{"admin": []}, {"plugin": []}],
    }


Field: TypeAlias = core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField


class _Plain(GenerateJsonSchema):
    """Names types, but no fields, whose titles would repeat their names; what is answered is all there."""

    @override
    def field_title_should_be_set(self, schema: object) -> bool:
        """Return that it should not."""
        return False

    @override
    def field_is_required(self, field: Field, total: bool) -> bool:
        """Return whether it is always there: in what is answered, a default is no reason to leave it out."""
        answered = self.mode == "serialization" and field["type"] != "typed-dict-field"
        return answered or super().field_is_required(field, total)


class _Shapes:
    """The schemas of everything in the table, each named once."""

    def __init__(self, rows: list[Route]) -> None:
        answers: list[Any] = [Problem, *(shape for row in rows for shape in row.answer.values())]
        asked: list[Any] = [shape for row in rows for shape in (row.query, row.body) if shape is not None]
        modes: list[Any] = [("serialization", TypeAdapter(shape)) for shape in answers]
        modes += [("validation", TypeAdapter(shape)) for shape in asked]
        found, definitions = TypeAdapter.json_schemas(
            [(shape, mode, adapter) for shape, (mode, adapter) in zip(answers + asked, modes, strict=True)],
            ref_template=REFERENCE,
            schema_generator=_Plain,
        )
        self.components: dict[str, Any] = definitions["$defs"]
        self._schemas = {shape: schema for (shape, _), schema in found.items()}

    def of(self, shape: Any) -> dict[str, Any]:
        """Return a schema, or a reference to it."""
        return dict(self._schemas[shape])

    def resolved(self, shape: Any) -> dict[str, Any]:
        """Return a schema itself."""
        schema = self.of(shape)
        name = schema.get("$ref", "").rpartition("/")[2]
        return dict(self.components[name]) if name else schema


def _operation(row: Route, shapes: _Shapes) -> dict[str, Any]:
    words = re.findall(r"[a-z]+", row.path)
    operation: dict[str, Any] = {
        "operationId": "_".join([row.method.lower(), *words]),
        "summary": row.summary,
        "responses": {
            **{str(status): _content(status, shapes.of(shape)) for status, shape in row.answer.items()},
            "default": {**_content(None, shapes.of(Problem)), "description": "Refused, or it failed."},
        },
    }
    parameters = [*_path_parameters(row.path), *_query_parameters(row, shapes)]
    if parameters:
        operation["parameters"] = parameters
    if row.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": shapes.of(row.body)}},
        }
    return operation


def _content(status: int | None, schema: Mapping[str, Any]) -> dict[str, Any]:
    said = HTTPStatus(status).phrase if status else ""
    return {"description": said, "content": {"application/json": {"schema": dict(schema)}}}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH_PARAMETERS[name],
            "schema": {"type": "string", "minLength": 1},
        }
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(row: Route, shapes: _Shapes) -> list[dict[str, Any]]:
    if row.query is None:
        return []
    schema = shapes.resolved(row.query)
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": shape,
        }
        for name, shape in schema["properties"].items()
    ]
