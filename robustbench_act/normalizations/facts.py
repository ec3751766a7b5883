"""Names of normalisations, and what people read for them, without torch."""

NORMALIZATIONS = {
    "batch": "batch norm",
    "layer": "layer norm",
    "group": "group norm",
    "instance": "instance norm",
    "none": "no norm",
}
"""What `replace_normalization` can put into a network."""

_LABELS = {**NORMALIZATIONS, "mixed": "mixed norms", "": "norm not recorded"}


def normalization_label(name: str) -> str:
    """Return what people read for a normalisation that tables name so; a class of your own keeps its name.

    >>> normalization_label("layer"), normalization_label("none"), normalization_label("mine.norms:Whitening")
    ('layer norm', 'no norm', 'mine.norms:Whitening')
    """
    return _LABELS.get(name, name)
