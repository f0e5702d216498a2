"""Every type of resource in the templates: what it costs, or why it costs nothing.

A test requires that each type of each stage is in exactly one of the two lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PRICED: Final[Mapping[str, tuple[str, ...]]] = {
    "AWS::ApiGatewayV2::Api": ("gateway-request",),
    "AWS::ApiGatewayV2::Stage": ("metric", "logs-ingested"),
    "AWS::Backup::BackupPlan": ("backup-dynamodb", "backup-s3"),
    "AWS::CloudTrail::Trail": ("trail-event",),
    "AWS::CloudWatch::Alarm": ("alarm-metric",),
    "AWS::CloudWatch::CompositeAlarm": ("alarm-composite",),
    "AWS::CloudWatch::Dashboard": ("dashboard",),
    "AWS::DynamoDB::Table": (
        "dynamodb-write",
        "dynamodb-read",
        "dynamodb-storage",
        "dynamodb-recovery",
    ),
    "AWS::Events::Rule": ("events-opt-in",),
    "AWS::KMS::Key": ("kms-key", "kms-request", "kms-signature"),
    "AWS::Lambda::EventSourceMapping": ("sqs-request", "metric"),
    "AWS::Lambda::Function": ("lambda-request", "lambda-arm64", "lambda-x86_64", "trace"),
    "AWS::Lambda::Version": ("lambda-snapshot",),
    "AWS::Logs::LogGroup": ("logs-ingested", "logs-stored"),
    "AWS::Logs::MetricFilter": ("metric",),
    "AWS::S3::Bucket": ("s3-put", "s3-get", "s3-storage"),
    "AWS::SNS::Subscription": ("sns-email", "sns-https"),
    "AWS::SQS::Queue": ("sqs-request",),
    "AWS::SecretsManager::Secret": ("secret", "secret-request"),
}
"""Names of the prices of prices.toml that apply to a type."""

_CONFIGURATION: Final = "configuration of a resource that is priced"
_POLICY: Final = "a policy; https://aws.amazon.com/iam/faqs/ (no additional charge)"
FREE: Final[Mapping[str, str]] = {
    "AWS::ApiGatewayV2::ApiMapping": _CONFIGURATION,
    "AWS::ApiGatewayV2::Authorizer": _CONFIGURATION,
    "AWS::ApiGatewayV2::DomainName": (
        "https://aws.amazon.com/api-gateway/pricing/ prices requests, and no domain names"
    ),
    "AWS::ApiGatewayV2::Integration": _CONFIGURATION,
    "AWS::ApiGatewayV2::Route": _CONFIGURATION,
    "AWS::Backup::BackupSelection": _CONFIGURATION,
    "AWS::Backup::BackupVault": "https://aws.amazon.com/backup/pricing/ prices what is stored",
    "AWS::Budgets::Budget": (
        "https://aws.amazon.com/aws-cost-management/aws-budgets/pricing/: without actions free"
    ),
    "AWS::CloudFront::CachePolicy": _CONFIGURATION,
    "AWS::CloudFront::Distribution": (
        "https://aws.amazon.com/cloudfront/pricing/: 10,000,000 requests and 1 TB a month "
        "are free, which the people who use a console do not reach"
    ),
    "AWS::CloudFront::Function": (
        "as AWS::CloudFront::Distribution: 2,000,000 invocations a month are free"
    ),
    "AWS::CloudFront::OriginAccessControl": _POLICY,
    "AWS::CloudFront::ResponseHeadersPolicy": _CONFIGURATION,
    "AWS::CodeDeploy::Application": (
        "https://aws.amazon.com/codedeploy/pricing/: no charge for deployments to Lambda"
    ),
    "AWS::CodeDeploy::DeploymentConfig": "as AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup": "as AWS::CodeDeploy::Application",
    "AWS::IAM::ManagedPolicy": _POLICY,
    "AWS::IAM::Policy": _POLICY,
    "AWS::IAM::Role": _POLICY,
    "AWS::KMS::Alias": "https://aws.amazon.com/kms/pricing/ prices keys and requests",
    "AWS::Lambda::Alias": _CONFIGURATION,
    "AWS::Lambda::EventInvokeConfig": _CONFIGURATION,
    "AWS::Lambda::Permission": _POLICY,
    "AWS::Logs::QueryDefinition": (
        "https://aws.amazon.com/cloudwatch/pricing/ prices a query when a person runs it"
    ),
    "AWS::Logs::ResourcePolicy": _POLICY,
    "AWS::Route53::RecordSet": "alias records to API Gateway and CloudFront are free",
    "AWS::S3::BucketPolicy": _POLICY,
    "AWS::SNS::Topic": "https://aws.amazon.com/sns/pricing/ prices messages and deliveries",
    "AWS::SNS::TopicPolicy": _POLICY,
    "AWS::SQS::QueuePolicy": _POLICY,
    "AWS::SSM::Parameter": (
        "https://aws.amazon.com/systems-manager/pricing/: standard parameters are free"
    ),
}
"""Why a type costs nothing, with its source where it is not configuration of another resource."""
