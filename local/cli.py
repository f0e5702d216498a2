"""The commands behind `make up`, `down`, `token`, `seed`, `tick`, `logs` and `demo`."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from local.errors import LocalError
from local.progress import Progress
from local.workspace import DIRECTORY_VARIABLE, Workspace

Command = Callable[[argparse.Namespace, Workspace, Progress], None]

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130

DEFAULT_LOG_MINUTES: Final = 15
MOST_LOG_MINUTES: Final = 24 * 60
"""The local stage keeps its logs for a day."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a failure is one message and exit code 1."""
    options = _parser().parse_args(arguments)
    workspace = Workspace.find(options.state_dir)
    progress = Progress()
    signal.signal(signal.SIGTERM, _interrupt)
    command: Command = options.command
    try:
        command(options, workspace, progress)
    except LocalError as error:
        progress.failed(error)
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader, `head` say, has gone; Python must not try to flush what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        progress.say("Interrupted.")
        return EXIT_INTERRUPTED
    except Exception as error:
        explained = _lost_emulator(workspace, error)
        if explained is None:
            raise
        progress.failed(explained)
        return EXIT_FAILED
    return 0


def _up(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.deploy import up
    from local.ports import parse_port

    wanted = options.port or os.environ.get("PORT") or None
    stack = up(workspace, None if wanted is None else parse_port(wanted), progress)
    progress.say("The local stage runs. Stop it, and delete its data: make down. Keep it: KEEP=1")
    print(stack.api_url)


def _down(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.deploy import down

    progress.say(str(down(workspace, keep=options.keep)))


def _token(options: argparse.Namespace, workspace: Workspace, _progress: Progress) -> None:
    from local.auth import Grant, token

    ttl_seconds: int = options.ttl
    if options.operator:
        print(token(Grant.operator(ttl_seconds), workspace))
        return
    from local.merchants import require_merchant
    from local.stackfile import require_stack

    permissions = tuple(name.strip() for name in options.permissions.split(",") if name.strip())
    _require_known(permissions)
    require_merchant(require_stack(workspace), workspace, options.merchant)
    grant = Grant(permissions, merchant_id=options.merchant, ttl_seconds=ttl_seconds)
    print(token(grant, workspace))


def _require_known(permissions: tuple[str, ...]) -> None:
    from local.auth import MERCHANT_PERMISSIONS

    unknown = sorted(set(permissions) - set(MERCHANT_PERMISSIONS))
    if unknown:
        raise LocalError(
            f"No such permission: {', '.join(unknown)}.",
            hint=f"A merchant may have {', '.join(MERCHANT_PERMISSIONS)}; admin is --operator.",
        )


def _tick(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.schedule_reports import sentence
    from local.schedules import tick
    from local.stackfile import require_stack

    answer, seconds = tick(require_stack(workspace), options.schedule)
    progress.say(sentence(options.schedule, answer, seconds))


def _logs(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.logs import last_events
    from local.stackfile import require_stack

    minutes: int = options.since
    lines = last_events(require_stack(workspace), options.function, minutes, time.time())
    if not lines:
        progress.say(f"{options.function} has written nothing in the last {minutes} min.")
    for line in lines:
        print(line)


def _seed(_options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.seed import seed

    seed(workspace, progress)


def _proof(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.proof import run_ledger_verification

    run_ledger_verification(workspace, progress, restart=options.restart)


def _rebuild_totals(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.rebuild_totals import rebuild_totals

    rebuild_totals(workspace, progress, repair=options.repair, stage=options.stage)


def _rebuild_balances(
    options: argparse.Namespace, workspace: Workspace, progress: Progress
) -> None:
    from local.rebuild_balances import rebuild_balances

    rebuild_balances(workspace, progress, repair=options.repair, stage=options.stage)


def _rotate_keys(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.rotation import rotate_keys

    rotate_keys(workspace, progress, new_index_key=options.index)


def _apply_events(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.apply_processor_events import apply_processor_events

    apply_processor_events(workspace, progress, stage=options.stage)


def _upload_settlement(
    options: argparse.Namespace, workspace: Workspace, progress: Progress
) -> None:
    from local.upload_settlement import upload_settlement

    upload_settlement(
        workspace, progress, file=options.file, merchant=options.merchant, stage=options.stage
    )


def _redrive(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.redrive import list_batches, redrive, require_nothing_left
    from local.redrive_target import deployed_target, local_target
    from local.stackfile import require_stack

    stage: str | None = options.stage
    target = local_target(require_stack(workspace)) if stage is None else deployed_target(stage)
    if options.dry_run:
        for line in list_batches(target):
            print(line)
        return
    require_nothing_left(redrive(target, progress), progress)


def _verify_audit(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.verify_audit import verify_audit

    verify_audit(workspace, progress, entity=options.entity)


def _demo(_options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.demo import demo

    demo(workspace, progress)


def _lost_emulator(workspace: Workspace, error: Exception) -> LocalError | None:
    """The error for an emulator that went away under a command, or None when it did not."""
    from local import ministack

    if not workspace.process_file.exists() or ministack.running(workspace) is not None:
        return None
    lost = ministack.died(workspace.emulator_log, "stopped unexpectedly")
    lost.__cause__ = error
    return lost


def _interrupt(_signal_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM cleans up as Ctrl-C does."""
    raise KeyboardInterrupt


def _minutes(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_LOG_MINUTES:
        raise argparse.ArgumentTypeError(f"give 1 to {MOST_LOG_MINUTES} minutes, not {text!r}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    from local.auth import DEFAULT_TTL_SECONDS, MERCHANT_PERMISSIONS

    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    help_text = f"where the stage keeps its state (default: ${DIRECTORY_VARIABLE}, else .local)"
    parser.add_argument("--state-dir", type=Path, default=None, help=help_text)
    commands = parser.add_subparsers(required=True, metavar="command")

    up = commands.add_parser("up", help="start the emulator, deploy, print the API's URL")
    up.add_argument("--port", default=None, help="default: $PORT, else 4566")
    up.set_defaults(command=_up)

    down = commands.add_parser("down", help="stop what `up` started, and delete its data")
    down.add_argument("--keep", action="store_true", help="keep the data for the next `up`")
    down.set_defaults(command=_down)

    token = commands.add_parser("token", help="print a signed token and nothing else")
    who = token.add_mutually_exclusive_group(required=True)
    who.add_argument("--merchant", metavar="mer_…")
    who.add_argument(
        "--operator", action="store_true", help="a platform operator: permission admin"
    )
    token.add_argument("--permissions", default=",".join(MERCHANT_PERMISSIONS), metavar="a,b")
    token.add_argument("--ttl", type=int, default=DEFAULT_TTL_SECONDS, metavar="SECONDS")
    token.set_defaults(command=_token)

    tick = commands.add_parser("tick", help="run one schedule now, and wait for it")
    tick.add_argument("schedule", help="resolver, holds, proof, …")
    tick.set_defaults(command=_tick)

    logs = commands.add_parser("logs", help="print what a function has written lately")
    logs.add_argument("function", help="process, query, resolver, …")
    logs.add_argument("--since", type=_minutes, default=DEFAULT_LOG_MINUTES, metavar="MINUTES")
    logs.set_defaults(command=_logs)

    seed = commands.add_parser("seed", help="create a merchant, customers and accounts")
    seed.set_defaults(command=_seed)
    upload = commands.add_parser(
        "upload-settlement", help="upload a settlement file and show what it came to"
    )
    upload.add_argument("--file", default="", metavar="PATH")
    upload.add_argument("--merchant", default="", metavar="mer_…")
    upload.add_argument(
        "--stage", default=None, metavar="NAME", help="a stage in AWS (token: $PAYMENTS_TOKEN)"
    )
    upload.set_defaults(command=_upload_settlement)
    _add_upkeep(commands)
    demo = commands.add_parser("demo", help="the whole system in one story")
    demo.set_defaults(command=_demo)
    return parser


def _add_upkeep(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """What checks and renews what is stored."""
    proof = commands.add_parser("proof", help="prove that the books balance")
    proof.add_argument("--restart", action="store_true", help="forget an unfinished run")
    proof.set_defaults(command=_proof)
    audit = commands.add_parser("verify-audit", help="verify the audit log against its archive")
    audit.add_argument("--entity", metavar="acc_…", help="only what the log tells of it")
    audit.set_defaults(command=_verify_audit)
    stage_help = "a stage in AWS, by your credentials (default: the local one)"
    rebuilds: tuple[tuple[str, str, Command], ...] = (
        ("rebuild-totals", "compare the totals with the payments", _rebuild_totals),
        ("rebuild-balances", "compare hot accounts with the transfers", _rebuild_balances),
    )
    for name, about, command in rebuilds:
        rebuild = commands.add_parser(name, help=about)
        rebuild.add_argument("--repair", action="store_true", help="put right what is wrong")
        rebuild.add_argument("--stage", default=None, metavar="NAME", help=stage_help)
        rebuild.set_defaults(command=command)
    rotate = commands.add_parser("rotate-keys", help="encipher again what old keys enciphered")
    rotate.add_argument("--index", action="store_true", help="make a new key of e-mail indexes")
    rotate.set_defaults(command=_rotate_keys)
    events = commands.add_parser(
        "apply-processor-events", help="try again what processors said and could not be applied"
    )
    events.add_argument("--stage", default=None, metavar="NAME", help=stage_help)
    events.set_defaults(command=_apply_events)
    redrive = commands.add_parser("redrive", help="project again what the streams gave up")
    redrive.add_argument("--dry-run", action="store_true", help="only list what lies there")
    redrive.add_argument(
        "--stage", default=None, help="a stage deployed to AWS, with the shell's credentials"
    )
    redrive.set_defaults(command=_redrive)


if __name__ == "__main__":
    sys.exit(main())
