"""Exports: a job is asked for, queued, written by workers one after the other, and handed out."""
