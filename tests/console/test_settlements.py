"""Settlements, and exceptions that are decided one by one and many at once."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.console.user import User
from tests.e2e.conftest import Deployment, Shop
from tests.support.console.pages.lists import ListPage
from tests.support.console.watch import LOST
from tests.support.console.world import (
    SETTLEMENT_HEADER,
    World,
    put_settlement_file,
    settlement_of,
    until,
)


def test_a_settlement_shows_its_totals_and_its_lines(user: User, world: World) -> None:
    shell = user.merchant(world.merchant_id, "#/settlements")
    ListPage(user.page, "Settlements").link(world.ids["settlement"]).click()
    shell.loaded()
    expect(shell.fact("Status")).to_have_text("Completed with exceptions")
    expect(shell.fact("Open exceptions")).to_have_text("3")
    expect(shell.section("Totals in USD")).to_contain_text("1,436.56 USD")
    lines = ListPage(user.page, "Lines")
    expect(lines.row(world.ids["paid"])).to_contain_text("Matched")
    expect(lines.row(world.ids["refunded"])).to_contain_text("Amount mismatch")
    user.look("settlement")
    lines.filter(Status="matched")
    expect(lines.rows).to_have_count(1)
    shell.main.get_by_role("button", name="Make a report").click()
    report = shell.main.get_by_role("link", name="Open the report").get_attribute("href")
    assert report is not None
    assert user.context.request.get(report).ok


def test_settlement_files_are_listed_with_their_settlements(user: User, world: World) -> None:
    shell = user.merchant(world.merchant_id, "#/settlements")
    shell.main.get_by_role("link", name="Settlement files").click()
    files = ListPage(user.page, "Settlement files")
    expect(files.row("2026-01-02.csv")).to_contain_text(world.ids["settlement"])
    user.look("settlement-files")


def test_an_exception_is_resolved_once_though_its_answer_is_lost(
    user: User, deployment: Deployment
) -> None:
    shop = _with_exceptions(deployment, 500)
    user.merchant(shop.merchant_id, "#/exceptions")
    queue = ListPage(user.page, "Exceptions")
    button = queue.rows.get_by_role("button", name="Resolve", exact=True)
    dialog = user.act(button, "Resolve this exception?", "5.00 USD", "line 2")
    dialog.field("Decision").select_option("ignore")
    dialog.field("Note").fill("not ours")
    user.look("resolve-dialog")
    keys = user.lose_next_answer("**/resolve")
    with user.watch.expecting(LOST, "/resolve"):
        dialog.confirm("Resolve")
        expect(dialog.error).to_contain_text("the same key never makes it twice")
    dialog.confirm("Try again").succeeded("ignore").close()
    expect(user.shell.main).to_contain_text("No open exceptions.")
    assert len(set(keys)) == 1
    settlement = settlement_of(shop.client)
    assert (settlement["status"], settlement["open_exceptions"]) == ("completed", 0)
    (line,) = shop.client.get(f"/v1/settlements/{settlement['id']}/lines").require(200)["data"]
    assert (line["resolution"]["action"], line["resolution"]["note"]) == ("ignore", "not ours")


def test_several_exceptions_are_resolved_at_once(user: User, deployment: Deployment) -> None:
    shop = _with_exceptions(deployment, 500, 700, 900)
    user.merchant(shop.merchant_id, "#/exceptions")
    queue = ListPage(user.page, "Exceptions")
    expect(queue.rows).to_have_count(3)
    for amount in ("5.00 USD", "9.00 USD"):
        queue.row(amount).get_by_role("checkbox").check()
    button = user.page.get_by_role("button", name="Resolve 2 chosen")
    dialog = user.act(button, "Resolve 2 exceptions?", "14.00 USD")
    dialog.field("Decision").select_option("ignore")
    dialog.field("Note").fill("agreed with the processor")
    dialog.confirm("Resolve 2 chosen").succeeded("2 resolved, 0 refused.").close()
    expect(queue.rows).to_have_count(1)
    expect(queue.row("7.00 USD")).to_be_visible()
    assert settlement_of(shop.client)["open_exceptions"] == 1


def test_who_may_not_move_money_may_only_ignore(user: User, deployment: Deployment) -> None:
    shop = _with_exceptions(deployment, 500)
    user.merchant(shop.merchant_id, "#/exceptions", "reports")
    button = ListPage(user.page, "Exceptions").rows.get_by_role("button", name="Resolve")
    dialog = user.act(button, "Resolve this exception?", "5.00 USD")
    options = dialog.field("Decision").get_by_role("option")
    expect(options).to_have_count(1)
    expect(options).to_contain_text(["Ignore"])


def _with_exceptions(deployment: Deployment, *amounts: int) -> Shop:
    """A merchant with a settlement of lines that nothing of ours fits."""
    shop = deployment.shop()
    lines = [
        f"pay_{amount},txn_{amount},settled,{amount},0,{amount},USD,2026-01-01,2026-01-02"
        for amount in amounts
    ]
    text = "\n".join((SETTLEMENT_HEADER, *lines, ""))
    put_settlement_file(deployment, shop.merchant_id, "2026-01-02.csv", text)
    settlement_of(shop.client)
    # The queue of exceptions is an index, which follows.
    until(lambda: len(shop.client.get("/v1/settlement-lines").require(200)["data"]) == len(amounts))
    return shop
