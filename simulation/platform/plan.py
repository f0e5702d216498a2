"""What a run does: its seed, its clients with a seed and a number of operations each, its parts.

A run is shrunk by dropping clients and lowering their operations. What one client does depends on
its own seed and on the answers that it got, never on which other clients there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Final, Self

MOST_CLIENTS: Final = 24
OPERATIONS_PER_CLIENT: Final = 100
"""About so many: then another client joins, up to MOST_CLIENTS."""
OPERATIONS_PER_PAUSE: Final = 800
MOST_PAUSES: Final = 2


class ClientKind(StrEnum):
    """What a client is busy with (simulation/clients)."""

    CARDS = "cards"
    """Payments at the sandbox: charged, captured in parts, canceled, refunded."""
    STRIPE = "stripe"
    """The same at Stripe."""
    TRANSFERS = "transfers"
    """Accounts and transfers: immediate, held, several legs; hot accounts and payouts."""
    POWERS = "powers"
    """Transfers of distinct powers of two: a balance says which of them it has seen."""
    CUSTOMERS = "customers"
    """Customers and their payment methods, registered, charged, locked and erased."""
    FINANCE = "finance"
    """Settlement files, exceptions, exports and reports."""
    OPERATIONS = "operations"
    """What operators do: merchants, API keys, webhooks, alerts, audit log."""
    BANK = "bank"
    """Banks: disputes, and refunds that come back, with signed notifications."""
    PROBES = "probes"
    """What must be refused: a unit too much, another merchant's money, the same thing twice."""


SHARES: Final[Mapping[ClientKind, int]] = {
    ClientKind.CARDS: 27,
    ClientKind.TRANSFERS: 24,
    ClientKind.STRIPE: 12,
    ClientKind.CUSTOMERS: 9,
    ClientKind.POWERS: 8,
    ClientKind.OPERATIONS: 6,
    ClientKind.FINANCE: 5,
    ClientKind.BANK: 3,
    ClientKind.PROBES: 6,
}
"""Of a hundred operations, how many each kind of client does."""


class Part(StrEnum):
    """What a run may leave out."""

    FAULTS = "faults"
    """Everything that goes wrong by chance: deaths, lost answers, conflicts, skewed clocks."""
    DEPLOYMENTS = "deployments"
    """New environments with other settings while old ones still run."""
    EDITS = "edits"
    """Rows edited by hand, past the platform."""
    PAUSES = "pauses"
    """Points within the run at which the world comes to rest, is checked, and goes on."""


ALL_PARTS: Final = frozenset(Part)


@dataclass(frozen=True)
class ClientPlan:
    """One client: its name, the seed of all that it decides, and how many operations it does."""

    name: str
    kind: ClientKind
    seed: str
    operations: int


@dataclass(frozen=True)
class Plan:
    """A run. `seed` decides about faults and about who goes on; clients have seeds of their own.

    `pauses`: after how many operations of all clients together the world is brought to rest. A
    smaller run keeps them, so that it is the same up to where it was cut off.
    """

    seed: str
    clients: tuple[ClientPlan, ...]
    parts: frozenset[Part] = ALL_PARTS
    pauses: tuple[int, ...] = ()

    @property
    def operations(self) -> int:
        """Operations of all clients together."""
        return sum(client.operations for client in self.clients)

    @classmethod
    def drawn(
        cls,
        seed: str,
        operations: int,
        *,
        parts: Iterable[Part] = ALL_PARTS,
        kinds: Iterable[ClientKind] = tuple(ClientKind),
    ) -> Self:
        """`operations` spread over clients of `kinds` by their shares; one client each at least."""
        wanted = tuple(kind for kind in ClientKind if kind in set(kinds))
        dice = Random(f"{seed}-plan")
        many = min(max(len(wanted), operations // OPERATIONS_PER_CLIENT), MOST_CLIENTS)
        chosen = [*wanted, *_drawn_kinds(wanted, many - len(wanted), dice)]
        per_kind = _divided(operations, [SHARES[kind] for kind in wanted])
        counts: dict[int, int] = {}
        for kind, total in zip(wanted, per_kind, strict=True):
            places = [place for place, each in enumerate(chosen) if each is kind]
            counts.update(zip(places, _divided(total, [1] * len(places)), strict=True))
        clients = tuple(
            ClientPlan(f"{kind}-{place}", kind, f"{seed}-{kind}-{place}", counts[place])
            for place, kind in enumerate(chosen)
            if counts[place]
        )
        return cls(seed, clients, frozenset(parts), _pauses(operations))

    def without(self, name: str) -> Self:
        """The same run with one client less."""
        return replace(self, clients=tuple(each for each in self.clients if each.name != name))

    def limited(self, name: str, operations: int) -> Self:
        """The same run, in which one client does only its first `operations`."""
        return replace(
            self,
            clients=tuple(
                replace(each, operations=operations) if each.name == name else each
                for each in self.clients
            ),
        )


def _pauses(operations: int) -> tuple[int, ...]:
    """Evenly spread; none in a short run, whose end is check enough."""
    many = min(operations // OPERATIONS_PER_PAUSE, MOST_PAUSES)
    return tuple(operations * number // (many + 1) for number in range(1, many + 1))


def _drawn_kinds(kinds: tuple[ClientKind, ...], many: int, dice: Random) -> list[ClientKind]:
    return dice.choices(kinds, [SHARES[kind] for kind in kinds], k=max(many, 0)) if kinds else []


def _divided(total: int, weights: list[int]) -> list[int]:
    """Whole numbers in proportion to `weights` that add up to `total`."""
    left, weight = total, sum(weights)
    parts = []
    for each in weights:
        part = left * each // weight
        parts.append(part)
        left, weight = left - part, weight - each
    return parts
