"""Planted faults: what does the simulation find, and what do the tests find?"""
