"""The asset that the emulator unpacks refers to the code, wherever it is unpacked."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.emulator.ministack import CODE_VARIABLE
from local.emulator.thin_asset import thin_asset
from local.workspace import PROJECT_ROOT

SAY = "import sys; sys.path.insert(0, '.'); import runtime.handlers.greet as it; print(it.greeting)"


@pytest.fixture
def asset(tmp_path: Path) -> Path:
    asset = tmp_path / "asset"
    (asset / "runtime" / "handlers").mkdir(parents=True)
    for package in ("runtime", "runtime/handlers"):
        (asset / package / "__init__.py").touch()
    (asset / "dependency.py").write_text("WORD = 'hello'\n")
    greet = "import dependency\n\ngreeting = dependency.WORD\n"
    (asset / "runtime" / "handlers" / "greet.py").write_text(greet)
    return asset


def said(unpacked: Path, code: Path) -> str:
    command = [sys.executable, "-I", "-S", "-c", SAY]
    environment = {**os.environ, CODE_VARIABLE: str(code)}
    answer = subprocess.run(
        command, cwd=unpacked, env=environment, capture_output=True, check=True, text=True
    )
    return answer.stdout


def test_a_copy_runs_the_code_after_the_asset_is_gone(asset: Path, tmp_path: Path) -> None:
    thin = thin_asset(asset, tmp_path / "kept")
    unpacked = shutil.copytree(thin, tmp_path / "unpacked")
    shutil.rmtree(asset)
    assert said(unpacked, tmp_path / "kept") == "hello\n"


def test_it_is_one_small_file(asset: Path, tmp_path: Path) -> None:
    thin = thin_asset(asset, tmp_path / "kept")
    assert [path.name for path in thin.rglob("*") if path.is_file()] == ["__init__.py"]


def test_it_is_the_same_for_every_stage(asset: Path, tmp_path: Path) -> None:
    """So that what is deployed of it can be copied to another stage."""
    packages = [thin_asset(asset, tmp_path / name) for name in ("kept", "another")]
    first, second = ((package / "runtime" / "__init__.py").read_bytes() for package in packages)
    assert first == second
    assert said(packages[0], tmp_path / "another") == "hello\n"


def test_another_asset_is_added_beside_it(asset: Path, tmp_path: Path) -> None:
    first = thin_asset(asset, tmp_path / "kept")
    asset = asset.rename(tmp_path / "changed")
    (asset / "dependency.py").unlink()
    (asset / "dependency.py").write_text("WORD = 'bye'\n")
    assert said(thin_asset(asset, tmp_path / "kept"), tmp_path / "kept") == "bye\n"
    assert said(first, tmp_path / "kept") == "hello\n"


def test_an_incomplete_copy_is_copied_again(asset: Path, tmp_path: Path) -> None:
    (tmp_path / "kept" / ".asset").mkdir(parents=True)
    assert said(thin_asset(asset, tmp_path / "kept"), tmp_path / "kept") == "hello\n"


USE_A_CLIENT = """
from runtime.functions.composition import aws_clients

place = {"Bucket": "bucket-1", "Key": "reports/1"}
aws_clients.signing_s3().generate_presigned_url("get_object", Params=place)
"""


def test_calls_of_its_functions_are_noted_where_asked(tmp_path: Path) -> None:
    asset = tmp_path / "asset"
    shutil.copytree(PROJECT_ROOT / "runtime", asset / "runtime")
    thin = thin_asset(asset, tmp_path / "kept", tmp_path / "calls")
    environment = {**os.environ, "SERVICE": "query", "TABLES": "{}", "EXPORT_BUCKET": "bucket-1"}
    environment[CODE_VARIABLE] = str(tmp_path / "kept")
    command = [sys.executable, "-c", USE_A_CLIENT]
    subprocess.run(command, cwd=thin, check=True, env=environment)
    (file,) = (tmp_path / "calls").iterdir()
    call = json.loads(file.read_text("utf-8"))
    assert (call["function"], call["action"]) == ("query", "s3:GetObject")
    assert call["resource"] == "EXPORT_BUCKET/reports/…"
