"""A file to interactions, in whatever form: source, recipe, raw, layout, rows, read_table, read."""
