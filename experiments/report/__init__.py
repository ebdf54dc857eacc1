"""Tables, tests of significance, plots and a page, from the committed record alone."""
