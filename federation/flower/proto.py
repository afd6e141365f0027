"""Flower's protobuf messages without the rest of Flower.

`import flwr` takes 57 MB and a second, nearly all of it for frameworks that a carrier of bytes never calls.
The generated modules below `flwr.proto` depend on protobuf alone, so they are loaded past the package's
`__init__`. What is spoken is the wire format of flwr 1.41 and 1.42; its client classes, which send SIGINT to
their own process on HTTP status 401 and retry without end, stay out of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

from federation.errors import ProtocolMisuse

_PACKAGE = "flwr"
_NEEDED = ("control_pb2", "fleet_pb2", "heartbeat_pb2", "message_pb2", "recorddict_pb2", "runtime_pb2")


def _load() -> dict[str, Any]:
    stand_in = None
    if _PACKAGE not in sys.modules:
        found = importlib.util.find_spec(_PACKAGE)
        if found is None or found.submodule_search_locations is None:
            raise ProtocolMisuse("Flower is not installed: pip install 'shoal[group]'")
        stand_in = ModuleType(_PACKAGE)
        stand_in.__path__ = list(found.submodule_search_locations)
        sys.modules[_PACKAGE] = stand_in
    try:
        return {name: importlib.import_module(f"{_PACKAGE}.proto.{name}") for name in _NEEDED}
    finally:
        # Whoever wants all of Flower later gets the real one.
        if stand_in is not None and sys.modules.get(_PACKAGE) is stand_in:
            del sys.modules[_PACKAGE]


_modules = _load()

# The generated classes have no types of their own.
control: Any = _modules["control_pb2"]
fleet: Any = _modules["fleet_pb2"]
heartbeat: Any = _modules["heartbeat_pb2"]
message: Any = _modules["message_pb2"]
records: Any = _modules["recorddict_pb2"]
runtime: Any = _modules["runtime_pb2"]
Node: Any = fleet.flwr_dot_proto_dot_node__pb2.Node

SUPERLINK = 1
"""Node id of the SuperLink, from and to which all messages go (`flwr/common/constant.py`)."""
