"""The Flower App Bundle that a run is started with: Flower wants one, no member of ours fetches it."""

from __future__ import annotations

import io
import zipfile
from typing import Final

_PROJECT: Final = """\
[project]
name = "shoal"
version = "1.0.0"
description = "Secure sums of a Shoal group. Members answer with what they have installed."
license = "AGPL-3.0-or-later"
dependencies = []

[tool.flwr.app]
publisher = "shoal"

[tool.flwr.app.components]
serverapp = "federation.flower.app.server:app"
clientapp = "federation.flower.app.client:app"
"""
_DATE: Final = (1980, 1, 1, 0, 0, 0)


def bundle() -> bytes:
    """Return the smallest bundle that Flower takes; always the same bytes, so that it is stored once."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("pyproject.toml", _DATE), _PROJECT)
    return content.getvalue()
