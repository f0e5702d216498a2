"""The platform's own functions in one simulated world."""

from __future__ import annotations

from collections import Counter

from simulation.platform.plan import ClientKind, Plan
from simulation.platform.world import Platform


def test_clients_pay_and_transfer_through_the_functions_when_nothing_goes_wrong() -> None:
    kinds = (ClientKind.CARDS, ClientKind.STRIPE, ClientKind.TRANSFERS)
    platform = Platform("calm", Plan.drawn("calm", 120, parts=(), kinds=kinds), stops=False)
    platform.run()
    assert platform.gateway.crashes == []
    statuses = Counter(
        exchange.response.status for exchange in platform.history if exchange.response
    )
    assert statuses[201] > 60
    assert statuses[500] == 0
