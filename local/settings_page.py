"""docs/settings.md: every setting of a stage, from the models that judge cdk.json.

Type, range and default are those of the models' JSON schema, and the text is the one that stands
below the field (`stacks/stage.py`, `stacks/stage_parts.py`, `stacks/stage_workload.py`).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from local.workspace import PROJECT_ROOT
from stacks.stage import StageConfig

Json = Mapping[str, Any]

COSTS: Final = "Costs:"
"""What follows it in the text of a setting is what the setting changes in the bill."""
KEY: Final = "name"
"""Not a setting of an entry, but its key."""
UNITS: Final[Mapping[str, str]] = {
    "seconds": "seconds",
    "minutes": "minutes",
    "days": "days",
    "per_second": "per second",
    "minor": "minor units",
    "units": "write units per second",
    "percent": "percent",
    "usd": "US dollars",
}
"""Units by the end of a setting's name."""
PURPOSES: Final[Mapping[str, str]] = {
    "dev": "for trying changes in AWS: test payments, and nothing stays when a stack is deleted",
    "staging": "like prod, with test payments: data stays, but nothing is protected from deletion",
    "prod": "real money: data stays and is protected, and alarms reach people",
    "local": "the embedded AWS of `make up`: short times, and webhooks to this machine",
}
_INTRODUCTION: Final = """\
# Settings

{notice}

A stage is an entry of `stages` in `cdk.json`. Its settings are checked when the stage is
synthesized: an unknown name, a value out of range, or values that do not go together are refused
with a message that says what to change. Before you deploy a change, run
`make preflight STAGE=…`, which says what your AWS account lacks for it.

A setting without a default must be set. The last column says what the setting changes in the bill;
where it is empty, it changes nothing by itself. Parts are objects: `auth.issuer` stands for
`"auth": {{"issuer": …}}`.
"""


@dataclass(frozen=True)
class Setting:
    """A row of the reference. `part`: the schema's reference to the part that the setting is."""

    path: str
    values: str
    default: str
    text: str
    costs: str
    part: str | None


def settings_page(notice: str) -> str:
    """The page, with `notice` below its title."""
    schema = StageConfig.model_json_schema()
    lines = [_INTRODUCTION.format(notice=notice)]
    lines += ["## A stage", "", *_table(settings_of(schema, schema, ""))]
    for path, name in parts_of(schema):
        part = schema["$defs"][name]
        about = inspect.cleandoc(part["description"])
        lines += [f"\n## `{path}`\n", about, "", *_table(settings_of(part, schema, f"{path}."))]
    return "\n".join([*lines, *_stages()]) + "\n"


def parts_of(schema: Json) -> Iterator[tuple[str, str]]:
    """Path and name of each part, of parts within parts as well."""
    waiting = [(setting.path, setting.part) for setting in settings_of(schema, schema, "")]
    while waiting:
        path, name = waiting.pop(0)
        if name is not None:
            yield path, name
            inner = settings_of(schema["$defs"][name], schema, f"{path}.")
            waiting[:0] = [(setting.path, setting.part) for setting in inner]


def settings_of(part: Json, schema: Json, prefix: str) -> list[Setting]:
    """The settings of one part in the order of its fields."""
    return [
        _setting(f"{prefix}{name}", field, schema, required=name in part.get("required", ()))
        for name, field in part["properties"].items()
        if f"{prefix}{name}" != KEY
    ]


def _setting(path: str, field: Json, schema: Json, *, required: bool) -> Setting:
    name = path.rpartition(".")[2]
    part = _part(field)
    text, _, costs = " ".join(field.get("description", "").split()).partition(COSTS)
    if part is not None and not text:
        summary = inspect.cleandoc(schema["$defs"][part]["description"]).partition("\n\n")[0]
        text = f"{' '.join(summary.split())} See [below](#{path.replace('.', '')})."
    default = "required" if required else _default(field, part)
    values = " or ".join(_values(field, schema, _unit(name)))
    costs = costs.strip()
    return Setting(path, values, default, text.strip(), costs[:1].upper() + costs[1:], part)


def _part(field: Json) -> str | None:
    """The part of the stage that the setting is, if it is one."""
    for schema in (field, *field.get("anyOf", ())):
        if "$ref" in schema:
            return str(schema["$ref"]).rpartition("/")[2]
    return None


def _default(field: Json, part: str | None) -> str:
    value = field.get("default")
    if part is not None:
        return "none" if value is None else "its defaults"
    return "none" if value in (None, [], {}) else f"`{_json(value)}`"


def _values(field: Json, schema: Json, unit: str) -> Iterator[str]:
    """What the setting accepts, in words."""
    if "$ref" in field:
        yield "object"
    elif "anyOf" in field:
        for each in field["anyOf"]:
            yield from _values(each, schema, unit)
    elif "enum" in field or "const" in field:
        yield ", ".join(f"`{_json(each)}`" for each in field.get("enum", [field.get("const")]))
    elif field["type"] == "array":
        (items,) = _values(field["items"], schema, unit)
        yield f"list{_count(field)} of {items}"
    elif field["type"] == "object":
        (items,) = _values(field["additionalProperties"], schema, unit)
        yield f"object by table name, each {items}"
    elif field["type"] in ("integer", "number"):
        yield " ".join(filter(None, (field["type"], _range(field), unit)))
    elif field["type"] == "boolean":
        yield "`true`, `false`"
    elif field["type"] == "string":
        pattern = field.get("pattern")
        yield "text" if pattern is None else f"text like `{pattern.replace('|', chr(92) + '|')}`"


def _count(field: Json) -> str:
    least, most = field.get("minItems", 0), field.get("maxItems")
    if most is not None:
        return f" ({least} to {most})"
    return f" (at least {least})" if least else ""


def _range(field: Json) -> str:
    least, most = field.get("minimum"), field.get("maximum")
    above, below = field.get("exclusiveMinimum"), field.get("exclusiveMaximum")
    if above is not None:
        return f"above {above:,}"
    if most is None and below is not None:
        most = below - 1
    if least is not None and most is not None:
        return f"{least:,} to {most:,}"
    if least is not None:
        return f"from {least:,}"
    return "" if most is None else f"to {most:,}"


def _unit(name: str) -> str:
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "")


def _table(rows: list[Setting]) -> Iterator[str]:
    yield "| setting | values | default | what it does | costs |"
    yield "|---|---|---|---|---|"
    for row in rows:
        yield f"| `{row.path}` | {row.values} | {row.default} | {row.text} | {row.costs} |"


def _stages() -> Iterator[str]:
    """The stages of cdk.json side by side."""
    context = json.loads((PROJECT_ROOT / "cdk.json").read_text("utf-8"))["context"]
    stages = {name: dict(_flat(stage, "")) for name, stage in context["stages"].items()}
    yield "\n## The stages of cdk.json\n"
    for name in stages:
        yield f"- **{name}**: {PURPOSES[name]}."
    yield "\nWhat they set; everything else has its default.\n"
    yield f"| setting | {' | '.join(stages)} |"
    yield "|---|" + "---|" * len(stages)
    for path in dict.fromkeys(path for stage in stages.values() for path in stage):
        cells = (f"`{stage[path]}`" if path in stage else "" for stage in stages.values())
        yield f"| `{path}` | {' | '.join(cells)} |"


def _flat(value: Json, prefix: str) -> Iterator[tuple[str, str]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _json(inner)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
