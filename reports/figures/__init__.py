"""The figures: each takes a table and axes and returns the axes; `reports.canvas` turns them into files."""
