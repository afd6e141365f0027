"""`python -m tests.docs.glossary`: where code and documents have words that docs/glossary.md rules out."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import ROOT

GLOSSARY: Final = ROOT / "docs" / "glossary.md"
FOLDERS: Final = ("daemon", "docker", "docs", "federation", "models", "peertube-plugin", "policies", "tests")
KINDS: Final = frozenset(
    {".css", ".html", ".js", ".json", ".md", ".mjs", ".py", ".sql", ".toml", ".yaml", ".yml"}
)
SKIPPED: Final = (
    "CHANGELOG.md",
    "docs/changes",
    "docs/decisions",
    "docs/glossary.md",
    "lab/demo/data",
    "node_modules",
    "package-lock.json",
    "tests/docs/glossary.py",
    "tests/docs/test_glossary.py",
)
GAP: Final = r"""[\s"'#*_-]*"""
"""Between two words of a phrase: they may be on two lines, or in two pieces of one text."""

_LONGEST_NAME: Final = 60


@dataclass(frozen=True)
class Offence:
    """A word that another term of the glossary stands for."""

    path: Path
    line: int
    found: str
    term: str

    def __str__(self) -> str:
        """Return it as compilers do."""
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.found}; the glossary has: {self.term}"


def rows(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each term of the glossary with the words that are not used for it."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) > 1 and cells[0] not in {"Term", "Say", "---"}:
            yield cells[0], re.findall(r"`([^`]+)`", cells[-1])


def pattern(phrase: str) -> re.Pattern[str]:
    """Return what finds a word in texts and names: `fence` in `_fence`, `FENCE`, `aFence`; not `defence`."""
    return re.compile(GAP.join(_word(word) for word in phrase.split()))


def _word(word: str) -> str:
    plain, ending = word.removesuffix("*"), "[a-z]*" if word.endswith("*") else "(?:s|es)?"
    first, rest = plain[0], plain[1:]
    begin = rf"(?:(?<![A-Za-z])[{first.lower()}{first.upper()}]|(?<=[a-z]){first.upper()})"
    constant = rf"(?<![A-Za-z]){plain.upper()}(?:S|ES)?(?![A-Za-z])"
    return rf"(?:{begin}{rest.lower()}{ending}(?![a-z])|{constant})"


def files() -> Iterator[Path]:
    """Yield every file of code and documents."""
    yield from (path for path in sorted(ROOT.iterdir()) if path.is_file() and path.suffix in KINDS)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in KINDS and not any(part in name for part in SKIPPED) and path.is_file():
                yield path


def offences() -> Iterator[Offence]:
    """Yield every use of a word that the glossary rules out."""
    ruled = [
        (term, phrase.lower().replace("*", "").split(), pattern(phrase))
        for term, phrases in rows(GLOSSARY.read_text("utf-8"))
        for phrase in phrases
    ]
    for path in files():
        text = path.read_text("utf-8")
        lower = text.lower()
        for term, words, wanted in ruled:
            # Most files have none of the words: looking for plain text first takes a tenth of the time.
            if all(word in lower for word in words):
                for match in wanted.finditer(text):
                    if not is_name_of_data(text, match):
                        found = " ".join(match[0].split())
                        yield Offence(path, text.count("\n", 0, match.start()) + 1, found, term)


def is_name_of_data(text: str, match: re.Match[str]) -> bool:
    """Whether one word is a name in quotes, or in one: a field on the wire or in a file keeps its name."""
    before = re.search(r"\W\w*$", text[max(match.start() - _LONGEST_NAME, 0) : match.start()])
    after = re.match(r"\w*\W", text[match.end() : match.end() + _LONGEST_NAME])
    around = before[0][0] if before else "", after[0][-1] if after else ""
    return match[0].isidentifier() and around[0] == around[1] and around[0] in {'"', "'", "`"}


def main() -> int:
    """Print all of them; status 1 where there are any."""
    found = list(offences())
    for one in found:
        sys.stdout.write(f"{one}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
