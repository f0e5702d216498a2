"""Parts of the functions' settings that several of them share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.settings import Settings
from stacks.constructs.schema_table import SchemaTable
from stacks.stage import StageConfig

_TABLE_SUFFIX: Final = "_table"


def table_settings(model: type[Settings], tables: Mapping[str, SchemaTable]) -> dict[str, str]:
    """The physical name of every table that `model` has a field for."""
    return {
        field: tables[field.removesuffix(_TABLE_SUFFIX)].table.table_name
        for field in model.model_fields
        if field.endswith(_TABLE_SUFFIX)
    }


def payment_timing(stage: StageConfig) -> dict[str, int]:
    """The stage's fields of `runtime.settings.PaymentTiming`, in seconds."""
    return {
        "intent_lease_seconds": stage.intent_lease_seconds,
        "processor_timeout_seconds": stage.processor_timeout_seconds,
    }
