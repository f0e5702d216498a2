"""The commands that check, repair and renew what a stage stores: `python -m operations …`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from local.cli import Command, add_state_directory, run
from local.progress import Progress
from local.workspace import Workspace
from runtime.tables import RESTORE_NAME

MOST_CLIENTS: Final = 1_000
"""Threads of a load test; more would only wait for each other."""
_STAGE_HELP: Final = "a stage in AWS, by your credentials (default: the local one)"


def _proof(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from operations.verify_ledger import run_ledger_verification
    from runtime.verification.rules import RunKind

    kind = RunKind.INCREMENTAL if options.changes else RunKind.FULL
    run_ledger_verification(workspace, progress, kind=kind, restart=options.restart)


def _rebuild_totals(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from operations.rebuild_totals import rebuild_totals

    rebuild_totals(
        workspace,
        progress,
        repair=options.repair,
        stage=options.stage,
        restored=options.restored,
    )


def _rebuild_balances(
    options: argparse.Namespace, workspace: Workspace, progress: Progress
) -> None:
    from operations.rebuild_balances import rebuild_balances

    rebuild_balances(
        workspace,
        progress,
        repair=options.repair,
        stage=options.stage,
        restored=options.restored,
    )


def _rotate_keys(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from operations.rotate_keys import rotate_keys

    rotate_keys(workspace, progress, new_index_key=options.index)


def _apply_events(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from operations.apply_processor_events import apply_processor_events

    apply_processor_events(workspace, progress, stage=options.stage)


def _upload_settlement(
    options: argparse.Namespace, workspace: Workspace, progress: Progress
) -> None:
    from operations.upload_settlement import upload_settlement

    upload_settlement(
        workspace, progress, file=options.file, merchant=options.merchant, stage=options.stage
    )


def _upload_console(options: argparse.Namespace, _: Workspace, progress: Progress) -> None:
    from operations.upload_console import upload_console

    upload_console(options.stage, progress)


def _canary_merchant(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from operations.canary_merchant import canary_target, set_up_canary

    target = canary_target(
        workspace, progress, stage=options.stage, api_url=options.api_url or None
    )
    made = set_up_canary(target, options.merchant or None)
    progress.say(f"The canary of {target.stage} is {made.merchant_id}; it calls {made.api_url}.")


def _redrive(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.stackfile import require_stack
    from operations.redrive import list_batches, redrive, require_nothing_left
    from operations.redrive_target import deployed_target, local_target

    stage: str | None = options.stage
    target = local_target(require_stack(workspace)) if stage is None else deployed_target(stage)
    if options.dry_run:
        for line in list_batches(target):
            print(line)
        return
    require_nothing_left(redrive(target, progress), progress)


def _rollback(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.stackfile import require_stack
    from operations.rollback import deployed_target, local_target, roll_back, show_deployments

    stage: str | None = options.stage
    target = local_target(require_stack(workspace)) if stage is None else deployed_target(stage)
    moment: datetime | None = options.to
    if moment is None:
        print("Deployments, newest first, each from its first to its last version.")
        print("To roll back to one, give the time of its last version: TO=…")
        lines: Sequence[str] = show_deployments(target)
    else:
        lines = roll_back(target, moment, progress, dry_run=options.dry_run)
        print("Would change:" if options.dry_run else "Changed:", "" if lines else "nothing")
    for line in lines:
        print(f"  {line}")


def _restore(options: argparse.Namespace, _: Workspace, progress: Progress) -> None:
    from operations.deployed import names_of
    from operations.restore import RestoreTarget, next_steps, restore
    from runtime.functions.composition import aws_clients
    from runtime.functions.composition.real_outside import real_outside

    tables = names_of(options.stage, "data", "Tables")
    client = aws_clients.botocore_dynamodb()
    target = RestoreTarget(options.stage, tables, client, real_outside().sleep)
    for name in restore(target, options.to, options.name, progress):
        print(name)
    for line in next_steps(options.stage, options.name):
        progress.say(line)


def _restore_name(text: str) -> str:
    if re.fullmatch(RESTORE_NAME, text) is None:
        raise argparse.ArgumentTypeError(f"give 1 to 12 of a-z and 0-9, not {text!r}")
    return text


def _preflight(options: argparse.Namespace, _: Workspace, __: Progress) -> None:
    from operations.preflight.command import preflight

    report = preflight(options.stage, options.assembly, options.format)
    if report.exit_code:
        raise SystemExit(report.exit_code)


def _trace(options: argparse.Namespace, workspace: Workspace, _progress: Progress) -> None:
    from operations.trace.command import trace

    trace(workspace, identifier=options.id, hours=options.since, stage=options.stage)


def _hours(text: str) -> int:
    from operations.trace.command import MOST_HOURS

    if not text.isdecimal() or not 1 <= int(text) <= MOST_HOURS:
        raise argparse.ArgumentTypeError(f"give 1 to {MOST_HOURS} hours, not {text!r}")
    return int(text)


def _moment(text: str) -> datetime:
    from operations.rollback import moment_of

    try:
        return moment_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"give a time with its zone, such as 2026-12-01T09:30:00Z ({error})"
        ) from error


def _verify_audit(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from operations.verify_audit import verify_audit

    verify_audit(
        workspace,
        progress,
        entity=options.entity,
        stage=options.stage,
        restored=options.restored,
    )


def _load(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from operations.load.run import load, plan_of
    from operations.load.target import SANDBOX_METHOD, Wanted

    wanted = Wanted(
        stage=options.stage,
        merchant=options.merchant or None,
        payment_method=options.payment_method or SANDBOX_METHOD,
        moves_real_money=options.moves_real_money,
    )
    plan = plan_of(options.rate, options.seconds, options.clients)
    load(plan, wanted, workspace, progress)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"give a number above 0, not {text!r}")
    return number


def _clients(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_CLIENTS:
        raise argparse.ArgumentTypeError(f"give 1 to {MOST_CLIENTS} clients, not {text!r}")
    return int(text)


def _add_load(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    load = commands.add_parser(
        "load", help="send mixed requests at a rate, and check every answer afterwards"
    )
    load.add_argument(
        "--stage",
        default=None,
        metavar="NAME",
        help="a stage in AWS (token: $PAYMENTS_TOKEN; default: the local one)",
    )
    load.add_argument(
        "--rate", type=_positive, default=10.0, metavar="N", help="requests per second (10)"
    )
    load.add_argument("--seconds", type=_positive, default=30.0, metavar="N", help="how long (30)")
    load.add_argument(
        "--clients", type=_clients, default=None, metavar="N", help="requests at once, at the most"
    )
    load.add_argument(
        "--merchant", default="", metavar="mer_…", help="an operator's token acts for it"
    )
    load.add_argument(
        "--payment-method", default="", metavar="TOKEN", help="default: the sandbox's tok_approved"
    )
    load.add_argument(
        "--moves-real-money", action="store_true", help="needed for a stage of live payments"
    )
    load.set_defaults(command=_load)


def _add_upkeep(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Commands that check and repair stored data."""
    proof = commands.add_parser("proof", help="verify the ledger")
    proof.add_argument("--changes", action="store_true", help="only what changed, as each day")
    proof.add_argument("--restart", action="store_true", help="discard an unfinished run")
    proof.set_defaults(command=_proof)
    audit = commands.add_parser("verify-audit", help="verify the audit log against its archive")
    audit.add_argument("--entity", metavar="acc_…", help="only the rows of this entity")
    _add_stage_or_restore(audit)
    audit.set_defaults(command=_verify_audit)
    rebuilds: tuple[tuple[str, str, Command], ...] = (
        ("rebuild-totals", "compare the totals with the payments", _rebuild_totals),
        ("rebuild-balances", "compare hot accounts with the transfers", _rebuild_balances),
    )
    for name, about, command in rebuilds:
        rebuild = commands.add_parser(name, help=about)
        rebuild.add_argument("--repair", action="store_true", help="repair what is wrong")
        _add_stage_or_restore(rebuild)
        rebuild.set_defaults(command=command)
    rotate = commands.add_parser("rotate-keys", help="re-encrypt rows under current keys")
    rotate.add_argument("--index", action="store_true", help="create a new key for e-mail indexes")
    rotate.set_defaults(command=_rotate_keys)
    events = commands.add_parser(
        "apply-processor-events", help="retry processor events that could not be applied"
    )
    events.add_argument("--stage", default=None, metavar="NAME", help=_STAGE_HELP)
    events.set_defaults(command=_apply_events)
    redrive = commands.add_parser("redrive", help="process failed stream batches again")
    redrive.add_argument("--dry-run", action="store_true", help="only list the failed batches")
    redrive.add_argument(
        "--stage", default=None, help="a stage deployed to AWS, with the shell's credentials"
    )
    redrive.set_defaults(command=_redrive)


def _add_stage_or_restore(command: argparse.ArgumentParser) -> None:
    command.add_argument("--stage", default=None, metavar="NAME", help=_STAGE_HELP)
    command.add_argument(
        "--restored", default=None, metavar="NAME", help="the tables of this restore instead"
    )


def _add_stage(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Commands for a stage's deployments, its canary, and what happened in it."""
    back = commands.add_parser(
        "rollback", help="point the functions to their versions of an earlier time"
    )
    back.add_argument(
        "--to",
        type=_moment,
        default=None,
        metavar="TIME",
        help="for example 2026-12-01T09:30:00Z (default: only list the deployments)",
    )
    back.add_argument("--dry-run", action="store_true", help="only show what would change")
    back.add_argument("--stage", default=None, metavar="NAME", help=_STAGE_HELP)
    back.set_defaults(command=_rollback)
    canary = commands.add_parser(
        "canary-merchant", help="create the canary's merchant and API key, or replace its key"
    )
    canary.add_argument(
        "--stage",
        default=None,
        metavar="NAME",
        help="a stage in AWS (an operator's token: $PAYMENTS_TOKEN; default: the local one)",
    )
    canary.add_argument(
        "--merchant", default="", metavar="mer_…", help="required for live payments"
    )
    canary.add_argument(
        "--api-url", default="", metavar="URL", help="what the canary calls (default: the API's)"
    )
    canary.set_defaults(command=_canary_merchant)
    trace = commands.add_parser("trace", help="print the story of a request or payment")
    trace.add_argument("--id", default="", metavar="req_…|pay_…")
    trace.add_argument(
        "--since",
        type=_hours,
        default=None,
        metavar="HOURS",
        help="search the log so far back (default: from the first row on)",
    )
    trace.add_argument("--stage", default=None, metavar="NAME", help=_STAGE_HELP)
    trace.set_defaults(command=_trace)


def _add_preflight(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    preflight = commands.add_parser(
        "preflight",
        help="check an account before a deployment",
        description="Exit code 1: findings; 2: none, but something could not be checked.",
    )
    preflight.add_argument("--stage", required=True, metavar="NAME", help="a stage of cdk.json")
    preflight.add_argument(
        "--assembly", type=Path, required=True, metavar="PATH", help="where it was synthesized"
    )
    preflight.add_argument("--format", choices=("text", "json"), default="text")
    preflight.set_defaults(command=_preflight)


def _add_restore(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    restore = commands.add_parser(
        "restore", help="restore all tables of a stage in AWS to one instant, under new names"
    )
    restore.add_argument("--stage", required=True, metavar="NAME", help="the stage")
    restore.add_argument(
        "--to", type=_moment, required=True, metavar="TIME", help="such as 2026-12-01T09:30:00Z"
    )
    restore.add_argument(
        "--name", type=_restore_name, required=True, metavar="NAME", help="ends the tables' names"
    )
    restore.set_defaults(command=_restore)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a failure is one message and exit code 1."""
    from operations.deployed import use_region

    use_region(os.environ)
    return run(make_parser(), arguments)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="python -m operations", description=__doc__)
    add_state_directory(parser)
    commands = parser.add_subparsers(required=True, metavar="command")
    upload = commands.add_parser(
        "upload-settlement", help="upload a settlement file and show what it came to"
    )
    upload.add_argument("--file", default="", metavar="PATH")
    upload.add_argument("--merchant", default="", metavar="mer_…")
    upload.add_argument(
        "--stage", default=None, metavar="NAME", help="a stage in AWS (token: $PAYMENTS_TOKEN)"
    )
    upload.set_defaults(command=_upload_settlement)
    console = commands.add_parser("upload-console", help="upload the console's files")
    console.add_argument("--stage", required=True, metavar="NAME", help="a stage in AWS")
    console.set_defaults(command=_upload_console)
    _add_load(commands)
    _add_preflight(commands)
    _add_restore(commands)
    _add_upkeep(commands)
    _add_stage(commands)
    return parser
