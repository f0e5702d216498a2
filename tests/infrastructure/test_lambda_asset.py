"""What ships to Lambda can be imported in a process without anything else."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks import lambda_asset as packaging
from stacks.lambda_asset import AWS_SERVICES, RUNTIME, LambdaTarget, find_interpreter, lambda_asset

IMPORT_TIMEOUT_SECONDS = 120
HANDLERS = sorted(
    f"runtime.functions.{file.stem}"
    for file in (RUNTIME / "functions").glob("*.py")
    if file.stem != "__init__"
)
# Runs with no site-packages and no environment: the asset, then the standard library. What opens a
# connection while it is imported fails, as does what reads a variable that only a deployment sets.
ALONE = """
import importlib, json, socket, sys
sys.path.insert(0, sys.argv[1])
def refuse(*_, **__):
    raise OSError("an import must not use the network")
socket.socket.connect = socket.getaddrinfo = refuse
for name in sys.argv[2:]:
    importlib.import_module(name)
print(json.dumps(sorted({str(getattr(m, "__file__", None)) for m in sys.modules.values()})))
"""
UNCHECKED_HASH_FLAG = 0b01
PYC_FLAGS = slice(4, 8)


@pytest.fixture(scope="module")
def asset() -> Path:
    return lambda_asset(LambdaTarget.this_machine())


def test_there_are_handlers_to_ship() -> None:
    assert HANDLERS, f"no module found under {RUNTIME / 'functions'}"


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_imports_from_the_asset_alone(asset: Path, handler: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ALONE, str(asset), handler],
        capture_output=True,
        check=False,
        cwd=asset,
        env={"AWS_REGION": "us-east-1"},
        text=True,
        timeout=IMPORT_TIMEOUT_SECONDS,
    )
    assert answer.returncode == 0, answer.stderr
    files = [Path(name) for name in json.loads(answer.stdout) if name != "None"]
    foreign = [file for file in files if "site-packages" in file.parts]
    assert foreign == []
    of_stripe = [file for file in files if file.is_relative_to(asset / "stripe")]
    assert of_stripe == [], "only calls for merchants on Stripe import it"


def test_only_the_services_that_are_used_have_their_models(asset: Path) -> None:
    kept = {entry.name for entry in (asset / "botocore" / "data").iterdir() if entry.is_dir()}
    assert kept == AWS_SERVICES


def test_a_client_of_each_service_can_be_made_from_the_asset(asset: Path) -> None:
    make = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import boto3\n"
        "for service in sys.argv[2:]: boto3.client(service)"
    )
    environment = {
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", make, str(asset), *sorted(AWS_SERVICES)],
        check=True,
        env=environment,
        timeout=IMPORT_TIMEOUT_SECONDS,
    )


def test_stripe_can_be_called_from_the_asset_alone(asset: Path) -> None:
    ask = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from runtime.payments.processors.stripe.connector import StripeProcessor, stripe_config\n"
        "import stripe\n"
        "config = stripe_config({'api_key': 'sk_test_x'})\n"
        "processor = StripeProcessor.of(config, 'http://127.0.0.1:9', 1)\n"
        "try: processor.api.read('pi_1')\n"
        "except stripe.APIConnectionError: pass\n"
        "else: raise AssertionError('the port is closed')\n"
        "assert processor.api.client.v1.refunds\n"
        "assert Path(stripe.ca_bundle_path).is_relative_to(sys.argv[1])\n"
        "assert 'BEGIN CERTIFICATE' in Path(stripe.ca_bundle_path).read_text()\n"
    )
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", ask, str(asset)],
        check=True,
        env={},
        timeout=IMPORT_TIMEOUT_SECONDS,
    )


def bytecode(asset: Path) -> Iterator[Path]:
    yield from asset.rglob("*.pyc")


def test_every_source_has_bytecode_that_is_never_checked(asset: Path) -> None:
    flags = {int.from_bytes(file.read_bytes()[PYC_FLAGS], "little") for file in bytecode(asset)}
    assert flags == {UNCHECKED_HASH_FLAG}
    sources = sum(1 for _ in (asset / "runtime").rglob("*.py"))
    assert sum(1 for _ in bytecode(asset / "runtime")) == sources


def test_bytecode_has_the_path_of_the_source_in_lambda(asset: Path) -> None:
    compiled = next(bytecode(asset / "runtime")).read_bytes()
    assert b"/var/task/runtime" in compiled
    assert str(asset).encode() not in compiled


def test_only_files_that_functions_read_are_shipped(asset: Path) -> None:
    names = {path.name for path in asset.rglob("*")}
    assert names.isdisjoint({"tests", "INSTALLER", "RECORD"})
    assert not (asset / "bin").exists()
    assert not any(
        (asset / name).exists()
        for name in ("local", "operations", "stacks", "aws_cdk", "pip", "rich")
    )


def fingerprint(directory: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        digest.update(str(file.relative_to(directory)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


@pytest.mark.deep
def test_two_builds_of_the_same_sources_are_identical(asset: Path, tmp_path: Path) -> None:
    again = lambda_asset(LambdaTarget.this_machine(), tmp_path)
    assert fingerprint(again) == fingerprint(asset)
    assert again.name == asset.name


def test_a_failed_build_leaves_no_files_and_reports_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "requirements-lambda.txt"
    wrong.write_text("six==1.17.0 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setattr(packaging, "REQUIREMENTS", wrong)
    with pytest.raises(packaging.AssetBuildError, match=r"installing requirements-lambda\.txt"):
        lambda_asset(LambdaTarget.this_machine(), tmp_path / "build")
    assert [path for path in (tmp_path / "build").rglob("*") if path.is_file()] == []


def test_a_shim_that_does_not_run_is_not_an_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert find_interpreter("3.99") is None


def test_production_asks_for_wheels_of_its_own_platform() -> None:
    options = packaging.PRODUCTION.pip_options
    assert "--platform=manylinux2014_aarch64" in options
    assert "--platform=manylinux_2_28_aarch64" in options
    assert "--python-version=3.13" in options
    assert not any("x86_64" in option for option in options)
