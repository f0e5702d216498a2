"""The console's vendored modules are the pinned packages', its currencies are the runtime's."""

import re
from pathlib import Path

import pytest

from local.console_vendor import VENDORED, currencies, made_files, vendored
from local.workspace import PROJECT_ROOT
from runtime.core.currency import DECIMALS

CONSOLE = PROJECT_ROOT / "console"
_IMPORTED = re.compile(r'\b(?:from|import) ?"([^"]+)"')


def test_every_vendored_file_is_made_from_the_pinned_package() -> None:
    made = made_files(PROJECT_ROOT)
    stale = [str(file) for file, text in made.items() if file.read_text("utf-8") != text]
    assert stale == [], "run python -m local.console_vendor"
    assert {file.name for file in (CONSOLE / "vendor").iterdir()} == set(VENDORED)


@pytest.mark.parametrize("module", sorted(CONSOLE.rglob("*.js")), ids=lambda file: file.name)
def test_modules_import_only_files_of_the_console(module: Path) -> None:
    names = _IMPORTED.findall(module.read_text("utf-8"))
    for name in names:
        assert name.startswith("."), f"{module}: browsers cannot resolve {name}"
        assert (module.parent / name).resolve().is_file(), f"{module}: no file {name}"


def test_source_maps_and_names_of_packages_are_removed() -> None:
    original = 'import{h}from"preact";export{h};\n//# sourceMappingURL=hooks.mjs.map\n'
    assert vendored(original) == 'import{h}from"./preact.js";export{h};\n'


def test_currencies_list_those_with_other_than_two_decimals() -> None:
    text = currencies()
    assert "  JPY: 0,\n" in text
    assert "USD" not in text
    assert text.count(": ") == sum(1 for decimals in DECIMALS.values() if decimals != 2)
