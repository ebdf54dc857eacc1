"""A raw file to a data set, as `run.py data` does: convert, read_raw, filters, write, register."""
