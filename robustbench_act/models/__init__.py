"""Networks by name, with the activation as a parameter.

Names are loaded when they are first used: those of our own networks are known without torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
