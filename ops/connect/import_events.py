#!/usr/bin/env python3
"""Makes events from a table (CSV), through /api/ingest.

    CITYEVENTS_API_KEY=… ops/connect/import_events.py events.csv --url http://127.0.0.1:8080

The first line names the columns: `reference`, `owner_id`, and the fields of an event (title,
description, city, category, location, start_time, end_time, capacity, waitlist_limit, opens_at);
`publish` with `yes` publishes the event at once. The reference is the idempotency key, so that the
same table can be imported again: rows that are there already are told, not made twice.

Prints a line for each row: its reference, and the id of its event or what is wrong with it. Exit
code 1 when a row was refused, 2 for wrong usage.
"""

import argparse
import csv
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

TEXTS = ("title", "description", "city", "category", "location")
TIMES = ("start_time", "end_time", "opens_at")
NUMBERS = ("capacity", "waitlist_limit")
COLUMNS = {"reference", "owner_id", "publish", *TEXTS, *TIMES, *NUMBERS}
NEEDED = {"reference", "owner_id", "title", "start_time", "end_time"}
# Lines in one upload: its answers are read when it is sent, and must fit in between.
UPLOAD_LINES = 500
ANSWER_WITHIN_SECONDS = 60


class Wrong(Exception):
    """What was given makes no sense."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="a CSV file, UTF-8")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="where the service is")
    options = parser.parse_args()
    try:
        key = os.environ.get("CITYEVENTS_API_KEY")
        if not key:
            raise Wrong("set CITYEVENTS_API_KEY (cityevents api-keys create --scope ingest)")
        rows = list(read(options.table))
        refused = sum(run(options.url, key, some) for some in pieces(rows))
    except Wrong as error:
        print(f"import_events: {error}", file=sys.stderr)
        return 2
    print(f"{len(rows) - refused} of {len(rows)} rows are events", file=sys.stderr)
    return 1 if refused else 0


def read(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            table = csv.DictReader(text, strict=True)
            columns = set(table.fieldnames or ())
            if unknown := columns - COLUMNS:
                raise Wrong(f"{path}: unknown columns: {', '.join(sorted(unknown))}")
            if missing := NEEDED - columns:
                raise Wrong(f"{path}: missing columns: {', '.join(sorted(missing))}")
            for row in table:
                if None in row or None in row.values():
                    raise Wrong(f"{path}: line {table.line_num} has not {len(columns)} columns")
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Wrong(f"{path}: {error}") from error


def pieces(rows: list[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    for start in range(0, len(rows), UPLOAD_LINES):
        yield rows[start : start + UPLOAD_LINES]


def run(url: str, key: str, rows: list[dict[str, str]]) -> int:
    """Imports some rows; how many were refused."""
    made = upload(url, key, [line("create", row, body=fields(row)) for row in rows])
    published = [
        (row, answer)
        for row, answer in zip(rows, made, strict=True)
        if answer["status"] == "accepted" and row.get("publish") == "yes"
    ]
    lines = [line("publish", row, event_id=event_of(answer)) for row, answer in published]
    told = upload(url, key, lines)
    verdicts = dict(zip((row["reference"] for row, _ in published), told, strict=True))
    refused = 0
    for row, answer in zip(rows, made, strict=True):
        reference = row["reference"]
        problem = problem_of(answer) or problem_of(verdicts.get(reference, answer))
        print(f"{reference}\t{problem or event_of(answer)}")
        refused += problem is not None
    return refused


def fields(row: dict[str, str]) -> dict[str, object]:
    """The body of a create; what is empty is left out, and what is wrong is for the service to say."""
    body: dict[str, object] = {name: row[name] for name in (*TEXTS, *TIMES) if row.get(name)}
    for name in NUMBERS:
        if text := row.get(name):
            body[name] = int(text) if text.isdigit() else text
    return body


def line(kind: str, row: dict[str, str], **more: object) -> dict[str, object]:
    who = {"user_id": row["owner_id"], "idempotency_key": row["reference"]}
    return {"type": kind, **who, **more}


def upload(url: str, key: str, lines: list[dict[str, object]]) -> list[dict]:
    if not lines:
        return []
    body = "".join(json.dumps(one) + "\n" for one in lines).encode()
    headers = {"X-Api-Key": key, "Content-Type": "application/x-ndjson"}
    request = urllib.request.Request(f"{url}/api/ingest", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_SECONDS) as answer:
            told = [json.loads(text) for text in answer]
    except urllib.error.HTTPError as error:
        raise Wrong(f"{url} refuses: {error.read().decode(errors='replace')}") from error
    except OSError as error:
        raise Wrong(f"{url} cannot be reached: {error}") from error
    if len(told) != len(lines):
        raise Wrong(f"{url} answered {len(told)} of {len(lines)} lines: import again")
    return told


def event_of(answer: dict) -> str:
    return answer["outcome"]["id"]


def problem_of(answer: dict) -> str | None:
    if answer["status"] == "accepted":
        return None
    error = answer.get("error", {})
    return f"{answer['status']}: {error.get('code', '')} {json.dumps(error)}"


if __name__ == "__main__":
    sys.exit(main())
