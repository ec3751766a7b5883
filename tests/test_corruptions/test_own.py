"""Corruptions of one's own: classes with constants, their contract, their errors, where they are found."""

import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import corruptions
from corruptions import Corruption, InputError, Suite, check_corruption, code, from_function
from corruptions.__main__ import GAP, LABEL_HEIGHT, main
from corruptions.base import Noise
from corruptions.random import Stream
from corruptions.registry import require
from corruptions.severity import get_constants, units

from .conftest import make_images

pytestmark = pytest.mark.usefixtures("only_ours")
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Dust(Corruption):
    name: ClassVar = "dust"
    severities: ClassVar[Any] = {
        "share": SHARES,
        "side": (1, 1, 2, 2, 3),
        "colour": tuple("abcde"),
        "whole": 7,
    }
    units: ClassVar = {"share": "share of the pixels"}

    share: float
    side: int
    colour: str
    whole: int

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        return {"u": stream.uniform(1, *images.shape[2:])}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        return torch.where(noise["u"] < self.share, 0, images)


def test_constants_on_the_class_serve_every_function() -> None:
    corruptions.register(Dust)
    assert corruptions.get_corruption("dust").at(3, table="224") == Dust(0.05, 2, "c", 7)
    between = get_constants("dust", severity=2.5, table="32")
    assert between == {"share": 0.035, "side": 2, "colour": "c", "whole": 7}
    assert units("dust") == {"share": "share of the pixels", "side": "", "colour": "", "whole": ""}
    assert (Dust.group, Dust.domain) == ("own", "pixels")
    images = torch.full((2, 3, 100, 100), 255, dtype=torch.uint8)
    for severity, share in enumerate(SHARES, start=1):
        black = (corruptions.corrupt(images, "dust", severity=severity) == 0).float().mean()
        assert float(black) == pytest.approx(share, rel=0.25)
    check_corruption("dust")
    suite = Suite.build("mine", ["dust", "fog"])
    assert suite.resolve_table(32, 32) == "32"
    assert Suite.build("mine", ["dust"]).resolve_table(32, 32) == "any"


def test_constants_from_a_file_may_depend_on_the_image_size(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        """
        [fields.streaks]
        count = { unit = "streaks", between = "linear" }
        [tables.32]
        streaks = { count = [1, 2, 3, 4, 5] }
        [tables.64]
        streaks = { count = [2, 4, 6, 8, 10] }
        [tables.224]
        streaks = { count = [7, 14, 21, 28, 35] }
        [tables.any]
        second = { x = 1 }
        """
    )
    from_function(lambda image, rng, count: image, name="streaks", severities=file)
    assert units("streaks") == {"count": "streaks"}
    found = {t: get_constants("streaks", severity=1.5, table=t)["count"] for t in ("32", "64", "224", "299")}
    assert found == {"32": 1.5, "64": 3.0, "224": 10.5, "299": 10.5}
    from_function(lambda image, rng, x: image, name="second", severities=str(file))
    assert get_constants("second", severity=5, table="64") == {"x": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables = 3", r"mine.toml: expected tables in \[tables\]"),
        ("[tables.32]\nx = {a = 1}", r"\[tables.any\] alone, or in a table for each image size.*got 32 \("),
        ("[tables.33]\nx = {a = 1}", "Unknown severity table '33'"),
        ("[tables.any]\ny = {a = 1}", r"got none \(.*mine.toml, corruption 'x'\)"),
        ("[tables.any]\nx = {a = [1, 2]}", "five constants 'a', for severities 1 to 5, got 2"),
        ("[tables.any]\nx = {a = nan}", "finite numbers"),
        ("[tables.any]\nx = {a = 2020-01-01}", "finite numbers"),
        ("[tables.any]\nx = 3", "constants by field, got 3"),
        (
            "[tables.any]\nx = {a = 1}\n[fields.x]\na = {units = 'm'}",
            "Unknown key 'units'. Did you mean 'unit'",
        ),
        ("[tables.any]\nx = {a = 1}\n[fields.x]\nb = {unit = 'm'}", "Unknown field 'b'"),
        ("[tables.any]\nx = {a = 'm'}\n[fields.x]\na = {between = 'linear'}", "expected between = "),
        ("[tables.any]\nx = {a = 1}\n[fields.x]\na = 1", "expected a table such as"),
        ("[tables", "is not TOML"),
        (
            "[tables]\n32.x.a = 1\n64.x.a = 1\n224.x.a = 'm'\n[fields]\nx.a = {between = 'round'}",
            "expected between = linear or round or nearest, got 'round'",
        ),
        ("[tables]\n32.x = {a = 1}\n64.x = {a = 1}\n224.x = {b = 1}", "the same fields .* others for 224"),
    ],
)
def test_a_wrong_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        from_function(lambda image, rng, a: image, name="x", severities=file)
    assert "x" not in corruptions.list_corruptions()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        from_function(lambda image, rng: image, name="x", severities=tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"severities": None}, "constants of severities 1 to 5 as `severities`.*got none"),
        ({"severities": [1, 2]}, r"constants by field.*got \[1, 2\]"),
        ({"severities": {"share": SHARES[:4]}}, "five constants 'share', for severities 1 to 5, got 4"),
        (
            {"severities": {"share": SHARES, "more": 1}},
            "Expected constants for the fields share, got some for",
        ),
        ({"severities": {}}, r"Expected constants for the fields share, got some for \(none\)"),
        ({"severities": {"share": float("inf")}}, "finite numbers"),
        ({"severities": {"share": None}}, "finite numbers"),
        ({"severities": {3: SHARES}}, "names of fields, got 3"),
        ({"units": {"shore": "m"}}, "units of the fields of `severities`, got one of 'shore'"),
        ({"name": "my dust"}, "expected a name of at most 60 letters"),
        ({"name": "a,b"}, "expected a name of at most 60 letters"),
        ({"name": "clean"}, "expected a name .* none of clean, corruptions"),
        ({"name": "fog"}, "'fog' is registered already, as corruptions.weather:Fog"),
        ({"name": None}, "expected a class attribute `name`"),
        ({"group": "each"}, "expected a group"),
        ({"group": "shift"}, "those of the group shift, got the domain pixels and the group shift"),
        ({"domain": "input", "group": "noise"}, "got the domain input and the group noise"),
        ({"domain": "sound"}, "expected the domain pixels or input, got 'sound'"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_registered(attributes: dict[str, Any], message: str) -> None:
    usual = {"name": "dust", "severities": {"share": SHARES}, "apply": lambda self, images, noise: images}
    made = type("Wrong", (Corruption,), {**usual, **attributes, "__annotations__": {"share": float}})
    with pytest.raises(InputError, match=message):
        corruptions.register(dataclass(frozen=True)(made))
    assert "dust" not in corruptions.list_corruptions()
    assert "dust" not in corruptions.GROUPS


def test_a_class_that_is_no_dataclass_has_no_constants() -> None:
    class Plain(Corruption):
        name = "plain"
        severities: ClassVar = {"share": SHARES}

        def apply(self, images: Tensor, noise: Noise) -> Tensor:
            return images

    with pytest.raises(InputError, match="frozen dataclass of the constants, got a plain class"):
        corruptions.register(Plain)


def test_registering_again_replaces_and_another_class_does_not() -> None:
    corruptions.register(Dust)
    corruptions.register(Dust)
    other = type("Other", (Dust,), {})
    with pytest.raises(
        InputError, match=r"'dust' is registered already, as tests.test_corruptions.test_own:Dust"
    ):
        corruptions.register(other)
    with pytest.raises(InputError, match="'contrast' is registered already"):
        corruptions.register(corruptions.get_corruption("contrast"))


def test_every_corruption_of_ours_keeps_the_contract() -> None:
    for name in corruptions.list_corruptions():
        check_corruption(name, severities=[2.5])
    check_corruption("fog", make_images(count=3, channels=1, dtype=torch.float32), severities=[1])


class _Broken(Corruption):
    name = "broken"
    severities: ClassVar = {}


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (
            lambda images: images[:, :1],
            r"`apply` to return torch.float32 \(6, 3, 32, 32\), got .* \(6, 1, 32, 32\)",
        ),
        (lambda images: images > 0.5, r"got torch.bool"),
        (lambda images: images.numpy(), "to return a torch.Tensor, got ndarray"),
        (lambda images: images / images.amax((1, 2, 3), keepdim=True), "finite values, got NaN or infinity"),
        (lambda images: images + torch.rand_like(images), "gives other pixels a second time"),
        (lambda images: images - images.mean(), "gets other pixels alone than in company"),
        (
            lambda images: images * (torch.arange(len(images)) > 0).view(-1, 1, 1, 1),
            "gets other pixels alone than in company",
        ),
    ],
)
def test_the_contract_names_what_a_class_breaks(apply: Any, message: str) -> None:
    corruptions.register(type("Broken", (_Broken,), {"apply": lambda self, images, noise: apply(images)}))
    with pytest.raises(InputError, match=message) as caught:
        check_corruption("broken")
    assert "'broken'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_class_cannot_write_into_the_callers_images() -> None:
    corruptions.register(type("Broken", (_Broken,), {"apply": lambda self, images, noise: images.mul_(0.5)}))
    for dtype in (torch.uint8, torch.float32):
        images = make_images(count=2, channels=3, dtype=dtype)
        before = images.clone()
        corruptions.corrupt(images, "broken", severity=1)
        assert torch.equal(images, before)
    check_corruption("broken")

    def draw(self: Any, stream: Stream, images: Tensor) -> Noise:
        images.zero_()
        return {}

    corruptions.register(
        type("Broken", (_Broken,), {"apply": lambda self, images, noise: images, "draw": draw})
    )
    with pytest.raises(InputError, match="writes into its input"):
        check_corruption("broken")


def test_a_suite_by_its_members() -> None:
    corruptions.register(Dust)
    suite = corruptions.get_suite("fog, dust")
    assert (suite.name, suite.corruptions, suite.table) == ("fog,dust", ("fog", "dust"), None)
    assert corruptions.get_suite("gaussian_noise").name == "gaussian_noise"
    many = corruptions.get_suite("*_noise,dust")
    assert many.name == "gaussian_noise,impulse_noise,shot_noise,+2"
    assert many.corruptions[-2:] == ("speckle_noise", "dust")
    assert corruptions.get_suite("fog,fog").corruptions == ("fog",)
    for wrong, kind in (("dusk", "suite"), ("fog,dusk", "corruption"), ("fog,", "corruption")):
        with pytest.raises(InputError, match=f"Unknown {kind}"):
            corruptions.get_suite(wrong)


MODULE = """
import corruptions
def soot(image, rng, share):
    sooty = image.copy()
    sooty[rng.random(image.shape[:2]) < share] = {colour}
    return sooty
corruptions.from_function(soot, name="soot", severities={{"share": (.01, .02, .05, .1, .2)}})
"""


def test_the_hash_of_a_suite_holds_the_code_and_a_cell_finds_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    hashes = []
    for colour in (0, 0, 9):
        (tmp_path / "sootmodule.py").write_text(MODULE.format(colour=colour))
        sys.modules.pop("sootmodule", None)
        __import__("sootmodule")
        hashes.append(Suite.build("mine", ["soot"]).hash)
        assert corruptions.get_corruption("soot").home == "sootmodule"
    assert hashes[0] == hashes[1] != hashes[2]
    cell = corruptions.Cell("soot", 3)
    images = torch.full((2, 3, 8, 8), 255, dtype=torch.uint8)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        elsewhere = pool.submit(cell.apply, images.clone()).result()
    assert torch.equal(elsewhere, cell.apply(images))


def test_a_corruption_of_a_notebook_is_not_found_by_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "__mp_main__", raising=False)
    with pytest.raises(InputError, match=r"'soot' is defined in a notebook or a script.* into a module"):
        require("soot", "__main__")
    require("fog", "")
    require("fog", "__main__")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder like that of installed packages, with one that offers `soot` and `fluff`."""
    (tmp_path / "sootmodule.py").write_text(MODULE.format(colour=0))
    info = tmp_path / "soot_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: soot-plugin\nVersion: 1.0\n")
    offers = "soot = sootmodule:soot\nfluff = sootmodule:soot\nlost = sootmodule:lost\n"
    (info / "entry_points.txt").write_text(f"[actrobust.corruptions]\n{offers}")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("sootmodule", None)
    code.plugins.cache_clear()
    yield tmp_path
    code.plugins.cache_clear()
    sys.modules.pop("sootmodule", None)


@pytest.mark.usefixtures("installed")
def test_an_installed_package_offers_corruptions() -> None:
    assert corruptions.get_suite("fog,soot").corruptions == ("fog", "soot")
    assert corruptions.get_corruption("soot").home == "sootmodule"
    with pytest.raises(
        InputError, match="soot-plugin: sootmodule:soot does not register the corruption 'fluff'"
    ):
        corruptions.get_corruption("fluff")
    with pytest.raises(
        InputError, match="'lost': loading sootmodule:lost of soot-plugin raised AttributeError"
    ):
        corruptions.get_corruption("lost")


def test_the_contact_sheet_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("sootmodule.py").write_text(MODULE.format(colour=0))
    PIL.Image.new("RGB", (20, 10)).save("photo.png")
    sys.modules.pop("sootmodule", None)
    assert main(["photo.png", "--import", "sootmodule", "--corruption", "soot,fog", "-o", "sheet.png"]) == 0
    with PIL.Image.open("sheet.png") as sheet:
        assert sheet.height == GAP + 2 * (10 + LABEL_HEIGHT + GAP)
    Path("broken.py").write_text("1 / 0")
    assert main(["photo.png", "--import", "broken", "-o", "sheet.png"]) == 2
    assert "--import 'broken': importing it raised ZeroDivisionError" in capsys.readouterr().err
