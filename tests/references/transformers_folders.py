"""Tiny networks of transformers, saved as the library saves them."""

import importlib
from pathlib import Path
from typing import Any

import torch

CLASSES = ("ant", "bee", "cat", "dog", "eel")


def save_tiny(folder: Path, kind: str, **changes: Any) -> Path:
    """Write a ViT, a ResNet or a ConvNeXt with random weights, for pictures of 32 pixels."""
    transformers: Any = importlib.import_module("transformers")
    labels = {"id2label": dict(enumerate(CLASSES)), "label2id": {name: i for i, name in enumerate(CLASSES)}}
    made: Any
    processor: Any
    if kind == "vit":
        made = transformers.ViTConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32,
            patch_size=8, **labels, **changes,
        )  # fmt: skip
        processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    elif kind == "resnet":
        made = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **labels, **changes
        )
        processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.8)
    else:
        made = transformers.ConvNextConfig(
            hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, image_size=32, **labels, **changes
        )
        processor = transformers.CLIPImageProcessor(
            size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}
        )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = transformers.AutoModelForImageClassification.from_config(made)
        for parameter in network.parameters():  # fresh weights are too small for answers that differ
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    network.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
