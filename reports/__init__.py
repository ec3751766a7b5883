"""Records in, tables, figures and pages out: the reports of a robustness run.

A report is made from a `robustbench_act.Run` alone, which is what a run directory holds: nothing here knows
the networks or the engine, and importing this package loads neither torch nor matplotlib.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
