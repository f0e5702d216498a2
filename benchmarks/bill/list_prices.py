"""AWS's list prices on demand in us-east-1, in dollars, without free tiers.

Look them up again before you budget.
"""

from __future__ import annotations

from typing import Final

MILLION: Final = 1_000_000
GIGABYTE: Final = 1_000_000_000
"""AWS bills log data and storage by 2^30 bytes or 10^9, by service; the difference is below what
these figures promise."""

WRITE_UNIT: Final = 0.625 / MILLION
READ_UNIT: Final = 0.125 / MILLION
"""aws.amazon.com/dynamodb/pricing/on-demand; Lambda's reads of change streams are free."""
LAMBDA_REQUEST: Final = 0.20 / MILLION
LAMBDA_GB_SECOND: Final = 0.0000133334
"""aws.amazon.com/lambda/pricing, arm64, the first 7.5 billion GB-seconds of a month."""
GATEWAY_REQUEST: Final = 1.00 / MILLION
"""aws.amazon.com/api-gateway/pricing, HTTP APIs, the first 300 million of a month."""
SQS_REQUEST: Final = 0.40 / MILLION
"""aws.amazon.com/sqs/pricing, standard queues."""
LOG_GIGABYTE: Final = 0.50
"""aws.amazon.com/cloudwatch/pricing, logs: ingestion."""
TRACE: Final = 5.00 / MILLION
TRACED_SHARE: Final = 0.05
"""aws.amazon.com/xray/pricing. X-Ray's default rule records a request per second and 5 % of the
rest."""
S3_PUT: Final = 0.005 / 1_000
S3_GET: Final = 0.0004 / 1_000
S3_GIGABYTE_MONTH: Final = 0.023
"""aws.amazon.com/s3/pricing, S3 Standard."""
KMS_REQUEST: Final = 0.03 / 10_000
"""aws.amazon.com/kms/pricing, symmetric keys."""

VCPU_MEGABYTES: Final = 1_769
"""Memory at which a function has one vCPU; less memory has its share of one (Lambda Developer
Guide, "Configure Lambda function memory")."""
