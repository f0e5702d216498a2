"""The console's page and files over HTTP, from the deployed stage."""

from __future__ import annotations

import gzip
from functools import cache
from typing import Final

import httpx
import pytest

from local.workspace import PROJECT_ROOT
from runtime.console.headers import content_type_of, security_headers
from tests.e2e.conftest import Deployment
from tests.support.stages.deployed_stage import remote_stage

CONSOLE: Final = PROJECT_ROOT / "console"
NAMES: Final = sorted(
    path.relative_to(CONSOLE).as_posix() for path in CONSOLE.rglob("*") if path.is_file()
)
TIMEOUT_SECONDS: Final = 30


@pytest.fixture(autouse=True)
def _served_beside_the_api(deployment: Deployment) -> None:
    if "console" not in deployment.stack.functions:
        pytest.skip("the stage serves no console beside its API")


def get(deployment: Deployment, path: str, **headers: str) -> httpx.Response:
    """One request of a browser that has not signed in."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{deployment.stack.api_url}{path}"
    return httpx.get(url, headers=sent, timeout=TIMEOUT_SECONDS)


@cache
def _token_endpoint(api_url: str) -> str | None:
    """Where the stage's sign-in exchanges its code; the one other place that pages may call."""
    answer = httpx.get(f"{api_url}/console/config.json", timeout=TIMEOUT_SECONDS)
    endpoint: str | None = answer.json()["sign_in"].get("token_endpoint")
    return endpoint


def _has_headers(answer: httpx.Response, deployment: Deployment) -> None:
    endpoint = _token_endpoint(deployment.stack.api_url)
    for name, value in security_headers(endpoint).items():
        assert answer.headers[name] == value, name


def test_the_page_is_served_without_a_token(deployment: Deployment) -> None:
    answer = get(deployment, "/console")
    assert answer.status_code == 200
    assert answer.text == (CONSOLE / "index.html").read_text("utf-8")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    _has_headers(answer, deployment)


@pytest.mark.parametrize("name", NAMES)
def test_each_file_is_served_with_its_type_and_headers(name: str, deployment: Deployment) -> None:
    answer = get(deployment, f"/console/{name}", accept_encoding="gzip")
    assert answer.status_code == 200
    assert answer.content == (CONSOLE / name).read_bytes()
    assert answer.headers["content-type"] == content_type_of(name)
    assert answer.headers["content-encoding"] == "gzip"
    _has_headers(answer, deployment)


def test_the_sign_in_is_that_of_the_stage(deployment: Deployment) -> None:
    answer = get(deployment, "/console/config.json")
    stage = remote_stage()
    assert answer.json()["stage"] == (stage or "local")
    if stage is None:
        assert answer.json()["sign_in"] == {"method": "token"}
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_browser_that_has_a_file_gets_no_body(encoding: str, deployment: Deployment) -> None:
    first = get(deployment, "/console/app/main.js", accept_encoding=encoding)
    tag = first.headers["etag"]
    again = get(
        deployment, "/console/app/main.js", accept_encoding=encoding, if_none_match=f"W/{tag}"
    )
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    _has_headers(again, deployment)


@pytest.mark.parametrize(
    "path", ["/console/none.js", "/console/app", "/console/%2e%2e/%2e%2e/etc/passwd"]
)
def test_anything_else_is_not_found(path: str, deployment: Deployment) -> None:
    answer = get(deployment, path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"]) == ("not_found", 404)
    assert problem["type"].endswith("not_found"), "its beginning is a setting of the stage"
    assert problem["request_id"] == answer.headers["x-request-id"]
    _has_headers(answer, deployment)


def test_what_is_sent_is_what_counts_for_its_size(deployment: Deployment) -> None:
    with httpx.stream(
        "GET",
        f"{deployment.stack.api_url}/console/style.css",
        headers={"Accept-Encoding": "gzip"},
        timeout=TIMEOUT_SECONDS,
    ) as answer:
        sent = b"".join(answer.iter_raw())
    assert gzip.decompress(sent) == (CONSOLE / "style.css").read_bytes()
