"""Runs in Python: train one, load one, compare several."""
