"""Every function of the platform, built in each simulated environment as in a Lambda one.

Timeouts are those of the stacks. The simulation cannot import them; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from permissions.recording import recorded
from runtime.core.outside import Outside
from runtime.functions import (
    archive,
    authorize,
    compact_totals,
    deliver,
    expire_holds,
    export,
    find_unsettled,
    poll_processors,
    process,
    project,
    query,
    queue_due_webhooks,
    reconcile,
    resolve,
    rotate_keys,
    verify_ledger,
)
from runtime.functions.archive import ArchiveServices
from runtime.functions.authorize import AuthorizerServices
from runtime.functions.compact_totals import CompactTotalsServices
from runtime.functions.composition.payment_services import PaymentPartners
from runtime.functions.composition.process_services import ProcessServices
from runtime.functions.composition.query_services import QueryServices
from runtime.functions.deliver import DeliverServices
from runtime.functions.expire_holds import ExpireHoldsServices
from runtime.functions.export import ExportServices
from runtime.functions.find_unsettled import MissingServices
from runtime.functions.poll_processors import PollServices
from runtime.functions.project import ProjectServices
from runtime.functions.queue_due_webhooks import QueueDueWebhooksServices
from runtime.functions.reconcile import ReconcileServices
from runtime.functions.resolve import ResolverServices
from runtime.functions.rotate_keys import RotationServices
from runtime.functions.verify_ledger import VerifyLedgerServices
from runtime.settings import (
    ArchiveSettings,
    AuthorizerSettings,
    DeliverSettings,
    ExportSettings,
    HoldsSettings,
    MissingSettings,
    PollSettings,
    ProcessSettings,
    ProjectSettings,
    QuerySettings,
    ReconcileSettings,
    ResolverSettings,
    RetriesSettings,
    RotationSettings,
    Settings,
    TotalsSettings,
    VerifyLedgerSettings,
)
from runtime.webhooks.delivery import Http
from simulation.environments import Environment, Handler, LambdaFunction
from simulation.platform.settings import StageSettings
from simulation.scheduler import Scheduler


@dataclass(frozen=True)
class Partners:
    """Who is at the other end of what the functions send, besides AWS."""

    payments: PaymentPartners
    endpoints: Http


class Services(Protocol):
    """What a function is built from."""


Make = Callable[[Any, Outside, Partners], Any]


@dataclass(frozen=True)
class FunctionSpec:
    """One function: its settings, its timeout in seconds, its services, and its handler on them."""

    settings: type[Settings]
    seconds: float
    services: Make
    handler_for: Callable[[Callable[[], Any]], Callable[[dict[str, Any], Any], Any]]

    def build(
        self, name: str, stage: StageSettings, outside: Outside, partners: Partners
    ) -> Handler:
        """The handler of a new environment."""
        services = self.services(stage.of(self.settings, name), outside, partners)
        return self.handler_for(lambda: services)


def _alone(services: Callable[[Any, Outside], Any]) -> Make:
    return lambda settings, outside, _partners: services(settings, outside)


def _paying(services: Callable[[Any, Outside, PaymentPartners], Any]) -> Make:
    return lambda settings, outside, partners: services(settings, outside, partners.payments)


def _delivering(settings: Any, outside: Outside, partners: Partners) -> DeliverServices:
    return DeliverServices(settings, outside, partners.endpoints)


FUNCTIONS: Final[Mapping[str, FunctionSpec]] = {
    "archive": FunctionSpec(ArchiveSettings, 900, _alone(ArchiveServices), archive.handler_for),
    "authorizer": FunctionSpec(
        AuthorizerSettings, 5, _alone(AuthorizerServices), authorize.handler_for
    ),
    "deliver": FunctionSpec(DeliverSettings, 60, _delivering, deliver.handler_for),
    "export": FunctionSpec(ExportSettings, 300, _alone(ExportServices), export.handler_for),
    "holds": FunctionSpec(
        HoldsSettings, 120, _alone(ExpireHoldsServices), expire_holds.handler_for
    ),
    "missing": FunctionSpec(
        MissingSettings, 900, _alone(MissingServices), find_unsettled.handler_for
    ),
    "poll": FunctionSpec(PollSettings, 900, _paying(PollServices), poll_processors.handler_for),
    "process": FunctionSpec(ProcessSettings, 29, _paying(ProcessServices), process.handler_for),
    "project": FunctionSpec(ProjectSettings, 60, _alone(ProjectServices), project.handler_for),
    "proof": FunctionSpec(
        VerifyLedgerSettings, 900, _alone(VerifyLedgerServices), verify_ledger.handler_for
    ),
    "query": FunctionSpec(QuerySettings, 15, _alone(QueryServices), query.handler_for),
    "reconcile": FunctionSpec(
        ReconcileSettings, 300, _alone(ReconcileServices), reconcile.handler_for
    ),
    "resolver": FunctionSpec(ResolverSettings, 120, _paying(ResolverServices), resolve.handler_for),
    "retries": FunctionSpec(
        RetriesSettings, 120, _alone(QueueDueWebhooksServices), queue_due_webhooks.handler_for
    ),
    "rotation": FunctionSpec(
        RotationSettings, 900, _alone(RotationServices), rotate_keys.handler_for
    ),
    "totals": FunctionSpec(
        TotalsSettings, 300, _alone(CompactTotalsServices), compact_totals.handler_for
    ),
}


class Functions:
    """All functions of a stage. A deployment gives new environments other settings.

    `outside_of` makes what a new environment takes from outside; `on_error` receives what a
    function's handler raised.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        stage: StageSettings,
        partners: Partners,
        outside_of: Callable[[Environment], Outside],
        on_error: Callable[[str, Exception], None],
    ) -> None:
        self._partners, self._outside_of, self._on_error = partners, outside_of, on_error
        self.stage = stage
        self.deployments = 1
        self.by_name = {
            name: LambdaFunction(
                scheduler, name, self._build(name, spec, stage), seconds=spec.seconds
            )
            for name, spec in FUNCTIONS.items()
        }

    def __getitem__(self, name: str) -> LambdaFunction:
        return self.by_name[name]

    def deploy(self, stage: StageSettings) -> None:
        """New environments have these settings; those that are warm may serve for a while."""
        self.stage = stage
        self.deployments += 1
        for name, spec in FUNCTIONS.items():
            self.by_name[name].deploy(self._build(name, spec, stage))

    def _build(
        self, name: str, spec: FunctionSpec, stage: StageSettings
    ) -> Callable[[Environment], Handler]:
        def build(environment: Environment) -> Handler:
            settings = stage.of(spec.settings, name).environment()
            outside = recorded(self._outside_of(environment), name, settings)
            handler = spec.build(name, stage, outside, self._partners)

            def noted(event: Any, context: Any) -> Any:
                try:
                    return handler(event, context)
                except Exception as error:
                    self._on_error(name, error)
                    raise

            return noted

        return build
