"""Finds uses of clocks, randomness, threads and I/O in a module that bypass its `Outside`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

_CLOCK: Final = "outside.now"
_TIME: Final = "outside.now, outside.monotonic or outside.sleep"
_CHANCE: Final = "outside.chance for jitter, outside.entropy or outside.new_id for anything else"
_ENTROPY: Final = "outside.entropy"
_ID: Final = "outside.new_id"
_THREADS: Final = "outside.threads"
_LOCK: Final = "outside.lock or outside.threads"
_AWS: Final = "outside.aws"
_NETWORK: Final = "a gateway passed as an argument"
_SETTINGS: Final = "settings passed as an argument"
_IMPORT: Final = "an import statement, which this check can read"
_ORDER: Final = "hashlib: hash() gives other values in each process"

INSTEAD: Final = {
    "datetime.datetime.now": _CLOCK,
    "datetime.datetime.today": _CLOCK,
    "datetime.datetime.utcnow": _CLOCK,
    "datetime.date.today": _CLOCK,
    "time": _TIME,
    "sched": _TIME,
    "random": _CHANCE,
    "secrets": _ENTROPY,
    "os.environ": _SETTINGS,
    "os.getenv": _SETTINGS,
    "os.urandom": _ENTROPY,
    "os.getrandom": _ENTROPY,
    "uuid.uuid1": _ID,
    "uuid.uuid4": _ID,
    "ulid.ULID()": _ID,
    "ulid.ULID.from_datetime": _ID,
    "ulid.ULID.from_timestamp": _ID,
    "ulid.ULID.parse": "ULID.from_bytes or ULID.from_str",
    "tempfile": _ENTROPY,
    "concurrent.futures": _THREADS,
    "multiprocessing": _THREADS,
    "asyncio": _THREADS,
    "threading": _LOCK,
    "_thread": _LOCK,
    "queue": _LOCK,
    "boto3.client": _AWS,
    "boto3.resource": _AWS,
    "boto3.Session": _AWS,
    "boto3.session": _AWS,
    "botocore.session": _AWS,
    "runtime.functions.composition.aws_clients": _AWS,
    "runtime.functions.composition.real_outside": "the Outside passed as an argument",
    "socket": _NETWORK,
    "ssl": _NETWORK,
    "http.client": _NETWORK,
    "urllib.request": _NETWORK,
    "requests": _NETWORK,
    "subprocess": _NETWORK,
    "importlib.import_module": _IMPORT,
    "hash()": _ORDER,
    "__import__()": _IMPORT,
}
"""What may not be used, including everything inside it, and what to use instead."""

HARMLESS: Final = frozenset(
    {
        "concurrent.futures.CancelledError",
        "concurrent.futures.Future",
        "concurrent.futures.TimeoutError",
        "secrets.compare_digest",
    }
)
"""Types and pure functions inside what may otherwise not be used."""


class Offence(NamedTuple):
    """One forbidden use; `rule` is its name in INSTEAD."""

    line: int
    used: str
    rule: str

    @property
    def instead(self) -> str:
        """What to use."""
        return INSTEAD[self.rule]


def offences(source: str) -> list[Offence]:
    """Every forbidden use, aliases followed, in the order of lines.

    Annotations do not count: they are never evaluated.
    """
    tree = ast.parse(source)
    found = {
        Offence(node.lineno, used, rule)
        for node, used in _uses(tree, _aliases(tree))
        if (rule := _rule_of(used)) is not None
    }
    return sorted(found)


def _rule_of(used: str) -> str | None:
    if used in HARMLESS:
        return None
    if used in INSTEAD:
        return used
    # The longest name listed here: a module's members are treated like the module.
    parts = used.split(".")
    parents = (".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1))
    return next((parent for parent in parents if parent in INSTEAD), None)


def _aliases(tree: ast.Module) -> dict[str, str]:
    """What each name of the module refers to, if imported or bound to something imported."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                top = each.name.partition(".")[0]
                known[each.asname or top] = each.name if each.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            for each in node.names:
                known[each.asname or each.name] = f"{node.module}.{each.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and (bound := _dotted(node.value, known)) is not None:
            for target in node.targets:
                if isinstance(target, ast.Name):
                    known[target.id] = bound
    return known


def _dotted(node: ast.expr, known: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        of = _dotted(node.value, known)
        return None if of is None else f"{of}.{node.attr}"
    return None


def _uses(tree: ast.AST, known: dict[str, str]) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Each expression that refers to something imported: the whole `a.b.c`, and not its parts."""
    for node in _evaluated(tree):
        if isinstance(node, ast.ImportFrom):
            if any(each.name == "*" for each in node.names):
                yield node, str(node.module)
            continue
        if isinstance(node, ast.Call) and (called := _called(node, known)) in INSTEAD:
            yield node, called
        used = _dotted(node, known) if isinstance(node, (ast.Name, ast.Attribute)) else None
        if used is not None:
            yield node, used


def _called(call: ast.Call, known: dict[str, str]) -> str:
    """Its name followed by brackets; empty for a seeded or deterministic construction."""
    name = _dotted(call.func, known)
    if name is None and isinstance(call.func, ast.Name):
        return f"{call.func.id}()"
    return f"{name}()" if not (call.args or call.keywords) else ""


def _evaluated(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """The nodes that are evaluated; below `a.b.c`, whose name is known, none."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, (ast.expr, ast.stmt)):
                yield child
            if isinstance(child, ast.AST) and not _is_plain_chain(child):
                yield from _evaluated(child)


def _is_plain_chain(node: ast.AST) -> bool:
    """Whether it is exactly `a.b.c`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)
