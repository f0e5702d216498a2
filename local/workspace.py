"""The directories of the local stage."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent
DIRECTORY_VARIABLE: Final = "LOCAL_DIR"
DEFAULT_DIRECTORY: Final = ".local"
CODE_DIRECTORY: Final = "code"


@dataclass(frozen=True)
class Workspace:
    """The project and one state directory. Two directories are two independent local stages."""

    root: Path
    directory: Path

    @classmethod
    def find(cls, directory: Path | None = None, root: Path = PROJECT_ROOT) -> "Workspace":
        """`directory`, else the LOCAL_DIR variable, else `.local` in the project."""
        chosen = directory or Path(os.environ.get(DIRECTORY_VARIABLE) or DEFAULT_DIRECTORY)
        return cls(root=root, directory=(root / chosen).absolute())

    @property
    def tools(self) -> Path:
        """Holds the emulator's virtual environment, shared by all state directories."""
        return self.root / DEFAULT_DIRECTORY

    @property
    def stack_file(self) -> Path:
        return self.directory / "stack.json"

    @property
    def deployed_file(self) -> Path:
        """Fingerprint of the deployed sources."""
        return self.directory / "deployed.json"

    @property
    def process_file(self) -> Path:
        return self.directory / "ministack.json"

    @property
    def emulator_log(self) -> Path:
        return self.directory / "ministack.log"

    @property
    def emulator_state(self) -> Path:
        """Everything that the emulator writes; deleted at each start unless its data was kept."""
        return self.directory / "ministack"

    @property
    def code(self) -> Path:
        """The assets that functions run."""
        return self.emulator_state / CODE_DIRECTORY

    @property
    def kept_file(self) -> Path:
        """Contains the port of a stopped emulator whose state is kept for the next one."""
        return self.directory / "kept.json"

    @property
    def auth(self) -> Path:
        return self.directory / "auth"

    @property
    def synthesized(self) -> Path:
        return self.directory / "cdk.synth"

    @property
    def adapted(self) -> Path:
        return self.directory / "cdk.out"

    @property
    def outputs_file(self) -> Path:
        return self.directory / "outputs.json"

    def prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
