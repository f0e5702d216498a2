"""DynamoDB in memory, as far as the runtime uses it: fast, deterministic, and the same answers.

What it does is compared with AWS's own engine request by request: tests/integration/
test_differential.py. What it does not know raises `Unsupported`.
"""

from simulation.dynamodb.client import InMemoryClient, InMemoryStreams
from simulation.dynamodb.database import InMemoryDynamoDB
from simulation.dynamodb.errors import Unsupported
from simulation.dynamodb.streams import StreamEntry
from simulation.dynamodb.tables import Change, Table
from simulation.dynamodb.transactions import Transaction

__all__ = [
    "Change",
    "InMemoryClient",
    "InMemoryDynamoDB",
    "InMemoryStreams",
    "StreamEntry",
    "Table",
    "Transaction",
    "Unsupported",
]
