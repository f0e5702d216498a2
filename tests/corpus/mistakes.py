"""Errors that processors' files have, or that our own books have, each as one line of a report.

Every function adds what it needs to the books, and one line whose status it says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from runtime.core.currency import DECIMALS
from runtime.core.ids import repeatable_id
from runtime.reconciliation.settlements.models import SettlementFormat
from tests.corpus.books import FIRST_SALE, Payment
from tests.corpus.reports import Report, Says

OTHER_CURRENCY: Final = "CHF"


class Mistakes:
    """Adds wrong lines to one report. Amounts are multiples of `unit` minor units of `currency`."""

    def __init__(self, report: Report, payout: str | None, currency: str) -> None:
        self.report, self.books = report, report.books
        self.payout, self.currency = payout, currency
        self.unit = 10 ** DECIMALS[currency]
        self._made = 0

    def _amount(self) -> int:
        self._made += 1
        return (20 + self._made) * self.unit

    def _sale(self, *, fee: int = 0, status: str = "succeeded") -> Payment:
        return self.books.payment(self._amount(), self.currency, fee=fee, status=status)

    # ------------------------------------------------------------ captures

    def wrong_amount(self) -> None:
        paid = self._sale(fee=self.unit)
        says = Says("amount_mismatch", "wrong_amount", amount=paid.amount + 1)
        self.report.capture(paid, self.payout, says)

    def amount_with_digits_swapped(self) -> None:
        paid = self._sale()
        says = Says("amount_mismatch", "wrong_amount", amount=paid.amount * 10)
        self.report.capture(paid, self.payout, says)

    def wrong_fee(self) -> None:
        paid = self._sale(fee=self.unit)
        says = Says("fee_mismatch", "wrong_fee", fee=self.unit + 1)
        self.report.capture(paid, self.payout, says)

    def fee_left_out(self) -> None:
        paid = self._sale(fee=self.unit)
        self.report.capture(paid, self.payout, Says("fee_mismatch", "fee_left_out", fee=0))

    def fee_above_the_amount(self) -> None:
        paid = self._sale()
        says = Says("fee_mismatch", "fee_above_amount", fee=paid.amount + 1)
        self.report.capture(paid, self.payout, says)

    def negative_fee(self) -> None:
        self.report.capture(self._sale(), self.payout, Says("fee_mismatch", "negative_fee", fee=-1))

    def wrong_currency(self) -> None:
        paid = self._sale()
        amount = paid.amount // self.unit * 100
        says = Says("currency_mismatch", "wrong_currency", amount=amount, currency=OTHER_CURRENCY)
        self.report.capture(paid, self.payout, says)

    def not_ours(self) -> None:
        paid = self._sale()
        self.books.payments.remove(paid)
        self.report.capture(paid, self.payout, Says("unexpected", "not_ours"))

    def unknown_to_the_processors_ids(self) -> None:
        paid = self._sale()
        self.books.payments.remove(paid)
        says = Says("unexpected", "not_ours", by_processor=True)
        self.report.capture(paid, self.payout, says)

    def of_another_payment(self) -> None:
        stranger = repeatable_id("pay", FIRST_SALE, self.books.case, "stranger")
        says = Says("unexpected", "wrong_payment", payment_id=stranger)
        self.report.capture(self._sale(), self.payout, says)

    def paid_twice(self) -> None:
        paid = self._sale(fee=self.unit)
        self.report.capture(paid, self.payout)
        self.report.capture(paid, self.payout, Says("duplicate", "paid_twice", again="twice"))

    def same_line_twice(self) -> None:
        paid = self._sale(fee=self.unit)
        self.report.capture(paid, self.payout)
        self.report.capture(paid, self.payout, Says("duplicate", "same_line_twice"))

    def failed_here(self) -> None:
        paid = self._sale(status="failed")
        self.report.capture(paid, self.payout, Says("status_mismatch", "failed_here"))

    def not_settled_yet(self) -> None:
        says = Says("status_mismatch", "not_settled_yet", state="pending")
        self.report.capture(self._sale(), self.payout, says)

    # ------------------------------------------------------------ refunds and disputes

    def refund_of_another_amount(self) -> None:
        paid = self._sale()
        self.report.capture(paid, self.payout)
        made = self.books.refund(paid, paid.amount // 2)
        says = Says("amount_mismatch", "wrong_refund_amount", amount=-made.amount - 1)
        self.report.refund(paid, made, self.payout, says)

    def refund_that_failed_here(self) -> None:
        paid = self._sale()
        self.report.capture(paid, self.payout)
        made = self.books.refund(paid, self.unit, "failed")
        says = Says("status_mismatch", "refund_failed_here")
        self.report.refund(paid, made, self.payout, says)

    def refund_that_is_not_ours(self) -> None:
        paid = self._sale()
        self.report.capture(paid, self.payout)
        made = self.books.refund(paid, self.unit)
        paid.refunds.remove(made)
        self.report.refund(paid, made, self.payout, Says("unexpected", "refund_not_ours"))

    def refund_twice(self) -> None:
        paid = self._sale()
        self.report.capture(paid, self.payout)
        made = self.books.refund(paid, self.unit)
        self.report.refund(paid, made, self.payout)
        says = Says("duplicate", "refunded_twice", again="twice")
        self.report.refund(paid, made, self.payout, says)

    def return_that_is_not_booked(self) -> None:
        paid = self._sale()
        self.report.capture(paid, self.payout)
        made = self.books.refund(paid, self.unit)
        self.report.refund(paid, made, self.payout)
        says = Says("status_mismatch", "return_not_booked")
        self.report.refund_failure(paid, made, self.payout, says)

    def dispute_that_is_not_booked(self) -> None:
        paid = self._sale()
        self.report.capture(paid, self.payout)
        made = self.books.dispute(paid, paid.amount)
        paid.disputes.remove(made)
        says = Says("status_mismatch", "dispute_not_booked")
        self.report.dispute(paid, made, self.payout, says)

    def dispute_of_another_amount(self) -> None:
        paid = self._sale()
        self.report.capture(paid, self.payout)
        made = self.books.dispute(paid, paid.amount, fee=self.unit)
        says = Says("amount_mismatch", "wrong_dispute_amount", amount=-paid.amount + 1)
        self.report.dispute(paid, made, self.payout, says)

    def dispute_with_another_fee(self) -> None:
        paid = self._sale()
        self.report.capture(paid, self.payout)
        made = self.books.dispute(paid, paid.amount, fee=self.unit)
        says = Says("fee_mismatch", "wrong_dispute_fee", fee=self.unit + 1)
        self.report.dispute(paid, made, self.payout, says)

    def dispute_return_that_is_not_booked(self) -> None:
        paid = self._sale()
        self.report.capture(paid, self.payout)
        made = self.books.dispute(paid, paid.amount, fee=self.unit, status="opened")
        self.report.dispute(paid, made, self.payout)
        says = Says("status_mismatch", "dispute_return_not_booked")
        self.report.dispute_reversal(paid, made, self.payout, says)

    def dispute_of_a_payment_that_is_not_ours(self) -> None:
        paid = self._sale()
        self.books.payments.remove(paid)
        made = self.books.dispute(paid, paid.amount)
        self.report.dispute(paid, made, self.payout, Says("unexpected", "not_ours"))

    # ------------------------------------------------------------ what cannot be read

    def unknown_category(self) -> None:
        unknown = {
            SettlementFormat.CANONICAL: "loan_repayment",
            SettlementFormat.STRIPE: "climate_order_purchase",
            SettlementFormat.ADYEN: "CapitalGranted",
        }[self.report.layout]
        says = Says("unclassified", "unknown_category")
        self.report.other(None, unknown, -self.unit, self.currency, self.payout, says)

    def contradictory_amounts(self) -> None:
        self._unreadable("contradiction", {self._columns["net"]: self._written(self._amount() * 2)})

    def letters_for_a_number(self) -> None:
        self._unreadable("not_a_number", {self._columns["amount"]: "twenty"})

    def thousands_separator(self) -> None:
        self._unreadable("thousands_separator", {self._columns["amount"]: "1,020"})

    def too_many_decimals(self) -> None:
        places = 0 if self._columns["amount"] == "amount" else DECIMALS[self.currency]
        text = f"20.{'0' * places}1"
        self._unreadable("too_many_decimals", {self._columns["amount"]: text})

    def beyond_all_amounts(self) -> None:
        self._unreadable("amount_too_large", {self._columns["amount"]: "9" * 15})

    def amount_left_out(self) -> None:
        both = dict.fromkeys((self._columns["amount"], self._columns["net"]), "")
        self._unreadable("amount_left_out", both)

    def date_of_another_country(self) -> None:
        self._unreadable("wrong_date", {self._columns["date"]: "30/01/2026"})

    def day_that_does_not_exist(self) -> None:
        self._unreadable("wrong_date", {self._columns["date"]: "2026-02-30"})

    def unknown_currency(self) -> None:
        self._unreadable("unknown_currency", {self._columns["currency"]: "BTC"})

    def cells_missing(self) -> None:
        self.report.raw(self.report.dress.delimiter.join(["a", "b", "c"]), "cells_missing")

    def text_without_end(self) -> None:
        self.report.raw(f'x{self.report.dress.delimiter}"y"z', "broken_quotes")

    def _unreadable(self, planted: str, cells: Mapping[str, str]) -> None:
        says = Says("invalid", planted, cells=cells)
        self.report.capture(self._sale(), self.payout, says)

    def _written(self, amount: int) -> str:
        if self.report.layout is SettlementFormat.CANONICAL:
            return str(amount)
        return str(amount // self.unit)

    @property
    def _columns(self) -> Mapping[str, str]:
        return COLUMNS[self.report.layout]


COLUMNS: Final[Mapping[SettlementFormat, Mapping[str, str]]] = {
    SettlementFormat.CANONICAL: {
        "amount": "amount",
        "net": "net",
        "date": "processed_date",
        "currency": "currency",
    },
    SettlementFormat.STRIPE: {
        "amount": "gross",
        "net": "net",
        "date": "created_utc",
        "currency": "currency",
    },
    SettlementFormat.ADYEN: {
        "amount": "Gross Credit (GC)",
        "net": "Net Credit (NC)",
        "date": "Creation Date",
        "currency": "Net Currency",
    },
}
Mistake = Callable[[Mistakes], None]
EVERYWHERE: Final[tuple[Mistake, ...]] = (
    Mistakes.wrong_amount,
    Mistakes.not_ours,
    Mistakes.wrong_fee,
    Mistakes.same_line_twice,
    Mistakes.contradictory_amounts,
    Mistakes.refund_of_another_amount,
    Mistakes.unknown_category,
    Mistakes.wrong_currency,
    Mistakes.failed_here,
    Mistakes.date_of_another_country,
    Mistakes.dispute_that_is_not_booked,
    Mistakes.fee_left_out,
    Mistakes.too_many_decimals,
    Mistakes.refund_that_failed_here,
    Mistakes.fee_above_the_amount,
    Mistakes.dispute_with_another_fee,
    Mistakes.unknown_currency,
    Mistakes.amount_with_digits_swapped,
    Mistakes.return_that_is_not_booked,
    Mistakes.cells_missing,
    Mistakes.negative_fee,
    Mistakes.dispute_of_another_amount,
    Mistakes.refund_that_is_not_ours,
    Mistakes.letters_for_a_number,
    Mistakes.dispute_return_that_is_not_booked,
    Mistakes.amount_left_out,
    Mistakes.refund_twice,
    Mistakes.day_that_does_not_exist,
    Mistakes.dispute_of_a_payment_that_is_not_ours,
    Mistakes.text_without_end,
    Mistakes.beyond_all_amounts,
    Mistakes.thousands_separator,
)
"""Mistakes that every layout can have."""
ONLY: Final[Mapping[SettlementFormat, tuple[Mistake, ...]]] = {
    SettlementFormat.CANONICAL: (Mistakes.not_settled_yet, Mistakes.of_another_payment),
    SettlementFormat.STRIPE: (Mistakes.paid_twice, Mistakes.unknown_to_the_processors_ids),
    SettlementFormat.ADYEN: (
        Mistakes.paid_twice,
        Mistakes.unknown_to_the_processors_ids,
        Mistakes.of_another_payment,
    ),
}


def mistakes_of(layout: SettlementFormat) -> tuple[Mistake, ...]:
    """All mistakes that a file of the layout can have."""
    return (*EVERYWHERE, *ONLY[layout])
