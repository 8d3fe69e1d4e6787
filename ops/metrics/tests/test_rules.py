"""Rules: what they ask for exists, and each fires when it should and only then."""

import re
import unittest

from metrics.firing import firing
from metrics.scan import ROOT
from metrics.tests.helpers import RULES, alerts, promtool, unknown_names


class Rules(unittest.TestCase):
    def test_every_name_in_an_expression_is_in_the_catalogue(self) -> None:
        for alert in alerts():
            with self.subTest(alert.name):
                self.assertEqual(unknown_names(alert.expression), [])

    def test_a_name_that_nobody_has_would_be_noticed(self) -> None:
        expression = 'sum by (colour) (cityevents_nothing{a="b"} + cityevents_http_connections{a="b"})'
        wrong = ["cityevents_nothing", "cityevents_http_connections{a}", "by (colour)"]
        self.assertEqual(unknown_names(expression), wrong)

    def test_they_are_well_formed(self) -> None:
        done = promtool("check", "rules", str(RULES))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_fires_on_recorded_series_and_is_quiet_on_others(self) -> None:
        tests = RULES.with_name("tests.yml")
        done = promtool("test", "rules", str(tests))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        names = set(re.findall(r"^  - name: (.*)$", tests.read_text(), re.MULTILINE))
        for alert in alerts():
            self.assertLessEqual({f"{alert.name} fires", f"{alert.name} is quiet"}, names)

    def test_each_wakes_somebody_or_waits_and_names_its_section_of_the_runbook(self) -> None:
        for alert in alerts():
            with self.subTest(alert.name):
                self.assertIn(alert.severity, {"page", "ticket"})
                page, _, section = alert.runbook.partition("#")
                self.assertEqual(section, alert.name.lower())
                self.assertTrue((ROOT / page).is_file())

    def test_what_processes_said_raises_the_alerts_that_it_should_and_no_others(self) -> None:
        letters = "cityevents_runtime_dead_letters_total"
        tasks = 'cityevents_runtime_tasks{task="registration",state="stopped"}'
        rounds = [
            {"worker-1": f'{letters} {dead} # {{trace_id="4bf9"}} 1.0\n{tasks} {stopped}\n# EOF\n'}
            for dead, stopped in [(0, 0), (0, 0), (20, 1), (20, 1), (20, 1)]
        ]
        self.assertEqual(firing(rounds[:2]), [])
        told = firing(rounds)
        self.assertEqual(len(told), 2, told)
        self.assertIn('alertname="DeadLetters"', told[0])
        self.assertIn('task="registration"', told[1])
