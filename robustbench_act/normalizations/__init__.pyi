from .facts import NORMALIZATIONS as NORMALIZATIONS, normalization_label as normalization_label
from .layers import normalization_of as normalization_of
from .replacement import (
    check_normalization as check_normalization,
    normalization_code as normalization_code,
    replace_normalization as replace_normalization,
)
