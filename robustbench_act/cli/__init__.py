"""The `actrobust` command: the one place that knows the engine and the reports.

Exit codes: 0 all fine; 1 something failed and is named in the output; 2 wrong usage or input, nothing
written; 128 + the signal that ended the command (130: Ctrl-C). Commands load what they need when they run, so
that `--help` is quick.
"""

from typing import Any

import click

from reports.errors import SectionError
from robustbench_act.cli.commands.baseline import baseline
from robustbench_act.cli.commands.check import check
from robustbench_act.cli.commands.compare import compare
from robustbench_act.cli.commands.doctor import doctor
from robustbench_act.cli.commands.evaluate import evaluate
from robustbench_act.cli.commands.generate import generate
from robustbench_act.cli.commands.list import list_names
from robustbench_act.cli.commands.manifest import manifest
from robustbench_act.cli.commands.plan import plan
from robustbench_act.cli.commands.probe import probe
from robustbench_act.cli.commands.report import report
from robustbench_act.cli.commands.table import table
from robustbench_act.cli.commands.train import train
from robustbench_act.errors import InputError
from robustbench_act.version import __version__


def printable(text: str) -> str:
    r"""Return a text whose signs can all be shown: messages quote files, and terminals obey some signs.

    >>> printable("version \x1b[2J")
    'version \\x1b[2J'
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


class _Group(click.Group):
    """Turns input errors, and paths that cannot be written, into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            raise click.UsageError(printable(" ".join(str(error).split()))) from error
        except OSError as error:
            if error.filename is None:
                raise
            raise click.UsageError(f"{error.filename}: {error.strerror}.") from error
        except SectionError as error:
            raise click.ClickException(printable(str(error))) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="actrobust")
def main() -> None:
    """How robust trained image classifiers are to noise, and why."""


for command in (
    evaluate,
    report,
    table,
    compare,
    baseline,
    check,
    doctor,
    plan,
    probe,
    train,
    generate,
    manifest,
    list_names,
):
    main.add_command(command)
