"""A stage serves its console beside the API or through CloudFront, and only if it is set."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from runtime.console.headers import security_headers
from runtime.http.responses import STORED_TYPES
from stacks.console import MAX_ROUTER_BYTES, router_code
from stacks.console_asset import console_asset, console_file_names
from stacks.lambda_asset import AssetBuildError
from stacks.stage import StageConfig, StageError
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import (
    CLOUD_STAGES,
    Json,
    Synthesized,
    cdk_json_context,
    documented_console,
    listed,
)

TOKEN_ORIGIN: Final = "https://sign-in.payments.test"
IN_CLOUDFRONT: Final = {"AWS::CloudFront::Distribution", "AWS::CloudFront::Function"}


def _stage(name: str, **changed: Any) -> StageConfig:
    stages = copy.deepcopy(cdk_json_context()["stages"])
    stages[name].update(changed)
    return StageConfig.named(name, stages)


def _console(**changed: Any) -> Json:
    """The documented setting, with changes; None removes a member."""
    config: Json = {**documented_console()["console"], **changed}
    return {name: value for name, value in config.items() if value is not None}


def _sign_in(**changed: Any) -> Json:
    config: Json = {**documented_console()["console"]["sign_in"], **changed}
    return {name: value for name, value in config.items() if value is not None}


def _one(stage: Synthesized, kind: str) -> Json:
    (found,) = stage.all(kind)
    return found.properties


# ------------------------------------------------------------------ beside the API


def test_the_local_stage_serves_the_console_without_authorization(synthesize: Synthesize) -> None:
    local = synthesize("local")
    routes = {
        route.properties["RouteKey"]: route.properties
        for route in local.all("AWS::ApiGatewayV2::Route")
        if "/console" in route.properties["RouteKey"]
    }
    assert set(routes) == {"GET /console", "GET /console/{proxy+}"}
    for properties in routes.values():
        assert properties["AuthorizationType"] == "NONE"
        assert "AuthorizerId" not in properties
    assert local.output("api", "Functions").keys() >= {"console"}


def test_the_consoles_function_has_no_right_but_to_write_its_log(synthesize: Synthesize) -> None:
    statements = synthesize("local").statements_of("console")
    assert {action for each in statements for action in each["Action"]} == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }
    function = synthesize("local").functions()["console"]
    assert function.properties["Environment"]["Variables"]["TABLES"] == "{}"


def test_only_the_consoles_function_ships_the_console(synthesize: Synthesize) -> None:
    local = synthesize("local")
    keys = {
        name: function.properties["Code"]["S3Key"] for name, function in local.functions().items()
    }
    assert len(set(keys.values())) == 2
    assert keys.pop("console") not in keys.values()


def test_its_package_is_the_asset_with_the_files_and_the_sign_in(tmp_path: Path) -> None:
    asset, sources = tmp_path / "asset", tmp_path / "sources"
    (sources / "app").mkdir(parents=True)
    asset.mkdir()
    (asset / "handler.py").write_text("code")
    (sources / "index.html").write_text("page")
    (sources / "app/main.js").write_text("module")
    stage = StageConfig.named("local", cdk_json_context()["stages"])
    built = console_asset(asset, stage, sources=sources, cache_dir=tmp_path / "build")
    files = {p.relative_to(built).as_posix() for p in built.rglob("*") if p.is_file()}
    assert files == {
        "handler.py",
        "console/index.html",
        "console/app/main.js",
        "console/config.json",
    }
    config = json.loads((built / "console/config.json").read_text())
    assert config == {"stage": "local", "sign_in": {"method": "token"}}
    (sources / "app/main.js").write_text("changed")
    again = console_asset(asset, stage, sources=sources, cache_dir=tmp_path / "build")
    assert again != built
    assert (again / "console/app/main.js").read_text() == "changed"


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.js", "has no index.html"), ("a.exe", "no files that end in .exe")],
)
def test_files_that_cannot_be_served_are_not_deployed(
    name: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("")
    if name != "none.js":
        (tmp_path / "index.html").write_text("")
    with pytest.raises(AssetBuildError, match=message):
        console_file_names(tmp_path)


def test_a_sign_in_among_the_sources_is_refused(tmp_path: Path) -> None:
    for name in ("index.html", "config.json"):
        (tmp_path / name).write_text("")
    with pytest.raises(AssetBuildError, match="each stage has its own"):
        console_file_names(tmp_path)


# ------------------------------------------------------------------ CloudFront


@pytest.mark.parametrize("name", CLOUD_STAGES)
def test_a_stage_has_no_console_unless_it_is_set(name: str, synthesize: Synthesize) -> None:
    stage = synthesize(name)
    assert "console" not in stage.stacks
    assert "console" not in stage.functions()
    assert not stage.all(*IN_CLOUDFRONT)
    assert not [
        route
        for route in stage.all("AWS::ApiGatewayV2::Route")
        if "console" in route.properties["RouteKey"]
    ]


def test_the_console_adds_nothing_to_other_stacks(
    with_console: Synthesized, synthesize: Synthesize
) -> None:
    """But what the API's stack publishes for a weak reference."""
    before = synthesize("dev")
    assert with_console.stacks.keys() - before.stacks.keys() == {"console"}
    for name in ("data", "workers", "ledger", "audit", "webhooks", "exports"):
        assert set(with_console.templates[name]["Resources"]) == set(
            before.templates[name]["Resources"]
        )
    assert "console" not in with_console.functions()
    for name, template in with_console.templates.items():
        exports = [each for each in template.get("Outputs", {}).values() if "Export" in each]
        assert not exports or name == "data"
    dependencies = with_console.stacks["console"].depends_on
    assert "payments-dev-api" in dependencies


def test_only_cloudfront_reads_the_files(with_console: Synthesized) -> None:
    (distribution,) = with_console.all("AWS::CloudFront::Distribution")
    buckets = [each for each in with_console.all("AWS::S3::Bucket") if each.stack == "console"]
    assert len(buckets) == 2
    for bucket in buckets:
        assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}
    policies = [
        each for each in with_console.all("AWS::S3::BucketPolicy") if each.stack == "console"
    ]
    allowed = [
        statement
        for policy in policies
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow" and "s3:GetObject" in listed(statement["Action"])
    ]
    (statement,) = allowed
    assert statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    source = statement["Condition"]["StringEquals"]["AWS:SourceArn"]
    assert f"distribution/${{{distribution.logical_id}}}" in with_console.flat(source)


def test_the_api_is_at_the_same_origin_and_never_cached(with_console: Synthesized) -> None:
    config = _one(with_console, "AWS::CloudFront::Distribution")["DistributionConfig"]
    (behavior,) = config["CacheBehaviors"]
    assert behavior["PathPattern"] == "/v1/*"
    # Managed policies: CachingDisabled, AllViewerExceptHostHeader (CloudFront Developer Guide).
    assert behavior["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert behavior["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    assert behavior["ViewerProtocolPolicy"] == "https-only"
    assert set(behavior["AllowedMethods"]) >= {"GET", "POST", "PATCH", "DELETE"}
    (origin,) = (each for each in config["Origins"] if each["Id"] == behavior["TargetOriginId"])
    (api,) = with_console.all("AWS::ApiGatewayV2::Api")
    domain = with_console.flat(origin["DomainName"])
    assert domain.startswith(f"${{{api.logical_id}}}.execute-api.")
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert origin["CustomOriginConfig"]["OriginSSLProtocols"] == ["TLSv1.2"]
    assert "CustomErrorResponses" not in config, "they would replace the API's answers"


def test_viewers_need_new_tls(with_console: Synthesized) -> None:
    config = _one(with_console, "AWS::CloudFront::Distribution")["DistributionConfig"]
    assert config["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
    assert config["Aliases"] == ["console.payments.test"]
    assert config["DefaultCacheBehavior"]["ViewerProtocolPolicy"] == "redirect-to-https"
    assert config["DefaultCacheBehavior"]["Compress"] is True


def test_cloudfront_sends_the_same_headers_as_the_function_and_hsts(
    with_console: Synthesized,
) -> None:
    policy = _one(with_console, "AWS::CloudFront::ResponseHeadersPolicy")
    config = policy["ResponseHeadersPolicyConfig"]
    security = config["SecurityHeadersConfig"]
    sent = {each["Header"]: each["Value"] for each in config["CustomHeadersConfig"]["Items"]}
    sent["Content-Security-Policy"] = security["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    sent["Referrer-Policy"] = security["ReferrerPolicy"]["ReferrerPolicy"]
    assert security["ContentTypeOptions"] == {"Override": True}
    sent["X-Content-Type-Options"] = "nosniff"
    assert sent == security_headers(f"{TOKEN_ORIGIN}/oauth2/token")
    assert security["StrictTransportSecurity"]["AccessControlMaxAgeSec"] == 365 * 86_400


def test_both_records_of_the_domain_point_to_the_distribution(with_console: Synthesized) -> None:
    (distribution,) = with_console.all("AWS::CloudFront::Distribution")
    records = [each.properties for each in with_console.all("AWS::Route53::RecordSet")]
    assert {each["Type"] for each in records} == {"A", "AAAA"}
    for each in records:
        assert each["Name"] == "console.payments.test"
        target = each["AliasTarget"]["DNSName"]
        assert target == {"Fn::GetAtt": [distribution.logical_id, "DomainName"]}


def test_behind_a_domain_of_the_api_its_own_address_is_the_origin(
    asset: Path, tmp_path: Path
) -> None:
    context = copy.deepcopy(cdk_json_context())
    domain = {
        "name": "api.payments.test",
        "certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/5a-b",
    }
    context["stages"]["dev"] |= {**documented_console(), "domain": domain, "dashboard": False}
    stage = Synthesized.make("dev", asset, tmp_path, context, judged=False)
    config = _one(stage, "AWS::CloudFront::Distribution")["DistributionConfig"]
    assert "api.payments.test" in [each["DomainName"] for each in config["Origins"]]


# ------------------------------------------------------------------ the function at the edge

HEADERS: Final = security_headers(f"{TOKEN_ORIGIN}/oauth2/token")
SIGN_IN: Final = '{"stage": "dev", "sign_in": {"method": "oidc"}}\n'
TYPES: Final = f"https://console.example.com{STORED_TYPES}"


def _at_edge(uri: str) -> Json:
    """What the function makes of a request, run by Node."""
    code = router_code(["index.html", "app/main.js"], HEADERS, SIGN_IN, TYPES)
    event = json.dumps({"request": {"uri": uri, "method": "GET", "querystring": {}}})
    script = f"{code}\nconsole.log(JSON.stringify(handler({event})));"
    ran = subprocess.run(
        ["node", "--input-type=commonjs", "-e", script],
        capture_output=True,
        check=True,
        text=True,
        timeout=30,
    )
    answer: Json = json.loads(ran.stdout)
    return answer


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("/console", "/console/index.html"),
        ("/console/index.html", "/console/index.html"),
        ("/console/app/main.js", "/console/app/main.js"),
    ],
)
def test_listed_files_are_asked_of_the_bucket(uri: str, key: str) -> None:
    assert _at_edge(uri)["uri"] == key


@pytest.mark.parametrize("uri", ["/", "/console/"])
def test_other_spellings_of_the_address_lead_to_it(uri: str) -> None:
    answer = _at_edge(uri)
    assert answer["statusCode"] == 302
    assert answer["headers"]["location"] == {"value": "/console"}


@pytest.mark.parametrize("uri", ["/console/app/none.js", "/index.html", "/console/../v1", "/v2"])
def test_what_is_not_listed_is_answered_at_the_edge(uri: str) -> None:
    answer = _at_edge(uri)
    assert answer["statusCode"] == 404
    assert answer["headers"]["content-type"] == {"value": "application/problem+json"}
    problem = json.loads(answer["body"]["data"])
    assert problem["code"] == "not_found"
    assert problem["type"] == f"{TYPES}not_found"
    _has_headers(answer)


def test_the_sign_in_comes_from_the_stages_settings() -> None:
    answer = _at_edge("/console/config.json")
    assert (answer["statusCode"], answer["body"]["data"]) == (200, SIGN_IN)
    assert answer["headers"]["cache-control"] == {"value": "no-cache"}
    _has_headers(answer)


def _has_headers(answer: Json) -> None:
    sent = {name: value["value"] for name, value in answer["headers"].items()}
    assert sent.items() >= {name.lower(): value for name, value in HEADERS.items()}.items()
    assert sent["strict-transport-security"] == "max-age=31536000"


def test_the_deployed_function_has_this_code(with_console: Synthesized) -> None:
    function = _one(with_console, "AWS::CloudFront::Function")
    assert function["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"
    config = documented_console()["console"]["sign_in"] | {
        "authority": documented_console()["auth"]["issuer"]
    }
    document = json.dumps({"stage": "dev", "sign_in": config}, indent=1) + "\n"
    code = function["FunctionCode"]
    names, headers = console_file_names(), security_headers(config["token_endpoint"])
    sign_in = json.loads(document)
    (line,) = (each for each in code.splitlines() if each.startswith("const SIGN_IN"))
    said = json.loads(json.loads(line.partition(" = ")[2].rstrip(";")))
    assert said == sign_in
    types = f"https://{documented_console()['console']['domain']['name']}{STORED_TYPES}"
    assert code.replace(line, "") == router_code(names, headers, "", types).replace(
        'const SIGN_IN = "";', ""
    )


def test_a_console_of_too_many_files_is_refused() -> None:
    names = [f"app/screens/screen-{number}.js" for number in range(400)]
    with pytest.raises(StageError, match=rf"CloudFront accepts {MAX_ROUTER_BYTES}"):
        router_code(names, HEADERS, SIGN_IN, TYPES)


# ------------------------------------------------------------------ the settings


def test_the_provider_of_the_console_is_that_of_the_api() -> None:
    stage = _stage("dev", **documented_console())
    assert stage.console is not None
    document = stage.console.document(stage.name, stage.auth.issuer)
    assert document["sign_in"]["authority"] == stage.auth.issuer
    assert set(document["sign_in"]) == {
        "method",
        "authority",
        "authorization_endpoint",
        "token_endpoint",
        "client_id",
        "scope",
        "logout_endpoint",
    }


@pytest.mark.parametrize(
    ("name", "console", "message"),
    [
        (
            "dev",
            _console(sign_in={"method": "token"}),
            r'only the stage local may use: console\.sign_in\.method "token"',
        ),
        (
            "local",
            _console(),
            'local must set console.serve "api": the embedded AWS has no CloudFront',
        ),
        ("dev", _console(domain=None), 'serve "cloudfront" needs domain'),
        ("dev", _console(serve="api"), 'serve "api" has no use for domain'),
        (
            "dev",
            _console(sign_in=_sign_in(token_endpoint=None, client_id=None)),
            'method "oidc" needs token_endpoint, client_id',
        ),
        (
            "local",
            {"serve": "api", "sign_in": {"method": "token", "scope": "openid"}},
            'method "token" has no use for scope',
        ),
        (
            "dev",
            _console(sign_in=_sign_in(scope="email profile")),
            r'scope \("email profile"\) must contain openid',
        ),
        (
            "dev",
            _console(sign_in=_sign_in(token_endpoint="http://sign-in.payments.test/token")),
            "token_endpoint: String should match pattern",
        ),
        (
            "dev",
            _console(
                domain={
                    "name": "console.payments.test",
                    "certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/5a-b",
                }
            ),
            "certificate_arn: String should match pattern",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    name: str, console: Json, message: str
) -> None:
    with pytest.raises(StageError, match=message):
        _stage(name, console=console)


def test_where_the_gateway_demands_scopes_the_console_asks_for_some() -> None:
    auth = {"mode": "jwt", "issuer": "https://issuer.test", "audience": "payments-api"}
    with pytest.raises(StageError, match=r"names no permission, and with auth\.mode"):
        _stage("dev", auth=auth, console=_console())
    console = _console(sign_in=_sign_in(scope="openid payments reports"))
    assert _stage("dev", auth=auth, console=console).console is not None


@pytest.mark.parametrize(
    ("console", "named"),
    [
        (
            _console(
                domain={
                    **documented_console()["console"]["domain"],
                    "name": "console.payments.example",
                }
            ),
            "console.payments.example",
        ),
        (
            _console(sign_in=_sign_in(token_endpoint="https://sign-in.payments.example/token")),
            "https://sign-in.payments.example/token",
        ),
    ],
)
def test_a_deployment_refuses_placeholders_of_the_console(console: Json, named: str) -> None:
    stage = _stage("dev", **{**documented_console(), "console": console})
    with pytest.raises(StageError, match=f"console still names {named}"):
        stage.refuse_deploying_placeholders()
    _stage("dev", **documented_console()).refuse_deploying_placeholders()
