"""The public page: its figures, and the files that show them."""
