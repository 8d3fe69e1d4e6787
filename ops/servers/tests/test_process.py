"""A process is ours only when number, boot and moment of its start agree."""

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from servers import process
from servers.errors import StackError
from servers.kafka import Kafka
from servers.process import Launch
from servers.provision import Cache
from servers.stack import Stack

from .helpers import InFolder

# Says that it is there, then waits; with an argument, does not care for SIGTERM.
SLEEPER = """
import signal, sys
if len(sys.argv) > 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
signal.pause()
"""


class Processes(InFolder):
    def setUp(self) -> None:
        super().setUp()
        self.data.mkdir()
        self.log, self.pid = self.data / "log", self.data / "pid.json"

    def begin(self, *arguments: str) -> process.Record:
        launch = Launch([sys.executable, "-c", SLEEPER, *arguments], self.data)
        record, child = process.start(launch, self.log, self.pid)
        # The child is ours to collect; a thread does so, as init would if this program had ended.
        collector = threading.Thread(target=child.wait)
        collector.start()

        def end() -> None:
            process.send(record, signal.SIGKILL)
            collector.join()

        self.addCleanup(end)
        while "ready" not in self.log.read_text():
            self.assertEqual(process.state(record), "running")
        return record

    def test_errors_are_shown_before_the_end_that_does_not_tell_of_them(self) -> None:
        log = Path(self.enterContext(tempfile.TemporaryDirectory())) / "log"
        log.write_text("ERROR of before\nok\n[1] ERROR disk full\nTERROR\nbye\nbye\n")
        shown = process.last_lines(log, len("ERROR of before\n"), 2)
        self.assertEqual(shown, ["[1] ERROR disk full", "bye", "bye"])

    def test_a_started_process_is_found_again_by_its_file(self) -> None:
        record = self.begin()
        self.assertEqual(process.load(self.pid), record)
        self.assertEqual(process.state(record), "running")
        self.assertGreater(process.usage(record)["memory_bytes"], 0)

    def test_it_has_a_session_of_its_own(self) -> None:
        record = self.begin()
        self.assertEqual(os.getsid(record.pid), record.pid)

    def test_stop_ends_it(self) -> None:
        record = self.begin()
        self.assertEqual(process.stop(record, 10), "stopped")
        self.assertEqual(process.state(record), "dead")
        self.assertEqual(process.stop(record, 10), "gone")

    def test_stop_kills_what_does_not_listen(self) -> None:
        record = self.begin("deaf")
        self.assertEqual(process.stop(record, 0.2), "killed")
        self.assertEqual(process.state(record), "dead")

    def test_stop_wakes_a_frozen_process_so_that_it_can_end_in_order(self) -> None:
        record = self.begin()
        process.send(record, signal.SIGSTOP)
        while process.state(record) != "frozen":
            self.assertNotEqual(process.state(record), "dead")
        self.assertEqual(process.stop(record, 10), "stopped")

    def test_a_number_that_was_given_to_another_process_is_never_signalled(self) -> None:
        record = self.begin()
        older = dataclasses.replace(record, started_ticks=record.started_ticks - 1)
        other_boot = dataclasses.replace(record, boot="another")
        for stale in (older, other_boot):
            self.assertEqual(process.state(stale), "dead")
            self.assertFalse(process.send(stale, signal.SIGKILL))
            self.assertEqual(process.stop(stale, 1), "gone")
        self.assertEqual(process.state(record), "running")

    def test_a_process_that_ended_and_was_not_collected_is_dead(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", ""])
        ticks = process.started_ticks(child.pid)
        record = process.Record(child.pid, ticks, process.boot_id(), "", 0)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self.assertEqual(process.state(record), "dead")
        child.wait()

    def test_a_torn_pid_file_is_no_process(self) -> None:
        for text in ("", "{", "[]", "12", '{"pid": 1}'):
            self.pid.write_text(text)
            self.assertIsNone(process.load(self.pid))

    def test_only_what_was_written_since_the_start_is_told(self) -> None:
        self.log.write_text("an older start\n")
        record = self.begin()
        self.assertEqual(process.last_lines(self.log, record.log_offset_bytes, 10), ["ready"])


class StalePids(InFolder):
    """The whole program on a pid file whose process is long gone."""

    def setUp(self) -> None:
        super().setUp()
        stack = Stack(self.data, Cache(Path("/nonexistent"), print), print)
        with stack.alone():
            stack.store_ports({"kafka": 25111, "kafka.controller": 25112})
            # This very process, as it would look if its number had belonged to a server before.
            stale = process.Record(
                os.getpid(), process.started_ticks(os.getpid()) - 1, process.boot_id(), "", 0
            )
            process.save(stack.pid_path("kafka"), stale)

    def test_it_is_told_as_dead(self) -> None:
        done = self.call("status", "kafka")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"kafka +dead +no +127\.0\.0\.1:25111")

    def test_it_is_not_signalled(self) -> None:
        for command in ("kill", "freeze"):
            self.assertEqual(self.call(command, "kafka").returncode, 1)

    def test_down_forgets_it(self) -> None:
        done = self.call("down")
        self.assertEqual(done.returncode, 0)
        self.assertIn("kafka: was not running", done.stderr)
        self.assertEqual(self.call("status").stdout, "")

    def test_it_is_not_offered_to_clients(self) -> None:
        self.assertEqual(self.call("env").stdout, "")


class Deaths(InFolder):
    def test_a_server_that_dies_while_it_starts_is_told_with_the_end_of_its_log(self) -> None:
        class Doomed(Kafka):
            def prepare(self, member, place):
                return Launch(
                    [sys.executable, "-c", "print('no space left'); raise SystemExit(3)"],
                    place.folder(member),
                )

        stack = Stack(self.data, Cache(self.data / "cache", print), print)
        with stack.alone():
            stack.store_ports({"kafka": 1, "kafka.controller": 2})
            with self.assertRaisesRegex(
                StackError, r"(?s)kafka died while it started \(exit code 3\).*no space left"
            ):
                stack.start(Doomed(), ["kafka"], stack.place())
        self.assertEqual(stack.running(), [])
