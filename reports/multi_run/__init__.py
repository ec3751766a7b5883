"""Several runs side by side: joined, compared, put into words."""
