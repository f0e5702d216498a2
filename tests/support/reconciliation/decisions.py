"""Settlements with exceptions, closed as by their file, and resolutions of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from runtime.dynamodb.store import Store
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.repository import ClaimRepository
from runtime.ledger.rules import receivable_account, write_off_account
from runtime.merchants.models import MerchantProfile
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.dependencies import ReconciliationDependencies
from runtime.reconciliation.exceptions.api import BulkResolveRequest, ResolveRequest
from runtime.reconciliation.exceptions.bulk import resolve_exceptions
from runtime.reconciliation.exceptions.repository import ResolutionRepository
from runtime.reconciliation.exceptions.resolutions import (
    ResolutionDependencies,
    resolve_exception,
)
from runtime.reconciliation.files.chunks_repository import SettlementChunkRepository
from runtime.reconciliation.files.closing import close_file
from runtime.reconciliation.files.models import SettlementChunk, SettlementFile
from runtime.reconciliation.settlements.lines_repository import SettlementLineRepository
from runtime.reconciliation.settlements.models import (
    Settlement,
    SettlementFormat,
    SettlementLine,
    SettlementStatus,
)
from tests.support.platform import Platform
from tests.support.reconciliation.batches import Line, file_of, settle


@dataclass
class Decisions:
    """Resolutions of lines of a merchant's settlements, by an operator or by its own user."""

    platform: Platform
    merchant: MerchantProfile
    keys: int = 0
    by_operator: bool = True

    def dependencies(self, store: Store | None = None) -> ResolutionDependencies:
        store = store or self.platform.store
        return ResolutionDependencies(
            ResolutionRepository(store),
            SettlementLineRepository(store),
            self.platform.profiles(),
            ClaimRepository(store),
            self.platform.outside,
        )

    def close(self, lines: Sequence[Line], **file: Any) -> Settlement:
        """A file with these lines of one payout, reconciled completely; its settlement."""
        made, chunk = self.record(lines, **file)
        self.end(made)
        return self.settlement(next(iter(chunk.deltas)))

    def record(self, lines: Sequence[Line], **file: Any) -> tuple[SettlementFile, SettlementChunk]:
        """The lines of a file, recorded; the file is not closed."""
        file = {"chunks": 1, "chunks_done": 1, **file}
        made = file_of(self.platform, self.merchant, SettlementFormat.STRIPE, **file)
        self.platform.put(made)
        return made, settle(self.platform, self.merchant, made, lines)

    def end(self, file: SettlementFile) -> None:
        """Close a file whose lines are recorded."""
        dependencies = ReconciliationDependencies(
            objects=None,  # type: ignore[arg-type]
            queue=None,  # type: ignore[arg-type]
            chunks=SettlementChunkRepository(self.platform.store),
            merchants=self.platform.profiles(),
            alerts=None,  # type: ignore[arg-type]
            record=None,  # type: ignore[arg-type]
            must_stop=lambda: False,
            outside=self.platform.outside,
        )
        close_file(file.id, "close", dependencies)

    def resolve(
        self,
        line: SettlementLine | tuple[str, int],
        action: str,
        *,
        key: str | None = None,
        store: Store | None = None,
        **body: Any,
    ) -> StoredAnswer:
        """POST /v1/settlement-lines/{settlement_id}/{line}/resolve."""
        place = line if isinstance(line, tuple) else (line.settlement_id, line.line)
        self.keys += 1
        path = f"/v1/settlement-lines/{place[0]}/{place[1]}/resolve"
        full = {"action": action, "note": "as agreed", **body}
        call = self._call(full, key or f"resolve-{self.keys}", path)
        members = {"settlement_id": place[0], "line": str(place[1])}
        return resolve_exception(members, ResolveRequest(**full), call, self.dependencies(store))

    def bulk(
        self, *lines: dict[str, Any], key: str = "bulk", store: Store | None = None, **more: Any
    ) -> dict[str, Any]:
        """POST /v1/settlement-lines/resolve; its answer."""
        full = {"lines": [{"note": "as agreed", **line} for line in lines]}
        call = self._call(full, key, "/v1/settlement-lines/resolve")
        request = BulkResolveRequest.model_validate_json(json.dumps(full))
        dependencies = replace(self.dependencies(store), **more)
        answer = resolve_exceptions(request, call, dependencies)
        assert answer.status == 200
        reported: dict[str, Any] = json.loads(answer.body)
        return reported

    def _call(self, body: dict[str, Any], key: str, path: str) -> Call:
        acting_for = self.merchant.id if self.by_operator else None
        return self.platform.call(
            self.merchant, body, key, path=path, operator=self.by_operator, acting_for=acting_for
        )

    # ------------------------------------------------------------ stored state

    def settlement(self, settlement_id: str) -> Settlement:
        (row,) = (row for row in self.platform.rows(Settlement) if row.id == settlement_id)
        return row

    def line(self, settlement_id: str, number: int) -> SettlementLine:
        rows = self.platform.rows(SettlementLine)
        (row,) = (r for r in rows if (r.settlement_id, r.line) == (settlement_id, number))
        return row

    def lines(self) -> dict[int, SettlementLine]:
        return {row.line: row for row in self.platform.rows(SettlementLine)}

    def transaction(self, transaction_id: str | None) -> Transaction:
        (row,) = (row for row in self.platform.rows(Transaction) if row.id == transaction_id)
        return row

    def balances(self) -> dict[str, int]:
        """Every account with a balance; the merchant's receivables and write-offs by name."""
        found: Counter[str] = self.platform.balances()
        names = {}
        for currency in ("USD", "EUR"):
            names[receivable_account(self.merchant.id, currency)] = f"receivable {currency}"
            names[write_off_account(currency)] = f"written off {currency}"
        return {names.get(name, name): amount for name, amount in found.items() if amount}

    def must_count(self) -> None:
        """Every settlement counts its lines correctly, and is completed if none is open."""
        for settlement in self.platform.rows(Settlement):
            lines = [
                r for r in self.platform.rows(SettlementLine) if r.settlement_id == settlement.id
            ]
            assert settlement.counts == Counter(line.status for line in lines)
            opened = sum(line.exception_key is not None for line in lines)
            assert settlement.open_exceptions == opened
            done = settlement.status is SettlementStatus.COMPLETED
            assert done == (opened == 0)
