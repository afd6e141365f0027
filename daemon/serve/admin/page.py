"""The admin page on loopback: the plugin's own files, which hold no data; that takes the token."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from aiohttp import web

import daemon
from daemon.errors import ShoalError

PREFIX: Final = "/admin/"
START: Final = "standalone/index.html"
FOLDERS: Final = frozenset({"assets", "client", "languages", "standalone"})
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
HEADERS: Final = {
    # Nothing from elsewhere, nothing inline, no frame around it: a title of a video can do no harm here.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class NoPageError(ShoalError):
    """The page, or a file of it, is not there."""

    code = "not-found"
    status = 404


def root() -> Path:
    """Return the plugin's folder, beside the package: so a checkout has it, and the image."""
    return Path(next(iter(daemon.__path__))).parent / "peertube-plugin"


def routes(folder: Path) -> list[web.RouteDef]:
    """Return the routes of the page; `folder` is the plugin's."""
    folder = folder.resolve()

    async def start(_request: web.Request) -> web.StreamResponse:
        """Answer with the admin page."""
        return _file(folder, START)

    async def file(request: web.Request) -> web.StreamResponse:
        """Answer with a file of the admin page."""
        return _file(folder, request.match_info["path"])

    async def slash(_request: web.Request) -> web.StreamResponse:
        """Redirect to the admin page."""
        # Relative: whatever forwards requests here may have put a path in front. A fragment survives.
        return web.Response(status=308, headers={"Location": "admin/", **HEADERS})

    return [web.get("/admin", slash), web.get(PREFIX, start), web.get(PREFIX + "{path:.+}", file)]


def _file(folder: Path, name: str) -> web.StreamResponse:
    parts = name.split("/")
    path = folder.joinpath(*parts) if all(_NAME.fullmatch(part) for part in parts) else None
    known = path is not None and parts[0] in FOLDERS and path.suffix in TYPES
    # A link must not lead out of the folder either.
    if path is None or not known or not path.is_file() or not path.resolve().is_relative_to(folder):
        here = (folder / START).is_file()
        raise NoPageError(
            "this file is not part of the admin page" if here else "the admin page is not installed here",
            advice=f"The page is at {PREFIX}."
            if here
            else "It is in the folder peertube-plugin of Shoal's repository and image: run Shoal from there.",
        )
    return web.FileResponse(path, headers={**HEADERS, "Content-Type": TYPES[path.suffix]})
