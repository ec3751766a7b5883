"""Studies made with actrobust: pre-registered, and reproduced by one command each; see registration.md.

`python -m studies NAME` trains, evaluates, probes and analyses; `studies.analysis` reads the tables alone.
"""
