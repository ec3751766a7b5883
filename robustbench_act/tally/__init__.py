"""What a unit of work counts, and how counts of chunks become one. Loads without torch."""
