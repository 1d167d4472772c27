"""What a kind of probe declares about itself: its settings, its target, its own checks.

Server and agent read the same declaration, so a form, an import and a run can never
disagree about what a setting means. Pure data and pure functions: nothing here opens a
socket, and every problem is a sentence that names the remedy.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import msgspec.inspect as types

from agent_client.protocol.probe_kinds.patterns import pattern_problem

Problems = dict[str, list[str]]
"""Sentences by field: `kind`, `target`, `config` or `config.<setting>`; empty when all is well."""
FieldType = Literal["text", "integer", "number", "boolean", "choice", "list", "map", "any"]
MAX_TARGET_CHARACTERS = 2_048


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every network kind can be told; durations in milliseconds where the name says so."""

    ip_version: Annotated[
        Literal["any", "4", "6"],
        msgspec.Meta(title="IP version", description="Which addresses of the name are tried."),
    ] = "any"
    warn_ms: Annotated[
        float,
        msgspec.Meta(
            title="Slow from (ms)",
            description="A run that takes longer is degraded; 0 turns it off.",
            ge=0,
            le=300_000,
        ),
    ] = 0


@dataclass(frozen=True, slots=True)
class Field:
    """One setting as a form shows it; secret ones are never shown again or put in results."""

    name: str
    label: str
    type: FieldType
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    secret: bool = False
    multiline: bool = False


@dataclass(frozen=True, slots=True)
class KindSpec:
    """One kind: name, settings struct and what a valid target is.

    problems_of_target gets the target, problems_of_settings the checked struct; both answer
    nothing when all is well. on_agent is false for kinds that no agent runs.
    """

    name: str
    title: str
    summary: str
    target_help: str
    settings: type[msgspec.Struct]
    problems_of_target: Callable[[str], list[str]]
    problems_of_settings: Callable[[Any], Problems] = lambda _: {}
    on_agent: bool = True


@functools.cache
def fields_of(spec: KindSpec) -> tuple[Field, ...]:
    """Return the settings of a kind, its own before those it shares with others."""
    info = types.type_info(spec.settings)
    assert isinstance(info, types.StructType)  # noqa: S101 (a kind's settings are a struct)
    own = spec.settings.__annotations__
    shared_last = sorted(info.fields, key=lambda one: one.name not in own)
    return tuple(_field(one) for one in shared_last)


def problems_in(spec: KindSpec, target: Any, config: Any) -> Problems:
    """Return everything that is wrong with a target and a configuration."""
    found: Problems = {}
    target_problems = _target_problems(spec, target)
    if target_problems:
        found["target"] = target_problems
    if not isinstance(config, Mapping):
        found["config"] = ["The configuration must be an object of settings."]
        return found
    found.update(_setting_problems(spec, config))
    if any(name.startswith("config") for name in found):
        return found
    settings = msgspec.convert(dict(config), spec.settings)
    for name, sentences in (
        _pattern_problems(settings) | spec.problems_of_settings(settings)
    ).items():
        found[f"config.{name}"] = sentences
    return found


def _target_problems(spec: KindSpec, target: Any) -> list[str]:
    """Return what is wrong with a target of any type."""
    if not isinstance(target, str):
        return [f"The target must be text: {spec.target_help}"]
    if len(target) > MAX_TARGET_CHARACTERS:
        return [f"The target is longer than {MAX_TARGET_CHARACTERS} characters: shorten it."]
    # A line break would let a target write lines of its own into HTTP, SMTP and logs.
    if any(ord(character) < 32 or ord(character) == 127 for character in target):
        return ["The target contains a control character: remove it."]
    return spec.problems_of_target(target)


def _setting_problems(spec: KindSpec, config: Mapping[Any, Any]) -> Problems:
    """Return what is wrong with each setting on its own; one bad setting hides no other."""
    known = {field.name: field for field in fields_of(spec)}
    hints = _types_of(spec.settings)
    found: Problems = {}
    for name, value in config.items():
        if name not in known:
            found[f"config.{str(name)[:64]}"] = [_unknown(spec, str(name)[:64], tuple(known))]
            continue
        try:
            msgspec.convert(value, hints[name])
        except (msgspec.ValidationError, RecursionError):
            found[f"config.{name}"] = [_expectation(known[name])]
    return found


@functools.cache
def _types_of(settings: type[Settings]) -> dict[str, Any]:
    """Return the type of each setting; resolving them takes a millisecond, once per kind."""
    return {field.name: field.type for field in msgspec.structs.fields(settings)}


def _unknown(spec: KindSpec, name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    remedy = f"did you mean {near[0]}?" if near else "remove it."
    return f"{name} is not a setting of {spec.name} probes: {remedy}"


def _expectation(field: Field) -> str:
    """Return the sentence that says what the setting takes."""
    if field.type == "choice":
        return f"Choose one of {', '.join(field.choices)}."
    nouns = {
        "text": "text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "list": "a list of texts",
        "map": "an object of names and texts",
        "any": "text, a number, true, false or null",
    }
    limits = []
    if field.minimum is not None:
        limits.append(f"at least {field.minimum:g}")
    if field.maximum is not None:
        limits.append(f"at most {field.maximum:g}")
    if field.max_length is not None:
        limits.append(f"at most {field.max_length} long")
    return f"Must be {nouns[field.type]}{', ' * bool(limits)}{', '.join(limits)}."


def _pattern_problems(settings: Any) -> Problems:
    """Return what is wrong with the settings whose names end in `regex`."""
    found: Problems = {}
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if name.endswith("regex") and value and (problem := pattern_problem(value)):
            found[name] = [problem]
    return found


def _field(one: types.Field) -> Field:
    """Return the form's view of one field of a struct."""
    kind: types.Type = one.type
    schema: dict[str, Any] = {}
    if isinstance(kind, types.Metadata):
        schema = kind.extra_json_schema or {}
        kind = kind.type
    default = one.default if one.default is not msgspec.NODEFAULT else None
    if one.default_factory is not msgspec.NODEFAULT:
        default = one.default_factory()
    return Field(
        name=one.name,
        label=schema.get("title", one.name),
        type=_field_type(kind),
        default=default,
        help=schema.get("description", ""),
        choices=tuple(map(str, kind.values)) if isinstance(kind, types.LiteralType) else (),
        minimum=getattr(kind, "ge", None),
        maximum=getattr(kind, "le", None),
        max_length=getattr(kind, "max_length", None),
        secret=bool(schema.get("secret")),
        multiline=bool(schema.get("multiline")),
    )


def _field_type(kind: types.Type) -> FieldType:
    table: tuple[tuple[type, FieldType], ...] = (
        (types.LiteralType, "choice"),
        (types.BoolType, "boolean"),
        (types.IntType, "integer"),
        (types.FloatType, "number"),
        (types.StrType, "text"),
        (types.VarTupleType, "list"),
        (types.DictType, "map"),
    )
    return next((name for cls, name in table if isinstance(kind, cls)), "any")
