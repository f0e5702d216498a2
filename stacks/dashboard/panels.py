"""Panels: a graph with its unit, below it how to read it and which runbook belongs to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch

from stacks.runbooks import Guide, Runbook

COLUMNS: Final = 24
"""Of CloudWatch's grid."""
PANELS_PER_ROW: Final = 3
GRAPH_HEIGHT: Final = 6
TEXT_HEIGHT: Final = 3
HEADING_HEIGHT: Final = 1


@dataclass(frozen=True)
class Panel:
    """One graph. `reading`: one sentence on what is normal and what is not."""

    title: str
    unit: str
    reading: str
    runbook: Runbook | Guide
    lines: Sequence[cloudwatch.IMetric]


@dataclass(frozen=True)
class Section:
    """Panels about one subject, under a heading."""

    heading: str
    panels: Sequence[Panel]


def rows_of(section: Section, runbooks: str) -> Iterator[list[cloudwatch.IWidget]]:
    """The section's widgets, row by row. `runbooks`: the address of the page with the runbooks."""
    yield [
        cloudwatch.TextWidget(
            markdown=f"## {section.heading}",
            width=COLUMNS,
            height=HEADING_HEIGHT,
            background=cloudwatch.TextWidgetBackground.TRANSPARENT,
        )
    ]
    for start in range(0, len(section.panels), PANELS_PER_ROW):
        row = section.panels[start : start + PANELS_PER_ROW]
        yield [_graph(panel) for panel in row]
        yield [_text(panel, runbooks) for panel in row]


def _graph(panel: Panel) -> cloudwatch.IWidget:
    return cloudwatch.GraphWidget(
        title=f"{panel.title} ({panel.unit})",
        left=list(panel.lines),
        left_y_axis=cloudwatch.YAxisProps(label=panel.unit, min=0, show_units=False),
        width=COLUMNS // PANELS_PER_ROW,
        height=GRAPH_HEIGHT,
    )


def _text(panel: Panel, runbooks: str) -> cloudwatch.IWidget:
    link = f"[{panel.runbook.heading}]({panel.runbook.link(runbooks)})"
    return cloudwatch.TextWidget(
        markdown=f"{panel.reading} {link}",
        width=COLUMNS // PANELS_PER_ROW,
        height=TEXT_HEIGHT,
    )
