"""HTML assembled from parts: every text is escaped unless it is markup already. Pure."""

from __future__ import annotations

from html import escape


class Markup(str):
    """A piece of HTML made by this module."""

    __slots__ = ()


def element(tag: str, *children: str | int, **attributes: str | int | None) -> Markup:
    """An element with its children; attributes that are None are omitted.

    The names of tag and attributes are the program's own; `class_` stands for `class`, and an
    underscore within a name for a hyphen.
    """
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{named}>{''.join(map(text, children))}</{tag}>")


def text(value: str | int) -> Markup:
    """A value, escaped for a page."""
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def joined(parts: list[Markup]) -> Markup:
    """Several pieces, one after the other."""
    return Markup("".join(parts))
