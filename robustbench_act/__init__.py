"""Checkpoints, activations, datasets, probes and evaluation: how robust networks are to noise.

Names are loaded when they are first used (`__init__.pyi` says from where), so that tables and reports work
without torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
