"""What operators look at: home, alerts, and how the platform runs."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Route, expect

from local.schedules import tick
from tests.console.user import User
from tests.e2e.conftest import Deployment, Shop
from tests.e2e.test_processor_events import SECRET, tell
from tests.support.console.pages.lists import ListPage
from tests.support.console.world import World, made, until


def test_operations_show_the_last_ledger_verification(user: User, deployment: Deployment) -> None:
    tick(deployment.stack, "proof")
    shell = user.operator("#/operations")
    expect(shell.section("Ledger verification")).to_contain_text("Holds")
    expect(ListPage(user.page, "Checks").rows.first).to_contain_text("Holds")
    user.look("operations")


def test_a_processor_event_that_could_not_be_applied_is_applied(
    user: User, deployment: Deployment
) -> None:
    shop = deployment.shop(processor_config={"webhook_secret": SECRET})
    sale = {"amount": 1_000, "currency": "USD", "payment_method": "tok_approved"}
    paid = made(shop.client, "/v1/payments", sale)["id"]
    about = {"reference": paid, "dispute_id": "dp_1", "amount": 400}
    assert tell(deployment, shop, id="evt_1", currency="EUR", **about)["result"] == "kept"
    user.operator("#/operations")
    row = ListPage(user.page, "Processor events").row(paid)
    apply = row.get_by_role("button", name="Apply", exact=True)
    dialog = user.act(apply, "Apply this event again?", "EUR")
    with user.watch.expecting(409, "/apply"):
        dialog.confirm("Apply")
        expect(dialog.error).to_contain_text("EUR")
    tell(deployment, shop, id="evt_2", currency="USD", silent=True, **about)
    dialog.confirm("Try again").succeeded("The event is applied.").close()
    expect(row).to_have_count(0)
    assert shop.client.get(f"/v1/payments/{paid}").require(200)["dispute_status"] == "opened"


def test_the_figures_of_the_home_screen_lead_to_their_screens(user: User, world: World) -> None:
    shell = user.merchant(world.merchant_id, "#/home")
    shell.main.get_by_role("link", name="To be captured").click()
    ListPage(user.page, "Payments").must_list(world.ids["authorized"])
    shell.follow("Home").main.get_by_role("link", name="Open exceptions").click()
    expect(ListPage(user.page, "Exceptions").rows).to_have_count(3)


def test_schedules_and_dead_letters_are_shown(user: User, deployment: Deployment) -> None:
    tick(deployment.stack, "holds")
    shell = user.operator("#/home")
    shell.main.get_by_role("link", name="Dead letters").click()
    expect(ListPage(user.page, "Schedules").row("Holds")).to_contain_text("Succeeded")
    letters = ListPage(user.page, "Dead letters").rows
    expect(letters.first).to_be_visible()
    stored = deployment.operator.get("/v1/operations").require(200)["dead_letters"]
    expect(letters).to_have_count(len(stored))


def test_the_lag_of_each_change_stream_is_shown(user: User, deployment: Deployment) -> None:
    def stored() -> dict[str, Any]:
        streams = deployment.operator.get("/v1/operations").require(200)["streams"]
        return {each["name"]: each for each in streams}

    deployment.shop()
    until(lambda: stored()["merchants"]["failing"] is False)
    until(lambda: not any(each["late"] for each in stored().values()))
    shell = user.operator("#/operations")
    streams = ListPage(user.page, "Change streams")
    expect(streams.rows).to_have_count(len(stored()))
    expect(streams.row("Merchants")).to_contain_text("Healthy")
    expect(shell.section("Change streams").get_by_role("alert")).to_have_count(0)


def test_change_streams_that_are_late_are_named_in_a_warning(user: User) -> None:
    def with_a_failure(route: Route) -> None:
        answer = route.fetch()
        shown = answer.json()
        first, second, *_ = shown["streams"]
        first |= {"last_batch_at": shown["as_of"], "lag_seconds": 7_200, "failing": True}
        second |= {"last_batch_at": None, "lag_seconds": None, "failing": None, "late": None}
        route.fulfill(response=answer, json=shown | {"streams": [first | {"late": True}, second]})

    user.page.route("**/v1/operations", with_a_failure)
    shell = user.operator("#/operations")
    streams = ListPage(user.page, "Change streams").rows
    expect(streams.first).to_contain_text("Accounts")
    expect(streams.first).to_contain_text("2 hours")
    expect(streams.first).to_contain_text("Failing")
    expect(streams.last).to_contain_text("No batch yet")
    expect(shell.section("Change streams").get_by_role("alert")).to_contain_text("Late: Accounts.")
    user.look("operations", alerts=1)


def test_operations_are_not_shown_to_merchants(user: User, shop: Shop) -> None:
    shell = user.merchant(shop.merchant_id)
    expect(shell.navigation.get_by_role("link", name="Operations")).to_have_count(0)
    shell.open("#/operations")
    expect(shell.main).to_contain_text("Your sign-in does not allow this.")


def test_an_alert_is_shown_to_its_merchant_and_to_operators(user: User, shop: Shop) -> None:
    sale = {"amount": 1_000_000, "currency": "USD", "payment_method": "tok_approved"}
    paid = made(shop.client, "/v1/payments", sale)["id"]
    until(lambda: shop.client.get("/v1/alerts").require(200)["data"])
    user.merchant(shop.merchant_id, "#/alerts")
    alerts = ListPage(user.page, "Alerts")
    expect(alerts.row(paid)).to_contain_text("Large transaction")
    expect(alerts.row(paid)).to_contain_text("10,000.00 USD")
    user.look("alerts")
    user.operator("#/alerts")
    expect(alerts.row(paid)).to_contain_text(shop.merchant_id)
