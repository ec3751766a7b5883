"""Images with labels, and the data sets that have names on the command line.

Names are loaded when they are first used: the catalogue works without torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
