"""The clients are built as they ship, and their layers pass their own tests and type checks."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest

from local.clients.build import Clients, build
from local.progress import Progress
from local.workspace import PROJECT_ROOT, Workspace

pytestmark = pytest.mark.deep  # two generators and a compiler are installed for it
VERSION = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


@pytest.fixture(scope="module")
def clients() -> Clients:
    return build(Workspace.find(), Progress())


def test_the_typescript_layer_passes_its_tests(clients: Clients) -> None:
    tests = sorted((clients.node_package / "dist" / "tests").glob("*.test.js"))
    assert len(tests) == 3
    ended = subprocess.run(["node", "--test", *tests], capture_output=True, check=False, text=True)
    assert ended.returncode == 0, ended.stdout


def test_the_python_layer_fits_the_generated_code(clients: Clients) -> None:
    """Strictly: also the arguments and the items of a list that `items` infers."""
    source = clients.wheel.parent.parent / "python" / "src"
    shop = PROJECT_ROOT / "tests" / "support" / "clients" / "shop.py"
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    layer = sorted((source / "payments_client").glob("*.py"))
    ended = subprocess.run(
        [*command, "--config-file=", *layer, shop],
        capture_output=True,
        check=False,
        cwd=source,
        env={**os.environ, "MYPYPATH": str(source)},
        text=True,
    )
    assert ended.returncode == 0, ended.stdout


def test_the_artifacts_have_the_platforms_version_and_no_tests(clients: Clients) -> None:
    with zipfile.ZipFile(clients.wheel) as wheel:
        names = wheel.namelist()
    assert f"payments_client-{VERSION}.dist-info/METADATA" in names
    assert "payments_client/generated/api/payments/create_payment.py" in names
    assert "payments_client/py.typed" in names
    with tarfile.open(clients.tarball) as tarball:
        packed = tarball.getnames()
    assert clients.tarball.name == f"payment-platform-client-{VERSION}.tgz"
    assert {"package/dist/src/index.js", "package/dist/src/index.d.ts"} <= set(packed)
    assert not [name for name in names + packed if {"test", "tests"} & set(name.split("/"))]
