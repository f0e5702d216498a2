"""The gateway serves the contract, and only through the authorizer."""

from __future__ import annotations

import json

from runtime.api.endpoints import ENDPOINTS
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import Json, Resource, Synthesized


def _routes(stage: Synthesized) -> dict[str, Resource]:
    return {route.properties["RouteKey"]: route for route in stage.all("AWS::ApiGatewayV2::Route")}


def _function_behind(stage: Synthesized, route: Resource) -> str:
    resources = stage.templates["api"]["Resources"]
    integration_id = stage.flat(route.properties["Target"]).removeprefix("integrations/")
    integration = resources[integration_id.strip("${}")]["Properties"]
    alias = resources[integration["IntegrationUri"]["Ref"]]["Properties"]
    assert alias["Name"] == "live"
    function = resources[alias["FunctionName"]["Ref"]]["Properties"]
    return str(function["Environment"]["Variables"]["SERVICE"])


def _console_routes(stage: Synthesized) -> set[str]:
    """Not of the contract's ENDPOINTS, and only in the stage that serves the console itself."""
    return {"GET /console", "GET /console/{proxy+}"} if stage.name == "local" else set()


def _authorizer(stage: Synthesized) -> Resource:
    (authorizer,) = stage.all("AWS::ApiGatewayV2::Authorizer")
    return authorizer


def test_every_endpoint_of_the_contract_has_a_route_to_its_function(stage: Synthesized) -> None:
    routes = _routes(stage)
    served = {key: _function_behind(stage, route) for key, route in routes.items()}
    assert served == {
        **{f"{endpoint.method} {endpoint.path}": endpoint.function for endpoint in ENDPOINTS},
        "$default": "query",
        **dict.fromkeys(_console_routes(stage), "console"),
    }


def test_every_route_but_the_public_ones_passes_the_authorizer(stage: Synthesized) -> None:
    public = {f"{e.method} {e.path}" for e in ENDPOINTS if e.public} | _console_routes(stage)
    for key, route in _routes(stage).items():
        if key in public:
            assert route.properties["AuthorizationType"] == "NONE"
        else:
            assert route.properties["AuthorizationType"] == "CUSTOM"
            assert route.properties["AuthorizerId"] == {"Ref": _authorizer(stage).logical_id}


def test_in_jwt_mode_the_gateway_requires_each_routes_permission_as_a_scope(
    with_jwt: Synthesized,
) -> None:
    properties = _authorizer(with_jwt).properties
    assert properties["AuthorizerType"] == "JWT"
    assert properties["IdentitySource"] == ["$request.header.Authorization"]
    assert properties["JwtConfiguration"] == {
        "Audience": ["payments-api"],
        "Issuer": "https://issuer.test",
    }
    routes = _routes(with_jwt)
    for endpoint in ENDPOINTS:
        route = routes.pop(f"{endpoint.method} {endpoint.path}").properties
        scopes = route.get("AuthorizationScopes")
        assert route["AuthorizationType"] == ("NONE" if endpoint.public else "JWT")
        assert set(scopes or ()) == ({endpoint.permission, "admin"} - {None} if scopes else set())
        assert (scopes is None) == (endpoint.permission is None), endpoint.operation
    (rest,) = routes.values()
    assert rest.properties["RouteKey"] == "$default"
    assert rest.properties["AuthorizationType"] == "JWT"


def test_in_jwt_mode_there_is_no_authorizer_function(with_jwt: Synthesized) -> None:
    assert "authorizer" not in with_jwt.functions()
    assert set(with_jwt.output("api", "Functions")) == {"process", "query"}
    names = [f.properties["MetricTransformations"][0]["MetricName"] for f in _filters(with_jwt)]
    assert not [name for name in names if name.startswith("Tokens")]


def _filters(stage: Synthesized) -> list[Resource]:
    return stage.all("AWS::Logs::MetricFilter")


def test_an_authorizer_response_is_cached_per_token_and_route(stage: Synthesized) -> None:
    properties = _authorizer(stage).properties
    assert properties["AuthorizerType"] == "REQUEST"
    assert properties["AuthorizerPayloadFormatVersion"] == "2.0"
    assert properties["EnableSimpleResponses"] is True
    assert properties["IdentitySource"] == ["$request.header.Authorization", "$context.routeKey"]
    assert properties["AuthorizerResultTtlInSeconds"] <= 300


def test_the_gateway_may_invoke_each_function_and_the_catch_all(stage: Synthesized) -> None:
    sources = sorted(
        stage.flat(permission.properties["SourceArn"]).partition("}/")[2]
        for permission in stage.all("AWS::Lambda::Permission")
        if permission.properties["Principal"] == "apigateway.amazonaws.com"
    )
    authorizer = f"authorizers/${{{_authorizer(stage).logical_id}}}"
    served = 3 if _console_routes(stage) else 2
    assert sources == ["*/$default", *["*/*/*"] * served, authorizer]


def test_requests_are_throttled_and_logged(stage: Synthesized) -> None:
    properties = _stage(stage)
    throttling = properties["DefaultRouteSettings"]
    assert throttling["ThrottlingRateLimit"] >= throttling["ThrottlingBurstLimit"] >= 32
    assert "DestinationArn" in properties["AccessLogSettings"]


def test_public_routes_have_their_own_throttling(stage: Synthesized) -> None:
    (resource,) = stage.all("AWS::ApiGatewayV2::Stage")
    buckets = resource.properties["RouteSettings"]
    public = {f"{e.method} {e.path}" for e in ENDPOINTS if e.public} | _console_routes(stage)
    assert set(buckets) == {*public, "$default"}
    whole = resource.properties["DefaultRouteSettings"]
    for key, bucket in buckets.items():
        assert bucket["ThrottlingRateLimit"] <= whole["ThrottlingRateLimit"] / 5, key
        assert bucket["ThrottlingBurstLimit"] >= 32, "a burst of 32 is allowed"
        assert bucket["DetailedMetricsEnabled"] == whole["DetailedMetricsEnabled"], key
    events = buckets["POST /v1/processor-events/{processor}"]
    assert events["ThrottlingRateLimit"] > buckets["GET /v1/docs"]["ThrottlingRateLimit"]


def test_the_stage_is_created_after_the_routes_that_it_throttles(
    with_domain: Synthesized,
) -> None:
    (resource,) = with_domain.all("AWS::ApiGatewayV2::Stage")
    routes = _routes(with_domain)
    named = {routes[key].logical_id for key in resource.properties["RouteSettings"]}
    assert named <= set(resource.body["DependsOn"])
    assert "OPTIONS /{proxy+}" in resource.properties["RouteSettings"]


def test_the_access_log_contains_no_token_id_or_query(stage: Synthesized) -> None:
    logged = json.loads(_stage(stage)["AccessLogSettings"]["Format"])
    secret = ("header", "path", "query", "authorizer.claims", "authorizer.principal", "body")
    for name, variable in logged.items():
        assert variable.removeprefix("req_").startswith("$context."), name
        assert not [word for word in secret if word in variable.lower()], name
    assert logged["request_id"] == "req_$context.requestId"


def test_a_preflight_needs_no_authorizer(with_domain: Synthesized) -> None:
    (api,) = with_domain.all("AWS::ApiGatewayV2::Api")
    assert api.properties["CorsConfiguration"]["AllowOrigins"] == ["https://shop.example"]
    routes = _routes(with_domain)
    preflight = routes["OPTIONS /{proxy+}"]
    assert preflight.properties["AuthorizationType"] == "NONE"
    assert "AuthorizerId" not in preflight.properties
    assert _function_behind(with_domain, preflight) == "query"
    assert routes["$default"].properties["AuthorizationType"] == "CUSTOM"


def test_origins_add_nothing_but_the_preflight(
    with_domain: Synthesized, synthesize: Synthesize
) -> None:
    before = synthesize("dev")
    assert set(_routes(with_domain)) - set(_routes(before)) == {"OPTIONS /{proxy+}"}
    permissions = "AWS::Lambda::Permission"
    assert len(with_domain.all(permissions)) == len(before.all(permissions))


def test_the_outputs_name_the_api_and_its_functions(stage: Synthesized) -> None:
    outputs = stage.templates["api"]["Outputs"]
    (api,) = stage.all("AWS::ApiGatewayV2::Api")
    assert outputs["ApiId"]["Value"] == {"Ref": api.logical_id}
    console = {"console"} if _console_routes(stage) else set()
    functions = {"process", "query", "authorizer"} | console
    assert set(stage.output("api", "Functions")) == functions


def _stage(stage: Synthesized) -> Json:
    (gateway_stage,) = stage.all("AWS::ApiGatewayV2::Stage")
    assert gateway_stage.properties["StageName"] == "$default"
    return gateway_stage.properties
