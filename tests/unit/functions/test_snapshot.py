"""SnapStart: what is in a snapshot, and what is renewed after it is restored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials
from botocore.session import Session

from runtime.aws.transport import Limits
from runtime.functions import snapshot, start
from runtime.functions.composition.lean_clients import access_to
from runtime.functions.composition.real_outside import real_outside

HOOKS = """
before, after = [], []
register_before_snapshot, register_after_restore = before.append, after.append
"""
"""Lambda's library as far as it is used."""
SNAPSHOT = """
import gc, json, os, random, socket, sys
def refuse(*_, **__): raise OSError("nothing may be connected before the snapshot")
socket.socket.connect = socket.getaddrinfo = refuse
import runtime.functions.start as start
handler = getattr(start, sys.argv[1])
import snapshot_restore_py as hooks
for hook in hooks.before: hook()
from pydantic import BaseModel
from runtime.aws.signing import Credentials
from runtime.dynamodb.store import Store
from runtime.encryption.key_ring import KeyRing
from runtime.functions.composition.real_outside import real_outside
def below(shape):
    for each in shape.__subclasses__():
        yield each
        yield from below(each)
unfinished = [
    each.__qualname__ for each in below(BaseModel)
    if each.__module__.startswith("runtime.") and not each.__pydantic_complete__
]
gc.collect()
state = [o for o in gc.get_objects() if isinstance(o, Credentials | Store | KeyRing)]
drawn = []
for _ in range(2):
    before = real_outside().chance.getstate(), random.getstate()
    for hook in hooks.after: hook()
    drawn.append([real_outside().chance.random(), random.random()])
    real_outside().chance.setstate(before[0]); random.setstate(before[1])
print(json.dumps([unfinished, len(state), drawn, "boto3" in sys.modules]))
"""


def snapshot_of(function: str, tmp_path: Path) -> Any:
    """What the environment of a function looks like after Lambda's snapshot and two restores."""
    (tmp_path / "snapshot_restore_py.py").write_text(HOOKS)
    said = subprocess.run(
        [sys.executable, "-c", SNAPSHOT, function],
        capture_output=True,
        check=True,
        env={
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())]),
        },
        text=True,
    )
    return json.loads(said.stdout.splitlines()[-1])


@pytest.mark.parametrize("function", ["authorize", "process", "query"])
def test_a_snapshot_has_no_state_and_each_restore_draws_other_numbers(
    function: str, tmp_path: Path
) -> None:
    unfinished, state, (first, second), boto3_loaded = snapshot_of(function, tmp_path)
    assert unfinished == []
    assert state == 0, "credentials, a store or keys are in the snapshot"
    assert set(first).isdisjoint(second)
    assert not boto3_loaded


def test_without_snap_start_nothing_is_registered() -> None:
    """The library exists in Lambda alone, so registering would fail here."""
    assert not start.starts_from_snapshot({})
    assert not start.starts_from_snapshot({"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"})
    assert start.starts_from_snapshot({"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"})
    with pytest.raises(ModuleNotFoundError, match="snapshot_restore_py"):
        snapshot.register_hooks()


def test_renewing_changes_what_the_outside_draws() -> None:
    chance = real_outside().chance
    before = chance.getstate()
    snapshot.renew()
    assert chance.getstate() != before


@pytest.mark.parametrize(("mode", "is_lean"), [(None, False), ("disabled", True)])
def test_credentials_with_an_account_need_its_endpoint_disabled(
    mode: str | None, is_lean: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SnapStart's come from a container provider, which may name the account."""
    key = Credentials("ASIAEXAMPLE", "the secret", "the token", account_id="123456789012")
    monkeypatch.setattr(Session, "get_credentials", lambda _: key)
    environment = {
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    if mode is not None:
        environment["AWS_ACCOUNT_ID_ENDPOINT_MODE"] = mode
    access = access_to("dynamodb", environment, Limits(1, 1, 1), real_outside().now)
    assert (access is not None) == is_lean
    if access is not None:
        assert access.credentials().token == "the token"
