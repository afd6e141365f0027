"""Finding a setting among the models that describe them, by its name or by the place of an error."""

from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from daemon.config.schema import Config

Model = type[BaseModel]


def models_of(annotation: Any) -> list[Model]:
    """Return the settings models inside an annotation: itself, what a list holds, the parts of a union."""
    parts = (annotation, *get_args(annotation))
    return [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]


def model_of(annotation: Any) -> Model | None:
    """Return the first of these models, None where there is none."""
    return next(iter(models_of(annotation)), None)


def is_scalar(annotation: Any) -> bool:
    """Whether a value is written as it is in the environment, not as JSON."""
    return get_origin(annotation) not in {list, dict, tuple, set} and not models_of(annotation)


def kinds(choices: list[Model]) -> dict[str, Model]:
    """Return the models of a union by their `kind`; empty where there is no choice."""
    if len(choices) < 2:
        return {}
    return {kind: choice for choice in choices for kind in get_args(choice.model_fields["kind"].annotation)}


@dataclass(frozen=True)
class Place:
    """Where an error lies.

    Attributes:
        steps: names and list positions, without the kinds of a union.
        field: the setting, None where there is none of that name.
        within: the models that know what stands beside it.
    """

    steps: list[str]
    field: FieldInfo | None
    within: list[Model]


def locate(steps: list[str]) -> Place:
    """Follow the steps of an error's location from the top."""
    plain: list[str] = []
    choices: list[Model] = [Config]
    within, field = choices, None
    for step in steps:
        if step.isdecimal() or ((known := kinds(choices)) and step in known):
            plain += [step] if step.isdecimal() else []
            choices = choices if step.isdecimal() else [known[step]]
            continue
        plain.append(step)
        within = choices
        field = next((model.model_fields[step] for model in choices if step in model.model_fields), None)
        choices = models_of(field.annotation) if field else []
    return Place(plain, field, within)


def variable(steps: list[str]) -> FieldInfo | None:
    """Return the setting that `SHOAL_A__B` names, given its steps `["a", "b"]`."""
    choices: list[Model] = [Config]
    field: FieldInfo | None = None
    for step in steps:
        field = next((model.model_fields[step] for model in choices if step in model.model_fields), None)
        if field is None:
            return None
        choices = [] if get_origin(field.annotation) is list else models_of(field.annotation)
    return field


def variables(model: Model, prefix: str) -> list[str]:
    """Return the names of all variables below a model."""
    names: list[str] = []
    for key, field in model.model_fields.items():
        choices = [] if get_origin(field.annotation) is list else models_of(field.annotation)
        for child in choices:
            names += variables(child, f"{prefix}{key.upper()}__")
        if not choices:
            names.append(prefix + key.upper())
    return list(dict.fromkeys(names))


def keys_below(section: str) -> list[str]:
    """Return `section.key` for every key of a section."""
    choices = models_of(Config.model_fields[section].annotation)
    return [f"{section}.{name}" for child in choices for name in child.model_fields]
