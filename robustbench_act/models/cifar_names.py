"""The names of our CIFAR ResNets, without torch."""

CIFAR = {f"resnet{depth}": depth for depth in (8, 20, 32, 44, 56)}
"""The depth of each."""
