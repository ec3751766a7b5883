"""Networks that break what an evaluation assumes, as people build them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 10


class Net(nn.Module):
    """A small classifier of 8 x 8 images; subclasses misbehave."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.act, self.last = nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, CLASSES)

    def features(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.act(self.first(x.flatten(1)))
        return hidden

    def forward(self, x: Tensor) -> Any:
        return self.last(self.features(x))


class BatchNormWithoutStatistics(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(16, track_running_stats=False)

    def forward(self, x: Tensor) -> Any:
        return self.last(self.norm(self.features(x)))


class BatchAttention(Net):
    """Images attend to each other, as a transformer does that takes the batch for the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2)

    def forward(self, x: Tensor) -> Any:
        tokens = self.features(x)
        return self.last(tokens + self.attention(tokens, tokens, tokens)[0])


class CentredBatch(Net):
    def forward(self, x: Tensor) -> Any:
        return self.last(self.features(x - x.mean(0)))


class ByBatchSize(Net):
    """Sees no other image, but how many there are."""

    def forward(self, x: Tensor) -> Any:
        return self.last(self.features(x)) * len(x)


class TwoRoundoffs(Net):
    """An image alone is answered two unit roundoffs of bf16 higher: sums may take another order."""

    def forward(self, x: Tensor) -> Any:
        return self.last(self.features(x)) * (1 + 2**-7 * (len(x) == 1))


class CentredLargeBatch(Net):
    """Sees other images only if there are many."""

    def forward(self, x: Tensor) -> Any:
        hidden = self.features(x)
        return self.last(hidden - hidden.mean(0) if len(x) > 10 else hidden)


class ByPlace(Net):
    """Its codes of positions are those of places in the batch, by mistake."""

    def forward(self, x: Tensor) -> Any:
        return self.last(self.features(x) + torch.arange(len(x))[:, None])


class ByExtremes(Net):
    """Brings its input into [0, 1], whatever the batch."""

    def forward(self, x: Tensor) -> Any:
        return self.last(self.features((x - x.min()) / (x.max() - x.min())))


class BatchExit(Net):
    """Leaves its last step out if all images of the batch are sure without it; or each one for itself."""

    def __init__(self, *, whole: bool = True) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, x: Tensor) -> Any:
        hidden = self.first(x.flatten(1))
        early = self.last(hidden)
        sure = early.softmax(1).amax(1, keepdim=True) > 0.22
        if self.whole:
            return early if bool(sure.all()) else self.last(self.act(hidden))
        return torch.where(sure, early, self.last(self.act(hidden)))


class MaskedClass(CentredBatch):
    """Rules out a class."""

    def forward(self, x: Tensor) -> Any:
        return super().forward(x) - 1e9 * F.one_hot(torch.tensor(7), CLASSES)


class DropoutLeftOn(Net):
    def forward(self, x: Tensor) -> Any:
        return self.last(F.dropout(self.features(x), 0.3))


class RareDropPath(Net):
    """A path that is hardly ever dropped: passes over a few images agree nearly always."""

    def forward(self, x: Tensor) -> Any:
        return self.last(self.features(x) * (torch.rand(len(x), 1) < 0.9999))


class NumpyNoise(Net):
    def forward(self, x: Tensor) -> Any:
        noise = torch.from_numpy(np.random.standard_normal(x.shape)).float()  # noqa: NPY002
        return self.last(self.features(x + noise))


class OwnGenerator(Net):
    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x: Tensor) -> Any:
        return self.last(self.features(x + torch.randn(x.shape, generator=self.generator)))


class Counting(Net):
    """Changes as it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def forward(self, x: Tensor) -> Any:
        self.passes += 1
        return self.last(self.features(x)) + self.passes * torch.arange(CLASSES)


class Adapting(Net):
    """Changes only when it sees larger values, as observers do that quantisation has left on."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0.0

    def forward(self, x: Tensor) -> Any:
        self.largest = max(self.largest, float(x.abs().mean()))
        return self.last(self.features(x / self.largest))


class Drifting(Net):
    """Centres its features by a running mean that moves so little that three passes do not show it."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(16))

    def forward(self, x: Tensor) -> Any:
        hidden = self.features(x)
        self.mean += 1e-5 * (hidden.mean(0) - self.mean)
        return self.last(hidden - self.mean)


class DriftingWeights(Net):
    """Replaces its weights as it runs."""

    def forward(self, x: Tensor) -> Any:
        self.last.weight = nn.Parameter(self.last.weight * (1 - 1e-6))
        return self.last(self.features(x))


class Keeping(Net):
    """Counts its passes, keeps its last features and makes a table in the first pass: none of it matters."""

    count: Tensor
    kept: Tensor
    table: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.tensor(0))
        self.register_buffer("kept", torch.zeros(3, 16))
        self.register_buffer("table", None)

    def forward(self, x: Tensor) -> Any:
        self.count += 1
        self.kept = self.features(x)
        if self.table is None:
            self.table = torch.arange(16) / 16
        return self.last(self.kept + self.table)


class SmallLogits(Net):
    """Its logits lie between 0 and 1, as those of networks before training may."""

    def forward(self, x: Tensor) -> Any:
        return 0.5 + self.last(self.features(x)) / 10


class EvenNumbers(Net):
    """Pairs its images."""

    def forward(self, x: Tensor) -> Any:
        return super().forward(x.view(2, -1, *x.shape[1:]).flatten(0, 1))


class EvenCentred(CentredBatch, EvenNumbers):
    """Pairs its images and centres them."""


class FixedBatch(Net):
    """Was traced with 32 images."""

    def forward(self, x: Tensor) -> Any:
        return super().forward(x.view(32, 1, 8, 8))


class EarlyExit(Net):
    """Computes more for images that it is not sure of."""

    def __init__(self) -> None:
        super().__init__()
        self.more = nn.GELU()

    def forward(self, x: Tensor) -> Any:
        hidden = self.features(x)
        answer = self.last(hidden)
        unsure = answer.softmax(1).amax(1) < 0.19
        return answer.index_put((unsure,), self.last(self.more(hidden[unsure])))


class InPlace(Net):
    """Normalises its input in place."""

    def forward(self, x: Tensor) -> Any:
        return self.last(self.features(x.sub_(0.5).mul_(4)))


class Flattens(Net):
    """Cannot take images channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.first = nn.Linear(4 * 72 * 72, 16)

    def features(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.act(self.first(self.conv(x).view(len(x), -1)))
        return hidden
