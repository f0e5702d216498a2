"""Behind the queue of exports."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.gateways.export_files import ExportFiles
from runtime.gateways.export_queue import ExportQueue
from runtime.repositories.exports import ExportRepository
from runtime.services.exports.jobs import Jobs
from runtime.services.exports.reads import ExportReads
from runtime.services.exports.writing import ExportDependencies
from runtime.settings import ExportSettings

PROFILES_REMEMBERED_SECONDS = 60


class ExportServices(FunctionServices):
    """Behind handlers/export.py."""

    def __init__(self, settings: ExportSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        self.queue = ExportQueue(self.outside.aws.sqs(), settings.export_queue_url)
        self.dependencies = ExportDependencies(
            jobs=Jobs(
                ExportRepository(self.store),
                self.outside,
                self.invocation.remaining_seconds,
            ),
            files=ExportFiles(self.outside.aws.s3(), settings.export_bucket),
            reads=ExportReads.on(self.store, self.profiles_for(PROFILES_REMEMBERED_SECONDS)),
            margin_seconds=settings.stop_before_timeout_seconds,
            settle=timedelta(seconds=settings.settle_seconds),
        )


@cache
def export_services() -> ExportServices:
    """Built from the environment at the first event."""
    return ExportServices(ExportSettings.from_environment(os.environ))
