"""Our corruptions: to import a module is to register its classes."""
# ruff: noqa: F401

from . import blur, digital, noise, shift, spatter, weather
