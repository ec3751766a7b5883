"""The logits of one network and what follows from them, each computed once."""

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Answers:
    """The answers of a network to some images in several versions, in the order of their severity.

    Parameters
    ----------
    logits, labels
        See below; the labels are int64 (images,), or None.
    clean
        int64 (images,): what it predicts for the clean images. By default they are the first version.

    Attributes
    ----------
    logits
        float32 (versions, images, classes).
    predicted
        int64 (versions, images).
    clean
        int64 (images,).
    labelled
        Whether the images have labels.
    label
        int64 (versions, images). Without labels, the network's own predictions on the clean images.

    Examples
    --------
    >>> import torch
    >>> answers = Answers(torch.tensor([[[2.0, 0.0], [2.0, 0.0]]]), torch.tensor([0, 1]))
    >>> answers.predicted, answers.probability.amax(-1)
    (tensor([[0, 0]]), tensor([[0.8808, 0.8808]]))
    """

    def __init__(self, logits: "Tensor", labels: "Tensor | None", clean: "Tensor | None" = None) -> None:
        self.logits = logits
        self.predicted = logits.argmax(-1)
        self.clean = self.predicted[0] if clean is None else clean
        self.labelled = labels is not None
        self.label = (self.clean if labels is None else labels).expand(logits.shape[:-1])

    def is_like_before(self) -> "Tensor":
        """Tell where the prediction is that of the version before, the clean one before the first."""
        predicted = self.predicted
        like = predicted == predicted.roll(1, 0)
        like[0] = predicted[0] == self.clean
        return like

    @cached_property
    def log_probability(self) -> "Tensor":
        """Natural logarithms of the probabilities, in the shape of the logits."""
        return self.logits.log_softmax(-1)

    @cached_property
    def probability(self) -> "Tensor":
        """The probabilities, in the shape of the logits."""
        return self.log_probability.exp()

    @cached_property
    def one_hot(self) -> "Tensor":
        """1 at the label and 0 elsewhere, in the shape of the logits."""
        return self.logits.new_zeros(self.logits.shape).scatter(-1, self.label[..., None], 1.0)

    def of_label(self, values: "Tensor") -> "Tensor":
        """Return the values at the labels, (versions, images)."""
        return values.gather(-1, self.label[..., None]).squeeze(-1)

    def are_finite(self) -> bool:
        """Tell whether -log p of every label is finite: NaN or +inf among an image's logits makes it NaN."""
        return bool(self.of_label(self.log_probability).isfinite().all())
