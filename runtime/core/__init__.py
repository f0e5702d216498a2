"""Shared basics; depends on no other package of the runtime."""
