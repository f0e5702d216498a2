"""Holds: posted in full or in part, voided, or expired."""
