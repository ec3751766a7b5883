"""Simulations of what the product's conclusions are worth: what they say when the truth is known.

`python -m tests.simulations > docs/simulations.md` writes their tables; tests run some of the settings.
"""
