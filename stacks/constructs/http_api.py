"""The gateway: one route per endpoint of the contract, and one that answers everything else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_apigatewayv2_authorizers import (
    HttpJwtAuthorizer,
    HttpLambdaAuthorizer,
    HttpLambdaResponseType,
)
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from runtime.api.endpoints import ENDPOINTS
from runtime.console.files import FILES_PREFIX, PAGE_PATH
from runtime.core.request_ids import request_id_of
from runtime.http.endpoint import Endpoint, Function, Permission
from stacks.constructs.acknowledge import acknowledge
from stacks.constructs.api_domain import ApiDomain
from stacks.constructs.log_group import encrypted_log_group
from stacks.stage import StageConfig

IDENTITY_SOURCES: Final = ("$request.header.Authorization", "$context.routeKey")
"""What a cached answer of the authorizer is kept for: this token on this route, and no other."""

ACCESS_LOG_FIELDS: Final = {
    "request_id": request_id_of("$context.requestId"),
    "time": "$context.requestTimeEpoch",
    "ip": "$context.identity.sourceIp",
    "user_agent": "$context.identity.userAgent",
    "route": "$context.routeKey",
    "protocol": "$context.protocol",
    "status": "$context.status",
    "response_bytes": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "integration_latency_ms": "$context.integrationLatency",
    "integration_error": "$context.integrationErrorMessage",
    "authorizer_error": "$context.authorizer.error",
    "error": "$context.error.message",
}
"""No path, query or header: paths hold ids, queries hold e-mail addresses, headers hold tokens."""

CORS_MAX_AGE_HOURS: Final = 1
Served = Function | Literal["console"]
"""What has routes: the functions of ENDPOINTS, and in some stages that of the console."""
CONSOLE_ROUTES: Final = {"ConsolePage": PAGE_PATH, "ConsoleFiles": f"{FILES_PREFIX}{{proxy+}}"}
"""Paths of the console by the ids of their constructs."""


class HttpEndpoints(Construct):
    """Routes of `ENDPOINTS` to `functions`; everything but what is public passes the authorizer."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: StageConfig,
        functions: Mapping[Served, lambda_.IFunction],
        authorizer: lambda_.IFunction | None,
        log_key: kms.IKey,
    ) -> None:
        super().__init__(scope, construct_id)
        self._authorizer = _authorizer(authorizer, stage)
        self._scoped = authorizer is None
        self._integrations = {
            # One permission per function: one per route would outgrow Lambda's 20 KB of policy.
            name: HttpLambdaIntegration(
                name.capitalize(), function, scope_permission_to_route=False
            )
            for name, function in functions.items()
        }
        self.api = apigw.HttpApi(
            self,
            "Api",
            api_name=f"payments-{stage.name}",
            cors_preflight=_cors(stage),
            create_default_stage=False,
            # Clients that know this address as well would keep it when the domain moves.
            disable_execute_api_endpoint=True if stage.domain else None,
        )
        self._domain = ApiDomain(self, "Domain", config=stage.domain) if stage.domain else None
        routes = [(endpoint, self._route(endpoint)) for endpoint in ENDPOINTS]
        signed = [route for each, route in routes if each.signed]
        public = [route for each, route in routes if each.public and not each.signed]
        public.append(self._no_route(functions["query"]))
        if stage.cors_origins:
            public.append(self._preflight())
        if "console" in functions:
            public.extend(self._console_routes())
        self.access_log = encrypted_log_group(self, "AccessLog", stage=stage, key=log_key)
        resource, limits = self._stage(stage), stage.throttling
        _throttle(resource, public, limits.public_rate_per_second, limits.public_burst)
        _throttle(resource, signed, limits.events_rate_per_second, limits.events_burst)

    @property
    def url(self) -> str:
        """Where clients call the API, without a slash at its end."""
        return self._domain.url if self._domain else self.api.api_endpoint

    def _route(self, endpoint: Endpoint) -> apigw.HttpRoute:
        route = apigw.HttpRoute(
            self,
            endpoint.operation,
            http_api=self.api,
            route_key=apigw.HttpRouteKey.with_(endpoint.path, apigw.HttpMethod[endpoint.method]),
            integration=self._integrations[endpoint.function],
            authorizer=None if endpoint.public else self._authorizer,
            authorization_scopes=_scopes(endpoint) if self._scoped else None,
        )
        if endpoint.public:
            acknowledge(
                route,
                "AwsSolutions-APIG4",
                f"{endpoint.path} is for processors: the function checks their signature."
                if endpoint.signed
                else f"{endpoint.path} is public: it tells nothing about any merchant.",
            )
        return route

    def _no_route(self, function: lambda_.IFunction) -> apigw.HttpRoute:
        """Answers 404 and 405 in our own problem format, and only to callers with a token."""
        route = apigw.HttpRoute(
            self,
            "NoRoute",
            http_api=self.api,
            route_key=apigw.HttpRouteKey.DEFAULT,
            integration=self._integrations["query"],
            authorizer=self._authorizer,
        )
        # The other routes' permission is for api/stage/method/path; this route has but a stage.
        function.add_permission(
            "NoRoutePermission",
            principal=iam.ServicePrincipal("apigateway.amazonaws.com"),
            scope=self,
            source_arn=Stack.of(self).format_arn(
                service="execute-api", resource=self.api.api_id, resource_name="*/$default"
            ),
        )
        return route

    def _preflight(self) -> apigw.HttpRoute:
        """Keeps the authorizer of `$default` from refusing a browser's preflight.

        A browser sends no token with it. API Gateway answers it from the CORS configuration;
        any other OPTIONS request reaches the function, which returns 401.
        """
        route = apigw.HttpRoute(
            self,
            "Preflight",
            http_api=self.api,
            route_key=apigw.HttpRouteKey.with_("/{proxy+}", apigw.HttpMethod.OPTIONS),
            integration=self._integrations["query"],
        )
        acknowledge(
            route,
            "AwsSolutions-APIG4",
            "Browsers ask for permission without a token; the answer tells nothing but our routes.",
        )
        return route

    def _console_routes(self) -> Iterator[apigw.HttpRoute]:
        """The console's page and files. They do not belong to the API, so not to ENDPOINTS."""
        for construct_id, path in CONSOLE_ROUTES.items():
            route = apigw.HttpRoute(
                self,
                construct_id,
                http_api=self.api,
                route_key=apigw.HttpRouteKey.with_(path, apigw.HttpMethod.GET),
                integration=self._integrations["console"],
            )
            acknowledge(
                route,
                "AwsSolutions-APIG4",
                f"{path} is static files: the page signs in by itself, and calls the API.",
            )
            yield route

    def _stage(self, stage: StageConfig) -> apigw.CfnStage:
        http_stage = apigw.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            auto_deploy=True,
            detailed_metrics_enabled=True,
            throttle=apigw.ThrottleSettings(
                rate_limit=stage.throttling.rate_per_second, burst_limit=stage.throttling.burst
            ),
        )
        if self._domain is not None:
            self._domain.serve(http_stage)
        resource = http_stage.node.default_child
        assert isinstance(resource, apigw.CfnStage)  # noqa: S101 - what L2 is made of
        resource.access_log_settings = apigw.CfnStage.AccessLogSettingsProperty(
            # The group's own ARN attribute ends in `:*`, which this property does not want.
            destination_arn=Stack.of(self).format_arn(
                service="logs",
                resource="log-group",
                resource_name=self.access_log.log_group_name,
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            ),
            format=json.dumps(ACCESS_LOG_FIELDS),
        )
        return resource


def _throttle(
    resource: apigw.CfnStage, routes: Iterable[apigw.HttpRoute], rate: int, burst: int
) -> None:
    """Give each route a bucket of its own in the stage, which can be made only after the route."""
    children = [route.node.default_child for route in routes]
    keyed = [child for child in children if isinstance(child, apigw.CfnRoute)]
    settings = {
        # What is said of a route replaces what the stage says of all.
        "DetailedMetricsEnabled": True,
        "ThrottlingRateLimit": rate,
        "ThrottlingBurstLimit": burst,
    }
    resource.route_settings = {
        **(resource.route_settings or {}),
        **{child.route_key: settings for child in keyed},
    }
    for child in keyed:
        resource.add_resource_dependency(child)


def _authorizer(
    function: lambda_.IFunction | None, stage: StageConfig
) -> apigw.IHttpRouteAuthorizer:
    """The Lambda authorizer, or the gateway's JWT authorizer in auth mode "jwt"."""
    if function is None:
        return HttpJwtAuthorizer(
            "Authorizer", stage.auth.issuer, jwt_audience=[stage.auth.audience]
        )
    return HttpLambdaAuthorizer(
        "Authorizer",
        function,
        identity_source=list(IDENTITY_SOURCES),
        response_types=[HttpLambdaResponseType.SIMPLE],
        results_cache_ttl=Duration.seconds(stage.auth.cache_seconds),
    )


def _scopes(endpoint: Endpoint) -> list[str] | None:
    """One of these must be in the token; what `admin` gives whom is the function's to judge."""
    if endpoint.permission is None:
        return None
    return list(dict.fromkeys([str(endpoint.permission), str(Permission.ADMIN)]))


def _cors(stage: StageConfig) -> apigw.CorsPreflightOptions | None:
    if not stage.cors_origins:
        return None
    return apigw.CorsPreflightOptions(
        allow_headers=["authorization", "content-type", "idempotency-key"],
        allow_methods=[apigw.CorsHttpMethod[name] for name in ("GET", "POST", "PATCH", "DELETE")],
        allow_origins=list(stage.cors_origins),
        expose_headers=["idempotent-replayed", "retry-after"],
        max_age=Duration.hours(CORS_MAX_AGE_HOURS),
    )
