"""`make docs`: the pages generated from code, so that they always match it.

docs/data-model.md from the table schema, docs/api.md and docs/openapi.json from the contract,
the document's examples from requests to a simulated platform (simulation/api_examples),
docs/settings.md from the models of a stage, docs/errors.md from the tree of errors, the code that
README.md quotes, the accepted findings in docs/security.md, and the query of data events in
docs/operations.md.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Final, Literal, Union, get_args, get_origin

from pydantic import ValidationError

from local.accepted_findings import PART, accepted_findings, of_the_stages
from local.code_excerpts import with_current_code
from local.errors_page import errors_page
from local.marked_parts import with_part
from local.settings_page import settings_page
from local.workspace import PROJECT_ROOT
from runtime.api.document.examples import FILE, forget_examples
from runtime.api.document.operators import LISTS
from runtime.api.endpoints import ENDPOINTS
from runtime.api.openapi import openapi_document
from runtime.core.errors import InvalidValue
from runtime.dynamodb.schema import PACKED, IndexSchema, KeyAttribute, TableSchema
from runtime.http.endpoint import Endpoint
from runtime.http.field_errors import flaws_of
from runtime.http.responses import ERROR_TYPES, problem
from runtime.payments.api import PaymentRequest
from runtime.tables import ALL_TABLES
from simulation.api_examples.recording import examples_text
from stacks.data_trail import QUERY

DOCS: Final = PROJECT_ROOT / "docs"
README: Final = PROJECT_ROOT / "README.md"
EXAMPLES: Final = PROJECT_ROOT / "runtime" / "api" / "document" / FILE
QUERY_PART: Final = "query of data events"
_NOTICE: Final = "<!-- Made by `make docs` from {source}; edit that, not this page. -->"


def data_model() -> str:
    """docs/data-model.md."""
    lines = [
        "# Data model",
        "",
        _NOTICE.format(source="the models of the capabilities"),
        "",
        "One table per aggregate. Keys, indexes, projections, expiry and encryption are declared",
        "on the fields of the capabilities' models (`models.py`); the CDK tables and the test",
        "tables are made from the same declaration. Every table is on demand, has point-in-time",
        "recovery and is encrypted with a customer-managed key. An index projects its own keys,",
        "the table's keys and what is named here.",
        "",
        "| table | key | indexes | expires by | change stream |",
        "|---|---|---|---|---|",
        *(_overview_row(schema) for schema in ALL_TABLES),
    ]
    for schema in ALL_TABLES:
        lines += ["", *_table_section(schema)]
    return "\n".join(lines) + "\n"


def api_routes() -> str:
    """docs/api.md."""
    lines = [
        "# HTTP API",
        "",
        _NOTICE.format(source="the routes of the capabilities"),
        "",
        "Every route as the contract declares it; `GET /v1/docs` of a deployed stack shows the",
        "shapes and tries them, `docs/openapi.json` is the same as OpenAPI 3.1. Amounts are",
        "integers in minor units. Errors are RFC 9457 problem documents with a stable `code`:",
        "[errors.md](errors.md) says what to do about each.",
        "Every route that is not public answers 401 (`unauthorized`) to a credential that is",
        "missing, invalid or expired, before anything else is checked, and 503 with",
        "Retry-After while credentials cannot be checked. Without an Authorization header",
        'API Gateway answers 401 with the body `{"message":"Unauthorized"}`; where a stage',
        "leaves tokens to it (`auth.mode` `jwt`) it answers for all of them, and 403 for a scope.",
        "`admin` stands for operators' tokens and implies every permission. A resource that is",
        "not yours answers 404.",
        "",
        "An invalid body or query (400, 422) lists all invalid fields at once, at most 20, in",
        "`errors`; `param` and `detail` are those of the first one:",
        "",
        *_invalid_example(),
        "",
        "| route | permission | Idempotency-Key | answers | |",
        "|---|---|---|---|---|",
        *(_route_row(endpoint) for endpoint in ENDPOINTS),
        "",
        "## Operators and `merchant_id`",
        "",
        "An operator reads any resource by its id, and acts for a merchant with `merchant_id` in",
        "the query or the body. For lists it depends:",
        "",
        "| list | `merchant_id` of an operator |",
        "|---|---|",
        *(_operators_row(endpoint) for endpoint in ENDPOINTS if endpoint.operation in LISTS),
    ]
    return "\n".join(lines) + "\n"


def _operators_row(endpoint: Endpoint) -> str:
    rule, exceptions = LISTS[endpoint.operation]
    return f"| `{endpoint.method} {endpoint.path}` | {' '.join((rule, exceptions)).strip()} |"


def _invalid_example() -> Iterator[str]:
    """A request with two invalid fields, and its answer as the API gives it."""
    sent = {"amount": 19.99, "currency": "usd", "payment_method": "tok_approved"}
    yield from ("```", "POST /v1/payments", json.dumps(sent), "", "422")
    try:
        PaymentRequest.model_validate_json(json.dumps(sent))
    except ValidationError as invalid:
        fields = [flaw.field for flaw in flaws_of(invalid, sent, PaymentRequest)]
        error = InvalidValue(fields[0].detail, param=fields[0].param, errors=fields)
        types = ERROR_TYPES.format(domain="api.example.com")
        answer = problem(error, instance="/v1/payments", request_id="…", types=types)
        reported = json.loads(answer.body)
        yield from json.dumps(reported, indent=2, ensure_ascii=False).splitlines()
    yield "```"


def openapi_json() -> str:
    """docs/openapi.json."""
    return json.dumps(openapi_document(), indent=2, ensure_ascii=False) + "\n"


def settings() -> str:
    """docs/settings.md."""
    return settings_page(_NOTICE.format(source="stacks/stage.py and the modules of its parts"))


def error_catalogue() -> str:
    """docs/errors.md."""
    return errors_page(_NOTICE.format(source="the tree of errors, runtime/core/errors/"))


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "data-model.md": data_model,
    "api.md": api_routes,
    "openapi.json": openapi_json,
    "settings.md": settings,
    "errors.md": error_catalogue,
}


def main() -> int:
    """Write every page; print which ones changed."""
    changed = _write(EXAMPLES, examples_text())
    print(f"{EXAMPLES.name}: {'written' if changed else 'unchanged'}", file=sys.stderr)
    forget_examples()
    for name, page in PAGES.items():
        changed = _write(DOCS / name, page())
        print(f"docs/{name}: {'written' if changed else 'unchanged'}", file=sys.stderr)
    changed = _write(README, with_current_code(README.read_text("utf-8")))
    print(f"README.md: {'written' if changed else 'unchanged'}", file=sys.stderr)
    for name, part, text in _parts():
        changed = _write(DOCS / name, with_part((DOCS / name).read_text("utf-8"), part, text))
        print(f"docs/{name}: {'written' if changed else 'unchanged'}", file=sys.stderr)
    return 0


def _parts() -> Iterator[tuple[str, str, str]]:
    """Page, name and text of each generated part of a page that people write."""
    yield "security.md", PART, accepted_findings(of_the_stages())
    yield "operations.md", QUERY_PART, query_block()


def query_block() -> str:
    """The query of the runbook about data events."""
    return f"```\n{QUERY}\n```\n"


def _write(file: Path, text: str) -> bool:
    if file.exists() and file.read_text("utf-8") == text:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return True


def _overview_row(schema: TableSchema) -> str:
    key = _key(schema.partition_key, schema.sort_key)
    indexes = " · ".join(f"`{index.name}`" for index in schema.indexes) or "-"
    expiry = f"`{schema.ttl_attribute}`" if schema.ttl_attribute else "-"
    stream = "new and old images" if schema.stream else "-"
    return f"| [{schema.name}](#{schema.name}) | {key} | {indexes} | {expiry} | {stream} |"


def _table_section(schema: TableSchema) -> Iterator[str]:
    yield f"## {schema.name}"
    yield ""
    yield inspect.cleandoc(schema.model.__doc__ or "")
    if schema.indexes:
        yield ""
        yield "| index | key | projects |"
        yield "|---|---|---|"
        yield from (_index_row(index) for index in schema.indexes)
    yield ""
    yield "| attribute | type | role |"
    yield "|---|---|---|"
    for name, field in schema.model.model_fields.items():
        kind = _type_name(field.annotation)
        yield f"| `{name}` | {kind} | {_role(schema, name)} |"


def _index_row(index: IndexSchema) -> str:
    projected = ", ".join(f"`{name}`" for name in index.projected) or "keys only"
    return f"| `{index.name}` | {_key(index.partition_key, index.sort_key)} | {projected} |"


def _key(partition_key: KeyAttribute, sort_key: KeyAttribute | None) -> str:
    names = [key for key in (partition_key, sort_key) if key is not None]
    return ", ".join(f"`{key.name}` ({key.type})" for key in names)


def _type_name(annotation: object) -> str:
    """The type without its markers and constraints, spelled alike by every version of Python."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _type_name(get_args(annotation)[0])
    if origin is Literal:
        return " or ".join(repr(value) for value in get_args(annotation))
    if origin in (Union, UnionType):
        return " or ".join(_type_name(member) for member in get_args(annotation))
    if annotation is NoneType:
        return "none"
    name = getattr(origin or annotation, "__name__", str(annotation))
    members = [_type_name(member) for member in get_args(annotation) if member is not Ellipsis]
    return f"{name} of {' to '.join(members)}" if members else name


def _role(schema: TableSchema, name: str) -> str:
    roles = []
    if name in schema.key_names:
        roles.append("key")
    if name == schema.ttl_attribute:
        roles.append("expiry, epoch seconds")
    if name in schema.encrypted:
        mark = schema.encrypted[name]
        roles.append(f"encrypted: `{mark.purpose}` key of `{mark.subject}`")
    if name in schema.blind_indexes:
        roles.append(f"blind index of `{schema.blind_indexes[name].source}`")
    if name in schema.unless_default:
        default = schema.model.model_fields[name].get_default()
        roles.append(f"absent in a new row means `{default}`")
    if name in schema.packed:
        roles.append(f"compressed in `{PACKED}`")
    return "; ".join(roles)


def _route_row(endpoint: Endpoint) -> str:
    if endpoint.public:
        permission = "none"
    else:
        permission = str(endpoint.permission) if endpoint.permission else "admin or own"
    key = "-" if endpoint.idempotent == "no" else endpoint.idempotent
    statuses = sorted(int(status) for status in (*endpoint.answers, *endpoint.refusals))
    answers = ", ".join(str(status) for status in statuses)
    route = f"`{endpoint.method} {endpoint.path}`"
    return f"| {route} | {permission} | {key} | {answers} | {endpoint.summary} |"


if __name__ == "__main__":
    sys.exit(main())
