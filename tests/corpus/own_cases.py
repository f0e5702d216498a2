"""What only one layout's reports have, and the list of all cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from runtime.reconciliation.settlements.models import LineType
from tests.corpus.cases import (
    ADYEN,
    CANONICAL,
    LAYOUTS,
    STRIPE,
    Case,
    case,
    corrected,
    dressed,
    happy,
    in_parts,
    lacking,
    mistaken,
    other_files,
    payout_of,
    sales,
    sent_again,
    several_payouts,
    unexplained,
)
from tests.corpus.mistakes import Mistakes
from tests.corpus.reports import Report, Says


def all_cases() -> Iterator[Case]:
    """Every case of the corpus."""
    for layout in LAYOUTS:
        for currency in ("USD", "JPY", "KWD", "ISK"):
            yield happy(layout, currency)
        yield from dressed(layout)
        yield from mistaken(layout)
        yield several_payouts(layout)
        yield in_parts(layout)
        yield corrected(layout)
        yield sent_again(layout)
        yield unexplained(layout)
        yield from lacking(layout)
    yield in_another_file()
    yield from stripes_own()
    yield from adyens_own()
    yield from other_files()


def in_another_file() -> Case:
    """What one of our files has settled comes in another one: paid twice."""
    made = case("canonical-two-days")
    first = made.report(CANONICAL, "one day", uploaded_as="2026-02-02.csv")
    paid = sales(first, None, "USD", 4, learn=False)
    second = made.report(
        CANONICAL, "two of its lines again a day later", uploaded_as="2026-02-03.csv"
    )
    for each in paid[1:3]:
        second.capture(each, None, Says("duplicate", "paid_twice", fee=each.capture.fee))
    sales(second, None, "USD", 2)
    return made


def stripes_own() -> Iterator[Case]:
    """What only Stripe's reports have."""
    made = case("stripe-foreign-exchange")
    report = made.report(STRIPE, "customers paid in EUR and JPY, settled in USD")
    payout = payout_of(STRIPE, made.books)
    exchanged(report, payout)
    report.payout_line(payout, "USD")
    yield made
    yield from (line_moves(), in_two_files(), unpaid(), references_of_the_processor())


def exchanged(report: Report, payout: str | None) -> None:
    """Sales in other currencies than that of the payout; two with errors."""
    paid = report.books.payment(2_000, "EUR")
    rate = {"Exchange Rate": "1.0825"} if report.layout is ADYEN else {}
    right = Says(amount=2_165, fee=95, currency="USD", presented=(2_000, "EUR"), cells=rate)
    report.capture(paid, payout, right)
    yen = report.books.payment(3_000, "JPY")
    of_yen = Says(amount=1_950, fee=90, currency="USD", presented=(3_000, "JPY"))
    report.capture(yen, payout, of_yen)
    wrong = report.books.payment(2_000, "EUR")
    says = replace(
        right, status="amount_mismatch", planted="wrong_presented_amount", presented=(1_999, "EUR")
    )
    report.capture(wrong, payout, replace(says, cells={}))
    strange = report.books.payment(2_000, "EUR")
    says = replace(
        right, status="currency_mismatch", planted="wrong_currency", presented=(2_000, "GBP")
    )
    report.capture(strange, payout, replace(says, cells={}))
    sales(report, payout, "USD", 2)


def line_moves() -> Case:
    """A later report has a line in another payout than an earlier one."""
    made = case("stripe-line-moves")
    one, two = (payout_of(STRIPE, made.books, number) for number in (1, 2))
    paid = [made.books.payment(1_000 + n, "USD", fee=50) for n in range(4)]
    first = made.report(STRIPE, "the last line is in the wrong payout")
    for each in paid:
        first.capture(each, one)
    right = sum(each.amount - 50 for each in paid[:3])
    first.payout_line(one, "USD", off=right - sum(each.amount - 50 for each in paid))
    second = made.report(STRIPE, "it is in the next payout", uploaded_as="2026-02-03.csv")
    for each in paid[:3]:
        second.capture(each, one)
    second.payout_line(one, "USD")
    second.capture(paid[3], two)
    second.payout_line(two, "USD")
    # The payout line of the first is the same line again, by the same id.
    last = first.entries[-1]
    moved = second.entries[3]
    moved.line = replace(moved.line, identity=last.line.identity)
    moved.identity = last.identity
    return made


def in_two_files() -> Case:
    """The lines of one payout come in two files."""
    made = case("stripe-payout-in-two-files")
    payout = payout_of(STRIPE, made.books)
    first = made.report(STRIPE, "the first half of a payout", uploaded_as="part-1.csv")
    sales(first, payout, "USD", 3)
    second = made.report(STRIPE, "the second half, with the payout", uploaded_as="part-2.csv")
    sales(second, payout, "USD", 3)
    second.payout_line(payout, "USD")
    total = sum(each.line.net for each in (*first.entries, *second.entries[:-1]))
    last = second.entries[-1]
    last.line = replace(last.line, amount=-total, net=-total)
    return made


def unpaid() -> Case:
    """Balance change from activity: lines that are in no payout yet."""
    made = case("stripe-balance-activity")
    report = made.report(STRIPE, "activity, some of it not paid out yet")
    payout = payout_of(STRIPE, made.books)
    sales(report, payout, "USD", 3)
    report.payout_line(payout, "USD")
    sales(report, None, "USD", 2)
    Mistakes(report, None, "USD").wrong_amount()
    report.other(LineType.ADJUSTMENT, "risk_reserved_funds", -500, "USD", None)
    return made


def references_of_the_processor() -> Case:
    """Lines that name nothing of ours: found by the processor's ids."""
    made = case("stripe-processor-ids")
    report = made.report(STRIPE, "only Stripe's own ids")
    payout = payout_of(STRIPE, made.books)
    by_processor = Says(by_processor=True, fee=75)
    paid = [made.books.payment(1_500 + n, "USD") for n in range(4)]
    for each in paid:
        report.capture(each, payout, by_processor)
    returned = made.books.refund(paid[0], 700)
    report.refund(paid[0], returned, payout, Says(by_processor=True))
    lost = made.books.dispute(paid[1], 1_501, fee=1_500)
    report.dispute(paid[1], lost, payout, Says(by_processor=True))
    Mistakes(report, payout, "USD").unknown_to_the_processors_ids()
    report.payout_line(payout, "USD")
    return made


def adyens_own() -> Iterator[Case]:
    """What only Adyen's reports have."""
    made = case("adyen-foreign-exchange")
    report = made.report(ADYEN, "customers paid in EUR and JPY, settled in USD")
    payout = payout_of(ADYEN, made.books)
    exchanged(report, payout)
    report.payout_line(payout, "USD")
    yield made
    yield from (negative_batch(), repeated_lines(), several_accounts(), other_acquirers())


def negative_batch() -> Case:
    """Refunds are more than sales: the payout is a credit."""
    made = case("adyen-negative-batch")
    report = made.report(ADYEN, "a batch that owes: MerchantPayout in credit")
    payout = payout_of(ADYEN, made.books)
    (paid,) = sales(report, payout, "EUR", 1)
    earlier = made.books.payment(50_000, "EUR", fee=500, status="settled")
    report.refund(earlier, made.books.refund(earlier, 50_000), payout)
    report.payout_line(payout, "EUR")
    assert report.entries[-1].line.net > 0, paid.id
    return made


def repeated_lines() -> Case:
    """Lines of the batch that are equal to the letter: each of them counts."""
    made = case("adyen-repeated-lines")
    report = made.report(ADYEN, "equal lines of the batch, each of which counts")
    payout = payout_of(ADYEN, made.books)
    sales(report, payout, "EUR", 3)
    for category in ("Fee", "Fee", "MiscCosts", "MiscCosts", "MiscCosts", "InvoiceDeduction"):
        report.other(LineType.FEE, category, -10, "EUR", payout)
    for category in ("ReserveAdjustment", "ReserveAdjustment", "DepositCorrection"):
        report.other(LineType.ADJUSTMENT, category, 40, "EUR", payout)
    report.payout_line(payout, "EUR")
    return made


def several_accounts() -> Case:
    """One settlement per merchant account and batch."""
    made = case("adyen-several-accounts")
    report = made.report(ADYEN, "batches of two merchant accounts in one file")
    for account, currency, off in (
        ("ShopEU", "EUR", 0),
        ("ShopUS", "USD", 0),
        ("ShopEU", "EUR", 3),
    ):
        payout = f"{account}/{20 + off}"
        sales(report, payout, currency, 3)
        Mistakes(report, payout, currency).wrong_fee()
        report.payout_line(payout, currency, off=off)
    return made


def other_acquirers() -> Case:
    """Payments that another acquirer settles, and types in unusual case."""
    made = case("adyen-externally-settled")
    report = made.report(ADYEN, "types of other acquirers, and in capitals")
    payout = payout_of(ADYEN, made.books)
    for category in ("SettledExternallyWithInfo", "SettledExternally", "SETTLED"):
        paid = made.books.payment(4_200, "EUR", fee=60)
        report.capture(paid, payout, Says(category=category))
    report.refund(paid, made.books.refund(paid, 100), payout, Says(category="refunded"))
    says = Says("unclassified", "unknown_category")
    report.other(None, "SettledInstallment", 100, "EUR", payout, says)
    report.payout_line(payout, "EUR")
    return made
