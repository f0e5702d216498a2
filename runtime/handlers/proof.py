"""The schedule of the proof: do the books balance? A long run goes on in the next invocation."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap import proof_services
from runtime.errors import StaleWrite
from runtime.observability import logger
from runtime.services.proof import prove


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One invocation; what it has come to is the answer."""
    services = proof_services()
    services.begin(context)
    schedule = event.get("schedule")
    try:
        report = prove(services.desk)
    except StaleWrite as busy:
        logger.info("proof in other hands", schedule=schedule, detail=str(busy))
        return {"completed": False, "reason": "another invocation has the run in hand"}
    if report is None:
        logger.info("proof goes on", schedule=schedule)
        return {"completed": False, "reason": "out of time; the next invocation goes on"}
    answer: dict[str, Any] = {
        "completed": True,
        "holds": report.holds,
        "as_of": report.as_of,
        "violated": {check.name.value: check.violated for check in report.checks},
    }
    log = logger.info if report.holds else logger.error
    log("proof completed" if report.holds else "the books do not balance", **answer)
    return answer
