"""The one error type of the toolkit: `InputError`, shared with the corruptions package."""

from corruptions.errors import InputError, unknown_name

__all__ = ["InputError", "unknown_name"]
