"""The command line of ops/stack."""

import argparse
import json
import os
import shlex
import signal
import sys
import threading
from pathlib import Path

from . import ports
from .catalogue import SERVICES, every_name, members_of, service_of
from .errors import StackError, UsageError
from .provision import Cache, default_cache
from .stack import Stack

ROOT = Path(__file__).resolve().parents[2]

EXAMPLES = """\
examples:
  ops/stack up kafka cassandra registry        start what is not running yet, wait until it answers
  eval "$(ops/stack env)"                      addresses for tests and for cityevents itself
  ops/stack status --output json               what runs, where, since when, at what cost
  ops/stack logs kafka --follow
  ops/stack kill kafka-cluster/2               SIGKILL to one broker of three
  ops/stack up kafka-cluster                   and bring it back
  ops/stack freeze cassandra                   SIGSTOP; thaw lets it go on
  ops/stack up kafka --data /tmp/mine --port kafka=29092
  ops/stack down                               stop everything
"""

UP_EXAMPLES = """\
examples:
  ops/stack up kafka cassandra registry
  ops/stack up kafka --port kafka=19092        on this port or not at all
  ops/stack up kafka --data /tmp/mine --port-base 25000
"""

_SAYING = threading.Lock()


def say(line: str) -> None:
    """Progress goes to standard error: standard output is for what was asked for."""
    with _SAYING:
        print(line, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    services = "\n".join(f"  {service.name:14} {service.summary}" for service in SERVICES.values())
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument(
        "--data",
        type=Path,
        default=ROOT / ".stack",
        metavar="DIR",
        help="folder of the servers (default: .stack)",
    )
    everywhere.add_argument(
        "--cache",
        type=Path,
        default=None,
        metavar="DIR",
        help="folder of fetched programs (default: ~/.cache/cityevents/servers)",
    )
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument(
        "--output", choices=("text", "json"), default="text", help="form of the answer"
    )

    top = argparse.ArgumentParser(
        prog="ops/stack",
        description="Real servers on this machine, without containers.",
        epilog=f"services:\n{services}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str, summary: str, *more: argparse.ArgumentParser, epilog: str = ""
    ) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=epilog,
            parents=[everywhere, *more],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    names = {"metavar": "SERVICE", "help": "one of: " + ", ".join(every_name())}
    up = command("up", "fetch, start and wait for servers", output, epilog=UP_EXAMPLES)
    up.add_argument("services", nargs="+", **names)
    up.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="LISTENER=NUMBER",
        help="a fixed port; repeatable",
    )
    up.add_argument(
        "--port-base",
        default=None,
        metavar="N",
        help="ports from N upwards instead of the usual ones",
    )
    command("status", "tell what runs", output).add_argument("services", nargs="*", **names)
    command("down", "stop servers, all of them if none is named").add_argument(
        "services", nargs="*", **names
    )
    command("env", "print the addresses of what runs, for a shell to eval", output)
    logs = command("logs", "show the end of a server's log")
    logs.add_argument("service", **names)
    logs.add_argument("--lines", type=int, default=100, metavar="N", help="how many (default: 100)")
    logs.add_argument("--follow", action="store_true", help="go on with what is written")
    command("provision", "only fetch what the servers need").add_argument(
        "services", nargs="+", **names
    )
    for name, summary in (
        ("stop", "stop servers with SIGTERM, and SIGKILL if that is not enough"),
        ("kill", "kill servers at once (SIGKILL)"),
        ("freeze", "freeze servers (SIGSTOP)"),
        ("thaw", "let frozen servers go on (SIGCONT)"),
        ("restart", "stop servers and start them again on the same ports"),
    ):
        command(name, summary).add_argument("services", nargs="+", **names)
    return top


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    try:
        return run(options)
    except UsageError as error:
        say(f"ops/stack {options.command}: {error}")
        return 2
    except StackError as error:
        say(f"ops/stack {options.command}: {error}")
        return 1
    except KeyboardInterrupt:
        say("ops/stack: interrupted")
        return 130
    except BrokenPipeError:
        # Whoever read the answer has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run(options: argparse.Namespace) -> int:
    names = getattr(options, "services", [])
    members_of(names)
    stack = Stack(options.data, Cache(options.cache or default_cache(), say), say)
    match options.command:
        case "up":
            base = None if options.port_base is None else ports.check_base(options.port_base)
            stack.up(names, ports.parse_fixed(options.port), base)
            if options.output == "json":
                print(json.dumps(stack.status([]), indent=2))
        case "status":
            return status(stack, names, options.output)
        case "down":
            stack.down(names or list(SERVICES))
        case "env":
            return environment(stack, options.output)
        case "logs":
            return logs(stack, options)
        case "provision":
            stack.provision(names)
        case "stop":
            stack.down(names)
        case "restart":
            stack.restart(names)
        case "kill":
            stack.disturb(names, signal.SIGKILL)
        case "freeze":
            stack.disturb(names, signal.SIGSTOP)
        case "thaw":
            stack.disturb(names, signal.SIGCONT)
    return 0


def status(stack: Stack, names: list[str], output: str) -> int:
    """Fails when a service was named and does not run."""
    rows = stack.status(names or list(SERVICES))
    if output == "json":
        print(json.dumps(rows, indent=2))
    elif rows:
        print(
            f"{'MEMBER':18} {'STATE':8} {'READY':6} {'ADDRESS':21}"
            f" {'PID':>8} {'MEMORY':>8} {'CPU':>8}  SINCE"
        )
        for row in rows:
            print(text_row(row))
    else:
        say("no servers; for example: ops/stack up kafka cassandra registry")
    ready = {row["member"] for row in rows if row["ready"]}
    return 0 if all(member in ready for member in members_of(names)) else 1


def text_row(row: dict) -> str:
    memory = f"{row['memory_bytes'] / 2**20:.0f} MiB" if "memory_bytes" in row else ""
    cpu = f"{row['cpu_seconds']:.1f} s" if "cpu_seconds" in row else ""
    ready = "yes" if row["ready"] else "no"
    return (
        f"{row['member']:18} {row['state']:8} {ready:6} {row['address']:21} {row.get('pid', ''):>8}"
        f" {memory:>8} {cpu:>8}  {row.get('since', '')}"
    ).rstrip()


def environment(stack: Stack, output: str) -> int:
    settings = stack.environment()
    if output == "json":
        print(json.dumps(settings, indent=2))
    else:
        for name, value in settings.items():
            print(f"export {name}={shlex.quote(value)}")
    if not settings:
        say("ops/stack env: nothing runs; for example: ops/stack up kafka cassandra registry")
    return 0 if settings else 1


def logs(stack: Stack, options: argparse.Namespace) -> int:
    service_of(options.service)
    paths = [stack.log_path(member) for member in members_of([options.service])]
    there = [str(path) for path in paths if path.exists()]
    if not there:
        raise StackError(f"{options.service} was never started in {stack.data}")
    if options.lines < 0:
        raise UsageError("--lines: a number from 0 on")
    sys.stdout.flush()
    follow = ["-F"] if options.follow else []
    os.execvp("tail", ["tail", "-n", str(options.lines), *follow, *there])
