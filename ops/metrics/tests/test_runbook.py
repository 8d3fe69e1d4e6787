"""The runbook: a section for each alert, and nothing to type that the program does not know."""

import os
import re
import subprocess
import unittest
from functools import cache
from pathlib import Path

from metrics.scan import ROOT
from metrics.tests.helpers import alerts

RUNBOOK = ROOT / "ops/docs/RUNBOOK.md"
# Pages whose commands are tried; one that is not there yet is no error.
BINARY = Path(os.environ.get("CITYEVENTS_BINARY", ROOT / "target/debug/cityevents"))


def sections() -> dict[str, str]:
    """The text below each heading, by the anchor of the heading."""
    parts = re.split(r"^#+ (.+)\n", RUNBOOK.read_text(), flags=re.MULTILINE)
    return {anchor(heading): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def commands() -> list[str]:
    """Every call of the program, in running text and in blocks."""
    text = RUNBOOK.read_text()
    found = re.findall(r"`cityevents ([^`]+)`", text)
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        found += re.findall(r"^cityevents ([^#\n]+)", block, re.MULTILINE)
    return sorted({command.strip() for command in found})


@cache
def help_of(words: tuple[str, ...]) -> str | None:
    """What `--help` says; nothing when there is no such subcommand."""
    command = [str(BINARY), *words, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.stdout if done.returncode == 0 else None


def problem(command: str) -> str | None:
    words = command.split()
    plain = tuple(word for word in words if word.islower() and not word.startswith("-"))
    # Values of options come after the subcommands.
    first_option = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    told = help_of(plain[: min(first_option, len(plain))])
    if told is None:
        return "no such command"
    options = [word for word in words if word.startswith("--")]
    unknown = [option for option in options if not re.search(rf"{option}\b", told)]
    return f"no such option: {', '.join(unknown)}" if unknown else None


class Runbook(unittest.TestCase):
    def test_each_alert_has_a_section_that_says_what_it_means_and_what_to_do(self) -> None:
        known = sections()
        for alert in alerts():
            with self.subTest(alert.name):
                page, _, name = alert.runbook.partition("#")
                self.assertEqual(ROOT / page, RUNBOOK)
                self.assertIn("**Means.**", known[name])
                self.assertIn("**Do.**", known[name])

    def test_no_section_is_about_an_alert_that_is_gone(self) -> None:
        text = RUNBOOK.read_text()
        named = re.findall(r"^## (\w+)$", text, re.MULTILINE)
        self.assertEqual(sorted(named), sorted(alert.name for alert in alerts()))

    def test_links_lead_somewhere(self) -> None:
        known = sections()
        for page, name in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", RUNBOOK.read_text()):
            with self.subTest(page, section=name):
                if page:
                    self.assertTrue((RUNBOOK.parent / page).exists())
                else:
                    self.assertIn(name, known)

    def test_the_program_knows_every_command(self) -> None:
        self.assertTrue(BINARY.exists(), f"build {BINARY} first, or name it in CITYEVENTS_BINARY")
        self.assertGreater(len(commands()), 10)
        for command in commands():
            with self.subTest(command):
                self.assertIsNone(problem(command))

    def test_a_command_that_there_is_not_would_be_noticed(self) -> None:
        self.assertEqual(problem("topics invent"), "no such command")
        self.assertEqual(problem("lag --backwards"), "no such option: --backwards")
