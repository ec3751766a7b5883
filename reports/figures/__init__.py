"""The figures: each takes a table and an axes and returns the axes; `reports.canvas` makes files of them."""
