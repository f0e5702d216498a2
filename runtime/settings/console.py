"""Settings of the function that serves the console."""

from runtime.settings.base import Settings


class ConsoleSettings(Settings, frozen=True):
    """The function that serves the console's files. It uses no table and calls no service.

    How the console signs in is a file beside the others (runtime/console/files.py).
    """

    error_types: str | None = None
    """What `type` of a problem begins with; None: the page of the API that lists the errors."""
