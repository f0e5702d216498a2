"""A client of the API: what it wants under one key, however often it has to ask for it.

Whatever a client does is drawn from its own generator and from the answers that it got.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Final, Protocol

from runtime.http.authorizer_context import Context
from simulation.clients.setup import InitialData, Shop
from simulation.partners.acquirer import Acquirer
from simulation.partners.notifier import Notifier
from simulation.partners.stripe_server import StripeServer
from simulation.platform.http import OPERATOR, ClientGone, HttpRequest, HttpResponse
from simulation.platform.plan import ClientPlan

ATTEMPTS: Final = 4
"""How often a client asks before it leaves a request open; it comes back to it at the end."""
REMEMBERED: Final = 40
"""Latest things of a kind that a client works on: few, so that clients meet on them."""
IN_FLIGHT: Final = "idempotency_in_flight"


class Api(Protocol):
    """What a client sees of the platform, and of the processors behind it."""

    stripe: StripeServer
    acquirer: Acquirer
    notifier: Notifier

    @property
    def impatience(self) -> float:
        """How likely it is that a client gives up on a request before it is answered."""
        ...

    def api(self, request: HttpRequest, impatience: float | None = None) -> HttpResponse:
        """One attempt. Raises ClientGone after `impatience` seconds without an answer."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def follow(self, link: str, body: bytes | None = None) -> bytes | None:
        """Use a signed link: put `body`, or read what is there; None where S3 refuses."""
        ...

    def beside(self, work: Callable[[], None], name: str) -> None:
        """Have something done at the same time."""
        ...

    def pause_if_due(self) -> None:
        """Wait while the world is brought to rest in the middle of the run."""
        ...


@dataclass
class Latest:
    """The things of a kind that a client learned of last."""

    items: list[Any] = field(default_factory=list)
    most: int = REMEMBERED

    def add(self, item: Any) -> None:
        """One more; the oldest is forgotten."""
        self.items.append(item)
        del self.items[: -self.most]

    def __bool__(self) -> bool:
        return bool(self.items)

    def one(self, dice: Random) -> Any:
        """One of them."""
        return dice.choice(self.items)


class Client(ABC):
    """A client with some workers that share what they have learned.

    Subclasses list their `steps` with weights; a step makes one request or several.
    """

    workers: ClassVar[int] = 2
    pause_seconds: ClassVar[float] = 2.0
    """Between two steps of a worker, at the most."""
    long_pauses: ClassVar[tuple[float, ...]] = (30.0, 90.0, 400.0)

    def __init__(self, plan: ClientPlan, platform: Api, initial: InitialData) -> None:
        self.plan, self.platform, self.initial = plan, platform, initial
        self.dice = Random(plan.seed)
        self.left = plan.operations
        self.done = 0
        self.shop: Shop = self.choose_shop()
        self.unanswered: list[HttpRequest] = []
        """Requests to come back to: without an answer, or with one that was not final."""
        self.sent: Latest = Latest(most=20)
        self._keys = 0

    def choose_shop(self) -> Shop:
        """The merchant that it works for."""
        return self.dice.choice(self.initial.shops)

    def follow_the_money(self, dice: Random) -> None:
        """Go on with a merchant whose processor has moved money, if that of this one has not."""
        movements = self.platform.acquirer.movements
        if not movements(self.shop):
            sellers = [shop for shop in self.initial.shops if movements(shop)]
            self.shop = dice.choice(sellers or [self.shop])

    @abstractmethod
    def steps(self) -> Mapping[Callable[[Random], None], int]:
        """What it does, by weight."""

    # ------------------------------------------------------------ working

    def work(self, number: int) -> None:
        """One worker's day: steps until the client's operations are used up."""
        dice = Random(f"{self.plan.seed}-{number}")
        steps = self.steps()
        kinds, weights = list(steps), list(steps.values())
        while self.left > 0:
            self.platform.pause_if_due()
            before = self.left
            dice.choices(kinds, weights)[0](dice)
            if self.left == before:
                continue  # nothing to do it to yet
            self.platform.sleep(dice.random() * self.pause_seconds)
            if dice.random() < 0.01:
                self.platform.sleep(dice.choice(self.long_pauses))

    def come_back(self) -> None:
        """Ask once more, under its key, for each thing that is still open."""
        self.unanswered = [
            request
            for request in self.unanswered
            if is_open(self.send(request, Random(request.operation)))
        ]

    def act(self) -> None:
        """Count one operation: a request, or something that happens outside of the API."""
        self.left -= 1
        self.done += 1

    # ------------------------------------------------------------ asking

    def ask(
        self,
        dice: Random,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> HttpResponse | None:
        """One operation: ask until there is an answer; None where the client stops asking.

        `more`: `keyed` (whether it has a key; POST only by default), and members of HttpRequest.
        """
        keyed = more.pop("keyed", method == "POST")
        headers = dict(more.pop("headers", {}))
        self.act()
        if keyed and "idempotency-key" not in headers:
            self._keys += 1
            headers["idempotency-key"] = f"{self.plan.name}-{self._keys}"
        if "credential" not in more and "api_key" not in more:
            more["credential"] = self.shop.credential
        request = HttpRequest(
            client=self.plan.name,
            method=method,
            path=path,
            body=body,
            headers=headers,
            operation=self.done,
            **more,
        )
        return self._asked(request, dice)

    def operate(
        self,
        dice: Random,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> HttpResponse | None:
        """One operation with an operator's token, for this client's merchant."""
        if body is not None and more.pop("for_merchant", True):
            body = {**body, "merchant_id": self.shop.id}
        return self.ask(dice, method, path, body, credential=OPERATOR, **more)

    def read(
        self,
        dice: Random,
        path: str,
        query: Mapping[str, str] | None = None,
        credential: Context | None = None,
    ) -> HttpResponse | None:
        """One reading operation."""
        who = self.shop.credential if credential is None else credential
        return self.ask(dice, "GET", path, query=query or {}, credential=who)

    def repeat(self, dice: Random) -> None:
        """Send one of the latest keyed requests once more, word for word."""
        if self.sent:
            request: HttpRequest = self.sent.one(dice)
            self.act()
            self._asked(request, dice)

    def _asked(self, request: HttpRequest, dice: Random) -> HttpResponse | None:
        if request.idempotency_key is not None:
            self.sent.add(request)
            if dice.random() < 0.03:
                # A client's own retry overtakes the first attempt.
                twin = Random(dice.random())
                self.platform.beside(lambda: self._once(request, twin), f"{self.plan.name} twin")
        response = None
        for attempt in range(ATTEMPTS):
            response = self.send(request, dice)
            if not is_open(response):
                return response
            if response is not None and response.status == 202:
                break
            if attempt + 1 < ATTEMPTS:
                self.platform.sleep(dice.random() * 2**attempt)
        if request.idempotency_key is not None:
            self.unanswered.append(request)
        return response

    def _once(self, request: HttpRequest, dice: Random) -> None:
        if is_open(self.send(request, dice)):
            self.unanswered.append(request)

    def send(self, request: HttpRequest, dice: Random) -> HttpResponse | None:
        """One attempt; None where nothing was heard."""
        rate = self.platform.impatience
        impatience = dice.uniform(0.05, 20.0) if rate and dice.random() < rate else None
        try:
            return self.platform.api(request, impatience)
        except ClientGone:
            return None


def is_open(response: HttpResponse | None) -> bool:
    """Whether the same request has to be sent again to learn what became of it."""
    if response is None or response.status >= 500:
        return True
    if response.status == 202:
        return bool(isinstance(response.body, dict) and response.body.get("status") == "unknown")
    return response.status == 409 and response.body.get("code") == IN_FLIGHT
