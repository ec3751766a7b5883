"""The quantities that a unit of work counts, and how those of chunks merge. Loads without torch."""
