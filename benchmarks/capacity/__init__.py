"""Capacity: what a rate of requests asks of each key, compared with the limits of AWS."""
