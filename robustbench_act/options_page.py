"""The page of all options: `python -m robustbench_act.options_page > docs/options.md`."""

from robustbench_act.options import GROUPS, Option

_HEAD = """# Options

Made from the table in `robustbench_act/options.py`; `actrobust COMMAND --help` prints the same. The last
column tells where a [manifest](data.md) may hold the option, under the flag's name with `_` for `-`: at the
top (before the first table), in `[spec]` (for all checkpoints) or in `[[checkpoint]]` (for one).
"""
_TABLE_HEAD = ("| option | meaning | default | commands | manifest |", "|---|---|---|---|---|")
_PLACES = {"": "", "top": "top", "spec": "`[spec]`, `[[checkpoint]]`", "checkpoint": "`[[checkpoint]]`"}


def reference_page() -> str:
    """Return docs/options.md."""
    lines = [_HEAD]
    for title, group in GROUPS.items():
        lines += [f"## {title}", "", *_TABLE_HEAD, *map(_row, group), ""]
    return "\n".join(lines)


def _row(option: Option) -> str:
    default = "required" if option.required else option.default_text
    commands = option.commands.replace(" ", ", ")
    cells = (f"`{option.written}`", option.help, default, commands, _PLACES[option.at])
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    print(reference_page(), end="")  # noqa: T201
