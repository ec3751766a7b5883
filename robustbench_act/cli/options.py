"""Makes click options from the table in `robustbench_act.options`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click

from robustbench_act.option_kinds import FLAG, TEXTS, Kind
from robustbench_act.options import RENAMED, Option, options_of
from robustbench_act.paths import expand

Command: TypeAlias = Callable[..., None]


def command_options(name: str) -> Callable[[Command], Command]:
    """Return a decorator that adds the options of a command."""

    def add(command: Command) -> Command:
        for option in reversed(options_of(name)):
            command = click.option(*option.flags, option.name, **_settings(option))(command)
        for (owner, old), new in RENAMED.items():
            if owner == name:
                command = click.option(old, expose_value=False, hidden=True, callback=_refuse(new))(command)
        return command

    return add


def help_text(option: Option) -> str:
    """Return an option's line in `--help`: its sentence and its default.

    >>> help_text(options_of("baseline")[1])
    'TOML file with rules, tolerances and margins.  [default: accuracy, 0.3 points]'
    """
    return f"{option.help}  [default: {option.default_text}]" if option.default_text else option.help


class Value(click.ParamType):  # type: ignore[type-arg]  # generic since 8.4
    """A value of one kind: text from the command line, or a TOML value from a manifest."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.name = kind, kind.expected

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value that the command gets."""
        try:
            return self.kind.parse(value) if isinstance(value, str) else self.kind.take(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class HomePath(click.Path):
    """Paths in which `~` is the home folder: shells leave it alone in --out=~/runs."""

    def __init__(self, *, exists: bool = False, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(exists=exists, file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        return super().convert(expand(value), param, ctx)


def _settings(option: Option) -> dict[str, Any]:
    settings: dict[str, Any] = {"help": help_text(option), "required": option.required}
    if option.kind is FLAG:
        return {**settings, "is_flag": True, "default": bool(option.default)}
    if option.flag == "--manifest":
        settings |= {"is_eager": True, "callback": _read}
    many = option.kind is TEXTS
    default = {} if option.default is None else {"default": option.default}
    return {**settings, **default, "metavar": option.metavar, "multiple": many, "type": _type(option.kind)}


def _type(kind: Kind) -> Any:
    if kind.names:
        return click.Choice(kind.names)
    if kind.path and not kind.words:
        return HomePath(file_okay=kind.path != "folder", dir_okay=kind.path != "file")
    return click.STRING if kind is TEXTS else Value(kind)


def _read(context: click.Context, parameter: click.Parameter, path: Path | None) -> Any:
    """Return the manifest; its options become the command's defaults."""
    from robustbench_act.manifest import Manifest, read_manifest

    if path is None:
        return Manifest()
    manifest = read_manifest(path)
    known = [option for option in options_of(str(context.command.name)) if option.at == "top"]
    given = manifest.options
    context.default_map = {option.name: given[option.key] for option in known if option.key in given}
    return manifest


def _refuse(new: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def refuse(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value is not None:
            raise click.UsageError(f"{parameter.opts[0]} is now {new}.")

    return refuse
