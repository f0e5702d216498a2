"""Measurements, each compared with an alternative, in one run on the same machine."""
