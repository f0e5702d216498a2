"""Which parts of the dependencies are left out of the asset. Tests use what remains."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from stacks.asset_symbols import clear_symbols

# The AWS APIs that runtime/ calls; a client for any other service cannot be made from the asset.
AWS_SERVICES = frozenset({"dynamodb", "events", "kms", "s3", "secretsmanager", "sqs"})

# The resources of Stripe's API that runtime/ calls. Stripe's library loads a service when it is
# named. The classes of all objects stay: an answer may contain any of them.
STRIPE_SERVICES = frozenset({"account", "balance", "dispute", "event", "payment_intent", "refund"})

_READ_WITH_TEXTS: Final = ("clientContextParams",)

_OF_STRIPES_CLIENT = frozenset({"oauth", "stripe"})

NOT_SHIPPED: Final = (
    "aws_lambda_powertools/event_handler/*.py",
    "aws_lambda_powertools/event_handler/*/*.py",
    "aws_lambda_powertools/utilities/auth_alpha",
    "aws_lambda_powertools/utilities/circuit_breaker",
    "aws_lambda_powertools/utilities/data_masking",
    "aws_lambda_powertools/utilities/feature_flags",
    "aws_lambda_powertools/utilities/idempotency",
    "aws_lambda_powertools/utilities/kafka",
    "aws_lambda_powertools/utilities/parameters",
    "aws_lambda_powertools/utilities/streaming",
    "aws_lambda_powertools/utilities/validation",
    "boto3/examples",
    "botocore/cacert.pem",  # certifi's is used where it is installed
    "*__mypyc*.so",  # of charset_normalizer, which works without it
    "charset_normalizer/*.so",
    "cffi",  # compiles C; what it compiled needs _cffi_backend alone
    "cffi-*.dist-info",
    "dateutil/zoneinfo",  # the system's and tzdata's are preferred to this old copy
    "pycparser",  # of cffi
    "pycparser-*.dist-info",
    "pydantic/mypy.py",
    "pydantic/v1",  # the version before, for models of its kind
    "stripe/events",  # of version 2 of the API, as are:
    "stripe/v2/*/*_service.py",
    "stripe/v2/*/*/*_service.py",
    "stripe/params",  # types for a type checker
    "stripe/*/_*_service.py",
)
NOT_SHIPPED_DIRS = frozenset({"__pycache__", "bin", "test", "tests"})
NOT_SHIPPED_SUFFIXES = frozenset({".c", ".h", ".pxd", ".pyi", ".pyx"})
# Entry points, licences and the head of METADATA stay: importlib.metadata, plugins, scanners and
# lawyers read them.
NOT_SHIPPED_METADATA = frozenset({"INSTALLER", "RECORD", "REQUESTED", "WHEEL", "direct_url.json"})


def strip(directory: Path) -> None:
    """Remove what no function reads."""
    for path in [*_unused(directory)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for module in directory.rglob("*.so"):
        clear_symbols(module)
    for model in directory.glob("botocore/data/*/*/*.json.gz"):
        _without_documentation(model)
    for endpoints in directory.glob("botocore/data/endpoints.json"):
        _without_other_services(endpoints)
    for metadata in directory.glob("*.dist-info/METADATA"):
        _without_description(metadata)


def _unused(directory: Path) -> Iterator[Path]:
    for pattern in NOT_SHIPPED:
        yield from directory.glob(pattern)
    for data in (directory / "botocore" / "data", directory / "boto3" / "data"):
        for service in [entry for entry in data.iterdir() if entry.is_dir()]:
            if service.name not in AWS_SERVICES:
                yield service
    for service in directory.glob("stripe/_*_service.py"):
        if (
            service.stem.strip("_").removesuffix("_service")
            not in STRIPE_SERVICES | _OF_STRIPES_CLIENT
        ):
            yield service
    for path in sorted(directory.rglob("*"), reverse=True):
        if (
            (path.is_dir() and path.name in NOT_SHIPPED_DIRS)
            or path.suffix in NOT_SHIPPED_SUFFIXES
            or path.name.startswith("examples-1.json")
            or (path.parent.suffix == ".dist-info" and path.name in NOT_SHIPPED_METADATA)
        ):
            yield path


def _without_description(metadata: Path) -> None:
    """Keep the fields, and remove what follows them: the package's page on the index."""
    fields, blank_line, _ = metadata.read_bytes().partition(b"\n\n")
    metadata.write_bytes(fields + blank_line)


def _without_other_services(endpoints: Path) -> None:
    """Keep the regions, and the endpoints of the services that are called: 5 % of the file."""
    document = json.loads(endpoints.read_bytes())
    for partition in document["partitions"]:
        services = partition["services"]
        partition["services"] = {n: each for n, each in services.items() if n in AWS_SERVICES}
    endpoints.write_text(json.dumps(document, separators=(",", ":")), "utf-8")


def _without_documentation(model: Path) -> None:
    """Remove the texts of a service's model: 84 % of it, which botocore would parse and ignore.

    Those of S3's settings for clients stay: botocore reads them before its first call.
    """
    document = json.loads(gzip.decompress(model.read_bytes()))
    kept = {name: document[name] for name in _READ_WITH_TEXTS if name in document}
    text = json.dumps(_undocumented(document) | kept, separators=(",", ":"))
    model.write_bytes(gzip.compress(text.encode(), mtime=0))


def _undocumented(value: Any) -> Any:
    if isinstance(value, list):
        return [_undocumented(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _undocumented(member)
        for name, member in value.items()
        # A member of a shape may have this name: its value is an object.
        if not (name == "documentation" and isinstance(member, str))
    }
