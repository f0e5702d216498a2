"""Runs functions of the console's modules in Node, as a browser would."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from local.workspace import PROJECT_ROOT

CORE: Final = PROJECT_ROOT / "console" / "app" / "core"
_READ: Final = """
let text = "";
process.stdin.setEncoding("utf8");
for await (const part of process.stdin) text += part;
const given = exact(text);
"""


def run_in_node(imports: str, body: str, given: Any, folder: Path = CORE) -> Any:
    """The value that `body` returns; in it, `given` is the value with all whole numbers exact.

    `imports` are import statements with paths below `folder`, such as `"./json.js"`.
    """
    located = imports.replace('"./', f'"{folder.as_uri()}/')
    program = (
        f'{located}\nimport {{ exact }} from "{CORE.as_uri()}/json.js";\n{_READ}'
        f"const made = await (async () => {{{body}}})();\nconsole.log(JSON.stringify(made));"
    )
    ran = subprocess.run(
        ["node", "--input-type=module", "--eval", program],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
