"""Payments at rest: our rows and what the sandbox processor remembers agree, to the unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.values import Item, number, text

_DONE: Final = ("succeeded", "settled")
_CHARGE: Final = ("", "charge")
_HELD: Final = ("approved", "authorized", "voided")
SANDBOX: Final = "sandbox"


def sandbox_faults(rows: Rows) -> Faults:
    """Both ways: nothing happened there that we do not know of, and nothing only here."""
    memory = rows.by_id("sandbox_charges")
    ours = {
        name: item
        for name, item in rows.by_id("payments").items()
        if text(item, "processor") == SANDBOX
    }
    for name, item in sorted(ours.items()):
        yield from _charge_faults(name, item, memory.get(name))
    for reference, charge in sorted(memory.items()):
        is_held = text(charge, "kind") in _CHARGE and text(charge, "state") in _HELD
        if is_held and not text(ours.get(reference, {}), "charge_id"):
            yield f"the sandbox has charged {reference}, and we do not know of it"
    yield from _operation_faults(rows, memory, ours)


def _charge_faults(name: str, item: Item, charge: Item | None) -> Iterator[str]:
    if not text(item, "charge_id"):
        return
    if charge is None:
        yield f"{name} was charged, and the sandbox does not know of it"
        return
    for attribute in ("amount", "currency"):
        if charge.get(attribute) != item.get(attribute):
            yield f"{name}: {attribute} is {item.get(attribute)}, at the sandbox {charge}"
    if "disputes" in item:
        return
    left = number(item, "amount_captured") - number(item, "amount_refunded")
    for attribute, amount in (
        ("capturable", number(item, "capturable_minor")),
        ("refundable", left),
    ):
        if attribute in charge and number(charge, attribute) != amount:
            yield f"{name} has {amount} {attribute}, the sandbox {number(charge, attribute)}"


def _operation_faults(
    rows: Rows, memory: Mapping[str, Item], ours: Mapping[str, Item]
) -> Iterator[str]:
    """Captures, refunds and voids: each is approved there exactly if it is done here."""
    done: dict[str, Item] = {}
    unasked: dict[str, list[str]] = defaultdict(list)
    for name, item in sorted(rows.by_id("transactions").items()):
        if text(item, "payment_id") not in ours or text(item, "status") not in _DONE:
            continue
        if name in memory:
            done[name] = item
        else:  # the payment's charge itself has no operation of its own there
            unasked[text(item, "payment_id")].append(name)
    for payment_id, names in unasked.items():
        if len(names) > 1:
            yield f"{payment_id}: {names} are done, and the sandbox was asked for one charge alone"
    for reference, row in sorted(memory.items()):
        if text(row, "kind") not in (*_CHARGE, "dispute"):
            yield from _difference(reference, row, done.get(reference))


def _difference(reference: str, row: Item, here: Item | None) -> Iterator[str]:
    kind, state = text(row, "kind"), text(row, "state")
    if here is None:
        if state == "approved":
            yield f"the sandbox has done the {kind} {reference}, and we do not know of it"
    elif state != "approved":
        yield f"{reference} is done here, and {state} at the sandbox"
    elif (number(here, "amount"), text(here, "type")) != (number(row, "amount"), kind):
        yield f"{reference}: {text(here, 'type')} of {number(here, 'amount')} here, there {row}"
