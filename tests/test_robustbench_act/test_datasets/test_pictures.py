"""Pictures: decoded as torchvision decodes them, in order; what cannot be read is named."""

import io
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.models import get_weight
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, PILToTensor, Resize

from robustbench_act.datasets import Pictures, load_dataset
from robustbench_act.datasets.pictures import channels_of
from robustbench_act.datasets.sources import Files
from robustbench_act.errors import InputError
from robustbench_act.preprocessing import normalise
from robustbench_act.view import View
from tests.references.layouts import picture


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of pictures of several sizes and formats, without labels."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, (name, mode) in enumerate(
        [
            ("a.jpg", "RGB"),
            ("b.PNG", "P"),
            ("c.webp", "RGB"),
            ("d.bmp", "L"),
            ("e.tif", "RGBA"),
            ("f.ppm", "RGB"),
        ]
    ):
        picture(number, 90 + 7 * number, 80 - number, mode).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def expected(path: Path, resize: int | tuple[int, int], crop: int, mode: str = "bilinear") -> Tensor:
    """Return what torchvision's transforms make of a file."""
    steps = Compose([Resize(resize, InterpolationMode(mode)), CenterCrop(crop), PILToTensor()])
    with Image.open(path) as opened:
        return steps(opened.convert("RGB"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_equal_to_torchvision(mode: str, photos: Path) -> None:
    data = load_dataset(f"folder:{photos}", view=View(resize=48, crop=40, interpolation=mode))
    files = sorted(path for path in photos.iterdir() if path.suffix != ".txt")
    assert data.names() == [path.stem for path in files]
    assert data.shape == (3, 40, 40)
    for image, path in zip(data.images, files, strict=True):
        assert torch.equal(image, expected(path, 48, 40, mode))


def test_both_sides_may_be_given(photos: Path) -> None:
    data = load_dataset(f"folder:{photos}", view=View((36, 48), 30, "bicubic"))
    files = sorted(path for path in photos.iterdir() if path.suffix != ".txt")
    for image, path in zip(data.images, files, strict=True):
        assert torch.equal(image, expected(path, (36, 48), 30, "bicubic"))
    assert data.digest != load_dataset(f"folder:{photos}", view=View(36, 30, "bicubic")).digest


def test_whole_preprocessing_equals_torchvisions(photos: Path) -> None:
    """The library's own transforms end to end, resized, cropped, scaled and normalised."""
    how = get_weight("ResNet18_Weights.IMAGENET1K_V1").transforms()
    data = load_dataset(f"folder:{photos}", view=View(256, 224))
    with Image.open(photos / "a.jpg") as opened:
        wanted = how(opened)
    assert torch.allclose(normalise(data.images[0], data.mean, data.std), wanted, atol=1e-6)


def test_the_order_is_that_of_the_files_for_any_number_of_workers(photos: Path) -> None:
    view = View(resize=32, crop=32)
    one, many = (load_dataset(f"folder:{photos}", view=view, workers=workers) for workers in (1, 5))
    assert torch.equal(one.images, many.images)
    assert one.digest == many.digest
    assert torch.equal(one[torch.tensor([4, 0])].images, one.images[[4, 0]])
    assert torch.equal(one[2:].images, one.images[2:])


def test_a_part_decodes_itself_alone(photos: Path) -> None:
    (photos / "b.PNG").write_bytes(b"\x89PNG\r\n\x1a\n")
    data = Pictures(Files(photos, ["a.jpg", "b.PNG", "c.webp"]), View(resize=32, crop=32))
    assert data[torch.tensor([True, False, True])].read().shape == (2, 3, 32, 32)
    with pytest.raises(InputError, match=r"1 of 2 images cannot be read: .*b\.PNG"):
        data[:2].read()


def test_digest_sees_a_byte_and_the_view(photos: Path) -> None:
    def digest(view: View = View(32, 32)) -> str:  # noqa: B008 - frozen
        return load_dataset(f"folder:{photos}", view=view).digest

    first = digest()
    assert digest() == first
    assert digest(View(32, 30)) != first
    assert digest(View(32, 32, "bicubic")) != first
    assert digest(View(32, 32, source="somebody else")) == first
    image = bytearray((photos / "d.bmp").read_bytes())
    image[-1] ^= 1
    (photos / "d.bmp").write_bytes(image)
    assert digest() != first


def test_several_sizes_need_a_view(photos: Path) -> None:
    with pytest.raises(
        InputError, match=r"Images of several sizes: .*a\.jpg has 80 x 90 pixels, .*b\.PNG has 79 x 97"
    ):
        _ = load_dataset(f"folder:{photos}").shape


def test_one_size_is_taken_as_it_is_and_grey_stays_grey(tmp_path: Path) -> None:
    for number in range(3):
        picture(number, 17, 11, "L").save(tmp_path / f"{number}.png")
    data = load_dataset(f"folder:{tmp_path}")
    assert data.shape == (1, 11, 17)
    assert len(data.mean) == 1
    with Image.open(tmp_path / "2.png") as opened:
        assert np.array_equal(data.images[2, 0].numpy(), np.asarray(opened))


@pytest.mark.parametrize(
    ("size", "view", "wanted"),
    [
        ((300, 200), View(100), (150, 100)),
        ((200, 301), View(100), (100, 150)),
        ((200, 301), View((20, 30)), (20, 30)),
        ((9, 9), View(), (9, 9)),
    ],
)
def test_size_of_what_is_not_cropped(
    size: tuple[int, int], view: View, wanted: tuple[int, int], tmp_path: Path
) -> None:
    height, width = size
    picture(1, width, height).save(tmp_path / "a.png")
    data = load_dataset(f"folder:{tmp_path}", view=view)
    assert data.shape[1:] == wanted == tuple(data.images.shape[2:])


def test_arrays_are_resized_where_it_is_asked(tmp_path: Path) -> None:
    data = load_dataset("digits").subset(5)
    seen = data.with_view(View(resize=16))
    assert seen.images.shape == (5, 1, 16, 16)
    assert seen.digest != data.digest
    with Image.fromarray(data.images[3, 0].numpy()) as small:
        wanted = np.asarray(small.resize((16, 16), Image.Resampling.BILINEAR))
    assert np.array_equal(seen.images[3, 0].numpy(), wanted)


def test_a_view_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="Did you mean 'bicubic'"):
        View(resize=3, interpolation="bicubi")
    with pytest.raises(InputError, match="at least 1 pixel"):
        View(crop=0)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that says it has so many pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


def deep_png() -> bytes:
    """Return a PNG of 64 x 64 colours of 16 bits."""
    content = bomb(64, 64)
    rows = zlib.compress(bytes(64 * (1 + 64 * 6)))
    head = struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0)
    return content[:8] + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


UNREADABLE = {
    "empty": (b"", "it is an empty file: copy or download it again"),
    "text": (b"not a picture at all", "it is a text that begins with 'not a picture at all'"),
    "cut": (saved(picture(1, 80, 80), "JPEG")[:900], "truncated"),
    "bomb": (bomb(60_000, 60_000), "decompression bomb"),
    "large": (bomb(10_000, 10_000), "decompression bomb"),
    "postscript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "a text that begins with '%!PS-Adobe",
    ),
    "bytes": (bytes(range(256)), "not an image of a known format"),
    "16 bits": (saved(Image.fromarray(np.zeros((70, 70), np.uint16)), "PNG"), "more than 8 bits per value"),
    "16 bits of colour": (deep_png(), "more than 8 bits per value"),
    "16 bits of PPM": (b"P6 60 60 65535\n" + bytes(60 * 60 * 6), "more than 8 bits per value"),
    "small": (saved(picture(1, 20, 20), "PNG"), "20 x 20 pixels, smaller than the crop of 40 x 40"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_named_counted_and_left_out_on_request(name: str, photos: Path) -> None:
    content, reason = UNREADABLE[name]
    (photos / "bad.png").write_bytes(content)
    files = Files(photos, sorted(path.name for path in photos.iterdir() if path.suffix != ".txt"))
    good = load_dataset("mnist-1k").subset(len(files))
    data = replace(good, pixels=Pictures(files, View(crop=40)))
    with pytest.raises(InputError) as caught:
        data.check()
    assert str(caught.value).startswith(f"1 of 7 images cannot be read: {photos / 'bad.png'} (")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="1 of 7 images cannot be read"):
        _ = data.digest
    kept = data.readable()
    assert kept.unreadable == (str(photos / "bad.png"),)
    assert len(kept) == 6
    assert kept.ids.tolist() == [number for number in data.ids.tolist() if number != data.ids[2]]
    assert kept.images.shape == (6, 3, 40, 40)
    assert len(kept.digest) == 64


def test_none_readable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(UNREADABLE["cut"][0])
    data = load_dataset(f"folder:{tmp_path}", view=View(crop=9))
    with pytest.raises(InputError, match="not one of its 1 images can be read"):
        data.readable()


def test_every_file_is_read_once(photos: Path) -> None:
    seen: list[int] = []
    data = load_dataset(f"folder:{photos}", view=View(32, 32))
    data.check(seen.append)
    assert sum(seen) == len(data) == len(seen)
    (photos / "a.jpg").unlink()  # what was checked is known
    assert len(data.digest) == 64
    assert len(data[1:].readable()) == len(data) - 1


def test_a_thin_picture_is_not_blown_up(tmp_path: Path) -> None:
    picture(1, 3000, 1).save(tmp_path / "thin.png")
    data = load_dataset(f"folder:{tmp_path}", view=View(resize=256, crop=224))
    with pytest.raises(InputError, match="1 x 3000 pixels become 256 x 768000"):
        data.check()


def test_arrays_smaller_than_the_centre_are_refused() -> None:
    with pytest.raises(InputError, match=r"Images of 8 x 8 pixels are smaller than the crop of 64"):
        _ = load_dataset("digits", view=View(crop=64)).shape


def test_unreadable_files_do_not_stop_a_folder_from_opening(photos: Path) -> None:
    (photos / "bad.png").write_bytes(b"no picture")
    data = load_dataset(f"folder:{photos}", view=View(crop=40))
    assert len(data) == 7
    assert len(data.readable()) == 6


@dataclass(frozen=True)
class Counted:
    """A picture in memory that counts how often any of them is read."""

    stem: str
    content: bytes
    reads: ClassVar[list[str]] = []

    def read_bytes(self) -> bytes:
        self.reads.append(self.stem)
        return self.content


def test_a_set_is_in_colours_if_one_picture_is() -> None:
    """The others need not be read to know it."""
    grey, colour = (Counted(mode, saved(picture(1, 9, 9, mode), "PNG")) for mode in ("L", "RGB"))
    assert channels_of([grey] * 3, 2) == 1
    assert channels_of([grey, colour, grey], 2) == channels_of([], 2) == 3
    assert channels_of([Counted("bad", b""), grey], 2) == 1
    Counted.reads.clear()
    assert channels_of([colour] * 3000, 1) == 3
    assert len(Counted.reads) < 2000
