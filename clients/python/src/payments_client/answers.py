"""Answers of the generated operations, without the None that their types allow."""

from __future__ import annotations

from typing import TypeVar

from payments_client.errors import PaymentsError

T = TypeVar("T")


def answer(parsed: T | None) -> T:
    """What an operation answered: `answer(create_payment.sync(client=client, body=…))`.

    The generated types allow None for statuses that the API's description does not have. A refused
    request has raised its error before. Raises PaymentsError instead of passing on a None.
    """
    if parsed is None:
        raise PaymentsError("The API gave an answer without the document that it describes")
    return parsed
