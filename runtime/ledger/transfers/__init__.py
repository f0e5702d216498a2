"""Transfers: money moved between accounts in one commit, or held first."""
