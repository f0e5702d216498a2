"""Parts of a stage's settings: what it needs of the account around it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from stacks.stage_parts import PLACEHOLDER_SUFFIX, StagePart

MAX_SUBSCRIBERS: Final = 10
"""E-mail addresses of one notification (AWS Budgets, "Subscriber" of CloudFormation: ten and one
topic)."""
MAX_THRESHOLDS: Final = 4
"""Each is up to two notifications, of which a budget can have ten."""
_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


class DomainConfig(StagePart, frozen=True):
    """The API's own domain name, instead of the address that API Gateway gives it.

    API Gateway then answers at this name only, with TLS 1.2 or newer. The certificate is one of
    AWS Certificate Manager, in the region of the stage, which you have requested and validated.
    """

    name: Annotated[str, Field(pattern=rf"^({_LABEL}\.)+{_LABEL}$", max_length=253)]
    """The domain name, such as `api.payments.com`, in lower case."""
    certificate_arn: Annotated[
        str, Field(pattern=r"^arn:[\w-]+:acm:[\w-]+:\d{12}:certificate/[\w-]+$")
    ]
    """The certificate of the name. Costs: nothing; a public certificate is free of charge."""
    hosted_zone_id: Annotated[str | None, Field(pattern=r"^Z[A-Z0-9]+$")] = None
    """The public hosted zone of Route 53, in this account, to which the name is added. None: you
    add a record of your own that points to the output `DomainTarget` of the API stack. Costs:
    queries of alias records are free of charge, the zone is not."""

    @property
    def is_placeholder(self) -> bool:
        """The name still ends in the reserved domain `.example`."""
        return self.name.endswith(PLACEHOLDER_SUFFIX)


class BudgetConfig(StagePart, frozen=True):
    """A monthly budget of AWS Budgets, which reports costs and prevents none."""

    monthly_usd: Annotated[int, Field(ge=1, le=10_000_000)]
    """What a month may cost."""
    percent: Annotated[
        tuple[Annotated[int, Field(ge=1, le=1_000)], ...],
        Field(min_length=1, max_length=MAX_THRESHOLDS),
    ] = (80, 100)
    """From which parts of the amount on it notifies: of what was spent so far, and from 100 percent
    on also of what AWS forecasts for the month."""
    email: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...],
        Field(max_length=MAX_SUBSCRIBERS),
    ] = ()
    """Who is notified. Empty: `alarms.ticket`, which then has to be set."""
    only_this_stage: bool = False
    """`true`: only costs of resources with this stage's tag `stage`, which has to be active as a
    cost allocation tag of the account, or the budget sees nothing. `false`: the whole account."""
