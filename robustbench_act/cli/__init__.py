"""The `actrobust` command: the one place that knows the engine and the reports.

Exit codes: 0 all fine; 1 something failed and is named in the output; 2 wrong usage or input, nothing
written; 128 + the signal that ended the command (130: Ctrl-C). `--help` reads the list below; a command is
loaded when it is called, torch when it runs.
"""

from importlib import import_module
from typing import Any

import click

from reports.errors import SectionError
from robustbench_act.allocator import keep_freed_memory
from robustbench_act.cli.terminal import prepare_streams
from robustbench_act.errors import InputError
from robustbench_act.texts import printable
from robustbench_act.version import __version__

COMMANDS = {
    "evaluate": "Show the same corrupted images to each checkpoint; write tables and a report.",
    "report": "Write the report of a finished RUN again, or one of several runs side by side.",
    "table": "Show metrics of a RUN, or the tables of the LayerAct paper (mean, spread, significance).",
    "merge": "Join RUNs of the same images into one run: more networks, more training seeds.",
    "compare": "Show what moved from run A to run B beyond chance: activations over trainings and images.",
    "baseline": "Keep a RUN as the baseline for later runs.",
    "check": "Fail (exit code 1) if a RUN is less robust than a baseline, beyond tolerance and chance.",
    "power": "Tell how many training seeds and images a lead needs, or which leads a planned study can see.",
    "doctor": "Look for mistakes before hours of compute: normalisation, classes, accuracy, time, space.",
    "plan": "Estimate what `evaluate` would take with the same arguments: time, memory, disk space.",
    "probe": "Show what a shift does inside every activation layer of each checkpoint.",
    "train": "Train a grid of activations x norms x seeds; finished checkpoints are kept, and skipped later.",
    "generate": "Write a corrupted copy of DATASET, in the layout of CIFAR-C (npy) or ImageNet-C (folders).",
    "manifest": "Write a manifest that names the checkpoints in FOLDER, for editing.",
    "list": "List activations, normalisations, corruptions, suites, data sets and architectures.",
}
"""The commands, each in a file of its name in `commands`, with the first line of its help."""


def load_command(name: str) -> click.Command:
    """Return a command by its name."""
    found: click.Command = import_module(f"robustbench_act.cli.commands.{name}").command
    return found


class _Group(click.Group):
    """Loads a command when it is called; turns input errors and unwritable paths into one line."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        prepare_streams()
        return super().main(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

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
    """How robust trained image classifiers are to noise, and what goes with it inside."""
    keep_freed_memory()
