"""What may go wrong, how often, and as which exception the platform sees it.

docs/testing.md, "Faults", says what is assumed of AWS, each with its source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from random import Random
from typing import Any, Final, Self

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

SWARM: Final = (0.0, 0.3, 1.0, 1.0, 4.0, 12.0)
"""How much more often than usual a fault comes in one seed: most defects want one fault often, not
all of them seldom (Groce and others, "Swarm testing", ISSTA 2012)."""
_MOST: Final = 0.5
_PLAIN_WRITES: Final = frozenset({"delete_item", "put_item", "update_item"})
_TRANSACTIONS: Final = frozenset({"transact_get_items", "transact_write_items"})
_THROTTLED: Final = (
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
)
_THROTTLED_ACTIONS: Final = ("ProvisionedThroughputExceeded", "ThrottlingError")
"""The same among the reasons of a canceled transaction (API reference, TransactWriteItems)."""

CALL_FAULTS: Final = (
    "kill_before",
    "kill_after",
    "unreached",
    "answer_lost",
    "late",
    "throttled",
    "internal",
    "internal_after",
    "conflict",
    "in_progress",
)
"""At most one of these happens to a call of DynamoDB; the names are fields of FaultRates."""
PARTNER_FAULTS: Final = (
    "kill_before",
    "kill_after",
    "unreached",
    "answer_lost",
    "late",
    "refused",
)
"""At most one of these happens to a call of another system; they are fields of PartnerRates."""


@dataclass(frozen=True)
class FaultRates:
    """Chances of faults: per call of DynamoDB, and per delivery of what invokes functions."""

    kill_before: float = 0.002
    """The environment dies before the request is sent; no `finally` runs."""
    kill_after: float = 0.002
    """It dies once the request is done, before the answer is read."""
    unreached: float = 0.005
    """No connection could be made: nothing was done."""
    answer_lost: float = 0.005
    """It was done, and the connection ends, or nothing comes until the client gives up."""
    late: float = 0.003
    """The request arrives after the client has given up."""
    throttled: float = 0.005
    internal: float = 0.003
    """A 5xx, and nothing was done."""
    internal_after: float = 0.002
    """A 5xx, and it was done."""
    conflict: float = 0.005
    """Another transaction has the item: TransactionConflict."""
    in_progress: float = 0.002
    """The transaction of this token is still being worked on: TransactionInProgressException."""
    unprocessed: float = 0.01
    """BatchGetItem leaves some keys unread."""
    slow: float = 0.02
    """Up to two seconds."""
    stuck: float = 0.001
    """Up to half a minute, so mostly longer than the client waits."""
    half_visible: float = 0.2
    """Some rows of a transaction are seen before the others by reads that are not transactional."""
    impatient: float = 0.03
    """A client gives up before the answer is there (for who simulates clients)."""
    cold: float = 0.02
    """An invocation meets no warm environment though there is one, and the warm one is gone."""
    skew_seconds: float = 2.0
    """The clock of an environment is wrong by up to so much, either way."""
    batch_doubled: float = 0.03
    """Records stand twice in a batch, side by side."""
    batch_repeated: float = 0.05
    """A batch that was done comes again at once."""
    batch_rewound: float = 0.02
    """A shard goes back, and what was done comes again, in order."""
    batch_late: float = 0.1
    """A shard rests for up to 20 s while others go on."""
    message_doubled: float = 0.05
    """SQS hands out a message again though it was deleted, or is being worked on."""
    message_late: float = 0.05
    """SQS hands out a message up to a minute later than it could."""
    schedule_doubled: float = 0.02
    """EventBridge runs a schedule's target twice for one tick."""

    @classmethod
    def calm(cls) -> Self:
        """Nothing goes wrong."""
        return cls(**dict.fromkeys((each.name for each in fields(cls)), 0.0))

    @classmethod
    def swarm(cls, rng: Random) -> Self:
        """Rates of a seed's own."""
        return replace(
            cls(**_scaled(cls(), rng)),
            half_visible=rng.choice((0.0, 0.2, 0.8)),
            skew_seconds=rng.choice((0.0, 0.5, 2.0, 10.0)),
        )


@dataclass(frozen=True)
class PartnerRates:
    """Chances of faults per call of another system: a processor, an endpoint, S3, SQS, KMS."""

    kill_before: float = 0.005
    kill_after: float = 0.005
    unreached: float = 0.02
    answer_lost: float = 0.02
    late: float = 0.02
    """It is done up to `latest` seconds after the client has given up."""
    refused: float = 0.0
    """The other system says that it cannot, and has done nothing; AWS clients only."""
    slow: float = 0.05
    """It takes up to `slowest` seconds."""
    least: float = 0.01
    """Seconds that a call takes at the least …"""
    usual: float = 0.1
    """… and at the most, unless it is slow."""
    slowest: float = 10.0
    timeout: float = 10.0
    """Seconds after which the client gives up."""
    latest: float = 60.0

    @classmethod
    def calm(cls) -> Self:
        """Nothing goes wrong, and every call takes its usual time."""
        chances = (*PARTNER_FAULTS, "slow")
        return cls(**dict.fromkeys(chances, 0.0))

    @classmethod
    def swarm(cls, rng: Random) -> Self:
        """Rates of a seed's own, with the times as they usually are."""
        usual = cls()
        scaled = _scaled(usual, rng)
        return replace(usual, **{name: scaled[name] for name in (*PARTNER_FAULTS, "slow")})

    @classmethod
    def aws(cls, rng: Random | None = None) -> Self:
        """Rates for KMS, S3, SQS and EventBridge: `rng` None is the usual ones."""
        usual = cls() if rng is None else cls.swarm(rng)
        refused = 0.01 if rng is None else 0.01 * rng.choice(SWARM)
        return replace(
            usual, refused=refused, least=0.002, usual=0.02, slowest=8.0, timeout=5.0, latest=30.0
        )


def _scaled(usual: FaultRates | PartnerRates, rng: Random) -> dict[str, float]:
    return {
        each.name: min(getattr(usual, each.name) * rng.choice(SWARM), _MOST)
        for each in fields(usual)
    }


class Throw:
    """Draws at most one of some faults, by their rates."""

    __slots__ = ("_bounds", "_names", "_total")

    def __init__(self, rates: FaultRates | PartnerRates, names: Sequence[str]) -> None:
        self._names = names
        self._bounds = list(accumulate(getattr(rates, name) for name in names))
        self._total = self._bounds[-1]
        assert self._total < 1.0, f"one of {names} would happen to every call"

    def fault(self, rng: Random) -> str | None:
        """What goes wrong with this one call."""
        throw = rng.random()
        if throw >= self._total:
            return None
        for bound, name in zip(self._bounds, self._names, strict=True):
            if throw < bound:
                return name
        return None


# ---------------------------------------------------------------- as botocore raises it

_ENDPOINT: Final = "https://aws.simulated"


def client_error(
    code: str,
    operation: str,
    message: str = "injected",
    *,
    status: int = 400,
    kind: type[ClientError] = ClientError,
    **more: Any,
) -> ClientError:
    """An error that the service answered, with what botocore parses from such an answer."""
    parsed: Mapping[str, Any] = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0},
        "message": message,
        **more,
    }
    error = kind.__new__(kind)
    ClientError.__init__(error, parsed, operation)  # type: ignore[arg-type]
    return error


def read_timeout() -> BaseException:
    """Nothing came before the client gave up."""
    return ReadTimeoutError(endpoint_url=_ENDPOINT)


def closed_or_timeout(rng: Random) -> tuple[BaseException, bool]:
    """How the loss of an answer shows, and whether the client had to wait for it."""
    if rng.random() < 0.5:
        return read_timeout(), True
    return ConnectionClosedError(endpoint_url=_ENDPOINT), False


def unreached() -> BaseException:
    """No connection could be made."""
    return EndpointConnectionError(endpoint_url=_ENDPOINT)


def fitting(fault: str, operation: str) -> str:
    """The fault, or one like it that this operation of DynamoDB can meet."""
    if fault == "conflict" and operation not in _TRANSACTIONS and operation not in _PLAIN_WRITES:
        return "throttled"
    if fault == "in_progress" and operation != "transact_write_items":
        return "internal"
    return fault


def refusal(
    fault: str, operation: str, arguments: Mapping[str, Any], rng: Random, exceptions: Any
) -> BaseException:
    """What DynamoDB answers that has not done it; `exceptions` are the client's classes."""
    if fault == "unreached":
        return unreached()
    if fault == "internal":
        return internal_error(operation, rng)
    splits = fault == "conflict" or (fault == "throttled" and rng.random() < 0.3)
    if operation in _TRANSACTIONS and splits:
        actions = len(arguments["TransactItems"])
        reason = "TransactionConflict" if fault == "conflict" else rng.choice(_THROTTLED_ACTIONS)
        return _canceled(operation, actions, reason, rng, exceptions)
    code = {
        "throttled": rng.choice(_THROTTLED),
        "in_progress": "TransactionInProgressException",
        "conflict": "TransactionConflictException",
    }[fault]
    return client_error(code, _named(operation), kind=getattr(exceptions, code, ClientError))


def internal_error(operation: str, rng: Random) -> BaseException:
    """A 5xx of DynamoDB, which leaves open whether a write was done."""
    code, status = rng.choice((("InternalServerError", 500), ("ServiceUnavailable", 503)))
    return client_error(code, _named(operation), status=status)


def _named(operation: str) -> str:
    return "".join(part.capitalize() for part in operation.split("_"))


def _canceled(
    operation: str, actions: int, reason: str, rng: Random, exceptions: Any
) -> ClientError:
    """A transaction of which one item is in another one, or gets no throughput."""
    reasons = [{"Code": "None"} for _ in range(actions)]
    reasons[rng.randrange(actions)] = {"Code": reason, "Message": "injected"}
    codes = ", ".join(each["Code"] for each in reasons)
    code = "TransactionCanceledException"
    return client_error(
        code,
        _named(operation),
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        kind=getattr(exceptions, code, ClientError),
        CancellationReasons=reasons,
    )
