"""The commands of `python -m local`, for people: each is a target of the Makefile."""

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
    return run(make_parser(), arguments)


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Run the command that the arguments name; a failure is one message and exit code 1."""
    options = parser.parse_args(arguments)
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
        # The reader, for example `head`, has exited; Python must not try to flush to it.
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
    from local.emulator.ports import parse_port

    wanted = options.port or os.environ.get("PORT") or None
    stack = up(workspace, None if wanted is None else parse_port(wanted), progress)
    progress.say(
        "The local stage is running. Stop it with make down; make down KEEP=1 keeps its data."
    )
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

    if options.schedule == "canary":
        _require_canary(workspace, progress)
    answer, seconds = tick(require_stack(workspace), options.schedule)
    progress.say(sentence(options.schedule, answer, seconds))


def _require_canary(workspace: Workspace, progress: Progress) -> None:
    """On AWS an operator makes the canary's merchant; here its first run does."""
    from operations.canary_merchant import canary_target, has_canary, set_up_canary

    target = canary_target(workspace, progress, stage=None, api_url=None)
    if not has_canary(target):
        set_up_canary(target)


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


def _env(_options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.shell_variables import print_variables

    print_variables(workspace, progress)


def _console(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.console import show_console

    show_console(workspace, progress, merchant=options.merchant, may_open=options.may_open)


def _demo(_options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.demo.story import demo

    demo(workspace, progress)


def _listen(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.webhooks.listen import listen

    listen(
        workspace,
        progress,
        merchant=options.merchant,
        secret=options.secret,
        forward=options.forward,
        count=options.count,
    )


def _trigger(options: argparse.Namespace, workspace: Workspace, progress: Progress) -> None:
    from local.webhooks.trigger import trigger

    merchant, data = options.merchant, options.data
    trigger(workspace, progress, event=options.event, merchant=merchant, data=data)


def _lost_emulator(workspace: Workspace, error: Exception) -> LocalError | None:
    """The error for an emulator that died during a command; None if it still runs."""
    from local.emulator import ministack

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


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"give a number from 1, not {text!r}")
    return int(text)


def add_state_directory(parser: argparse.ArgumentParser) -> None:
    """The option that says where the local stage keeps its state."""
    help_text = f"where the stage keeps its state (default: ${DIRECTORY_VARIABLE}, else .local)"
    parser.add_argument("--state-dir", type=Path, default=None, help=help_text)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    from local.auth import DEFAULT_TTL_SECONDS, MERCHANT_PERMISSIONS

    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    add_state_directory(parser)
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
    env = commands.add_parser("env", help="print shell variables: API, TOKEN, MERCHANT, …")
    env.set_defaults(command=_env)
    demo = commands.add_parser("demo", help="show the whole system step by step")
    demo.set_defaults(command=_demo)
    console = commands.add_parser("console", help="print the console's address, and open it")
    console.add_argument("--merchant", default="", metavar="mer_…", help="default: an operator")
    console.add_argument(
        "--no-open", dest="may_open", action="store_false", help="only print the address"
    )
    console.set_defaults(command=_console)
    _add_webhook_commands(commands)
    return parser


def _add_webhook_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    listen = commands.add_parser("listen", help="show webhooks as they arrive, and forward them")
    listen.add_argument("--merchant", default="", metavar="mer_…", help="default: that of `seed`")
    listen.add_argument("--secret", default="", metavar="whsec_…", help="of another merchant")
    listen.add_argument("--forward", default="", metavar="URL", help="also send them there")
    listen.add_argument("--count", type=_number, default=None, help="end after so many webhooks")
    listen.set_defaults(command=_listen)

    trigger = commands.add_parser("trigger", help="have an event really happen")
    trigger.add_argument("--event", default="", metavar="TYPE", help="payment.succeeded, …")
    trigger.add_argument("--merchant", default="", metavar="mer_…", help="default: that of `seed`")
    trigger.add_argument("--data", default="", metavar="JSON", help="members of the request")
    trigger.set_defaults(command=_trigger)


if __name__ == "__main__":
    sys.exit(main())
