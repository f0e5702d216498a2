"""Layouts of settlement files: one module each reads a processor's columns into common lines.

`detect.layout_of` turns a header into a layout; a layout turns records into lines. Everything here
is pure. docs/settlement-layouts.md has the tables.
"""
