"""The same examples on every machine and every run, on one thread."""

import os

from hypothesis import settings

settings.register_profile(
    "repeatable", derandomize=True, deadline=None, max_examples=30, database=None
)
settings.load_profile("repeatable")

# Before torch is imported: on tensors this small its threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
