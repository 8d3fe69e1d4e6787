"""Finds every metric that the source registers, with what is said of it there.

A metric is a call `register("name", "meaning", handle)` or `register_with_unit("name", "meaning",
Unit::…, handle)`, or, in a collector, `put("name", "meaning", …)`. Its kind and its labels are those
of the handle's type, which is declared in the same file. What looks like a metric and is not
understood is an error with its place: the catalogue has all of them or is not written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Where shipped code is.
SOURCES = ("api/src", "ingest/src", "processors/*/src", "processors/src", "ops/*/src")
PREFIX = "cityevents"

CALL = re.compile(r'\b(?:registry|r)\s*\.\s*(register|register_with_unit)\(\s*(?=")')
COLLECTED = re.compile(r'\bput\(\s*(?=")')
KINDS = {"Counter": "counter", "Gauge": "gauge", "Histogram": "histogram"}


class Unclear(Exception):
    """A registration that is not understood."""


@dataclass(frozen=True)
class Metric:
    # As it is asked for: with the suffix of its unit, and `_total` or `_info`.
    name: str
    kind: str
    unit: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def area(self) -> str:
        return self.name.split("_")[1]

    def series(self) -> set[str]:
        """The names under which it is stored."""
        if self.kind == "histogram":
            return {f"{self.name}{part}" for part in ("_bucket", "_sum", "_count")}
        return {self.name}


def metrics() -> list[Metric]:
    """All of them, by name."""
    found: dict[str, Metric] = {}
    for folder in SOURCES:
        for path in sorted(ROOT.glob(f"{folder}/**/*.rs")):
            for metric in of_file(path):
                if found.setdefault(metric.name, metric) != metric:
                    raise Unclear(f"{path.relative_to(ROOT)}: {metric.name} has two meanings")
    return [found[name] for name in sorted(found)]


def of_file(path: Path) -> Iterator[Metric]:
    text = path.read_text()
    if "prometheus_client" not in text:
        return
    # Tests come last in a file.
    text = text.split("#[cfg(test)]\nmod tests", 1)[0]
    where = path.relative_to(ROOT)
    for call in CALL.finditer(text):
        arguments = split(text, call.end(), where)
        if len(arguments) < 3 or not arguments[1].startswith('"'):
            continue
        unit = word(arguments[2]) if call[1] == "register_with_unit" else ""
        kind, labels = type_of(text, arguments[-1], where)
        yield metric(text, call.start(), arguments, unit, kind, labels)
    if "impl Collector for" in text:
        for call in COLLECTED.finditer(text):
            arguments = split(text, call.end(), where)
            units = [re.search(r"Unit::(\w+)", argument) for argument in arguments[2:-1]]
            unit = next((found[1].lower() for found in units if found), "")
            kind = "counter" if is_counter(text, arguments[-1]) else "gauge"
            yield metric(text, None, arguments, unit, kind, ())


def metric(
    text: str,
    start: int | None,
    arguments: list[str],
    unit: str,
    kind: str,
    labels: tuple[str, ...],
) -> Metric:
    parts = [PREFIX, *sub_registry(text, start), literal(arguments[0]), *([unit] if unit else [])]
    suffix = {"counter": ["total"], "info": ["info"]}.get(kind, [])
    return Metric("_".join(parts + suffix), kind, unit, labels, literal(arguments[1]))


def sub_registry(text: str, start: int | None) -> list[str]:
    """The prefix of the registry that the function around the call has made for itself."""
    if start is None:
        return []
    function = text[text.rfind("fn ", 0, start) : start]
    return re.findall(r'sub_registry_with_prefix\("(\w+)"\)', function)[-1:]


def split(text: str, start: int, where: Path) -> list[str]:
    """The arguments of a call whose parenthesis opens just before `start`."""
    arguments, depth, begun, at = [], 0, start, start
    while at < len(text):
        character = text[at]
        if character == '"':
            at = text.index('"', at + 1)
            while text[at - 1] == "\\":
                at = text.index('"', at + 1)
        elif character in "([{":
            depth += 1
        elif character in ")]}" and depth:
            depth -= 1
        elif character == ")" or (character == "," and depth == 0):
            if argument := text[begun:at].strip():
                arguments.append(argument)
            begun = at + 1
            if character == ")":
                return arguments
        at += 1
    raise Unclear(f"{where}: a call without an end")


def literal(argument: str) -> str:
    """A string of Rust: a line that ends with a backslash goes on at the next word."""
    return re.sub(r"\\\n\s*", "", argument.strip('"'))


def word(unit: str) -> str:
    return unit.rsplit("::", 1)[-1].lower()


def type_of(text: str, handle: str, where: Path) -> tuple[str, tuple[str, ...]]:
    """Kind and labels of a handle, by the type that it is declared with."""
    if handle.startswith("Info::new"):
        return "info", tuple(re.findall(r'\("(\w+)"\.to_owned\(\)', text))
    name = handle.removesuffix(".clone()").rsplit(".", 1)[-1].strip()
    declared = re.search(
        rf"\b{re.escape(name)}: (?:Family<(\w+), *(\w+)|(Counter|Gauge|Histogram)\b)", text
    )
    kind = KINDS.get(declared[2] or declared[3]) if declared else None
    if kind is None:
        raise Unclear(f"{where}: {handle} has no type that is known to ops/metrics/scan.py")
    return kind, labels_of(text, declared[1], where) if declared[1] else ()


def labels_of(text: str, name: str, where: Path) -> tuple[str, ...]:
    body = re.search(rf"struct {name} \{{(.*?)\n\}}", text, re.DOTALL)
    if body is None:
        raise Unclear(f"{where}: the labels {name} are not declared in the same file")
    return tuple(re.findall(r"^\s*(?:pub(?:\(\w+\))? )?(\w+): ", body[1], re.MULTILINE))


def is_counter(text: str, value: str) -> bool:
    return "Counter" in value or re.search(rf"let {value} = \w+::Counter\b", text) is not None
