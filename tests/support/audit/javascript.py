"""Runs the JavaScript of docs/audit.md, which verifies rows of the API in a browser, in Node."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any, Final

from local.workspace import PROJECT_ROOT

PAGE: Final = PROJECT_ROOT / "docs" / "audit.md"
_CALL: Final = """
const given = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (part) => { text += part; });
  process.stdin.on("end", () => resolve(text));
}));
console.log(JSON.stringify(await firstBad(given)));
"""


def first_bad(rows: Sequence[Any]) -> Any:
    """What the page's `firstBad` returns for these rows."""
    [program] = [part.partition("```")[0] for part in PAGE.read_text("utf-8").split("```js\n")[1:]]
    command = ["node", "--input-type=module", "--eval", program + _CALL]
    ran = subprocess.run(
        command, input=json.dumps(rows), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
