"""The flags of a training, made from its settings: names, kinds, help and defaults stand there once."""

from __future__ import annotations

import dataclasses
import inspect
import shlex
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from timm_nhl.errors import OptionError
from timm_nhl.train.config import Settings, groups, options
from timm_nhl.train.config_check import flag, shown


def with_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command of typer's one flag for every setting; it gets those that were given as keywords.

    Args:
        command: takes its own arguments, and the rest as `**given`.
    """
    own = inspect.signature(command).parameters.values()
    hints = typing.get_type_hints(command, include_extras=True)
    parameters = [each.replace(annotation=hints[each.name]) for each in own if each.kind is not each.VAR_KEYWORD]
    for group, option in options():
        panel = (groups()[group].__doc__ or "").rstrip(".")
        annotation = _annotation(option, panel)
        parameters.append(
            inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        )

    def flagged(**given: Any) -> Any:
        own_names = {each.name for each in own}
        mine = {name: value for name, value in given.items() if name in own_names}
        flags = {name: value for name, value in given.items() if name not in own_names and value not in (None, [])}
        return command(**mine, **flags)

    flagged.__doc__ = command.__doc__
    flagged.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    flagged.__annotations__ = {each.name: each.annotation for each in parameters}
    return flagged


def parse(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of flags as the settings have them: lists out of text like `0.1,0.2`.

    Raises:
        OptionError: with every text that is no list of numbers.

    >>> parse({"epochs": 3, "level_loss": "0.1,0.2", "classes": ["cats"]})
    {'epochs': 3, 'level_loss': (0.1, 0.2), 'classes': ('cats',)}
    """
    hints = _hints()
    values, problems = {}, []
    for name, value in given.items():
        try:
            values[name] = _parsed(value, hints[name])
        except ValueError:
            problems.append(f"{flag(name)} {value!r} is no list of numbers; like {flag(name)} 0.5,1")
    if problems:
        raise OptionError("; ".join(problems))
    return values


def command_of(settings: Settings, out: Path) -> str:
    """The command of a training: what differs from the defaults.

    >>> command_of(Settings.of("digits", epochs=3, amp=True, level_loss=(0.1, 0.2)), Path("run"))
    'timm-nhl train digits --epochs 3 --level-loss 0.1,0.2 --amp --out run'
    """
    words = ["timm-nhl", "train", settings.source]
    for group, option in options():
        value = getattr(getattr(settings, group), option.name)
        if value == option.default:
            continue
        if isinstance(value, bool):
            words.append(flag(option.name) if value else flag("no_" + option.name))
        elif isinstance(value, tuple) and all(isinstance(each, str) for each in value):
            words += [word for each in value for word in (flag(option.name), each)]
        else:
            words += [flag(option.name), value if isinstance(value, str) else shown(value)]
    return shlex.join([*words, "--out", str(out)])


def _hints() -> dict[str, Any]:
    return {name: hint for kind in groups().values() for name, hint in typing.get_type_hints(kind).items()}


def _annotation(option: dataclasses.Field[Any], panel: str) -> Any:
    """What typer reads: a flag that may be left out."""
    hint = _base(_hints()[option.name])
    metadata = option.metadata
    help = metadata["help"]
    if metadata["choices"]:
        help += f" One of {', '.join(metadata['choices'])}."
    if option.default not in (None, (), False):
        default = option.default if isinstance(option.default, str) else shown(option.default)
        help = help.rstrip(".") + f" (default: {default})."
    kind: Any = hint
    metavar = None
    if typing.get_origin(hint) is tuple:
        kind = list[str] if typing.get_args(hint)[0] is str else str
        metavar = None if kind is not str else "NUMBERS"
    names = (flag(option.name),) if hint is not bool else (f"{flag(option.name)}/{flag('no_' + option.name)}",)
    return Annotated[
        kind | None, typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, metavar=metavar)
    ]


def _base(hint: Any) -> Any:
    """A type without the None beside it."""
    return typing.get_args(hint)[0] if isinstance(hint, types.UnionType) else hint


def _parsed(value: Any, hint: Any) -> Any:
    base = _base(hint)
    if typing.get_origin(base) is not tuple:
        return value
    kind = typing.get_args(base)[0]
    return tuple(value) if kind is str else tuple(kind(word) for word in value.split(","))
