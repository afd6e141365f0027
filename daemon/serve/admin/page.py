"""The administrators' page: static files that hold no data; that takes the token.

They are read once, at the start. So a daemon serves the page that it was started with, also while a newer
one is being installed over it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final

from aiohttp import ETag, web

from daemon import admin_page
from daemon.errors import ShoalError
from daemon.serve.middleware import json_answer

PREFIX: Final = "/admin/"
START: Final = "index.html"
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
HEADERS: Final = {
    # Nothing from elsewhere, nothing inline, no frame around it: a title of a video can do no harm here.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_ASK_AGAIN: Final = "no-cache"
_NEVER_CHANGES: Final = "private, max-age=31536000, immutable"
_VERSION: Final = re.compile(r"[0-9a-f]{32}")
# For tests that load modules in Node.js.
_NOT_SERVED: Final = "package.json"


class NoPageError(ShoalError):
    """No such file is part of the page."""

    code = "not-found"
    status = 404


@dataclass(frozen=True)
class File:
    """A file of the page, with the headers that tell what it is."""

    content: bytes
    kind: str
    digest: str


class Page:
    """All files by their path within the page; `version`, 32 hexadecimal digits, stands for all of them."""

    def __init__(self, files: Mapping[str, File]) -> None:
        self.files = files
        all_of_it = "".join(f"{name} {file.digest}\n" for name, file in sorted(files.items()))
        self.version = _digest(all_of_it.encode())

    @classmethod
    def load(cls, folder: Traversable | None = None) -> Page:
        """Read the page that was installed with this package."""
        return cls(dict(_files(folder or resources.files(admin_page))))


def routes(page: Page) -> list[web.RouteDef]:
    """Return the routes of a page: each file at its path, and below the version, where it never changes."""

    async def start(request: web.Request) -> web.StreamResponse:
        """Answer with the admin page."""
        return _answer(request, page.files.get(START), _ASK_AGAIN)

    async def version(_request: web.Request) -> web.StreamResponse:
        """Answer which version of the page this is."""
        return json_answer({"version": page.version})

    async def file(request: web.Request) -> web.StreamResponse:
        """Answer with a file of the admin page."""
        name = request.match_info["path"]
        first, _, rest = name.partition("/")
        if not _VERSION.fullmatch(first):
            return _answer(request, page.files.get(name), _ASK_AGAIN)
        return _answer(request, page.files.get(rest) if first == page.version else None, _NEVER_CHANGES)

    async def slash(_request: web.Request) -> web.StreamResponse:
        """Redirect to the admin page."""
        # Relative: whatever forwards requests here may have put a path in front. A fragment survives.
        return web.Response(
            status=308, headers={"Location": "admin/", "Cache-Control": _ASK_AGAIN, **HEADERS}
        )

    return [
        web.get("/admin", slash),
        web.get(PREFIX, start),
        web.get(PREFIX + "page.json", version),
        web.get(PREFIX + "{path:.+}", file),
    ]


def _answer(request: web.Request, file: File | None, caching: str) -> web.StreamResponse:
    if file is None:
        raise NoPageError("this file is not part of the admin page", advice=f"The page is at {PREFIX}.")
    known = any(tag.value in {file.digest, "*"} for tag in request.if_none_match or ())
    answer = web.Response(
        status=304 if known else 200,
        body=None if known else file.content,
        headers={**HEADERS, "Cache-Control": caching, "Content-Type": file.kind},
    )
    answer.etag = ETag(file.digest)
    return answer


def _files(folder: Traversable, above: str = "") -> Iterator[tuple[str, File]]:
    for entry in folder.iterdir():
        name = above + entry.name
        if entry.is_dir():
            yield from _files(entry, f"{name}/")
        elif (kind := TYPES.get(PurePosixPath(name).suffix)) and name != _NOT_SERVED:
            content = entry.read_bytes()
            yield name, File(content, kind, _digest(content))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
