"""Rows edited by hand, past the platform: each must be found, and named.

While clients work only what moves no money is edited. The books are tampered with once the world
is at rest and was judged, so that what is found then is found because of the edit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final

from runtime.audit.chain import version_key
from runtime.core.change_context import OUT_OF_BAND
from runtime.core.ids import RANDOM_BYTES, id_at
from runtime.verification.rules import CheckName
from simulation.dynamodb import InMemoryClient
from simulation.dynamodb.errors import TransactionConflictException
from simulation.outside import clock
from simulation.platform.http import OPERATOR, HttpRequest
from simulation.platform.settling import prove

if TYPE_CHECKING:
    from simulation.platform.world import Platform

LEAST_SECONDS, MOST_SECONDS = 60.0, 400.0
ALERT: Final = "an alert"
PROOF: Final = "ledger verification"
POSTINGS: Final = "ledger verification of payments"
HOLDS: Final = "ledger verification of holds"
CHAIN: Final = "the verification of its audit chain"
_ZERO: Final[Mapping[str, str]] = {"N": "0"}


@dataclass(frozen=True)
class Edit:
    """One edit: of which entity, what was done to it, and what must name it."""

    entity_id: str
    what: str
    found_by: tuple[str, ...]
    is_audited: bool = True
    """Whether the audit log records changes of the table: then incremental verifications find it,
    too."""


@dataclass
class Editor:
    """An operator with write access to the tables."""

    platform: Platform
    dice: Random
    edits: list[Edit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client: Any = InMemoryClient(self.platform.database)

    # ------------------------------------------------------------ while clients work

    def work(self) -> None:
        """Edit descriptions now and then until the run is over; not while it comes to rest."""
        while not self.platform.state.is_over:
            self.platform.sleep(self.dice.uniform(LEAST_SECONDS, MOST_SECONDS))
            if self.platform.state.is_settling:
                continue
            payments = list(self.platform.items("payments"))
            if payments:
                payment = self.dice.choice(payments)
                # Refused while a transaction writes the payment: then nothing was edited.
                with suppress(TransactionConflictException):
                    self._edit(
                        "payments",
                        {"id": payment["id"]},
                        {"description": {"S": f"edited {self.dice.randrange(10**6)}"}},
                        Edit(payment["id"]["S"], "its description was edited", (ALERT,)),
                    )

    # ------------------------------------------------------------ at rest

    def tamper(self) -> list[str]:
        """Edit the ledger and the audit log; returns the edits that were not detected."""
        for edit in (
            self._more_money,
            self._another_entry,
            self._another_capture,
            self._another_posting,
            self._no_hold,
            self._another_audit_row,
            self._no_audit_row,
        ):
            edit()
        scheduler = self.platform.scheduler
        for _ in range(20):
            scheduler.sleep(60.0)
            if self.platform.sources.quiet():
                break
        full = prove(self.platform)
        incremental = self.platform.proof_of_changes
        alerts = {
            item["entity_id"]["S"]
            for item in self.platform.items("alerts")
            if item["type"]["S"] == OUT_OF_BAND
        }
        finds: dict[str, Finds] = {
            ALERT: lambda entity: entity in alerts,
            CHAIN: self._chain_fails,
        }
        missed = _missed(self.edits, finds | _finds_in(full))
        audited = [edit for edit in self.edits if edit.is_audited]
        missed_in_changes = _missed(audited, finds | _finds_in(incremental))
        return missed + [f"{each} (incremental)" for each in missed_in_changes]

    def _more_money(self) -> None:
        """An insider credits an account by hand."""
        assert self.platform.initial is not None
        account = self.dice.choice(self.platform.initial.shops).wallets["USD"][0]
        row = self._row("accounts", id=account, shard="00")
        more = {name: _plus(row[name], 777) for name in ("balance", "spendable")}
        key = {"id": row["id"], "shard": row["shard"]}
        edit = Edit(account, "its balance was raised", (ALERT, PROOF))
        self._edit("accounts", key, more, edit)

    def _another_entry(self) -> None:
        """A statement is made to say something else."""
        row = self._any("entries", lambda item: "transfer_id" in item)
        if row is not None:
            key = {"account_shard": row["account_shard"], "sequence": row["sequence"]}
            edit = Edit(row["account_shard"]["S"], "an entry was edited", (PROOF,), False)
            self._edit("entries", key, {"amount": _plus(row["amount"], 5)}, edit)

    def _another_capture(self) -> None:
        """A payment is made to have taken more, by a version that jumps and a made-up cause."""
        row = self._any("payments", lambda item: int(item.get("amount_captured", _ZERO)["N"]) > 1)
        if row is not None:
            edit = Edit(row["id"]["S"], "what was captured was edited", (ALERT, PROOF))
            more = {"amount_captured": _plus(row["amount_captured"], 1)}
            more |= {"cause": {"S": self._new_id("req")}, "version": _plus(row["version"], 2)}
            self._edit("payments", {"id": row["id"]}, more, edit)

    def _another_posting(self) -> None:
        """What happened to a payment is booked once more, and moves nothing."""
        row = self._any("transfers", _is_posting_of_a_payment)
        if row is not None:
            copy_id = self._new_id("trf")
            names = {name: {"S": copy_id} for name in ("id", "operation_id", "cause")}
            left_out = {"debited_accounts", "debit_shard"}
            copy = {name: value for name, value in row.items() if name not in left_out}
            copy |= {**names, "folded_accounts": {"L": []}}
            edit = Edit(copy_id, "a posting was put a second time", (POSTINGS,))
            self.edits.append(edit)
            with self.platform.watch.by_hand(edit.what):
                self._client.put_item(TableName=self.platform.tables["transfers"], Item=copy)

    def _no_hold(self) -> None:
        """A hold is over, and its accounts still set money aside for it."""
        row = self._any("transfers", _is_hold)
        if row is not None:
            account = row["legs"]["L"][0]["M"]["from_account_id"]["S"]
            edit = Edit(account, "a hold of it was called off in its row alone", (HOLDS,))
            values = {"status": {"S": "canceled"}, "cause": {"S": self._new_id("cnl")}}
            values["version"] = _plus(row["version"], 1)
            self._edit("transfers", {"id": row["id"]}, values, edit)

    def _another_audit_row(self) -> None:
        """An audit row is edited to name another user."""
        row = self._any("audit_log", _is_first_of_a_whole_entity)
        if row is not None:
            edit = Edit(row["entity_id"]["S"], "an audit row was edited", (ALERT, CHAIN))
            self._edit("audit_log", _audit_key(row), {"user_id": {"S": "another-user"}}, edit)

    def _no_audit_row(self) -> None:
        """A line of the log disappears, and others that build on it stay."""
        rows = list(self.platform.items("audit_log"))
        later = {item["entity_id"]["S"] for item in rows if item["sequence"]["S"] == version_key(2)}
        edited = {edit.entity_id for edit in self.edits}
        row = self._any(
            "audit_log",
            lambda item: (
                _is_first_of_a_whole_entity(item)
                and item["entity_id"]["S"] in later
                and item["entity_id"]["S"] not in edited
            ),
        )
        if row is not None:
            edit = Edit(row["entity_id"]["S"], "an audit row was deleted", (ALERT, CHAIN))
            self.edits.append(edit)
            with self.platform.watch.by_hand(edit.what):
                name = self.platform.tables["audit_log"]
                self._client.delete_item(TableName=name, Key=_audit_key(row))

    # ------------------------------------------------------------ how

    def _edit(
        self, table: str, key: Mapping[str, Any], values: Mapping[str, Any], edit: Edit
    ) -> None:
        names = {f"#{n}": name for n, name in enumerate(values)}
        given = {f":{n}": value for n, value in enumerate(values.values())}
        assigned = ", ".join(f"#{n} = :{n}" for n in range(len(values)))
        with self.platform.watch.by_hand(edit.what):
            self._client.update_item(
                TableName=self.platform.tables[table],
                Key=dict(key),
                UpdateExpression=f"SET {assigned}",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=given,
            )
        self.edits.append(edit)

    def _row(self, table: str, **key: str) -> Mapping[str, Any]:
        typed = {name: {"S": value} for name, value in key.items()}
        name = self.platform.tables[table]
        answer = self._client.get_item(TableName=name, Key=typed, ConsistentRead=True)
        row: Mapping[str, Any] = answer["Item"]
        return row

    def _new_id(self, prefix: str) -> str:
        now = clock(self.platform.scheduler)()
        return id_at(prefix, now, self.dice.randbytes(RANDOM_BYTES))

    def _any(
        self, table: str, wanted: Callable[[Mapping[str, Any]], bool]
    ) -> Mapping[str, Any] | None:
        rows = [item for item in self.platform.items(table) if wanted(item)]
        return self.dice.choice(rows) if rows else None

    def _chain_fails(self, entity_id: str) -> bool:
        request = HttpRequest(
            "operator", "GET", f"/v1/audit/{entity_id}/verify", credential=OPERATOR
        )
        answer = self.platform.api(request)
        return answer.status == 200 and not answer.body["valid"]


Finds = Callable[[str], bool]


def _finds_in(report: Mapping[str, Any]) -> dict[str, Finds]:
    """Whether a verification of the ledger names an entity."""
    named = {check["name"]: json.dumps(check["violations"]) for check in report["checks"]}
    return {
        PROOF: lambda entity: any(entity in violations for violations in named.values()),
        POSTINGS: lambda entity: entity in named[CheckName.PAYMENT_POSTINGS],
        HOLDS: lambda entity: entity in named[CheckName.OPEN_HOLDS],
    }


def _missed(edits: Iterable[Edit], finds: Mapping[str, Finds]) -> list[str]:
    return [
        f"edit: {edit.entity_id}: {edit.what}, and {by} does not name it"
        for edit in edits
        for by in edit.found_by
        if not finds[by](edit.entity_id)
    ]


def _plus(value: Mapping[str, str], more: int) -> dict[str, str]:
    return {"N": str(int(value["N"]) + more)}


def _is_posting_of_a_payment(row: Mapping[str, Any]) -> bool:
    payment, settlement = (row.get(name, {}) for name in ("payment_id", "settlement_id"))
    return "S" in payment and "S" not in settlement


def _is_hold(row: Mapping[str, Any]) -> bool:
    """A pending one that no hot account takes part in: the change stream would look at that."""
    return row["status"]["S"] == "pending" and not row.get("folded_accounts", {}).get("L")


def _is_first_of_a_whole_entity(row: Mapping[str, Any]) -> bool:
    """Not of a shard of a hot account: the API verifies whole entities."""
    return row["sequence"]["S"] == version_key(1) and "#" not in row["entity_id"]["S"]


def _audit_key(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"entity_id": row["entity_id"], "sequence": row["sequence"]}
