#!/usr/bin/env python3
"""Tells which alerts fire after what processes have said of themselves.

ops/metrics/firing.py SCRAPE...

Each SCRAPE is a folder with one file for each process that was scraped then: what `/metrics` said, under
the name of the process. They count as a minute apart, as Prometheus takes them, so that rules that ask for
some minutes get them. One line for each alert that fires at the last one, with its labels.
"""

import json
import re
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from metrics.tests.helpers import RULES, promtool  # noqa: E402

# A series and its value, without the exemplar that may follow.
SAMPLE = re.compile(r'^(\w+)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)')
FIRING = re.compile(r'\{__name__="ALERTS", ([^}]*)\} 1E\+00')


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    for alert in firing([pages(Path(folder)) for folder in arguments]):
        print(alert)
    return 0


def pages(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def firing(scrapes: list[dict[str, str]]) -> list[str]:
    """The labels of the alerts that fire at the last of these scrapes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.yml"
        path.write_text(json.dumps(rule_test(scrapes)))
        done = promtool("test", "rules", str(path))
        if done.returncode == 0:
            return []
        told = done.stdout + done.stderr
        found = FIRING.findall(told)
        if not found:
            raise RuntimeError(told)
        return sorted(found)


def rule_test(scrapes: list[dict[str, str]]) -> dict:
    """A test that nothing fires; where it fails, promtool says what does."""
    series: dict[str, list[str]] = {}
    wanted = set(re.findall(r"\b[a-z]\w+", RULES.read_text()))
    for number, scrape in enumerate(scrapes):
        for instance, page in scrape.items():
            for name, value in samples(page, instance, wanted):
                values = series.setdefault(name, [])
                values += absent(values, number) + [value]
    for values in series.values():
        values += absent(values, len(scrapes))
    recorded = [{"series": name, "values": " ".join(values)} for name, values in series.items()]
    asked = {
        "expr": 'ALERTS{alertstate="firing"}',
        "eval_time": f"{len(scrapes) - 1}m",
        "exp_samples": [],
    }
    test = {"interval": "1m", "input_series": recorded, "promql_expr_test": [asked]}
    return {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}


def absent(values: list[str], until: int) -> list[str]:
    """What Prometheus notes of a series that was there and is not any more, or was not there yet."""
    return ["stale" if values else "_"] * (until - len(values))


def samples(page: str, instance: str, wanted: set[str]) -> list[tuple[str, str]]:
    found = []
    for line in page.splitlines():
        sample = SAMPLE.match(line)
        if sample and sample[1] in wanted:
            labels = [sample[2]] if sample[2] else []
            labels += [f'instance="{instance}"', 'job="cityevents"']
            found.append((f"{sample[1]}{{{','.join(labels)}}}", sample[3]))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
