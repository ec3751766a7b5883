"""The conformity report: its measures, its verdicts, its sources, and what it prints."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import corruptions
from corruptions import InputError, conformity, get_corruption
from corruptions.__main__ import conformity_line, main
from corruptions._pinned import pinned_noise
from corruptions.conformity import Conformity, Distances, Pixels
from corruptions.random import Stream

from .conftest import make_images

Array = NDArray[Any]
Shared = Callable[[str], Path]
RANDOM_PIXELS = [
    name
    for name in corruptions.list_corruptions()
    if get_corruption(name).domain == "pixels" and conformity.is_random(name)
]


def test_pixels_count_levels() -> None:
    ours = torch.tensor([0, 10, 255, 7], dtype=torch.uint8)
    pixels = Pixels.of(ours, torch.tensor([2, 10, 254, 7], dtype=torch.uint8))
    assert (pixels.values, pixels.within_one, pixels.mean, pixels.largest) == (4, 0.75, 0.75, 2)
    assert pixels.psnr == pytest.approx(10 * math.log10(255**2 / 1.25))
    assert Pixels.of(ours, ours).psnr == math.inf


@pytest.mark.parametrize(
    ("name", "pixels", "passed"),
    [
        ("fog", Pixels(1000, 0.995, 0.1, 5, 30.0), True),
        ("fog", Pixels(1000, 0.994, 0.1, 5, 60.0), False),
        ("elastic_transform", Pixels(1000, 0.95, 0.1, 5, 30.0), True),
        ("elastic_transform", Pixels(1000, 0.94, 0.1, 5, 30.0), False),
        ("jpeg_compression", Pixels(1000, 0.9, 0.4, 40, 40.0), True),
        ("jpeg_compression", Pixels(1000, 1.0, 0.5, 1, 60.0), False),
        ("jpeg_compression", Pixels(1000, 1.0, 0.1, 1, 39.0), False),
    ],
)
def test_verdicts_on_pixels(name: str, pixels: Pixels, passed: bool) -> None:
    assert Conformity(name, "32", "golden", "pinned", pixels=pixels).passed is passed


@pytest.mark.parametrize(
    ("distances", "passed"),
    [
        (Distances(360, 0.55, 0.01, 4.3), True),
        (Distances(360, 1.1, 0.01, 3.0), False),
        (Distances(360, 0.6, 0.05, 3.0), False),
        (Distances(360, 0.6, 0.01, 4.6), False),
    ],
)
def test_verdicts_on_distances(distances: Distances, passed: bool) -> None:
    assert Conformity("fog", "32", "golden", "own", distances=distances).passed is passed
    assert not Conformity("fog", "32", "golden", "own").passed


def test_z_statistics_are_those_of_a_normal_where_nothing_differs() -> None:
    generator = np.random.default_rng(0)
    one, other = (generator.gamma(2, 3, size=(20, 5, 200, 12)) for _ in range(2))
    z = conformity.z_statistics(one, other)
    assert z.shape == (20, 5, 12)
    assert np.median(z) == pytest.approx(0.67, abs=0.06)
    assert conformity.distances_pass(Distances.of(z))
    assert not conformity.distances_pass(Distances.of(conformity.z_statistics(one * 1.1, other)))


def test_scalars_that_do_not_vary_must_agree() -> None:
    constant = np.full((1, 10, 1), 255.0)
    assert conformity.z_statistics(constant, constant) == 0
    assert conformity.z_statistics(constant, constant - 10) > 30


@pytest.mark.parametrize("size", ["32", "64"])
def test_scalars_are_the_published_ones(shared: Shared, size: str) -> None:
    """Recomputed from the two stored outputs of every cell."""
    with np.load(shared(f"reference/golden/orig_{size}.npz")) as golden:
        assert tuple(golden["scalar_names"].tolist()) == conformity.SCALARS
        images = conformity.to_tensor(golden["clean"])
        for name in ("gaussian_noise", "motion_blur", "spatter"):
            outputs, published = golden[f"samples__{name}"], golden[f"scalars__{name}"]
            for image, severity in np.ndindex(2, 5):
                ours = conformity.output_scalars(
                    images[image], conformity.to_tensor(outputs[image, severity])
                )
                assert np.allclose(ours, published[image, severity, :2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", RANDOM_PIXELS)
def test_pinned_draws_look_like_our_own(shared: Shared, name: str) -> None:
    """Same names, same shapes, integers where ours are integers."""
    with np.load(shared("reference/golden/pinned_orig_32.npz")) as golden:
        images = conformity.to_tensor(golden["clean"])
        draws = golden[f"draws__{name}__s3"]
    corruption: Any = get_corruption(name).at(3, table="32")
    pinned = pinned_noise(corruption, draws, images.shape)
    own = corruption.draw(Stream(torch.arange(len(images)), name=name, severity=3.0, seed=0), images)
    assert {key: value.shape for key, value in pinned.items()} == {
        key: value.shape for key, value in own.items()
    }
    for key, value in own.items():
        assert pinned[key].is_floating_point() == value.is_floating_point()


def write_golden(folder: Path, *, error: int = 0, names: tuple[str, ...] = ("pixelate",)) -> None:
    """Make golden arrays by our own hand, `error` levels off."""
    images = make_images(count=2, channels=3, dtype=torch.uint8, side=(32, 32)).clamp(20, 200)
    last = images.permute(0, 2, 3, 1).numpy()
    arrays: dict[str, Array] = {"clean": last, "severities": np.array([1, 5], np.uint8)}
    for name in names:
        outputs = [corruptions.corrupt(images, name, severity=level, table="32") for level in (1, 5)]
        stacked = torch.stack(outputs, dim=1).permute(0, 1, 3, 4, 2).numpy()
        arrays[f"det__{name}"] = stacked + np.uint8(error)
    draws = np.random.default_rng(0).normal(size=(2, last[0].size)).astype(np.float16)
    arrays |= {f"draws__gaussian_noise__s{level}": draws for level in (1, 5)}
    noise = torch.from_numpy(draws.astype(np.float32)).view(last.shape).permute(0, 3, 1, 2)
    pinned = [
        get_corruption("gaussian_noise").at(level, table="32").render(images, {"z": noise})
        for level in (1, 5)
    ]
    arrays["out__gaussian_noise"] = torch.stack(pinned, dim=1).permute(0, 1, 3, 4, 2).numpy() // (error or 1)
    scalars = conformity._own_scalars(images, "gaussian_noise", (1, 5), table="32", draws=30)
    arrays["scalars__gaussian_noise"] = (scalars + error).astype(np.float32)
    for stem in ("orig_32", "pinned_orig_32"):
        np.savez(folder / f"{stem}.npz", **arrays)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [0, 2])
def test_golden_arrays_are_found_and_judged(tmp_path: Path, error: int) -> None:
    write_golden(tmp_path, error=error)
    lines = list(conformity.check(["pixelate", "gaussian_noise"], golden=tmp_path, package=False))
    assert [(line.corruption, line.kind, line.table) for line in lines] == [
        ("pixelate", "equal", "32"),
        ("gaussian_noise", "own", "32"),
        ("gaussian_noise", "pinned", "32"),
    ]
    assert [line.passed for line in lines] == [not error] * 3


def test_the_package_is_compared_on_photographs() -> None:
    lines = list(conformity.check_package(["contrast", "speckle_noise"], side=32, draws=8))
    assert [(line.corruption, line.kind, line.reference) for line in lines] == [
        ("contrast", "equal", "imagecorruptions"),
        ("speckle_noise", "own", "imagecorruptions"),
    ]
    assert all(line.passed for line in lines)


def test_another_severity_fails_against_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def weaker(images: torch.Tensor, name: str, *, severity: int, table: str) -> torch.Tensor:
        return corruptions.corrupt(images, name, severity=max(1, severity - 0.5), table=table)

    monkeypatch.setattr(conformity, "corrupt", weaker)
    lines = conformity.check_package(["contrast", "speckle_noise"], side=32, draws=8)
    assert not any(line.passed for line in lines)


def test_photographs_come_from_the_installed_packages() -> None:
    photographs = conformity.load_photographs(40)
    assert photographs.shape == (6, 3, 40, 40)
    assert photographs.dtype == torch.uint8
    assert all(photograph.double().std() > 20 for photograph in photographs)


def test_a_line_shows_what_was_measured() -> None:
    pixels = Pixels(values=12, within_one=0.99512, mean=0.25, largest=3, psnr=44.44)
    line = conformity_line(Conformity("frost", "64", "golden", "pinned", pixels=pixels))
    assert line.split() == ["golden", "64", "frost", "pinned", "99.512%", "0.2500", "3", "44.4", "PASS"]


def test_main_prints_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_golden(tmp_path)
    arguments = ["conform", "--golden", str(tmp_path), "--no-package", "--corruption", "*e"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in printed[1:4]] == ["gaussian_noise", "gaussian_noise", "pixelate"]
    assert all(line.endswith("PASS") for line in printed[1:4])
    write_golden(tmp_path, error=3)
    assert main(arguments) == 1
    assert "FAIL" in capsys.readouterr().out


@pytest.mark.slow
def test_every_corruption_conforms(
    shared: Shared, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With half the draws of the package that the tool takes by default: these are most of the time.

    Its impulse noise takes a generator without a seed from NumPy, which gets one here: else the test can
    fail by chance.
    """
    seeds, generator = itertools.count(), np.random.default_rng

    def seeded(seed: Any = None) -> np.random.Generator:
        return generator(next(seeds) if seed is None else seed)

    monkeypatch.setattr(np.random, "default_rng", seeded)
    assert main(["conform", "--golden", str(shared("reference/golden")), "--draws", "10"]) == 0
    printed = capsys.readouterr().out
    assert printed.count(" PASS\n") == 101 + 19


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--golden", "nowhere"], "got nowhere"),
        (["--corruption", "shift_*"], "got 'shift_*'"),
        (["--draws", "1"], "at least 2 draws, got 1"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["conform", "--no-package", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_broken_arrays_are_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    path = tmp_path / "orig_32.npz"
    if content is None:
        np.savez(path, other=np.zeros(3))
    else:
        path.write_bytes(content)
    assert main(["conform", "--golden", str(tmp_path), "--no-package"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(path) in error


def test_a_folder_without_arrays_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="golden arrays"):
        list(conformity.check(["contrast"], golden=tmp_path, package=False))
