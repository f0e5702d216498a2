"""The cases of the corpus: files of one merchant in the order in which they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from runtime.core.currency import DECIMALS
from runtime.reconciliation.settlements.models import LineType, SettlementFormat
from tests.corpus.books import Books, Payment, Settled, token
from tests.corpus.mistakes import Mistakes, mistakes_of
from tests.corpus.reports import Dress, Report, Says
from tests.support.reconciliation.render import CANONICAL_HEADER, HEADERS, STRIPE_HEADER

CANONICAL, STRIPE, ADYEN = (
    SettlementFormat.CANONICAL,
    SettlementFormat.STRIPE,
    SettlementFormat.ADYEN,
)
LAYOUTS = (CANONICAL, STRIPE, ADYEN)


@dataclass
class File:
    """One file: a report, or bytes that are refused with a reason that holds `rejected`."""

    about: str
    report: Report | None = None
    content: bytes = b""
    rejected: str | None = None
    uploaded_as: str = "2026-02-02.csv"
    settled: Settled = field(default_factory=dict)


@dataclass
class Case:
    """Files about the same payments. `name` is that of its files, with their number."""

    name: str
    books: Books
    files: list[File] = field(default_factory=list)

    def report(
        self,
        layout: SettlementFormat,
        about: str,
        *,
        dress: Dress | None = None,
        uploaded_as: str = "2026-02-02.csv",
    ) -> Report:
        """One more file; what earlier files have settled is kept."""
        self.keep()
        made = Report(self.books, layout, uploaded_as=uploaded_as, dress=dress)
        self.files.append(File(about, made, uploaded_as=uploaded_as))
        return made

    def keep(self) -> None:
        """Remember what is settled by the last file."""
        if self.files:
            self.files[-1].settled = self.books.settled()


def case(name: str) -> Case:
    """A case with empty books."""
    return Case(name, Books(name))


# -------------------------------------------------------------------- correct files


def payout_of(layout: SettlementFormat, books: Books, number: int = 1) -> str | None:
    """How the layout names a payout."""
    if layout is CANONICAL:
        return None
    if layout is STRIPE:
        return f"po_1{token(books.case, 'payout', str(number))}"
    return f"ShopEU/{16 + number}"


def sales(
    report: Report, payout: str | None, currency: str, count: int, *, learn: bool = True
) -> list[Payment]:
    """Captures with fees that were known beforehand, were not known, or are zero."""
    unit = 10 ** DECIMALS[currency]
    made = []
    for number in range(1, count + 1):
        fee = max(1, number * unit // 20) if number % 3 else 0
        known = fee if number % 2 or not learn else 0
        paid = report.books.payment((10 + number) * unit, currency, fee=known)
        report.capture(paid, payout, Says(fee=fee))
        made.append(paid)
    return made


def happy(layout: SettlementFormat, currency: str) -> Case:
    """Every type of line, all correct; they add up to the payout."""
    made = case(f"{layout}-everything-{currency.lower()}")
    report = made.report(layout, f"every type of line in {currency}, all right")
    unit, payout = 10 ** DECIMALS[currency], payout_of(layout, made.books)
    first, second, third, fourth, *_ = sales(report, payout, currency, 6)
    report.refund(first, made.books.refund(first, first.amount), payout)
    came_back = made.books.refund(second, 2 * unit, "returned")
    report.refund(second, came_back, payout)
    report.refund_failure(second, came_back, payout)
    lost = made.books.dispute(third, third.amount, fee=3 * unit)
    report.dispute(third, lost, payout)
    won = made.books.dispute(fourth, 5 * unit, returned=5 * unit, status="won")
    report.dispute(fourth, won, payout, Says(fee=unit))
    report.dispute_reversal(fourth, won, payout, Says(fee=-unit))
    report.other(LineType.FEE, fee_category(layout), -unit, currency, payout)
    report.other(LineType.ADJUSTMENT, adjustment_category(layout), 2 * unit, currency, payout)
    report.payout_line(payout, currency)
    return made


def fee_category(layout: SettlementFormat) -> str:
    """What the layout calls a fee without a payment."""
    return "Fee" if layout is ADYEN else "fee"


def adjustment_category(layout: SettlementFormat) -> str:
    """What the layout calls an adjustment."""
    names = {CANONICAL: "adjustment", STRIPE: "other_adjustment", ADYEN: "Balancetransfer"}
    return names[layout]


def dressed(layout: SettlementFormat) -> Iterator[Case]:
    """The same report as different programs save it."""
    notes = {"Note": 'two lines,\nand "quotes"', "Ledger": "4711"}
    dresses = {
        "crlf-bom": Dress(line_end="\r\n", mark=b"\xef\xbb\xbf"),
        "semicolons": Dress(delimiter=";", line_end="\r\n"),
        "utf16": Dress(delimiter="\t", encoding="utf-16-le", mark=b"\xff\xfe", line_end="\r\n"),
        "utf16-be": Dress(encoding="utf-16-be", mark=b"\xfe\xff"),
        "line-breaks": Dress(quote_all=True, extra=notes),
        "columns-reversed": Dress(reversed_columns=True, blank_lines=True),
        "workbook": Dress(workbook=True),
    }
    for name, dress in dresses.items():
        made = case(f"{layout}-{name}")
        uploaded_as = "2026-02-02.xlsx" if dress.workbook else "2026-02-02.csv"
        report = made.report(
            layout, f"a payout as {name} has it", dress=dress, uploaded_as=uploaded_as
        )
        payout = payout_of(layout, made.books)
        first, *_ = sales(report, payout, "EUR", 4)
        report.refund(first, made.books.refund(first, 250), payout)
        mistakes = Mistakes(report, payout, "EUR")
        mistakes.wrong_amount()
        mistakes.not_ours()
        report.payout_line(payout, "EUR")
        yield made


def mistaken(layout: SettlementFormat) -> Iterator[Case]:
    """Errors among correct lines, in several currencies, a few per file."""
    everything = mistakes_of(layout)
    # Each of them comes in two currencies.
    currencies = ("USD", "EUR", "JPY", "KWD", "GBP", "JPY", "USD", "ISK", "EUR", "KWD")
    size = -(-2 * len(everything) // len(currencies))
    for at, currency in enumerate(currencies):
        some = (2 * everything)[at * size : (at + 1) * size]
        made = case(f"{layout}-errors-{at + 1:02}-{currency.lower()}")
        report = made.report(layout, f"{len(some)} errors among lines that are right")
        payout = payout_of(layout, made.books)
        mistakes = Mistakes(report, payout, currency)
        for mistake in some:
            sales(report, payout, currency, 1)
            mistake(mistakes)
        report.payout_line(payout, currency)
        yield made


def several_payouts(layout: SettlementFormat) -> Case:
    """Two payouts in one file, their lines mixed; our own layout has one per file and currency."""
    made = case(f"{layout}-two-payouts")
    report = made.report(layout, "two payouts in one file, their lines mixed, one not explained")
    one, two = (payout_of(layout, made.books, number) for number in (1, 2))
    second = "USD" if layout is CANONICAL else "EUR"
    for _ in range(4):
        sales(report, one, "EUR", 1)
        sales(report, two, second, 2)
    report.payout_line(one, "EUR")
    report.payout_line(two, second, off=25)
    return made


def in_parts(layout: SettlementFormat) -> Case:
    """Payments that were authorized, and captured in part or in parts."""
    made = case(f"{layout}-partial-captures")
    report = made.report(layout, "partial captures that fit, and one that does not")
    payout = payout_of(layout, made.books)
    for fits in (True, True, False):
        if layout is STRIPE:
            stripe_partial(report, payout, fits=fits)
            continue
        paid = made.books.authorized(10_000, "EUR", 2_500, 3_500)
        report.capture(paid, payout, Says(fee=40))
        wrong = Says("amount_mismatch", "wrong_amount", amount=3_400, fee=50)
        report.capture(paid, payout, Says(fee=50) if fits else wrong, part=1)
    report.payout_line(payout, "EUR")
    return made


def stripe_partial(report: Report, payout: str | None, *, fits: bool) -> None:
    """The full charge, and what is taken back of it: together they are the capture."""
    paid = report.books.authorized(10_000, "EUR", 6_000)
    whole = Says(amount=10_000, fee=320)
    back = Says(
        amount=-4_000 if fits else -3_900,
        fee=-116,
        category="partial_capture_reversal",
        again="reversal",
    )
    for says in (whole, back):
        wrong = replace(says, status="amount_mismatch", planted="parts_do_not_fit")
        report.capture(paid, payout, says if fits else wrong)


# -------------------------------------------------------------------- several files


def corrected(layout: SettlementFormat) -> Case:
    """A report with errors, and the same report corrected: nothing is left open."""
    made = case(f"{layout}-corrected")
    payout = payout_of(layout, made.books)
    paid = [made.books.payment(1_000 + 100 * n, "EUR", fee=30) for n in range(6)]
    unreadable = Says("invalid", "not_a_number", cells={amount_column(layout): "x"})
    wrong = {
        1: Says("amount_mismatch", "wrong_amount", amount=1_101),
        3: unreadable,
        4: Says("fee_mismatch", "wrong_fee", fee=31),
    }
    first = made.report(layout, "a report with errors", uploaded_as="2026-02-02.csv")
    for number, each in enumerate(paid):
        first.capture(each, payout, wrong.get(number, Says()))
    right = sum(each.amount - 30 for each in paid)
    readable = sum(e.line.net for e in first.entries if e.is_readable)
    first.payout_line(payout, "EUR", off=right - readable)
    second = made.report(layout, "the same report corrected", uploaded_as="2026-02-02.csv")
    for each in paid:
        second.capture(each, payout)
    second.payout_line(payout, "EUR")
    return made


def amount_column(layout: SettlementFormat) -> str:
    """The column of a sale's amount."""
    return {CANONICAL: "amount", STRIPE: "gross", ADYEN: "Gross Credit (GC)"}[layout]


def sent_again(layout: SettlementFormat) -> Case:
    """The same file twice: nothing changes."""
    made = case(f"{layout}-sent-again")
    payout = payout_of(layout, made.books)
    for about in ("a payout", "the same file once more"):
        report = made.report(layout, about)
        if len(made.files) == 1:
            sales(report, payout, "EUR", 5)
            Mistakes(report, payout, "EUR").wrong_amount()
            report.payout_line(payout, "EUR")
        else:
            assert made.files[0].report is not None
            report.entries = [replace(each) for each in made.files[0].report.entries]
    return made


def unexplained(layout: SettlementFormat) -> Case:
    """A line is left out, and a payout is a few units short."""
    made = case(f"{layout}-unexplained")
    payout = payout_of(layout, made.books)
    report = made.report(layout, "a fee of 1.75 was taken and has no line")
    sales(report, payout, "EUR", 6)
    report.payout_line(payout, "EUR", off=-175, planted="line_left_out")
    return made


# -------------------------------------------------------------------- files that are refused


def lacking(layout: SettlementFormat) -> Iterator[Case]:
    """A column that is needed is missing."""
    names = {
        CANONICAL: ("net", "currency"),
        STRIPE: ("balance_transaction_id", "net"),
        ADYEN: ("Batch Number", "Commission (NC)"),
    }
    for name in names[layout]:
        made = case(f"{layout}-without-{name.split()[0].lower().replace('_', '-')}")
        report = Report(
            made.books, layout, uploaded_as="2026-02-02.csv", dress=Dress(without=(name,))
        )
        sales(report, payout_of(layout, made.books), "EUR", 2)
        refuse(made, f"the column {name} is missing", report.content(), f"the column {name}")
        yield made


def refuse(made: Case, about: str, content: bytes, reason: str) -> None:
    """A file that is refused; none of its lines is booked."""
    for paid in made.books.payments:
        for each in paid.captures:
            each.settled = False
    made.files.append(File(about, content=content, rejected=reason))


def other_files() -> Iterator[Case]:
    """Files that are something else, or damaged."""
    header = ",".join(CANONICAL_HEADER)
    unknown = b"date,text,value\n2026-01-30,sale,24.05\n"
    twice = ",".join([*STRIPE_HEADER, "net"]) + "\n"
    several: Sequence[tuple[str, bytes, str]] = (
        ("empty", b"", "The file is empty"),
        ("pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "This is a PDF"),
        ("web-page", b"<!DOCTYPE html>\n<html><body>Log in</body></html>\n", "web page"),
        ("json", b'{"data": [{"id": "txn_1"}]}\n', "JSON"),
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "gzip"),
        ("bank-statement", unknown, "not the header of a known"),
        ("old-mac", header.encode() + b"\rpay_1,txn_1\r", "carriage return"),
        ("column-twice", twice.encode(), "more than once"),
        ("delimited-by-pipes", "|".join(HEADERS[ADYEN]).encode() + b"\n", "not the header"),
    )
    for name, content, reason in several:
        made = case(f"refused-{name}")
        refuse(made, f"refused: {name}", content, reason)
        yield made
