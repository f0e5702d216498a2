"""The API's own domain name."""

from __future__ import annotations

from aws_cdk import CfnOutput
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_route53 as route53
from constructs import Construct

from stacks.stage_account import DomainConfig


class ApiDomain(Construct):
    """A domain name in front of an API, and its record if the stage names a hosted zone."""

    def __init__(self, scope: Construct, construct_id: str, *, config: DomainConfig) -> None:
        super().__init__(scope, construct_id)
        self.domain = apigw.DomainName(
            self,
            "Name",
            domain_name=config.name,
            certificate=acm.Certificate.from_certificate_arn(
                self, "Certificate", config.certificate_arn
            ),
            security_policy=apigw.SecurityPolicy.TLS_1_2,
        )
        if config.hosted_zone_id is not None:
            route53.CfnRecordSet(
                self,
                "Record",
                hosted_zone_id=config.hosted_zone_id,
                name=config.name,
                type="A",
                alias_target=route53.CfnRecordSet.AliasTargetProperty(
                    dns_name=self.domain.regional_domain_name,
                    hosted_zone_id=self.domain.regional_hosted_zone_id,
                ),
            )
        self.url = f"https://{self.domain.name}"
        target = CfnOutput(self, "Target", value=self.domain.regional_domain_name)
        target.override_logical_id("DomainTarget")

    def serve(self, stage: apigw.IHttpStage) -> None:
        """Answer at the name with this stage of an API, without a prefix in the path.

        In its own resource: the CDK's construct for it adds a dependency that the reference to the
        name is already, which the linter finds.
        """
        apigw.CfnApiMapping(
            self,
            "Mapping",
            api_id=stage.api.api_id,
            domain_name=self.domain.name,
            stage=stage.stage_name,
        )
