"""Layouts of settlement files: one module each reads a processor's columns into common lines."""
