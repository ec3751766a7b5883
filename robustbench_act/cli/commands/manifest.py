"""`actrobust manifest`."""

import json
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import HomePath, command_options
from robustbench_act.cli.terminal import say


@click.command("manifest")
@click.argument("folder", required=False, type=HomePath(exists=True, file_okay=False))
@command_options("manifest")
def command(*, folder: Path | None, out: Path | None, schema: bool) -> None:
    """Write a manifest that names the checkpoints in FOLDER, for editing.

    Facts in published file names are written into the manifest; facts that a file records itself are not.
    Pass the manifest to `evaluate --manifest FILE`.
    """
    from robustbench_act.atomic_files import write_atomically
    from robustbench_act.checkpoints import find_checkpoints, published_spec
    from robustbench_act.manifest import manifest_schema, write_manifest

    if schema:
        click.echo(json.dumps(manifest_schema(), indent=1))
        return
    if folder is None:
        raise click.UsageError("Expected a FOLDER of checkpoints, or --schema.")
    path = out or folder / "manifest.toml"
    if path.exists():
        raise click.UsageError(f"{path}: exists already; choose a different --out.")
    files = find_checkpoints([folder])
    facts: dict[Path, dict[str, Any]] = {}
    for file in files:
        spec = published_spec(file)
        if spec is not None:
            facts[file] = {"activation": spec.activation, "training_seed": spec.training_seed}
    write_atomically(path, write_manifest(path.parent, files, facts).encode())
    say(path)
