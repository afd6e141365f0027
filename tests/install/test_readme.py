"""The install block is read as a person types it."""

from __future__ import annotations

import pytest

from tests.install.readme import commands

BLOCK = """# Shoal
```sh
make demo
```
<!-- install -->
```sh
python3 -m venv shoal    # an environment of its own
# Now the package.
shoal/bin/pip install \\
    shoal

shoal/bin/shoal run -c here   # serves
```
"""


def test_comments_and_continued_lines_are_no_commands() -> None:
    assert commands(BLOCK) == [
        "python3 -m venv shoal",
        "shoal/bin/pip install shoal",
        "shoal/bin/shoal run -c here",
    ]


@pytest.mark.parametrize("text", [BLOCK.replace("<!-- install -->\n", ""), BLOCK + BLOCK])
def test_without_exactly_one_block_there_are_none(text: str) -> None:
    assert commands(text) == []
