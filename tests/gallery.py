"""Take the pictures of docs/gallery.md: python -m tests.gallery.

From the run that `actrobust evaluate` does without arguments, and one of the same networks with noise in
their weights beside it. Needs Chromium, and pdftoppm for the pages of the PDF. Pictures have 256 colours at
most, to stay small.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which

import torch
from PIL import Image
from playwright.sync_api import sync_playwright
from safetensors import safe_open
from safetensors.torch import save_file

from reports import make_report

CHECKPOINTS = Path(__file__).parents[1] / "robustbench_act" / "assets" / "checkpoints"
GALLERY = Path(__file__).parents[1] / "docs" / "gallery"
SECTIONS = (
    "leaderboard",
    "heat",
    "tradeoff",
    "significance",
    "classes",
    "profile",
    "loss",
    "means",
    "signals",
)
TALL = {"curves": 950, "samples": 900}
"""Of these a piece of so many pixels is enough."""

WIDTH = 1180


STILL = ".filter { position: static !important; }"
"""So that nothing stands in front of a section."""

NOISE = 0.08
"""Of the spread of a layer's weights."""


def main() -> None:
    """Take them all."""
    GALLERY.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run, other = _runs(Path(folder))
        page_path, pdf_path = make_report(run).write(folder, ["html", "pdf"])
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto(page_path.as_uri())
        page.add_style_tag(content=STILL)
        page.screenshot(path=GALLERY / "top.png", clip={"x": 0, "y": 0, "width": WIDTH, "height": 980})
        for summary in page.locator("#samples ~ * summary, section:has(#samples) summary").all()[:4]:
            summary.click()
        for name in (*SECTIONS, *TALL):
            section = page.locator(f"section:has(#{name})")
            section.screenshot(path=GALLERY / f"{name}.png")
        (both,) = make_report(run, other).write(folder)
        page.goto(both.as_uri())
        page.add_style_tag(content=STILL)
        page.locator("section:has(#between)").screenshot(path=GALLERY / "between.png")
        browser.close()
        pages = ["pdftoppm", "-r", "60", "-l", "6", "-png", str(pdf_path), f"{folder}/page"]
        subprocess.run(pages, check=True)
        _sheet(sorted(Path(folder).glob("page-*.png"))).save(GALLERY / "pdf.png")
    for path in GALLERY.glob("*.png"):
        picture = Image.open(path).convert("RGB")
        if path.stem in TALL:
            picture = picture.crop((0, 0, picture.width, min(TALL[path.stem], picture.height)))
        picture.quantize(256, method=Image.Quantize.FASTOCTREE).save(path, optimize=True)
        print(path, path.stat().st_size)


def _runs(folder: Path) -> tuple[Path, Path]:
    """Return the run of the networks as they are, and that of their noisy copies."""
    as_trained, noisy = folder / "as-trained", folder / "noise-in-weights"
    evaluate = [sys.executable, "-m", "robustbench_act.cli", "evaluate", "--report", "none", "--out"]
    subprocess.run([*evaluate, as_trained], check=True)
    copies = folder / "copies"
    copies.mkdir()
    random = torch.Generator().manual_seed(0)
    for path in sorted(CHECKPOINTS.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            weights, spec = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
        for name, weight in weights.items():
            if weight.ndim > 1:
                weights[name] = weight + NOISE * weight.std() * torch.randn(weight.shape, generator=random)
        save_file(weights, copies / path.name, metadata=spec)
    subprocess.run([*evaluate, noisy, "--severity", "1,3,5", "--limit", "60", copies], check=True)
    return as_trained, noisy


def _sheet(paths: list[Path]) -> Image.Image:
    """Return pages side by side, three to a row."""
    pages = [Image.open(path) for path in paths]
    width, height = pages[0].size
    sheet = Image.new("RGB", ((width + 12) * 3 - 12, (height + 12) * 2 - 12), "#d1d9e0")
    for place, page in enumerate(pages):
        sheet.paste(page, ((width + 12) * (place % 3), (height + 12) * (place // 3)))
    return sheet


if __name__ == "__main__":
    main()
