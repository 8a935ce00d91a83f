"""Import of the files that exchanges export: each format is read by a pure function of its own."""
