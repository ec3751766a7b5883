"""The guides run as they are printed."""

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from corruptions.conformity import load_photographs
from robustbench_act import load_run
from robustbench_act.cli import main
from tests.kernel import kernel
from tests.pages import ROOT, blocks, commands, read_page
from tests.references.archives import ARCHIVES, write_folder
from tests.test_robustbench_act.test_activations.conftest import own
from tests.test_robustbench_act.test_behaviour.test_unlisted import COLLEAGUE

__all__ = ["own"]

CHECKPOINTS = ROOT / "robustbench_act" / "assets" / "checkpoints"


def run(line: str) -> str:
    result = CliRunner().invoke(main, shlex.split(line)[1:])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.slow
@pytest.mark.usefixtures("own")
def test_your_own_activation() -> None:
    Path("acts.py").write_text(blocks("docs/your-activation.md", "python")[0])
    train, evaluate, compare, table, _ = commands("docs/your-activation.md")
    assert "4 checkpoints in nets" in run(train)
    assert "GatedCube (alpha=0.5)" in run(evaluate)
    assert "GatedCube (alpha=0.5)" in run(compare)
    assert "Gated cube" in run(table)
    assert {"act1", "layers3.0.act2"} <= set(load_run("runs/cube").layers["layer"])


@pytest.mark.slow
@pytest.mark.usefixtures("own")
def test_a_colleagues_network() -> None:
    Path("colleague.py").write_text(COLLEAGUE)
    sys.path.insert(0, str(Path.cwd()))
    import colleague  # type: ignore[import-not-found]

    torch.save(colleague.cnn(10, 1).state_dict(), "colleague.pt")
    *_, evaluate = commands("docs/your-activation.md")
    page = (ROOT / "docs/your-activation.md").read_text()
    (note,) = [line for line in page.splitlines() if "note: " in line]
    assert note.strip() in run(evaluate)


@pytest.mark.slow
@pytest.mark.usefixtures("own")
def test_your_own_corruption() -> None:
    listing, _ = blocks("docs/your-corruption.md", "python")[:2]
    assert len(listing.splitlines()) < 30
    Path("mine.py").write_text(listing)
    Image.fromarray(load_photographs(64)[0].permute(1, 2, 0).numpy()).save("photo.png")
    sheet = [line for line in read_page("docs/your-corruption.md").splitlines() if "-m corruptions" in line]
    subprocess.run([sys.executable, *shlex.split(sheet[0])[1:]], check=True)
    assert Path("sheet.png").is_file()
    evaluate, generate = commands("docs/your-corruption.md")
    assert "own" in run(evaluate.replace("evaluate", f"evaluate {CHECKPOINTS}/relu_1.safetensors"))
    assert load_run("runs/dust").info.suites[0].corruptions[:2] == ("dust", "fog")
    run(generate)
    assert Path("mnist-dust/dust.npy").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("own")
def test_your_own_data() -> None:
    page = read_page("docs/data.md")
    guide = page[page.index("## In short") : page.index("## Data sets")]
    assert len(blocks("docs/data.md", "python")[0].splitlines()) < 30
    Path("mine.py").write_text(blocks("docs/data.md", "python")[0])
    *forms, train, evaluate = [line for line in commands("docs/data.md") if line in guide]
    run(train)
    run(evaluate)
    labels = set(load_run("runs/mine").images["label"])
    assert labels == set(range(10))
    pictures: dict[str, list[bytes]] = {str(label): [] for label in range(10)}
    for image, label in (sys.modules["mine"].Digits()[place] for place in range(60)):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG")
        pictures[str(label)].append(stream.getvalue())
    write_folder(Path("photos"), pictures)
    for name in ("zip", "tar", "parquet"):
        where = {"zip": "photos.zip", "tar": "photos-0.tar", "parquet": "photos/0.parquet"}[name]
        with Path(where).open("wb") as file:
            ARCHIVES[name](file, pictures)
    cells = []
    quick = "--suite light --severity 3 --no-probes --report none"
    for place, line in enumerate(forms):
        run(f"{line.partition('#')[0]} {quick} --out runs/{place}")
        cells.append(load_run(f"runs/{place}").cells.drop(columns="dataset"))
    assert len(cells) == 4
    for other in cells[1:]:
        pd.testing.assert_frame_equal(other, cells[0])


@pytest.mark.slow
@pytest.mark.usefixtures("own")
def test_in_a_pipeline() -> None:
    """The evaluation of the guide has the numbers of `actrobust evaluate`."""
    generator = torch.Generator().manual_seed(0)
    for place, folder in enumerate(("train/cats", "train/dogs", "test/cats", "test/dogs")):
        (Path("photos") / folder).mkdir(parents=True)
        for number in range(40):
            photo = load_photographs(96)[place % 2]
            photo = photo // 2 + torch.randint(128, photo.shape, generator=generator, dtype=torch.uint8)
            Image.fromarray(photo.permute(1, 2, 0).numpy()).save(f"photos/{folder}/{number:02d}.png")
    train, evaluate = blocks("docs/in-a-pipeline.md", "python")[:2]
    assert all(len(listing.splitlines()) < 30 for listing in (train, evaluate))
    Path("train.py").write_text(train)
    subprocess.run([sys.executable, "train.py"], check=True)
    done = subprocess.run([sys.executable, "-c", evaluate], check=True, capture_output=True, text=True)
    (line,) = commands("docs/in-a-pipeline.md")
    run(line)
    cells = load_run("runs/fog").cells.query("corruption == 'fog'")
    rows = zip(cells["severity"], cells["correct"], cells["n"], strict=True)
    expected = [f"fog {severity:g}: {correct} of {count}" for severity, correct, count in rows]
    assert done.stdout.splitlines() == expected


@pytest.mark.slow
def test_the_notebook(tmp_path: Path) -> None:
    """It runs as it is in the repository: without outputs, which would age."""
    notebook = nbformat.read(ROOT / "docs/notebook.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in cells)
    with kernel(tmp_path) as run:
        trained, evaluated, table, figure, report, error = [run(cell.source) for cell in cells]
    assert trained == []
    *progress, (kind, shown) = evaluated
    assert [kind for kind, _ in progress] == ["display_data", *["update_display_data"] * (len(progress) - 1)]
    assert re.match(r"evaluating: ([\d,]+) of \1 images in \d", progress[-1][1]["data"]["text/plain"])
    assert kind == "execute_result"
    assert {"GatedCube", "ReLU", "SiLU"} <= set(
        re.findall(r"<td[^>]*>(.*?)</td>", shown["data"]["text/html"])
    )
    assert "gaussian_noise" in table[0][1]["data"]["text/html"]
    assert "image/png" in figure[0][1]["data"]
    assert "<iframe" in report[0][1]["data"]["text/html"]
    assert error[0][1]["traceback"] == [
        "InputError: Unknown corruption 'gausian_noise'. Did you mean 'gaussian_noise'?"
    ]
    assert max(map(len, (table, figure, report, error))) == 1


def test_the_guides_are_short() -> None:
    """`test_docs` runs them."""
    assert len((ROOT / "docs/from-a-notebook.md").read_text().splitlines()) < 30
    assert len(blocks("docs/your-network.md", "python")[0].splitlines()) < 30
