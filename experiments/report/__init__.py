"""Tables, tests of significance, plots and a page, from the committed results alone."""
