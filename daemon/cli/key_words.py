"""Comparing a key by its eight words: shown, checked against what an admin was told, or confirmed."""

from collections.abc import Mapping, Sequence

from daemon.cli.terminal import confirm, line
from daemon.errors import PolicyRefusedError
from federation.key_words import same


def show_words(words: Sequence[str]) -> None:
    """Print eight words in two lines."""
    for four in (words[:4], words[4:]):
        line("    " + "  ".join(f"{word:<8}" for word in four).rstrip())


def matching_key(host: str, known: Mapping[str, Sequence[str]], *, key: str = "", words: str = "") -> str:
    """Return which of the known keys, each with its words, was given as `key` or by its `words`.

    Raises:
        PolicyRefusedError: none of them.

    """
    for candidate, spoken in known.items():
        if candidate and (not key or key == candidate) and (not words or same(words, " ".join(spoken))):
            return candidate
    raise PolicyRefusedError(
        f"that is not the key that {host} shows",
        advice="Ask its admin again, over another channel; if it stays so, somebody is in between.",
    )


def confirm_words(host: str, *, yes: bool) -> None:
    """Have the admin compare the words that were printed. Raises RequestError, typer.Exit: see `confirm`."""
    confirm(
        f"Are these the words that the admin of {host} sees?",
        yes=yes,
        advice="Give the words that its admin told you with --words, or accept what is shown with --yes.",
    )
