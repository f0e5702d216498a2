"""The code of the function that serves the console: the asset of all functions, and the files.

A directory of its own, so that no other function ships the console.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from runtime.console.files import INDEX, SIGN_IN_FILE
from runtime.console.headers import content_type_of
from stacks.lambda_asset import (
    DEFAULT_CACHE_DIR,
    ROOT,
    AssetBuildError,
    build_once,
    contents,
    digest,
    link_file,
    prune,
)
from stacks.stage import StageConfig

SOURCES: Final = ROOT / "console"
_PACKAGED: Final = "console"
"""The directory in the package (runtime/functions/console.py)."""


def console_file_names(sources: Path = SOURCES) -> list[str]:
    """The console's files, relative to their directory.

    Raises:
        AssetBuildError: the page is missing, a file has a suffix that is not served, or a file has
            the name under which the stage's sign-in is served.
    """
    names = sorted(
        path.relative_to(sources).as_posix() for path in sources.rglob("*") if path.is_file()
    )
    if INDEX not in names:
        raise AssetBuildError(f"{sources} has no {INDEX}: the console's page is missing")
    if SIGN_IN_FILE in names:
        raise AssetBuildError(f"{sources / SIGN_IN_FILE}: each stage has its own; remove the file")
    for name in names:
        try:
            content_type_of(name)
        except ValueError as error:
            raise AssetBuildError(str(error)) from error
    return names


def sign_in_document(stage: StageConfig) -> str:
    """What the stage serves as console/config.json."""
    if stage.console is None:
        raise AssetBuildError(f"stage {stage.name} has no console")
    return json.dumps(stage.console.document(stage.name, stage.auth.issuer), indent=1) + "\n"


def console_asset(
    asset: Path,
    stage: StageConfig,
    *,
    sources: Path = SOURCES,
    cache_dir: Path = DEFAULT_CACHE_DIR,
) -> Path:
    """The directory to deploy as the console's function: `asset`, the files and the sign-in.

    Raises:
        AssetBuildError: see `console_file_names`.
    """
    names, document = console_file_names(sources), sign_in_document(stage)
    key = digest(str(asset).encode(), document.encode(), *contents(sources))
    prefix = f"{asset.name}-console-"
    built = cache_dir / "console" / f"{prefix}{key}"

    def fill(directory: Path) -> None:
        shutil.copytree(asset, directory, copy_function=link_file, dirs_exist_ok=True)
        for name in names:
            target = directory / _PACKAGED / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(sources / name, target)
        (directory / _PACKAGED / SIGN_IN_FILE).write_text(document, "utf-8")

    build_once(built, fill)
    prune(built, prefix)
    return built
