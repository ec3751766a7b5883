"""Miniatures of published data sets, byte by byte in the layout that their archives unpack to.

ImageNet, ILSVRC 2012: val/SYNSET/ILSVRC2012_val_NNNNNNNN.JPEG, as torchvision.datasets.ImageNet keeps it.
ImageNet-C: https://github.com/hendrycks/robustness, CORRUPTION/SEVERITY/SYNSET/FILE.JPEG, quality 85.
Tiny-ImageNet: the readme of tiny-imagenet-200.zip; Tiny-ImageNet-C as ImageNet-C.
MNIST-C: https://github.com/google-research/mnist-c, CORRUPTION/{train,test}_{images,labels}.npy.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

SYNSETS = ("n01440764", "n02123045", "n07873807")  # tench, tabby cat, pizza: labels 0, 281, 963
LABELS = (0, 281, 963)


def picture(seed: int, width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Return a smooth picture, another for each seed."""
    random = np.random.default_rng(seed)
    array = random.integers(256, size=(height, width, 3), dtype=np.uint8)
    return Image.fromarray(array).filter(ImageFilter.GaussianBlur(3)).convert(mode)


def write_imagenet(root: Path, *, per_class: int = 2) -> Path:
    """Write ROOT/val: pictures of several sizes, one of them grey and one CMYK, as the set has them."""
    number = 7
    for synset in SYNSETS:
        for place in range(per_class):
            path = root / "val" / synset / f"ILSVRC2012_val_{number:08d}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            mode = {0: "RGB", 1: "L", 2: "CMYK"}[(number + place) % 3]
            picture(number, 300 + 10 * place, 260 + number, mode).save(path, format="JPEG", quality=95)
            number += 5
    return root


def write_imagenet_c(root: Path, folder: str, *, groups: bool) -> Path:
    """Write corrupted versions of ROOT/val as ImageNet-C stores them: 224 x 224, two corruptions."""
    for group, corruption in (("noise", "shot_noise"), ("weather", "fog")):
        for severity in range(1, 6):
            for path in sorted((root / "val").glob("*/*.JPEG")):
                home = (
                    root / folder / (group if groups else "") / corruption / str(severity) / path.parent.name
                )
                home.mkdir(parents=True, exist_ok=True)
                number = int(path.stem[-8:])
                picture(1000 * severity + number, 224, 224).save(home / path.name, format="JPEG", quality=85)
    return root / folder


def write_tiny_imagenet(root: Path, *, home_of: str = "images", annotated: bool = True) -> Path:
    """Write tiny-imagenet-200 with its class list (not in order), words and annotations.

    Its validation pictures are in `home_of`, where "{}" is the class: as published or as scripts sort them.
    """
    home = root / "tiny-imagenet-200"
    wnids = [f"n{number:08d}" for number in range(90_000_200, 90_000_000, -1)]
    home.mkdir(parents=True)
    (home / "wnids.txt").write_text("\n".join(wnids))
    (home / "words.txt").write_text("n90000001\tthing\n")
    lines = []
    for number in range(6):
        wnid = wnids[-1 - number // 2]
        folder = home / "val" / home_of.format(wnid)
        folder.mkdir(parents=True, exist_ok=True)
        picture(number, 64, 64, "L" if number == 3 else "RGB").save(
            folder / f"val_{number}.JPEG", format="JPEG", quality=90
        )
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t63\t63\n")
    if annotated:
        (home / "val" / "val_annotations.txt").write_text("".join(lines))
    train = home / "train" / wnids[-1] / "images"
    train.mkdir(parents=True)
    picture(99, 64, 64).save(train / f"{wnids[-1]}_0.JPEG", format="JPEG")
    return root


def write_tiny_imagenet_c(root: Path, prefix: str) -> Path:
    """Write Tiny-ImageNet-C/brightness/SEVERITY/WNID: files PREFIX_N.JPEG of the same N as the clean ones."""
    for severity in range(1, 6):
        for number in range(6):
            home = root / "Tiny-ImageNet-C" / "brightness" / str(severity) / f"n{90_000_001 + number // 2}"
            home.mkdir(parents=True, exist_ok=True)
            made = picture(100 * severity + number, 64, 64)
            made.save(home / f"{prefix}_{number}.JPEG", format="JPEG", quality=85)
    return root


def write_mnist_c(root: Path, *, count: int = 12) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.uint8]]]:
    """Write mnist_c with the clean images in `identity`; return these and the corrupted ones."""
    random = np.random.default_rng(3)
    labels = np.arange(count, dtype=np.int64) % 10
    made = {}
    for name in ("identity", "shot_noise", "zigzag"):
        home = root / "mnist_c" / name
        home.mkdir(parents=True)
        made[name] = random.integers(256, size=(count, 28, 28, 1), dtype=np.uint8)
        for part in ("train", "test"):
            np.save(home / f"{part}_images.npy", made[name])
            np.save(home / f"{part}_labels.npy", labels)
    return made.pop("identity"), made
