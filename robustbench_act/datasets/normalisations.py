"""The mean and std that are usual for a data set."""

USUAL = {
    "mnist": ((0.1307,), (0.3081,)),
    "fashion-mnist": ((0.2860,), (0.3530,)),
    "kmnist": ((0.1918,), (0.3483,)),
    "cifar-10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar-100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "tiny-imagenet": ((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Name of a data set -> (mean, std), per channel on the [0, 1] scale."""


def usual_of_pictures(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and std of pictures from anywhere: ImageNet's for RGB, 0.5 for grey."""
    return USUAL["imagenet"] if channels == 3 else ((0.5,), (0.5,))
