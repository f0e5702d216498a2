"""Verifies what is posted of each payment, and its ceilings, against its transactions."""
