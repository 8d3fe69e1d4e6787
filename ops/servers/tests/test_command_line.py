"""Wrong usage is told apart from failure, and nothing is left behind by either."""

import json
import unittest

from servers.catalogue import SERVICES
from servers.ports import USUAL

from .helpers import InFolder


class CommandLine(InFolder):
    def test_wrong_usage_exits_2_and_names_what_is_wrong(self) -> None:
        cases = {
            ("up",): "SERVICE",
            ("up", "kafak"): "no service 'kafak'",
            ("up", "kafka-cluster/4"): "no service 'kafka-cluster/4'",
            ("up", "kafka", "--port", "19092"): "LISTENER=NUMBER",
            ("up", "kafka", "--port", "zookeeper=19092"): "no such listener",
            ("up", "kafka", "--port", "kafka=8080"): "kept free",
            ("up", "kafka", "--port", "kafka=http"): "a port is a number",
            ("up", "kafka", "--port", "kafka=25000", "--port", "cassandra=25000"): "two listeners",
            ("up", "kafka", "--port-base", "65530"): "at most",
            ("status", "--output", "yaml"): "yaml",
            ("freeze",): "SERVICE",
            ("logs", "nothing"): "no service 'nothing'",
            ("sideways",): "sideways",
        }
        for arguments, reason in cases.items():
            with self.subTest(arguments=arguments):
                done = self.call(*arguments)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(reason, done.stderr)
                self.assertNotIn("Traceback", done.stderr)
                self.assertFalse(self.data.exists())

    def test_help_has_every_service_and_examples(self) -> None:
        done = self.call("--help")
        self.assertEqual(done.returncode, 0)
        for name in SERVICES:
            self.assertIn(f"  {name} ", done.stdout)
        self.assertIn("examples:", done.stdout)

    def test_status_of_nothing_is_an_empty_list(self) -> None:
        done = self.call("status", "--output", "json")
        self.assertEqual((done.returncode, json.loads(done.stdout)), (0, []))
        self.assertFalse(self.data.exists())

    def test_status_of_a_named_service_that_does_not_run_fails(self) -> None:
        self.assertEqual(self.call("status", "kafka").returncode, 1)

    def test_env_of_nothing_prints_nothing_to_eval_and_fails(self) -> None:
        done = self.call("env")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("ops/stack up", done.stderr)

    def test_down_of_nothing_is_done_at_once(self) -> None:
        self.assertEqual(self.call("down").returncode, 0)
        self.assertFalse(self.data.exists())

    def test_a_signal_to_what_does_not_run_fails(self) -> None:
        for command in ("kill", "freeze", "thaw"):
            done = self.call(command, "kafka-cluster/2")
            self.assertEqual(done.returncode, 1)
            self.assertIn("kafka-cluster/2 is not running", done.stderr)

    def test_restart_of_what_was_never_started_says_how_to_start_it(self) -> None:
        done = self.call("restart", "kafka")
        self.assertEqual(done.returncode, 1)
        self.assertIn("ops/stack up kafka", done.stderr)

    def test_logs_of_what_was_never_started_fails(self) -> None:
        self.assertEqual(self.call("logs", "kafka").returncode, 1)


class Catalogue(unittest.TestCase):
    def test_every_listener_has_a_usual_port_and_every_port_a_listener(self) -> None:
        listeners = [listener for service in SERVICES.values() for listener in service.listeners]
        self.assertEqual(sorted(listeners), sorted(USUAL))

    def test_every_member_has_a_listener_of_its_name(self) -> None:
        for service in SERVICES.values():
            for member in service.members:
                self.assertIn(member, service.listeners)

    def test_needs_are_services(self) -> None:
        for service in SERVICES.values():
            self.assertLessEqual(set(service.needs), set(SERVICES))
