"""The result of a schedule's run, in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Answer = Mapping[str, Any]
"""The report that the function answers with, as its handler writes it."""


def sentence(schedule: str, answer: Any, seconds: float) -> str:
    """For example "resolver: 3 payments resolved, 0 still unknown (0.4 s)"."""
    words = WORDS.get(schedule)
    said = "done" if words is None or not isinstance(answer, dict) else words(answer)
    return f"{schedule}: {said} ({seconds:.1f} s)"


def _resolver(answer: Answer) -> str:
    said = f"{_count(answer['resolved'], 'payment')} resolved, {answer['waiting']} still unknown"
    if answer["too_old"]:
        said += f" ({answer['too_old']} of them for too long)"
    return said + _failed(answer, "resolver") + _left(finished=not answer["stopped_early"])


def _holds(answer: Answer) -> str:
    said = f"{answer['expired']} of {_count(answer['due'], 'due hold')} expired"
    return said + _failed(answer, "holds") + _left(finished=answer["finished"])


def _retries(answer: Answer) -> str:
    said = f"{answer['queued']} of {_count(answer['due'], 'due webhook')} queued"
    return said + _failed(answer, "retries") + _left(finished=answer["finished"])


def _totals(answer: Answer) -> str:
    said = f"{_count(answer['rows'], 'row')} of {_count(answer['merchants'], 'merchant')} folded"
    return said + _failed(answer, "totals") + _left(finished=answer["finished"])


def _poll(answer: Answer) -> str:
    said = (
        f"{_count(answer['merchants'], 'merchant')} polled, "
        f"{_count(answer['applied'], 'event')} applied, "
        f"{answer['kept']} kept for an operator, {answer['waiting']} waiting"
    )
    return said + _failed(answer, "poll") + _left(finished=answer["finished"])


def _missing(answer: Answer) -> str:
    said = (
        f"{_count(answer['merchants'], 'merchant')} swept, "
        f"{_count(answer['missing'], 'transaction')} missing, "
        f"{_count(answer['open_exceptions'], 'open exception')}"
    )
    return said + _failed(answer, "missing") + _left(finished=answer["finished"])


def _archive(answer: Answer) -> str:
    said = (
        f"{_count(answer['roots'], 'root')} signed over {_count(answer['segments'], 'segment')} "
        f"with {_count(answer['rows'], 'row')}"
    )
    return said + _left(finished=answer["complete"])


def _proof(answer: Answer) -> str:
    if answer["busy"]:
        return "another run is in progress"
    if not answer["completed"]:
        phase = answer["phase"].replace("_", " ")
        return f"not finished, at {phase}; the next run continues"
    if answer["holds"]:
        return f"the ledger balances as of {answer['as_of']}"
    wrong = [check["name"] for check in answer["checks"] if not check["holds"]]
    return f"THE LEDGER DOES NOT BALANCE: {', '.join(wrong)}. Details: make proof"


def _rotation(answer: Answer) -> str:
    tables = answer["tables"].values()
    seen, renewed, failed = (
        sum(table[name] for table in tables) for name in ("seen", "renewed", "failed")
    )
    said = f"{renewed} of {_count(seen, 'row')} re-encrypted"
    return said + _failed({"failed": failed}, "rotation") + _left(finished=answer["finished"])


def _canary(answer: Answer) -> str:
    if "failed" in answer:
        return f"FAILED: {answer['failed']}"
    if "skipped" in answer:
        return f"skipped, because {answer['skipped']}"
    what = "read" if answer["payment_id"] is None else f"{answer['payment_id']} paid and refunded"
    return f"{what}; the first answer took {answer['milliseconds']} ms"


WORDS: Final[Mapping[str, Callable[[Answer], str]]] = {
    "archive": _archive,
    "canary": _canary,
    "holds": _holds,
    "missing": _missing,
    "poll": _poll,
    "proof": _proof,
    "resolver": _resolver,
    "retries": _retries,
    "rotation": _rotation,
    "totals": _totals,
}
"""By the name of the schedule."""


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _failed(answer: Answer, function: str) -> str:
    failed: int = answer["failed"]
    return f', {failed} FAILED: make logs ARGS="{function}"' if failed else ""


def _left(*, finished: bool) -> str:
    return "" if finished else "; not finished, the next run continues"
