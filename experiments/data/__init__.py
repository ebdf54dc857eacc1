"""What a training reads: catalogue, `reading`, interactions, `splits`, histories, batches.

In this order; features after them. `conversion` makes a data set of a raw file.
"""
