"""The operations of an API function: most are one call of a use case, declared in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from runtime.api.endpoints import ENDPOINTS
from runtime.functions.composition.services import FunctionServices
from runtime.functions.http.request import Request
from runtime.http.endpoint import Function
from runtime.http.request_context import Call
from runtime.http.responses import HttpResponse, StoredAnswer

ServicesT = TypeVar("ServicesT", bound=FunctionServices)
DepsT = TypeVar("DepsT")
ShapeT = TypeVar("ShapeT", bound=BaseModel)
Answer = StoredAnswer | BaseModel | HttpResponse
Operation = Callable[[Request, ServicesT], Answer]
"""The handler of one API operation."""
OperationT = TypeVar("OperationT", bound=Callable[..., Answer])


class Routes(Generic[ServicesT]):
    """The operations of one API function, declared once for all of its environments."""

    def __init__(self, function: Function) -> None:
        self.endpoints = {e.operation: e for e in ENDPOINTS if e.function == function}
        self.operations: dict[str, Operation[ServicesT]] = {}

    def handles(self, operation: str) -> Callable[[OperationT], OperationT]:
        """Register the handler of one operation."""
        assert operation in self.endpoints, f"{operation} is not an operation of this function"

        def register(work: OperationT) -> OperationT:
            self.operations[operation] = work
            return work

        return register

    def using(self, dependencies: Callable[[ServicesT], DepsT]) -> UseCases[ServicesT, DepsT]:
        """Registers use cases that need these dependencies."""
        return UseCases(self, dependencies)

    @property
    def missing(self) -> set[str]:
        """Operations of this function without a handler."""
        return set(self.endpoints) - set(self.operations)


@dataclass(frozen=True, slots=True)
class UseCases(Generic[ServicesT, DepsT]):
    """Registers operations that only call one use case with their validated parameters.

    An operation whose endpoint is declared with other parameters is refused at once.

    The use case takes them in this order: {id}, the body or query, the call, the dependencies.
    """

    routes: Routes[ServicesT]
    dependencies: Callable[[ServicesT], DepsT]

    def with_id(self, operation: str, use_case: Callable[[str, Call, DepsT], Answer]) -> None:
        """An operation on the resource {id}; of a body or query nothing is used but its checks."""
        self._require(operation, has_id=True)

        @self.routes.handles(operation)
        def handle(request: Request, services: ServicesT) -> Answer:
            return use_case(request.path_id, request.authenticated, self.dependencies(services))

    def with_body(
        self,
        operation: str,
        use_case: Callable[[ShapeT, Call, DepsT], Answer],
        shape: type[ShapeT],
    ) -> None:
        """An operation with a body."""
        self._require(operation, body=shape)

        @self.routes.handles(operation)
        def handle(request: Request, services: ServicesT) -> Answer:
            body = request.body(shape)
            return use_case(body, request.authenticated, self.dependencies(services))

    def with_id_and_body(
        self,
        operation: str,
        use_case: Callable[[str, ShapeT, Call, DepsT], Answer],
        shape: type[ShapeT],
    ) -> None:
        """An operation on the resource {id} with a body."""
        self._require(operation, has_id=True, body=shape)

        @self.routes.handles(operation)
        def handle(request: Request, services: ServicesT) -> Answer:
            deps = self.dependencies(services)
            return use_case(request.path_id, request.body(shape), request.authenticated, deps)

    def with_query(
        self,
        operation: str,
        use_case: Callable[[ShapeT, Call, DepsT], Answer],
        shape: type[ShapeT],
    ) -> None:
        """An operation with a query string."""
        self._require(operation, query=shape)

        @self.routes.handles(operation)
        def handle(request: Request, services: ServicesT) -> Answer:
            query = request.query(shape)
            return use_case(query, request.authenticated, self.dependencies(services))

    def with_id_and_query(
        self,
        operation: str,
        use_case: Callable[[str, ShapeT, Call, DepsT], Answer],
        shape: type[ShapeT],
    ) -> None:
        """An operation on the resource {id} with a query string."""
        self._require(operation, has_id=True, query=shape)

        @self.routes.handles(operation)
        def handle(request: Request, services: ServicesT) -> Answer:
            deps = self.dependencies(services)
            return use_case(request.path_id, request.query(shape), request.authenticated, deps)

    def _require(
        self,
        operation: str,
        *,
        has_id: bool = False,
        body: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
    ) -> None:
        endpoint = self.routes.endpoints[operation]
        assert ("{id}" in endpoint.path) == has_id, f"{operation}: its path is {endpoint.path}"
        assert body in (None, endpoint.body), f"{operation} has the body {endpoint.body}"
        assert query in (None, endpoint.query), f"{operation} has the query {endpoint.query}"
