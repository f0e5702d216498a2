"""Faults of idempotency, retries and reads: what makes a request happen once."""

from __future__ import annotations

from typing import Final

from simulation.mutations.mutation import Mutation, fault

_CLAIMS: Final = "idempotency/repository.py"
_STORE: Final = "dynamodb/store.py"
_READS: Final = "dynamodb/reads.py"

IDEMPOTENCY: Final[tuple[Mutation, ...]] = (
    fault(
        "key-taken-twice",
        "an idempotency key is taken even if it is in use",
        _CLAIMS,
        'put(claim).when(any_of(absent("key"), expired))',
        "put(claim)",
        why="a client's retry moves the money again",
    ),
    fault(
        "fingerprint-uncompared",
        "the fingerprint of a repeated request is not compared",
        "idempotency/claims.py",
        "if record.fingerprint != call.fingerprint:",
        "if not record.fingerprint:",
        why="another request under a used key is answered as if it had been done",
    ),
    fault(
        "answers-forgotten-early",
        "a key may be taken again at once, and not after 24 hours",
        _CLAIMS,
        'below("expires_at", to_epoch_seconds(now))',
        'below("expires_at", to_epoch_seconds(now) + 90_000)',
        why="a client that retries after a time-out pays twice",
    ),
    fault(
        "repeat-answered-as-new",
        "a repeated transfer is answered with what the repetition would have made",
        "ledger/transfers/transfers.py",
        "        return _earlier(earlier, attempt, call)\n    except PlatformError",
        "        return answer\n    except PlatformError",
        why="the client keeps the id of a transfer that does not exist",
    ),
    fault(
        "late-transfer-refused",
        "a refusal is answered although the transfer was committed before it was stored",
        "ledger/transfers/transfers.py",
        "        return _earlier(earlier, attempt, call)\n    if claim is None:",
        "        return answer\n    if claim is None:",
        why="a commit that DynamoDB executed late moved the money that the client was refused",
    ),
    fault(
        "repeat-refused-as-new",
        "a refusal is answered before the key is looked up",
        "payments/two_phase.py",
        "if before is not None and not is_expired(before, call.now):",
        "if before is None and is_expired(claim, call.now):",
        why="the retry of a refund that was made hears that nothing is left to refund",
    ),
    fault(
        "answer-not-stored",
        "the answer of a payment is not stored with its outcome",
        "payments/repository.py",
        "[LeftOut(claims.complete(claim)) for claim in answered]",
        "[]",
        why="a repeated request gets another answer than the first one",
    ),
    fault(
        "resolver-leaves-key-open",
        "the resolver finishes a payment and not the key that began it",
        "payments/two_phase.py",
        "claim = deps.claims.read(claim_key) if claim_key is not None else None",
        "claim = None",
        why="the client's retries get another answer each time that the payment changes",
    ),
    fault(
        "token-new-at-retry",
        "a write whose answer was lost is sent again under a new token",
        _STORE,
        "self.client.transact_write_items(**request)",
        "self.client.transact_write_items(\n"
        '                    **{**request, "ClientRequestToken": f"{token[:30]}-{attempt}"}\n'
        "                )",
        why="a transfer without an idempotency key is made twice",
    ),
    fault(
        "mixed-reasons-judged",
        "a canceled write is judged although one of its conditions was not evaluated",
        "dynamodb/errors.py",
        "if failed and (not transient or not failed.keys().isdisjoint(decisive)):",
        "if failed:",
        why="a repeated request hears 'insufficient funds' and not its first answer",
        unseen="the engine locks the rows of a request together and an injected conflict comes "
        "alone, so no key is in conflict while its account is judged",
    ),
    fault(
        "stale-read-decides",
        "single rows are read eventually consistent",
        _READS,
        "self.client.get_item, ConsistentRead=True, **read)",
        "self.client.get_item, ConsistentRead=False, **read)",
        why="decisions are made on balances and keys of a moment ago",
    ),
    fault(
        "tenant-scope-unchecked",
        "a row is shown whosever it is",
        _READS,
        'return scope.admits(item.get(OWNER, {}).get("S"))',
        "return True",
        why="a merchant reads, refunds and cancels another merchant's payments",
    ),
    fault(
        "rate-limit-off-by-one",
        "a merchant's limit lets one payment more through",
        "payments/rate_limits/repository.py",
        'fits = below("used", limit.payments)',
        'fits = below("used", limit.payments + 1)',
        why="a limit of fraud control does not hold",
    ),
    fault(
        "lockout-one-late",
        "a customer is locked by one failure more than the rule allows",
        "customers/lockout_rules.py",
        "last = failed_attempts >= rule.after_failures - 1",
        "last = failed_attempts >= rule.after_failures",
        why="the customer is never locked: the write's own condition does not agree",
    ),
    fault(
        "locked-customer-pays",
        "a payment does not look at its customer's lock",
        "payments/writes.py",
        "may = (*customer_of(payment.merchant_id), unlocked(payment.created_at))",
        "may = (*customer_of(payment.merchant_id),)",
        why="a stolen card is tried on without end",
        unseen="another condition refuses it; only a lock between two tries of a write shows it",
    ),
    fault(
        "customer-version-unchecked",
        "a change of a customer does not compare the version that was read",
        "customers/repository.py",
        "change(before, after, Customer).when(\n"
        '            equals("version", before.version), absent("erased_at")',
        'change(before, after, Customer).when(\n            absent("erased_at")',
        why="one of two payment methods that are added at once is lost",
    ),
    fault(
        "erased-customer-keeps-keys",
        "erasing a customer leaves its data keys",
        "customers/repository.py",
        "self._store.transact([step, *keys], token=token)",
        "self._store.transact([step], token=token)",
        why="personal data in backups can still be decrypted",
    ),
)
