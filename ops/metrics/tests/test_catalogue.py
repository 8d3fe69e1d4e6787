"""The catalogue is what the source says, and the source says enough."""

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from metrics import scan
from metrics.scan import ROOT, Unclear, metrics

SOURCE = """\
use prometheus_client::metrics::counter::Counter;

struct Labels {
    reason: &'static str,
}

struct Metrics {
    lost: Family<Labels, Counter>,
    strange: Odd,
}

fn new(registry: &mut Registry) {
    let registry = registry.sub_registry_with_prefix("mail");
    registry.register_with_unit(
        "lost",
        "What was lost, (in \\
         bytes), and why",
        Unit::Bytes,
        metrics.lost.clone(),
    );
}
"""


class Catalogue(unittest.TestCase):
    def test_it_is_what_would_be_written(self) -> None:
        command = [sys.executable, "-B", str(ROOT / "ops/metrics/catalogue.py"), "--check"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_metric_has_a_name_by_the_rules_and_a_meaning(self) -> None:
        found = metrics()
        self.assertGreater(len(found), 50)
        for metric in found:
            with self.subTest(metric.name):
                self.assertRegex(metric.name, r"^cityevents_[a-z]+(_[a-z0-9]+)+$")
                self.assertRegex(metric.meaning, r"^[A-Z0-9].{5,}[^.]$")
                self.assertFalse({"event_id", "user_id", "email"} & set(metric.labels))

    def scan(self, text: str) -> list[scan.Metric]:
        with tempfile.NamedTemporaryFile("w", suffix=".rs", dir=ROOT / "ops/metrics") as file:
            file.write(text)
            file.flush()
            return list(scan.of_file(Path(file.name)))

    def test_a_registration_is_read_whole(self) -> None:
        meaning = "What was lost, (in bytes), and why"
        expected = scan.Metric(
            "cityevents_mail_lost_bytes_total", "counter", "bytes", ("reason",), meaning
        )
        self.assertEqual(self.scan(SOURCE), [expected])

    def test_a_handle_of_an_unknown_type_is_an_error_with_its_place(self) -> None:
        text = SOURCE.replace("metrics.lost.clone()", "metrics.strange.clone()")
        with self.assertRaisesRegex(Unclear, r"ops/metrics/\w+\.rs: metrics.strange.clone\(\)"):
            self.scan(text)

    def test_labels_that_are_declared_elsewhere_are_an_error(self) -> None:
        text = re.sub(r"struct Labels \{.*?\n\}\n", "", SOURCE, flags=re.DOTALL)
        with self.assertRaisesRegex(Unclear, "Labels are not declared in the same file"):
            self.scan(text)
