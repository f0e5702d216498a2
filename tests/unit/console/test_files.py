"""The console's files are served as they are, with their headers, and nothing else is."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from runtime.console.files import ConsoleFiles
from runtime.console.headers import content_type_of, security_headers
from runtime.functions.console import directory_in, handler_for
from tests.support.http import Context, http_event

PAGE = '<!doctype html><script type="module" src="console/app/main.js"></script>'
MODULE = 'export const greeting = "hello";\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    files = tmp_path / "console"
    (files / "app").mkdir(parents=True)
    (files / "index.html").write_text(PAGE)
    (files / "app/main.js").write_text(MODULE)
    (files / "config.json").write_text('{"stage": "test", "sign_in": {"method": "token"}}')
    (tmp_path / "secret.js").write_text("not the console's")
    return files


def get(directory: Path, path: str, **headers: str) -> dict[str, Any]:
    handler = handler_for(lambda: ConsoleFiles(directory))
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer: dict[str, Any] = handler(http_event("GET", path, headers=sent), Context())
    return answer


def test_the_page_is_at_the_consoles_own_path(directory: Path) -> None:
    answer = get(directory, "/console")
    assert (answer["statusCode"], answer["body"]) == (200, PAGE)
    assert answer["headers"]["Content-Type"] == "text/html; charset=utf-8"
    assert answer["headers"]["Cache-Control"] == "no-cache"
    assert get(directory, "/console/index.html")["body"] == PAGE


def test_a_file_is_compressed_for_those_who_accept_it(directory: Path) -> None:
    answer = get(directory, "/console/app/main.js", accept_encoding="br, gzip")
    assert answer["headers"]["Content-Encoding"] == "gzip"
    assert answer["headers"]["Content-Type"] == "text/javascript; charset=utf-8"
    assert gzip.decompress(base64.b64decode(answer["body"])).decode() == MODULE
    plain = get(directory, "/console/app/main.js")
    assert plain["body"] == MODULE
    assert "Content-Encoding" not in plain["headers"]
    assert answer["headers"]["Vary"] == plain["headers"]["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_whoever_has_a_file_gets_no_body(directory: Path, encoding: str) -> None:
    first = get(directory, "/console/app/main.js", accept_encoding=encoding)
    tag = first["headers"]["ETag"]
    again = get(
        directory, "/console/app/main.js", accept_encoding=encoding, if_none_match=f"W/{tag}"
    )
    assert (again["statusCode"], again["body"]) == (304, "")
    assert again["headers"]["Content-Security-Policy"]
    (directory / "app/main.js").write_text(MODULE * 2)
    changed = get(
        directory, "/console/app/main.js", accept_encoding=encoding, if_none_match=f"W/{tag}"
    )
    assert changed["statusCode"] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/console/",
        "/console/app",
        "/console/app/other.js",
        "/console/../secret.js",
        "/console/%2e%2e/secret.js",
        "/console//app/main.js",
        "/console/app/../app/main.js",
        "/console/app/main.js/",
        "/secret.js",
    ],
)
def test_what_is_not_listed_is_not_found(directory: Path, path: str) -> None:
    answer = get(directory, path)
    assert answer["statusCode"] == 404
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    problem = json.loads(answer["body"])
    assert (problem["code"], problem["status"]) == ("not_found", 404)
    assert problem["type"].endswith("/v1/docs/errors#not_found")
    assert problem["request_id"] == answer["headers"]["X-Request-Id"]


def test_every_answer_has_the_security_headers(directory: Path) -> None:
    for path in ("/console", "/console/app/main.js", "/console/config.json", "/console/none.js"):
        headers = get(directory, path)["headers"]
        assert headers.items() >= security_headers().items(), path


def test_the_policy_allows_the_consoles_own_origin_and_nothing_inline() -> None:
    policy = dict(
        part.split(" ", 1) for part in security_headers()["Content-Security-Policy"].split("; ")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def test_requests_may_also_go_where_the_sign_in_gets_its_token(directory: Path) -> None:
    sign_in = {"method": "oidc", "token_endpoint": "https://sign-in.test:8443/oauth2/token?x=1"}
    (directory / "config.json").write_text(json.dumps({"stage": "test", "sign_in": sign_in}))
    policy = get(directory, "/console")["headers"]["Content-Security-Policy"]
    assert "connect-src 'self' https://sign-in.test:8443;" in policy


def test_a_file_of_an_unknown_type_stops_the_function_at_its_start(directory: Path) -> None:
    (directory / "font.woff2").write_bytes(b"")
    with pytest.raises(ValueError, match=r"font\.woff2: the console serves no files that end in"):
        ConsoleFiles(directory)
    with pytest.raises(ValueError, match="no suffix"):
        content_type_of("LICENSE")


def test_the_files_are_beside_the_code() -> None:
    assert directory_in({"LAMBDA_TASK_ROOT": "/var/task"}) == Path("/var/task/console")
