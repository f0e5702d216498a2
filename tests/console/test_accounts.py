"""Accounts, transfers and customers, with their actions."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from tests.console.user import User
from tests.e2e.conftest import Deployment, Shop
from tests.support.console.pages.lists import ListPage
from tests.support.console.pages.shell import Shell
from tests.support.console.world import World, made

FAILURES_THAT_LOCK = 3


def test_an_account_shows_its_balances_holds_and_statement(user: User, world: World) -> None:
    shell = user.merchant(world.merchant_id, "#/accounts")
    ListPage(user.page, "Accounts").link(world.ids["account"]).click()
    shell.loaded()
    expect(shell.fact("Balance")).to_have_text("4,880.00 USD")
    expect(shell.fact("Available")).to_have_text("4,760.00 USD")
    holds = ListPage(user.page, "Open holds")
    holds.must_list(world.ids["hold"])
    statement = ListPage(user.page, "Statement")
    expect(statement.row(world.ids["transfer"])).to_contain_text("\u2212120.00 USD")
    expect(statement.row(world.ids["transfer"])).to_contain_text("4,880.00 USD")
    moment = shell.section("Balance at an instant")
    moment.get_by_label("Time, in your time zone").fill("2020-01-01T00:00:00")
    moment.get_by_role("button", name="Show balance").click()
    expect(moment.locator(".figure")).to_have_text("0.00 USD")
    expect(moment).to_contain_text("before the first entry")
    user.look("account")


def test_an_operator_deactivates_an_account_and_activates_it_again(
    user: User, shop: Shop, deployment: Deployment
) -> None:
    account = _funded(deployment, shop, 700)
    shell = user.operator(f"#/accounts/{account}")
    for label, status in (("Deactivate", "inactive"), ("Activate", "active")):
        button = shell.main.get_by_role("button", name=label, exact=True)
        dialog = user.act(button, f"{label} this account?", account, "7.00 USD")
        dialog.confirm(label).succeeded("account is").close()
        expect(shell.fact("Status")).to_have_text(status.capitalize())
        assert shop.client.get(f"/v1/accounts/{account}").require(200)["status"] == status


def test_a_locked_customer_and_account_are_unlocked(
    user: User, shop: Shop, deployment: Deployment
) -> None:
    customer = made(shop.client, "/v1/customers", {"name": "Ada", "email": "a@b.example"})["id"]
    wallet = {"account_type": "wallet", "customer_id": customer, "currency": "USD"}
    empty, other = (made(shop.client, "/v1/accounts", wallet)["id"] for _ in range(2))
    moved = {"from_account_id": empty, "to_account_id": other, "amount": 5, "currency": "USD"}
    for number in range(FAILURES_THAT_LOCK):
        body = {**moved, "customer_id": customer}
        shop.client.post("/v1/transfers", body, key=f"move-{number}").require(422)
    shell = user.operator(f"#/customers/{customer}")
    unlock = shell.main.get_by_role("button", name="Unlock", exact=True)
    for title, place in (
        ("Unlock this customer?", f"customers/{customer}"),
        ("Unlock this account?", f"accounts/{empty}"),
    ):
        shell.open(f"#/{place}")
        assert shop.client.get(f"/v1/{place}").require(200)["locked_until"] is not None
        dialog = user.act(unlock, title, place.split("/")[1])
        dialog.confirm("Unlock").succeeded("is unlocked").close()
        expect(unlock).to_have_count(0)
        assert shop.client.get(f"/v1/{place}").require(200)["locked_until"] is None


def test_a_hold_is_posted_in_part_and_another_one_canceled(
    user: User, shop: Shop, deployment: Deployment
) -> None:
    source, target = (_funded(deployment, shop, 50_000) for _ in range(2))
    moved = {"from_account_id": source, "to_account_id": target, "currency": "USD", "hold": True}
    posted, canceled = (
        made(shop.client, "/v1/transfers", {**moved, "amount": amount})["id"]
        for amount in (20_000, 1_500)
    )
    shell = user.merchant(shop.merchant_id, f"#/transfers/{posted}")
    button = shell.main.get_by_role("button", name="Post hold", exact=True)
    post = user.act(button, "Post this hold?", posted, "200.00 USD")
    post.field("Amount (USD)").fill("150.00")
    post.confirm("Post hold").succeeded("150.00 USD").close()
    expect(shell.fact("Status")).to_have_text("Processed")
    expect(shell.fact("Posted")).to_have_text("150.00 USD")
    shell.open(f"#/transfers/{canceled}")
    button = shell.main.get_by_role("button", name="Cancel hold", exact=True)
    cancel = user.act(button, "Cancel this hold?", canceled, "15.00 USD")
    cancel.confirm("Cancel hold").succeeded("15.00 USD").close()
    expect(shell.fact("Status")).to_have_text("Canceled")
    after = shop.client.get(f"/v1/transfers/{posted}").require(200)
    assert (after["status"], after["posted_amount"]) == ("processed", 15_000)
    assert shop.client.get(f"/v1/transfers/{canceled}").require(200)["status"] == "canceled"
    assert shop.client.get(f"/v1/accounts/{source}").require(200)["available"] == 35_000


def test_transfers_are_filtered_by_status_and_account(user: User, world: World) -> None:
    user.merchant(world.merchant_id, "#/transfers")
    transfers = ListPage(user.page, "Transfers")
    transfers.filter(Status="pending")
    transfers.must_list(world.ids["hold"])
    transfers.clear()
    transfers.filter(Account=world.ids["wallet"])
    transfers.must_list(world.ids["hold"], world.ids["transfer"])
    transfers.link(world.ids["transfer"]).click()
    expect(user.shell.loaded().fact("Description")).to_have_text("Store credit")
    expect(ListPage(user.page, "Legs").rows).to_contain_text(["120.00 USD"])
    user.look("transfer")


def test_a_customer_is_found_by_email_and_shows_what_belongs_to_it(
    user: User, world: World
) -> None:
    shell = user.merchant(world.merchant_id, "#/customers")
    customers = ListPage(user.page, "Customers")
    customers.filter(Email="ADA@riders.example")
    customers.must_list(world.ids["customer"])
    customers.link(world.ids["customer"]).click()
    expect(shell.loaded().fact("Email")).to_have_text("ada@riders.example")
    expect(ListPage(user.page, "Payment methods").row("4242")).to_be_visible()
    bought = ListPage(user.page, "Payments of the customer")
    bought.must_list(*(world.ids[name] for name in ("authorized", "yen", "paid")))
    ListPage(user.page, "Accounts of the customer").must_list(world.ids["wallet"])
    user.look("customer")


def test_search_opens_what_an_id_names(user: User, world: World) -> None:
    shell = user.merchant(world.merchant_id)
    for name, screen in (
        ("paid", "payments"),
        ("account", "accounts"),
        ("transfer", "transfers"),
        ("customer", "customers"),
    ):
        shell.search(world.ids[name])
        expect(user.page).to_have_url(re.compile(rf"#/{screen}/{world.ids[name]}$"))
        expect(shell.loaded().fact("Id")).to_have_text(world.ids[name])


def test_search_asks_every_list_that_knows_such_an_id(user: User, world: World) -> None:
    paid = world.client.get(f"/v1/payments/{world.ids['paid']}").require(200)
    (capture,) = paid["transactions"]
    shell = user.merchant(world.merchant_id)
    for wanted, table in (
        (capture["processor_id"], "Transactions with this id at the processor"),
        ("order-1001", "Payments with this reference"),
        ("ada@riders.example", "Customers with this email address"),
    ):
        shell.search(wanted)
        link = ListPage(user.page, table).rows.get_by_role("link").first
        expect(link).to_be_visible()
        user.look("search")
    shell.search("nothing-of-ours")
    expect(shell.main).to_contain_text("Nothing found.")
    expect(shell.main).to_contain_text("Payments with this reference")


def test_an_operator_searches_for_a_merchant(user: User, world: World, shop: Shop) -> None:
    shell: Shell = user.operator()
    shell.choose_merchant(shop.merchant_id)
    shell.search(world.merchant_id)
    expect(shell.merchant).to_have_value(world.merchant_id)


def _funded(deployment: Deployment, shop: Shop, amount: int) -> str:
    body: dict[str, Any] = {"account_type": "wallet", "currency": "USD", "opening_balance": amount}
    owned = {**body, "merchant_id": shop.merchant_id}
    return str(made(deployment.operator, "/v1/accounts", owned)["id"])
