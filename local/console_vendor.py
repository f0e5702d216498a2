"""Makes what is not written by hand in the console: its vendored modules, its currencies.

`python -m local.console_vendor` writes them from the packages that package.json pins and from
`runtime.core.currency`. They are committed, because the console has no build step; a test
compares them with what this module makes.
"""

import re
from pathlib import Path
from typing import Final

from local.workspace import PROJECT_ROOT
from runtime.core.currency import DECIMALS

VENDORED: Final = {
    "preact.js": "preact/dist/preact.mjs",
    "hooks.js": "preact/hooks/dist/hooks.mjs",
    "htm.js": "htm/dist/htm.mjs",
    "signals-core.js": "@preact/signals-core/dist/signals-core.mjs",
    "signals.js": "@preact/signals/dist/signals.mjs",
}
"""File of console/vendor to file of node_modules."""
_LOCAL_NAMES: Final = {
    "preact": "./preact.js",
    "preact/hooks": "./hooks.js",
    "@preact/signals-core": "./signals-core.js",
}
"""Browsers cannot resolve the names of packages; an import map would have to be inline, which the
console's content security policy forbids."""
_IMPORT: Final = re.compile(r'(\bfrom|\bimport)"([^"./][^"]*)"')
_SOURCE_MAP: Final = re.compile(r"\n?//# sourceMappingURL=.*\s*$")
_USUAL_DECIMALS: Final = 2


def vendored(original: str) -> str:
    """The text of a vendored module: imports by file, without the reference to a source map."""
    text = _SOURCE_MAP.sub("\n", original)
    return _IMPORT.sub(lambda found: f'{found[1]}"{_LOCAL_NAMES[found[2]]}"', text)


def currencies() -> str:
    """console/app/core/currencies.js: the decimals of every currency that has not two."""
    unusual = {code: n for code, n in sorted(DECIMALS.items()) if n != _USUAL_DECIMALS}
    lines = "\n".join(f"  {code}: {decimals}," for code, decimals in unusual.items())
    return (
        "// Made by `python -m local.console_vendor` from runtime/core/currency.py (ISO 4217).\n"
        f"export const USUAL_DECIMALS = {_USUAL_DECIMALS};\n"
        f"export const OTHER_DECIMALS = {{\n{lines}\n}};\n"
    )


def made_files(root: Path) -> dict[Path, str]:
    """Path to text of every file that is made. Reads node_modules (`make node`)."""
    console, packages = root / "console", root / "node_modules"
    made = {
        console / "vendor" / name: vendored((packages / source).read_text("utf-8"))
        for name, source in VENDORED.items()
    }
    made[console / "app/core/currencies.js"] = currencies()
    return made


if __name__ == "__main__":
    for file, text in made_files(PROJECT_ROOT).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
