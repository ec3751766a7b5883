"""Activation functions by name: LayerAct, ANAct and those they are compared with.

Names are loaded when they are first used: the sheet of facts works without torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
