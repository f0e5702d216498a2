"""Exports: a job is requested, queued, written by successive workers, and downloaded."""
