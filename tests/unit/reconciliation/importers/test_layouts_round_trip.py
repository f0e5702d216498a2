"""Lines survive writing and parsing in every layout: every type, every currency."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from runtime.core.currency import DECIMALS
from runtime.reconciliation.importers import adyen, paypal, stripe
from runtime.reconciliation.importers.cells import cells_of
from runtime.reconciliation.importers.detect import LAYOUTS, layout_of
from runtime.reconciliation.importers.layout import Layout, Outline, Refusal
from runtime.reconciliation.importers.line import ImportedLine, References, UnreadableLine
from runtime.reconciliation.importers.text_records import read_records
from runtime.reconciliation.settlements.models import LineType, SettlementFormat
from simulation.platform.reports import table
from tests.support.outside import new_id
from tests.support.reconciliation.render import ADYEN_DECIMALS, HEADERS, RENDERERS

NOW = datetime(2026, 3, 14, tzinfo=UTC)
OWN_PAYMENT, OWN_TRANSACTION = new_id("pay", NOW), new_id("txn", NOW)
DISPUTES = (LineType.DISPUTE, LineType.DISPUTE_REVERSAL)
WITHOUT_PAYMENT = (LineType.FEE, LineType.ADJUSTMENT, LineType.PAYOUT)

ids = st.text("abcXYZ019_-", min_size=1, max_size=20)
days = st.none() | st.dates(date(2000, 1, 1), date(2099, 12, 31)).map(date.isoformat)
currencies = st.sampled_from(sorted(DECIMALS))
amounts = st.integers(-(10**9), 10**9)
costs = st.integers(-(10**6), 10**6)


def line(
    draw: st.DrawFn, kind: LineType | None, category: str, step: int, code: str
) -> ImportedLine:
    amount, fee = draw(amounts) * step, draw(costs) * step
    return ImportedLine(
        number=draw(st.integers(1, 10**6)),
        identity="",
        type=kind,
        category=category,
        amount=amount,
        fee=fee,
        net=amount - fee,
        currency=code,
        processed_date=draw(days),
        settlement_date=draw(days),
    )


@st.composite
def canonical_lines(draw: st.DrawFn) -> ImportedLine:
    kind = draw(st.sampled_from(LineType))
    read = line(draw, kind, kind.value, 1, draw(currencies))
    payment, own = draw(ids), draw(ids)
    disputed = kind in DISPUTES
    return replace(
        read,
        identity=f"{kind}:{own}",
        status=draw(st.sampled_from(["settled", "pending", "Settled"])),
        references=References(
            payment_id=payment,
            transaction_id=None if disputed else own,
            dispute_id=own if disputed else None,
        ),
    )


@st.composite
def stripe_lines(draw: st.DrawFn) -> ImportedLine:
    category = draw(st.sampled_from([*sorted(stripe.TYPES), "something_new"]))
    kind = stripe.TYPES.get(category)
    code, shown = draw(currencies), draw(st.none() | currencies)
    read = line(draw, kind, category, 1, code)
    source, charge, intent = (draw(ids) for _ in range(3))
    presented = (
        None if shown in (None, code) else abs(draw(amounts)) * (-1 if read.amount < 0 else 1)
    )
    return replace(
        read,
        identity=draw(ids),
        payout_reference=draw(st.none() | ids),
        presented_amount=presented,
        presented_currency=None if presented is None else shown,
        references=References(
            payment_id=draw(st.sampled_from([None, OWN_PAYMENT])),
            transaction_id=draw(st.sampled_from([None, OWN_TRANSACTION])),
            dispute_id=source if kind in DISPUTES else None,
            processor_ids=tuple(dict.fromkeys((source, charge, intent))),
        ),
    )


def adyen_step(currency: str) -> int:
    """Minor units of the smallest amount that Adyen can write."""
    return 10 ** max(0, DECIMALS[currency] - ADYEN_DECIMALS.get(currency, DECIMALS[currency]))


@st.composite
def adyen_lines(draw: st.DrawFn) -> ImportedLine:
    plain = draw(st.sampled_from([*sorted(adyen.TYPES), "somethingnew"]))
    kind = adyen.TYPES.get(plain)
    category = draw(st.sampled_from([plain, plain.upper(), f"{plain}ExternallyWithInfo"]))
    code, shown = draw(currencies), draw(st.none() | currencies)
    read = line(draw, kind, category, adyen_step(code), code)
    modification, psp = f"M{draw(ids)}", f"P{draw(ids)}"
    presented = None if shown in (None, code) else draw(amounts) * adyen_step(shown or code)
    return replace(
        read,
        identity=f"{psp}:{modification}:{category.lower()}",
        payout_reference=f"{draw(ids)}/{draw(st.integers(1, 9999))}",
        presented_amount=presented,
        presented_currency=None if presented is None else shown,
        references=References(
            payment_id=draw(st.sampled_from([None, OWN_PAYMENT])),
            transaction_id=draw(st.sampled_from([None, OWN_TRANSACTION])),
            dispute_id=modification if kind in DISPUTES else None,
            processor_ids=(modification, psp),
        ),
    )


@st.composite
def paypal_lines(draw: st.DrawFn) -> ImportedLine:
    category = draw(st.sampled_from([*sorted(paypal.TYPES), "T9900"]))
    kind = paypal.TYPES.get(category)
    code = draw(currencies)
    own, other = f"O{draw(ids)}", f"R{draw(ids)}"
    return replace(
        line(draw, kind, category, 10 ** max(0, DECIMALS[code] - 2), code),
        identity=f"{own}:{category}:{code}",
        references=References(
            payment_id=draw(st.sampled_from([None, OWN_PAYMENT])),
            transaction_id=draw(st.sampled_from([None, OWN_TRANSACTION])),
            dispute_id=own if kind in DISPUTES else None,
            processor_ids=(own, other),
        ),
    )


LINES = {
    SettlementFormat.CANONICAL: canonical_lines(),
    SettlementFormat.STRIPE: stripe_lines(),
    SettlementFormat.ADYEN: adyen_lines(),
    SettlementFormat.PAYPAL: paypal_lines(),
}
every_line = st.sampled_from(sorted(LINES)).flatmap(
    lambda name: LINES[name].map(lambda read: (name, read))
)


@given(every_line, st.randoms(), st.sampled_from(",;\t"))
def test_a_line_survives_writing_and_parsing_in_any_order_of_columns(
    written: tuple[SettlementFormat, ImportedLine], chance: object, delimiter: str
) -> None:
    layout_name, expected = written
    header = list(HEADERS[layout_name])
    if layout_name is not SettlementFormat.PAYPAL:  # whose records begin with their kind
        chance.shuffle(header)  # type: ignore[attr-defined]
    text = table(header, [RENDERERS[layout_name](expected)], delimiter=delimiter)
    first, record, _ = text.split("\n")
    layout = layout_of(cells_of(first, delimiter))
    assert isinstance(layout, Layout), layout
    assert layout.format is layout_name
    assert layout.parse(expected.number, cells_of(record, delimiter)) == expected
    outline = layout.outline(cells_of(record, delimiter))
    assert outline.payout_reference == expected.payout_reference
    assert outline.content_identity is None


@given(st.sampled_from(LAYOUTS), st.data())
def test_any_cells_are_accepted_or_refused_without_a_crash(
    kind: type[Layout], data: st.DataObject
) -> None:
    header = HEADERS[kind.format]
    layout = kind(header)
    good = RENDERERS[kind.format](data.draw(LINES[kind.format]))
    row = [good.get(name, "") for name in header]
    for _ in range(data.draw(st.integers(1, 4))):
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(st.text(max_size=12))
    read = layout.parse(2, row)
    layout.outline(row)
    if isinstance(read, ImportedLine):
        assert read.amount - read.fee == read.net


@given(st.sampled_from(LAYOUTS), st.binary(max_size=300))
def test_random_bytes_are_accepted_or_refused_without_a_crash(
    kind: type[Layout], noise: bytes
) -> None:
    layout = kind(HEADERS[kind.format])
    assert isinstance(layout_of(noise.decode("utf-8", "replace").split(",")), Layout | Refusal)
    for record in read_records([noise], ","):
        read = layout.parse(record.line, record.cells)
        assert isinstance(read, ImportedLine | UnreadableLine | None)
        assert isinstance(layout.outline(record.cells), Outline)
