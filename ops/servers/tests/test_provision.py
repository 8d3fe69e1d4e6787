"""The cache has whole programs or none, the lock holds one, and files say what was asked."""

import fcntl
import sys
import threading
from pathlib import Path

from servers import process
from servers.errors import StackError
from servers.process import Launch
from servers.provision import Cache
from servers.service import render
from servers.stack import Stack

from .helpers import InFolder


def silent(_line: str) -> None:
    pass


class Entries(InFolder):
    def setUp(self) -> None:
        super().setUp()
        self.cache = Cache(self.data, silent)
        self.made: list[Path] = []

    def make(self, target: Path) -> None:
        self.made.append(target)
        (target / "program").write_text("program")

    def test_a_program_is_made_once(self) -> None:
        first = self.cache.entry("kafka", "4.1.0", "recipe", self.make)
        second = self.cache.entry("kafka", "4.1.0", "recipe", self.make)
        self.assertEqual((first, len(self.made)), (second, 1))
        self.assertEqual((first / "program").read_text(), "program")

    def test_another_recipe_is_another_program(self) -> None:
        first = self.cache.entry("kafka", "4.1.0", "recipe", self.make)
        self.assertNotEqual(self.cache.entry("kafka", "4.1.0", "other recipe", self.make), first)

    def test_an_interrupted_one_is_never_taken_for_whole(self) -> None:
        def fail(target: Path) -> None:
            self.make(target)
            raise StackError("the network is away")

        with self.assertRaises(StackError):
            self.cache.entry("kafka", "4.1.0", "recipe", fail)
        self.assertEqual(
            [path for path in self.data.iterdir() if not path.name.startswith(".")], []
        )
        whole = self.cache.entry("kafka", "4.1.0", "recipe", self.make)
        self.assertEqual([path.name for path in whole.iterdir()], ["program"])

    def test_two_at_once_make_it_once(self) -> None:
        barrier = threading.Barrier(2)
        found: list[Path] = []

        def want() -> None:
            barrier.wait()
            found.append(self.cache.entry("kafka", "4.1.0", "recipe", self.make))

        threads = [threading.Thread(target=want) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((len(set(found)), len(found), len(self.made)), (1, 2, 1))


class Lock(InFolder):
    def setUp(self) -> None:
        super().setUp()
        self.stack = Stack(self.data, Cache(self.data / "cache", silent), silent)

    def is_free(self) -> bool:
        with (self.data / ".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def test_one_at_a_time_works_on_a_folder(self) -> None:
        with self.stack.alone():
            self.assertFalse(self.is_free())
        self.assertTrue(self.is_free())

    def test_a_server_does_not_keep_the_lock_under_which_it_was_started(self) -> None:
        launch = Launch([sys.executable, "-c", "import signal; signal.pause()"], Path("/"))
        with self.stack.alone():
            record, child = process.start(launch, self.data / "log", self.data / "pid.json")
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertEqual(process.state(record), "running")
        self.assertTrue(self.is_free())


class Templates(InFolder):
    def test_a_template_that_asks_for_what_nobody_gives_is_an_error(self) -> None:
        with self.assertRaisesRegex(StackError, "cassandra.yaml asks for 'data'"):
            render("cassandra.yaml", Path("/nonexistent"), port=1, storage_port=2)
