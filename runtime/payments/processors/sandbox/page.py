"""The sandbox's page for customers: HTML without scripts. Pure."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from runtime.core.money import format_amount
from runtime.http.responses import HttpResponse
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.repository import WAITING

HTML: Final = "text/html; charset=utf-8"
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:30rem;margin:3rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff}"
    "form{display:flex;gap:1rem}"
    "button{font:inherit;padding:.6rem 1.2rem;border:1px solid #1a1a1a;border-radius:.3rem;"
    "background:#fff;color:#1a1a1a;cursor:pointer}"
    "button[value=approve]{background:#0b5d33;border-color:#0b5d33;color:#fff}"
    "button:focus-visible{outline:3px solid #1a5fb4;outline-offset:2px}"
)
_STYLE_HASH: Final = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_PAGE: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width,initial-scale=1">'
    '<meta name="robots" content="noindex"><title>{title}</title><style>{style}</style></head>'
    "<body><main><h1>{title}</h1>{body}</main></body></html>"
)
_BUTTONS: Final = (
    "<p>The sandbox asks you to authenticate the payment of <strong>{amount}</strong>. "
    "No money moves.</p>"
    '<form method="post"><button name="decision" value="approve">Approve</button>'
    '<button name="decision" value="fail">Fail</button></form>'
)
_OUTCOMES: Final[Mapping[str, tuple[str, str]]] = {
    "approved": ("Payment approved", "The payment was approved."),
    "authorized": ("Payment approved", "The payment was approved."),
    "declined": ("Authentication failed", "The payment was not approved."),
    "voided": ("Payment canceled", "The payment was canceled; it cannot be approved any more."),
}
"""Title and text by the state of a charge that was decided."""


def action_page(charge: SandboxCharge) -> HttpResponse:
    """The page with its two buttons, or what became of the charge."""
    if charge.state != WAITING:
        return outcome_page(charge)
    amount = escape(format_amount(charge.amount, charge.currency))
    body = _BUTTONS.format(amount=amount)
    return _page("Authenticate the payment", body, charge.return_url)


def outcome_page(charge: SandboxCharge) -> HttpResponse:
    """What became of a charge, with a link back to the shop."""
    title, text = _OUTCOMES.get(charge.state, ("Payment", "The payment was decided."))
    body = f"<p>{escape(text)}</p>"
    if charge.return_url is not None:
        target = escape(return_target(charge.return_url, charge.reference), quote=True)
        body += f'<p><a href="{target}" rel="noreferrer">Return to the shop</a></p>'
    else:
        body += "<p>You may close this page.</p>"
    return _page(title, body)


def back_to_shop(return_url: str, payment_id: str) -> HttpResponse:
    """Send the customer back to the shop."""
    headers = {**_headers(None), "Location": return_target(return_url, payment_id)}
    return HttpResponse(HTTPStatus.SEE_OTHER, None, "", headers)


def return_target(return_url: str, payment_id: str) -> str:
    """The shop's address with the payment's id, by which the shop reads the payment."""
    parts = urlsplit(return_url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("payment_id", payment_id)]
    return parts._replace(query=urlencode(query)).geturl()


def _page(title: str, body: str, return_url: str | None = None) -> HttpResponse:
    text = _PAGE.format(title=escape(title), style=_STYLE, body=body)
    return HttpResponse(HTTPStatus.OK, HTML, text, _headers(return_url))


def _headers(return_url: str | None) -> dict[str, str]:
    """`return_url`: where the form may lead to; browsers check the targets of redirects as well."""
    targets = "'self'"
    if return_url is not None:
        shop = urlsplit(return_url)
        targets += f" {shop.scheme}://{shop.netloc}"
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {targets}; "
            "base-uri 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
