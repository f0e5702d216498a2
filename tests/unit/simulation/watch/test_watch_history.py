"""The hash over all commits depends on them and on nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.support.simulation.commits import HandMade

HISTORY = """
import sys
sys.path.insert(0, ".")
from tests.support.simulation.commits import HandMade
engine = HandMade()
for number in range(50):
    engine.commit(customers={"id": f"cus_{number}", "version": 1, "name": "n" * number})
print(engine.watch.hash)
"""


def test_the_hash_depends_on_every_commit_and_on_nothing_else():
    def history(seed):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run(
            [sys.executable, "-c", HISTORY], env=environment, capture_output=True, check=True
        )
        return ran.stdout.decode().strip()

    def made(*names):
        engine = HandMade()
        for name in names:
            engine.commit(customers={"id": name, "version": 1})
        return engine.watch.hash

    assert history("1") == history("2")
    hashes = [made(), made("a"), made("a", "b"), made("b", "a")]
    assert len(set(hashes)) == 4
    assert json.dumps(hashes) == json.dumps([made(), made("a"), made("a", "b"), made("b", "a")])
