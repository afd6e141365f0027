"""The commands of the README's install block: what follows `<!-- install -->`, one command a line."""

from __future__ import annotations

import re
from typing import Final

MARK: Final = "<!-- install -->"
_BLOCK: Final = re.compile(rf"^{MARK}\n+```sh\n(.*?)^```$", re.M | re.S)
_COMMENT: Final = re.compile(r"(^|\s+)#.*$")


def commands(text: str) -> list[str]:
    """Return the commands of the only install block, without comments; none where there is no such block."""
    found = _BLOCK.findall(text)
    if len(found) != 1:
        return []
    lines = found[0].replace("\\\n", " ").splitlines()
    return [bare for line in lines if (bare := " ".join(_COMMENT.sub("", line).split()))]
