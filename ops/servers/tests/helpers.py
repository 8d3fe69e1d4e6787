"""What the tests share."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

LAUNCHER = Path(__file__).resolve().parents[2] / "stack"


class InFolder(unittest.TestCase):
    """Each test has a data folder of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name) / "data"

    def call(self, *arguments: str) -> subprocess.CompletedProcess:
        """Runs the program as a person would."""
        command = [sys.executable, str(LAUNCHER), *arguments]
        if arguments and not arguments[0].startswith("-"):
            command += ["--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)
