"""The browser of the console's tests: Debian's chromium, or another Chromium on PATH.

`python -m tests.support.console.chromium` installs it where that needs no password: as root, with
apt-get. Elsewhere it says how to get it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_WITHOUT: Final = (
    # Parts of the address bar that are pages themselves: each window would start two renderers
    # for them, which take more of a processor than a page of the console.
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    # A renderer that is started before it is known whether it will be needed.
    "SpareRendererForSitePerProcess",
    # Only the last list counts, so these repeat Playwright's (chromiumSwitches.ts), without what
    # concerns other browsers and systems.
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
)
ARGUMENTS: Final = (
    "--headless",
    "--no-sandbox",  # it opens no page but ours, and root has no sandbox
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(_WITHOUT)}",
)
MISSING: Final = (
    "The browser tests of the console need Chromium, and none was found on PATH "
    f"({', '.join(NAMES)}). Install it: apt-get install chromium, or brew install --cask chromium."
)
_INSTALL: Final = ("apt-get", "install", "-y", "--no-install-recommends", "chromium")
_INSTALL_TIMEOUT_SECONDS: Final = 600


def chromium() -> str | None:
    """Path of the browser, or None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def install() -> None:
    """Install it if it is missing and the user is root with apt-get."""
    if chromium() is not None or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    print("Installing chromium for the tests of the console …", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # A machine without lists of packages needs an update first; one with them is spared it.
    for command in (_INSTALL, ("apt-get", "update"), _INSTALL):
        done = subprocess.run(
            command,
            env=environment,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=_INSTALL_TIMEOUT_SECONDS,
        )
        if chromium() is not None:
            return
        print(f"{' '.join(command)}: {done.stderr.strip()[-500:]}", file=sys.stderr)


if __name__ == "__main__":
    install()
    if chromium() is None:
        print(MISSING, file=sys.stderr)
        sys.exit(1 if os.environ.get("CI") == "true" else 0)
