"""`actrobust manifest`."""

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="[default: FOLDER/manifest.toml]"
)
@click.option("--schema", is_flag=True, help="Print the JSON schema of manifests, for editors.")
def manifest(*, folder: Path | None, out: Path | None, schema: bool) -> None:
    """Write a manifest that names the checkpoints in FOLDER, for editing.

    What a published file name says is written out; what a file itself says is left to the file.
    `evaluate --manifest FILE` takes it.
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
        raise click.UsageError(f"{path}: exists already; choose another --out.")
    files = find_checkpoints([folder])
    facts: dict[Path, dict[str, Any]] = {}
    for file in files:
        spec = published_spec(file)
        if spec is not None:
            facts[file] = {"activation": spec.activation, "training_seed": spec.training_seed}
    write_atomically(path, write_manifest(path.parent, files, facts).encode())
    click.echo(path)
