"""The console behind CloudFront: its files in a private bucket, and the API at the same address.

Nothing is here unless a stage sets `console.serve` to `cloudfront`. The files are uploaded after
the stack is deployed (`make upload-console`): CloudFormation itself cannot, and the CDK's construct
for it is a function with rights to write any asset and to invalidate any distribution.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from aws_cdk import CfnOutput, CrossStackReferences, Duration, ReferenceStrength, Stack
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_s3 as s3
from constructs import Construct

from runtime.console.files import FILES_PREFIX
from runtime.console.headers import security_headers
from runtime.http.responses import STORED_TYPES
from stacks.console_asset import SOURCES, console_file_names, sign_in_document
from stacks.constructs.acknowledge import acknowledge
from stacks.stage import MAX_API_INTEGRATION_SECONDS, StageConfig, StageError
from stacks.stage_console import ConsoleDomainConfig

ROUTER: Final = Path(__file__).with_name("console_router.js")
MAX_ROUTER_BYTES: Final = 10_240
"""CloudFront's limit for a function's code (CloudFront Developer Guide, "Quotas")."""
API_PATHS: Final = "/v1/*"
HSTS_DAYS: Final = 365
EDGE_CACHE_SECONDS: Final = 60
"""The longest time for which CloudFront keeps a file; it asks the bucket about each that says
no-cache, which all of ours do, so what is uploaded is served at once."""
API_READ_SECONDS: Final = MAX_API_INTEGRATION_SECONDS + 5
"""Longer than the API may take: its own answer comes before CloudFront's."""
ACCESS_LOGS_KEPT_DAYS: Final = 90
OLD_VERSIONS_KEPT_DAYS: Final = 30
CLOUDFRONT_ZONE_ID: Final = "Z2FDTNDATAQYW2"
"""The hosted zone of every distribution (Route 53, "AliasTarget" of CloudFormation)."""

NO_COUNTRIES: Final = (
    "People use the console from wherever they work; who may see what is the API's to judge, by "
    "their tokens."
)
NO_FIREWALL: Final = (
    "Files are static and public; requests to the API are throttled and judged by the API. A web "
    "ACL costs $5 a month at least, and can be associated with the distribution at any time."
)
NO_EDGE_LOG: Final = (
    "CloudFront's standard log has query strings, in which the API's lists take e-mail addresses. "
    "The API's access log has every request to it without them, the bucket's every file."
)
PUBLIC_FILES: Final = (
    "The files are those of the repository and are served to everyone: there is nothing to keep "
    "secret. With a key of KMS, CloudFront would need a right to use it."
)


class ConsoleStack(Stack):
    """Bucket, distribution, and the function that routes at the edge.

    Refers to the API weakly (`Fn::GetStackOutput`): an export would keep an earlier version of the
    API's stack from being deployed.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: StageConfig,
        api: apigw.IHttpApi,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        CrossStackReferences.of(self).consume(ReferenceStrength.WEAK)
        config = stage.console
        if config is None or config.domain is None:
            raise StageError(f"stage {stage.name}: console is not served by CloudFront")
        self._stage, self._headers = stage, security_headers(config.sign_in.token_endpoint)
        self._bucket = self._files()
        distribution = self._distribution(config.domain, api)
        self._record(config.domain, distribution)
        CfnOutput(self, "ConsoleUrl", value=f"https://{config.domain.name}/console")
        CfnOutput(self, "ConsoleBucket", value=self._bucket.bucket_name)
        CfnOutput(self, "DomainTarget", value=distribution.distribution_domain_name)

    def _files(self) -> s3.Bucket:
        """Where the files are; CloudFront alone reads them."""
        logs = self._private_bucket(
            "AccessLogs", s3.LifecycleRule(expiration=Duration.days(ACCESS_LOGS_KEPT_DAYS))
        )
        return self._private_bucket("Files", logs=logs)

    def _private_bucket(
        self, construct_id: str, *rules: s3.LifecycleRule, logs: s3.IBucket | None = None
    ) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            construct_id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            lifecycle_rules=[
                *rules,
                s3.LifecycleRule(
                    noncurrent_version_expiration=Duration.days(OLD_VERSIONS_KEPT_DAYS)
                ),
            ],
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=self._stage.data.removal_policy,
            server_access_logs_bucket=logs,
            versioned=True,
        )
        for pack in ("NIST.800.53.R5", "PCI.DSS.321"):
            acknowledge(bucket, f"{pack}-S3DefaultEncryptionKMS", PUBLIC_FILES)
        return bucket

    def _distribution(
        self, domain: ConsoleDomainConfig, api: apigw.IHttpApi
    ) -> cloudfront.Distribution:
        redirect = cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"Console of payments-{self._stage.name}",
            domain_names=[domain.name],
            certificate=acm.Certificate.from_certificate_arn(
                self, "Certificate", domain.certificate_arn
            ),
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            price_class=cloudfront.PriceClass.PRICE_CLASS_100,
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.S3BucketOrigin.with_origin_access_control(self._bucket),
                cache_policy=self._cache_policy(),
                response_headers_policy=self._headers_policy(),
                viewer_protocol_policy=redirect,
                function_associations=[
                    cloudfront.FunctionAssociation(
                        event_type=cloudfront.FunctionEventType.VIEWER_REQUEST,
                        function=self._router(domain),
                    )
                ],
            ),
            additional_behaviors={
                API_PATHS: cloudfront.BehaviorOptions(
                    origin=self._api_origin(api),
                    allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                    cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
                    # Without the viewer's Host, by which API Gateway finds the API.
                    origin_request_policy=(
                        cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER
                    ),
                    compress=False,
                    # A token that was sent over plain HTTP must not work after a redirect.
                    viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                )
            },
        )
        acknowledge(distribution, "AwsSolutions-CFR1", NO_COUNTRIES)
        acknowledge(distribution, "AwsSolutions-CFR2", NO_FIREWALL)
        acknowledge(distribution, "AwsSolutions-CFR3", NO_EDGE_LOG)
        return distribution

    def _api_origin(self, api: apigw.IHttpApi) -> origins.HttpOrigin:
        """The API's own domain, if it has one: then the gateway's address does not answer."""
        gateway = f"{api.api_id}.execute-api.{self.region}.{self.url_suffix}"
        return origins.HttpOrigin(
            self._stage.domain.name if self._stage.domain else gateway,
            protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
            origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
            read_timeout=Duration.seconds(API_READ_SECONDS),
        )

    def _cache_policy(self) -> cloudfront.CachePolicy:
        return cloudfront.CachePolicy(
            self,
            "Cache",
            comment="Asks the bucket about each file; compresses",
            min_ttl=Duration.seconds(0),
            default_ttl=Duration.seconds(0),
            max_ttl=Duration.seconds(EDGE_CACHE_SECONDS),
            enable_accept_encoding_brotli=True,
            enable_accept_encoding_gzip=True,
        )

    def _headers_policy(self) -> cloudfront.ResponseHeadersPolicy:
        """The headers of runtime/console/headers.py, and HSTS, where CloudFront wants each."""
        own = {
            "Content-Security-Policy",
            "X-Content-Type-Options",
            "Referrer-Policy",
        }
        return cloudfront.ResponseHeadersPolicy(
            self,
            "Headers",
            comment="Security headers of the console",
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    content_security_policy=self._headers["Content-Security-Policy"],
                    override=True,
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
                ),
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    access_control_max_age=Duration.days(HSTS_DAYS),
                    include_subdomains=False,
                    override=True,
                ),
            ),
            custom_headers_behavior=cloudfront.ResponseCustomHeadersBehavior(
                custom_headers=[
                    cloudfront.ResponseCustomHeader(header=name, value=value, override=True)
                    for name, value in self._headers.items()
                    if name not in own
                ]
            ),
        )

    def _router(self, domain: ConsoleDomainConfig) -> cloudfront.Function:
        code = router_code(
            console_file_names(SOURCES),
            self._headers,
            sign_in_document(self._stage),
            self._stage.error_types or f"https://{domain.name}{STORED_TYPES}",
        )
        return cloudfront.Function(
            self,
            "Router",
            code=cloudfront.FunctionCode.from_inline(code),
            comment="Serves the listed files and the sign-in of the console, and nothing else",
            runtime=cloudfront.FunctionRuntime.JS_2_0,
        )

    def _record(self, domain: ConsoleDomainConfig, distribution: cloudfront.Distribution) -> None:
        if domain.hosted_zone_id is None:
            return
        for kind in ("A", "AAAA"):
            route53.CfnRecordSet(
                self,
                f"Record{kind}",
                hosted_zone_id=domain.hosted_zone_id,
                name=domain.name,
                type=kind,
                alias_target=route53.CfnRecordSet.AliasTargetProperty(
                    dns_name=distribution.distribution_domain_name,
                    hosted_zone_id=CLOUDFRONT_ZONE_ID,
                ),
            )


def router_code(names: list[str], headers: dict[str, str], sign_in: str, error_types: str) -> str:
    """The edge function's code: stacks/console_router.js with its constants.

    `error_types`: what `type` of a problem begins with (decision 0146).

    Raises:
        StageError: it would be longer than CloudFront accepts.
    """
    strict = {"Strict-Transport-Security": f"max-age={HSTS_DAYS * 86_400}"}
    constants = {
        "__FILES__": [f"{FILES_PREFIX}{name}" for name in names],
        "__HEADERS__": {name.lower(): value for name, value in {**headers, **strict}.items()},
        "__SIGN_IN__": sign_in,
        "__ERROR_TYPES__": error_types,
    }
    code = ROUTER.read_text("utf-8")
    for name, value in constants.items():
        code = code.replace(f"'{name}'", json.dumps(value))
    if len(code.encode()) > MAX_ROUTER_BYTES:
        raise StageError(
            f"the console's edge function has {len(code.encode())} bytes, and CloudFront accepts "
            f"{MAX_ROUTER_BYTES}: give the console fewer files, or shorter names"
        )
    return code
