"""Normalisation layers: which a network has, and how to replace them.

Names are loaded when they are first used: the facts work without torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
