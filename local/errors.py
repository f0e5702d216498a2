"""Errors of the local stage, with messages for people.

LocalError                 exit code 1, one message, no traceback
├── ToolMissing            Node, npm or Python absent or too old
├── PortTaken              another process listens there
├── AlreadyRunning         ours runs, but not as requested
├── NotRunning             a command needs the stage and it is down
├── EmulatorDied           the emulator's process ended, or stopped answering
├── StateNotKept           the emulator did not write its state when it was stopped
├── UnknownResource        a template has a resource that the emulator may not support
├── DeployFailed           the CDK CLI refused to synthesize or deploy
└── FunctionFailed         an invoked Lambda function reported an error
"""

from pathlib import Path


class LocalError(Exception):
    """One failure, one message: what was wrong with its values, what to do, where to read more."""

    def __init__(self, message: str, *, hint: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = log


class ToolMissing(LocalError):
    pass


class PortTaken(LocalError):
    pass


class AlreadyRunning(LocalError):
    pass


class NotRunning(LocalError):
    pass


class EmulatorDied(LocalError):
    pass


class StateNotKept(LocalError):
    pass


class UnknownResource(LocalError):
    pass


class DeployFailed(LocalError):
    pass


class FunctionFailed(LocalError):
    pass
