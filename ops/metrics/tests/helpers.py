"""What the tests share: names of metrics in expressions, alerts as they are written, promtool."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from metrics.scan import ROOT, metrics
from servers.provision import Cache, default_cache

RULES = ROOT / "ops/prometheus/rules.yml"
# What Prometheus and its form of histograms add.
EXTRA_LABELS = {"instance", "job", "le"}


@dataclass(frozen=True)
class Alert:
    name: str
    expression: str
    severity: str
    runbook: str


def alerts() -> list[Alert]:
    """The alerts of the rules file, which is written in one form only."""
    text = RULES.read_text()
    blocks = re.split(r"^      - alert: ", text, flags=re.MULTILINE)[1:]
    return [alert(block) for block in blocks]


def alert(block: str) -> Alert:
    lines = block.splitlines()
    expression = re.search(r"^        expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)", block, re.MULTILINE)
    severity = re.search(r"severity: (\w+)", block)
    runbook = re.search(r"runbook_url: (\S+)", block)
    assert expression and severity and runbook, f"{lines[0]} is not written like the others"
    return Alert(lines[0], expression[1] or expression[2], severity[1], runbook[1])


def unknown_names(expression: str) -> list[str]:
    """Metrics and labels of an expression that no process has."""
    labels_of = {series: set(one.labels) for one in metrics() for series in one.series()}
    wrong = []
    for name, matchers in re.findall(r"\b(cityevents_\w+)(?:\{([^}]*)\})?", expression):
        if name not in labels_of:
            wrong.append(name)
            continue
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        wrong += [f"{name}{{{label}}}" for label in used - labels_of[name] - EXTRA_LABELS]
    every = set().union(EXTRA_LABELS, *labels_of.values())
    for grouped in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", expression):
        used = {label.strip() for label in grouped.split(",")}
        wrong += [f"by ({label})" for label in used - every]
    return wrong


def promtool(*arguments: str) -> subprocess.CompletedProcess:
    """Prometheus' own tool, installed from Debian where it is missing."""
    program = Cache(default_cache(), print).debian("promtool", "prometheus")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)


def check_expressions(expressions: list[str]) -> str:
    """What promtool finds wrong with them, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yml"
        rules = "".join(
            f"      - record: checked:{number}\n        expr: {one!r}\n"
            for number, one in enumerate(expressions)
        )
        path.write_text(f"groups:\n  - name: checked\n    rules:\n{rules}")
        done = promtool("check", "rules", str(path))
        return "" if done.returncode == 0 else done.stdout + done.stderr
