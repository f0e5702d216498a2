"""Which class does what a kind of client does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from simulation.clients.bank import BankClient
from simulation.clients.cards import CardsClient, StripeClient
from simulation.clients.client import Client
from simulation.clients.customers import CustomersClient
from simulation.clients.finance import FinanceClient
from simulation.clients.operations import OperationsClient
from simulation.clients.powers import PowersClient
from simulation.clients.probes import ProbesClient
from simulation.clients.transfers import TransfersClient
from simulation.platform.plan import ClientKind

CLIENTS: Final[Mapping[ClientKind, type[Client]]] = {
    ClientKind.CARDS: CardsClient,
    ClientKind.STRIPE: StripeClient,
    ClientKind.TRANSFERS: TransfersClient,
    ClientKind.POWERS: PowersClient,
    ClientKind.CUSTOMERS: CustomersClient,
    ClientKind.FINANCE: FinanceClient,
    ClientKind.OPERATIONS: OperationsClient,
    ClientKind.BANK: BankClient,
    ClientKind.PROBES: ProbesClient,
}
