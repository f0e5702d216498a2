"""What ships to Lambda can be imported in a process without anything else."""

import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest
from cryptography.hazmat.bindings import _rust

from stacks import lambda_asset as packaging
from stacks.asset_compiler import compiled
from stacks.asset_contents import AWS_SERVICES, STRIPE_SERVICES, strip
from stacks.asset_sizes import sizes_of, total_of
from stacks.asset_symbols import clear_symbols
from stacks.lambda_asset import (
    PRODUCTION,
    RUNTIME,
    LambdaTarget,
    find_interpreter,
    lambda_asset,
)

IMPORT_TIMEOUT_SECONDS = 120
MOST_ZIPPED_BYTES = 12_000_000
"""An environment downloads and unpacks it before its first request."""
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
REQUESTS = (
    "dynamodb.list_tables",
    "events.list_rules",
    "kms.list_keys",
    "s3.list_buckets",
    "secretsmanager.list_secrets",
    "sqs.list_queues",
)
"""One without parameters of each service in `AWS_SERVICES`."""
UNCHECKED_HASH_FLAG = 0b01
PYC_FLAGS = slice(4, 8)


@pytest.fixture(scope="module")
def asset() -> Path:
    return lambda_asset(LambdaTarget.this_machine())


@pytest.mark.skipif(
    find_interpreter(PRODUCTION.python_version) is None,
    reason=f"the size is that of bytecode, which Python {PRODUCTION.python_version} makes",
)
def test_what_is_uploaded_to_aws_stays_small() -> None:
    sizes = sizes_of(lambda_asset(PRODUCTION))
    assert total_of(sizes).zipped < MOST_ZIPPED_BYTES, sizes


def test_packages_are_known_by_name_version_and_licence(asset: Path) -> None:
    """Scanners look for vulnerabilities by what the head of METADATA says."""
    packages = {each.name: each for each in distributions(path=[str(asset)])}
    assert {"pydantic", "stripe", "cryptography"} <= set(packages)
    for name, package in packages.items():
        assert package.version, name
        assert package.metadata.get_payload() == "", name


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


def test_endpoints_are_the_same_as_without_the_other_services(asset: Path) -> None:
    show = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import boto3, json\n"
        "regions = ('us-east-1', 'eu-west-1', 'cn-north-1', 'us-gov-west-1')\n"
        "print(json.dumps([[boto3.client(service, region).meta.endpoint_url, "
        "boto3.Session().get_available_regions(service)] "
        "for service in sys.argv[2:] for region in regions]))"
    )
    shown = [
        subprocess.run(
            [sys.executable, "-I", *alone, "-c", show, str(path), *sorted(AWS_SERVICES)],
            check=True,
            env={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
            timeout=IMPORT_TIMEOUT_SECONDS,
            capture_output=True,
            text=True,
        ).stdout
        for alone, path in ((["-S"], asset), ([], asset / "none"))
    ]
    assert shown[0] == shown[1]


def test_a_client_of_each_service_can_send_a_request_from_the_asset(asset: Path) -> None:
    """Not only be made: of S3's model, botocore reads a part before the first request alone."""
    send = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import boto3\n"
        "class Sent(Exception): ...\n"
        "def sent(**_): raise Sent\n"
        "for service, operation in (each.split('.') for each in sys.argv[2:]):\n"
        "    client = boto3.client(service)\n"
        "    client.meta.events.register('before-send', sent)\n"
        "    try: getattr(client, operation)()\n"
        "    except Sent: print(service)"
    )
    environment = {
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", send, str(asset), *REQUESTS],
        check=True,
        env=environment,
        timeout=IMPORT_TIMEOUT_SECONDS,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert set(said.stdout.split()) == AWS_SERVICES


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


def test_stripes_services_are_those_that_are_called(asset: Path) -> None:
    ours = (RUNTIME / "payments/processors/stripe").glob("*.py")
    called = {name for file in ours for name in re.findall(r"\.v1\.(\w+)", file.read_text())}
    assert {name.removesuffix("s") for name in called} == STRIPE_SERVICES
    make = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import stripe\n"
        "for name in sys.argv[2:]: assert getattr(stripe.StripeClient('sk').v1, name)"
    )
    command = [sys.executable, "-I", "-S", "-c", make, str(asset), *sorted(called)]
    subprocess.run(command, check=True, env={}, timeout=IMPORT_TIMEOUT_SECONDS)


def test_every_object_that_stripe_may_answer_can_be_made(asset: Path) -> None:
    make = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from stripe._object_classes import OBJECT_CLASSES, get_object_class\n"
        "print(len({get_object_class('V1', name) for name in OBJECT_CLASSES}))"
    )
    command = [sys.executable, "-I", "-S", "-c", make, str(asset)]
    said = subprocess.run(
        command, check=True, env={}, timeout=IMPORT_TIMEOUT_SECONDS, capture_output=True, text=True
    )
    assert int(said.stdout) > 100


def test_every_validator_and_the_documentation_page_can_be_made(asset: Path) -> None:
    make = (
        "import importlib, pkgutil, sys; sys.path.insert(0, sys.argv[1])\n"
        "import runtime\n"
        "from pydantic import BaseModel\n"
        "def all_below(shape):\n"
        "    for each in shape.__subclasses__():\n"
        "        yield each\n"
        "        yield from all_below(each)\n"
        "for module in pkgutil.walk_packages(runtime.__path__, 'runtime.'):\n"
        "    importlib.import_module(module.name)\n"
        "ours = [each for each in all_below(BaseModel) if each.__module__.startswith('runtime.')]\n"
        "for each in ours: each.model_rebuild()\n"
        "from runtime.api.docs_page import DOCS_PAGE\n"
        "page = DOCS_PAGE.answer({'accept-encoding': 'gzip'})\n"
        "print(len(ours), page.status, len(page.body))\n"
    )
    command = [sys.executable, "-I", "-S", "-c", make, str(asset)]
    said = subprocess.run(
        command,
        check=True,
        env={"AWS_DEFAULT_REGION": "eu-west-1"},
        timeout=IMPORT_TIMEOUT_SECONDS,
        capture_output=True,
        text=True,
    )
    models, status, characters = map(int, said.stdout.splitlines()[-1].split())
    assert models > 200
    assert (status, characters > 100_000) == (200, True)


def bytecode(asset: Path) -> Iterator[Path]:
    yield from asset.rglob("*.pyc")


def test_modules_are_bytecode_that_is_never_checked(asset: Path) -> None:
    flags = {int.from_bytes(file.read_bytes()[PYC_FLAGS], "little") for file in bytecode(asset)}
    assert flags == {UNCHECKED_HASH_FLAG}
    assert list(asset.rglob("*.py")) == []
    sources = {file.relative_to(RUNTIME).with_suffix(".pyc") for file in RUNTIME.rglob("*.py")}
    assert {file.relative_to(asset / "runtime") for file in bytecode(asset / "runtime")} == sources


def test_bytecode_has_the_path_of_the_source_in_lambda(asset: Path) -> None:
    compiled = next(bytecode(asset / "runtime")).read_bytes()
    assert b"/var/task/runtime" in compiled
    assert str(asset).encode() not in compiled


SOURCE = b'''"""Module."""
def f(x):
    """Function."""
    assert x, "kept"
class C:
    "Class."
'''


@pytest.mark.parametrize(
    ("documented", "docstrings"),
    [(True, "Module. Function. Class."), (False, "None None None")],
)
def test_our_docstrings_and_everyones_asserts_are_kept(
    documented: bool, docstrings: str, tmp_path: Path
) -> None:
    (tmp_path / "m.pyc").write_bytes(compiled(SOURCE, "/var/task/m.py", documented=documented))
    use = (
        "import m; print(m.__doc__, m.f.__doc__, m.C.__doc__)\n"
        "try: m.f(0)\n"
        "except AssertionError as failed: print(failed, m.f.__code__.co_filename)"
    )
    said = subprocess.run(
        [sys.executable, "-c", use], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == [docstrings, "kept /var/task/m.py"]


def test_models_of_services_lose_their_texts_alone(tmp_path: Path) -> None:
    model = tmp_path / "botocore/data/kms/1/service-2.json.gz"
    members = {"documentation": {"shape": "Text", "documentation": "words"}}
    shape = {"type": "structure", "members": members, "documentation": "<p>words</p>"}
    model.parent.mkdir(parents=True)
    model.write_bytes(gzip.compress(json.dumps({"shapes": {"S": shape}}).encode()))
    (tmp_path / "boto3/data").mkdir(parents=True)
    strip(tmp_path)
    assert json.loads(gzip.decompress(model.read_bytes())) == {
        "shapes": {"S": {"type": "structure", "members": {"documentation": {"shape": "Text"}}}}
    }


@pytest.mark.skipif(platform.system() != "Linux", reason="modules are ELF files on Linux")
def test_only_the_symbol_table_of_a_compiled_module_is_cleared(tmp_path: Path) -> None:
    original = Path(_rust.__file__)
    module = tmp_path / original.name
    shutil.copy(original, module)
    clear_symbols(module)
    before, after = original.read_bytes(), module.read_bytes()
    assert len(after) == len(before)
    changed = [at for at, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    assert all(after[at] == 0 for at in changed)
    assert len(zlib.compress(after, 1)) < len(zlib.compress(before, 1)) * 0.95
    load = f"import importlib.util as u; s = u.spec_from_file_location('_rust', {str(module)!r})\n"
    use = "m = u.module_from_spec(s); s.loader.exec_module(m); assert m.openssl.openssl_version()"
    subprocess.run([sys.executable, "-c", load + use], check=True, timeout=IMPORT_TIMEOUT_SECONDS)


def test_a_file_of_another_format_is_left_as_it_is(tmp_path: Path) -> None:
    other = tmp_path / "module.so"
    other.write_bytes(b"\xcf\xfa\xed\xfe Mach-O")
    clear_symbols(other)
    assert other.read_bytes() == b"\xcf\xfa\xed\xfe Mach-O"


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
