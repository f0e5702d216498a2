"""The settings of the functions, filled from the stage and the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from runtime.settings import Settings
from stacks.constructs.schema_table import SchemaTable
from stacks.stage import StageConfig

SettingsT = TypeVar("SettingsT", bound=Settings)


def settings_for(
    model: type[SettingsT],
    *,
    stage: StageConfig,
    tables: Mapping[str, SchemaTable],
    **fields: str | bool | int | None,
) -> SettingsT:
    """Settings with the physical names of the tables that `model` declares, and the stage's timing.

    Raises:
        pydantic.ValidationError: `fields` lacks one of the model's, or has one too many.
    """
    return model.model_validate(
        {
            "stage": stage.name,
            "tables": {name: tables[name].table.table_name for name in model.TABLE_USES},
            **{name: value for name, value in _timing(stage).items() if name in model.model_fields},
            **fields,
        }
    )


def _timing(stage: StageConfig) -> dict[str, int | str]:
    return {
        "intent_lease_seconds": stage.intent_lease_seconds,
        "processor_timeout_seconds": stage.processor_timeout_seconds,
        "processors": stage.processors,
        "stripe_api_base": stage.stripe_api_base,
        "lock_after_failures": stage.lock_out.after_failures,
        "lock_seconds": stage.lock_out.seconds,
        "max_disputes": stage.processor_events.max_disputes,
    }
