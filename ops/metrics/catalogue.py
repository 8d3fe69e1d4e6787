#!/usr/bin/env python3
"""Writes ops/docs/METRICS.md: every metric that the source registers.

ops/metrics/catalogue.py           write it
ops/metrics/catalogue.py --check   fail when it is not what would be written
"""

import sys
from itertools import groupby
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from metrics.scan import ROOT, Metric, Unclear, metrics  # noqa: E402

TARGET = ROOT / "ops/docs/METRICS.md"
REMEDY = "run ops/metrics/catalogue.py and commit what it writes"

INTRODUCTION = """\
# Metrics

Each process answers `/metrics` on its operations listener (`ops.listen`), in the text form of
OpenMetrics. A metric is there once something was counted under its labels, and only in processes
whose roles have it. Labels never name an event or a person. A histogram has `_bucket`, `_sum` and
`_count`. Written by `ops/metrics/catalogue.py` from the source: do not edit.

What is shown of them is in [`ops/dashboards`](../dashboards), what wakes somebody in
[`ops/prometheus`](../prometheus) and, alert by alert, in the [runbook](RUNBOOK.md).
"""


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        text = page(metrics())
    except Unclear as error:
        print(f"catalogue: {error}", file=sys.stderr)
        return 1
    if not arguments:
        TARGET.write_text(text)
        return 0
    if TARGET.exists() and TARGET.read_text() == text:
        return 0
    print(f"{TARGET.relative_to(ROOT)} is not what the source says: {REMEDY}", file=sys.stderr)
    return 1


def page(found: list[Metric]) -> str:
    parts = [INTRODUCTION]
    for area, some in groupby(found, key=lambda metric: metric.area):
        rows = "".join(row(metric) for metric in some)
        head = "| Metric | Kind | Unit | Labels | Meaning |\n|---|---|---|---|---|\n"
        parts.append(f"## {area}\n\n{head}{rows}")
    return "\n".join(parts)


def row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    meaning = metric.meaning.replace("|", "\\|")
    return f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {meaning} |\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
