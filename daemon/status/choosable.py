"""The settings that the admin chooses on the page: what holds, and what a change would let out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

from pydantic import Field
from typing_extensions import TypedDict

from daemon.config import Config, Mode, choices, load
from daemon.config.choices import Choice
from daemon.config.effective import DEFAULT
from daemon.config.load import origins, written_in
from daemon.config.schema import Discovery, PrivacyLevel
from daemon.errors import ConfigError, PolicyRefusedError, RequestError, StoreError
from daemon.process.daemon_lock import replace_file
from daemon.sentences import Sentence, english, sentence
from policies.privacy import PROTECTION, Level

SettingKey = Literal["mode", "privacy.level", "schedule.enabled", "serve.discovery"]
Value: TypeAlias = "str | bool"
Changed: TypeAlias = Mapping[SettingKey, tuple[Value, Value]]
"""What a setting was, and what it is then."""


OPTIONS: Final[Mapping[SettingKey, tuple[Value, ...]]] = {
    "mode": get_args(Mode),
    "privacy.level": get_args(PrivacyLevel),
    "schedule.enabled": (True, False),
    "serve.discovery": get_args(Discovery),
}


class Option(TypedDict):
    """A value that may be chosen."""

    value: Value
    problem: Annotated[str, Field(description="Why it cannot be chosen, empty where it can.")]
    confirm: Annotated[
        list[Sentence],
        Field(description="What it would let out that stays here now; the admin has to agree."),
    ]


class ChoosableSetting(TypedDict):
    """A setting that the page may change."""

    key: SettingKey
    value: Value
    origin: Annotated[
        str, Field(description='"default", shoal.toml, choices.json, or the variable that sets it.')
    ]
    locked: Annotated[bool, Field(description="A variable sets it, so the page cannot.")]
    options: list[Option]


class Settings(TypedDict):
    """All settings that the page may change."""

    host: str
    real: Annotated[bool, Field(description="Whether there are real viewers: a PeerTube, no data set.")]
    settings: list[ChoosableSetting]


class UnconfirmedError(RequestError):
    """A change lowers protection, and the admin did not agree to what it lets out."""

    code = "unconfirmed"
    status = 409


@dataclass(frozen=True)
class Change:
    """What holds before and after, and what is to be stored for it."""

    before: Config
    after: Config
    chosen: Mapping[str, Choice]
    changed: Changed


def view(config_file: Path) -> Settings:
    """Return what holds, and what each other value would mean.

    Raises:
        ConfigError: shoal.toml cannot be used any more, or what was chosen is damaged.
    """
    config, set_by = load(config_file), _origins(config_file)
    return {
        "host": config.instance.host,
        "real": config.source.kind == "peertube",
        "settings": [
            {
                "key": key,
                "value": _value(config, key),
                "origin": set_by[key],
                "locked": _locked(set_by[key]),
                "options": [_option(config_file, config, key, value) for value in values],
            }
            for key, values in OPTIONS.items()
        ],
    }


def proposed(config_file: Path, wanted: Mapping[SettingKey, Value]) -> Change:
    """Look at a change; nothing is stored.

    Raises:
        PolicyRefusedError: a variable sets one of them, or they do not go together.
        ConfigError: shoal.toml cannot be used any more, or what was chosen is damaged.
    """
    before, set_by = load(config_file), _origins(config_file)
    for key in wanted:
        if _locked(set_by[key]):
            raise PolicyRefusedError(
                f"{key} is set by the variable {set_by[key]}, which comes first",
                advice=f"Remove {set_by[key]} where the daemon is started, and restart it.",
            )
    written = written_in(config_file)
    stored = choices.read(before.data_dir)
    # What shoal.toml has overruled since is forgotten.
    kept = {
        key: choice
        for key, choice in stored.items()
        if choices.value_at(written, choices.steps_of(key)) == choice.over
    }
    chosen = kept | {
        key: Choice(value, choices.value_at(written, choices.steps_of(key))) for key, value in wanted.items()
    }
    try:
        after = load(config_file, chosen=chosen)
    except ConfigError as error:
        raise PolicyRefusedError(error.message, advice="Choose something else.") from None
    values = {key: (_value(before, key), _value(after, key)) for key in OPTIONS}
    changed = {key: pair for key, pair in values.items() if pair[0] != pair[1]}
    return Change(before, after, chosen, changed)


def lets_out(before: Config, after: Config) -> list[Sentence]:
    """Return what leaves, or is hidden less, after a change; nothing where it protects more."""
    found = []
    noise = (PROTECTION[Level(before.privacy.level)], PROTECTION[Level(after.privacy.level)])
    if after.mode == "contribute" != before.mode:
        found.append(sentence("lets_contribute", least=after.cohort.min_cohort))
    less = any(getattr(noise[1], name) < getattr(noise[0], name) for name in ("counts_noise", "pairs_noise"))
    if less and not noise[1].pairs_noise:
        found.append(sentence("lets_none"))
    elif less:
        pairs = [round(one.pairs_noise**0.5, 1) for one in noise]
        found.append(sentence("lets_weaker", before=pairs[0], after=pairs[1]))
    return found


def require_agreed(change: Change, agreed: Iterable[str]) -> None:
    """Check that the admin agreed to all that a change lets out.

    Raises:
        UnconfirmedError: something is missing, which it names.
    """
    known = set(agreed)
    missing = [one for one in lets_out(change.before, change.after) if one["code"] not in known]
    if missing:
        codes = ", ".join(one["code"] for one in missing)
        raise UnconfirmedError(
            " ".join(map(english, missing)), advice=f"If that is what you want, send it with agreed: {codes}."
        )


def store(folder: Path, chosen: Mapping[str, Choice]) -> None:
    """Write the choices, or nothing of them.

    Raises:
        StoreError: the file cannot be written.
    """
    try:
        replace_file(folder / choices.NAME, choices.encode(chosen))
    except OSError as error:
        raise StoreError(
            f"{choices.NAME} cannot be written ({error.strerror}); nothing was changed",
            advice=f"Check the free space of {folder}, and who owns it, then choose again.",
        ) from None


def _option(config_file: Path, config: Config, key: SettingKey, value: Value) -> Option:
    if value == _value(config, key):
        return {"value": value, "problem": "", "confirm": []}
    try:
        after = proposed(config_file, {key: value}).after
    except PolicyRefusedError as error:
        return {"value": value, "problem": error.message, "confirm": []}
    return {"value": value, "problem": "", "confirm": lets_out(config, after)}


def _origins(config_file: Path) -> dict[SettingKey, str]:
    set_by = origins(config_file, os.environ)

    def origin(steps: tuple[str, ...]) -> str:
        # A variable may set a table as a whole.
        lengths = range(len(steps), 0, -1)
        return next((set_by[steps[:n]] for n in lengths if steps[:n] in set_by), DEFAULT)

    return {key: origin(choices.steps_of(key)) for key in OPTIONS}


def _locked(origin: str) -> bool:
    return origin.startswith("SHOAL_")


def _value(config: Config, key: SettingKey) -> Any:
    node: Any = config
    for step in choices.steps_of(key):
        node = getattr(node, step)
    return node
