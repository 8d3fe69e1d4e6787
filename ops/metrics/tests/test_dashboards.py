"""Dashboards: Grafana can load them, and what they show exists."""

import json
import unittest
from itertools import combinations

from metrics.scan import ROOT
from metrics.tests.helpers import check_expressions, unknown_names

FOLDER = ROOT / "ops/dashboards"
COLUMNS = 24


def load() -> dict[str, dict]:
    return {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def panels(dashboard: dict) -> list[dict]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(dashboard: dict) -> list[str]:
    return [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]


class Dashboards(unittest.TestCase):
    def test_every_name_in_an_expression_is_in_the_catalogue(self) -> None:
        for name, dashboard in load().items():
            for panel in panels(dashboard):
                for target in panel["targets"]:
                    with self.subTest(name, panel=panel["title"]):
                        self.assertEqual(unknown_names(target["expr"]), [])

    def test_expressions_are_well_formed(self) -> None:
        every = [one for dashboard in load().values() for one in expressions(dashboard)]
        self.assertGreater(len(every), 50)
        plain = [one.replace("$__rate_interval", "5m") for one in every]
        self.assertEqual(check_expressions(plain), "")
        self.assertNotEqual(check_expressions(["sum("]), "")

    def test_panels_say_what_they_show_and_do_not_overlap(self) -> None:
        for name, dashboard in load().items():
            seen: set[int] = set()
            for panel in dashboard["panels"]:
                with self.subTest(name, panel=panel["title"]):
                    place = panel["gridPos"]
                    self.assertLessEqual(place["x"] + place["w"], COLUMNS)
                    self.assertNotIn(panel["id"], seen)
                    seen.add(panel["id"])
                    if panel["type"] != "row":
                        self.assertTrue(panel["description"].endswith("."))
                        self.assertEqual(panel["datasource"]["uid"], "${datasource}")
            for one, other in combinations(dashboard["panels"], 2):
                self.assertFalse(overlap(one, other), f"{name}: {one['title']}, {other['title']}")

    def test_they_have_names_of_their_own_and_the_variables_that_they_use(self) -> None:
        loaded = load()
        self.assertEqual(len({one["uid"] for one in loaded.values()}), len(loaded))
        for name, dashboard in loaded.items():
            with self.subTest(name):
                self.assertEqual(dashboard["uid"], f"cityevents-{name.removesuffix('.json')}")
                variables = {one["name"] for one in dashboard["templating"]["list"]}
                self.assertEqual(variables, {"datasource", "instance"})


def overlap(one: dict, other: dict) -> bool:
    a, b = one["gridPos"], other["gridPos"]
    return (
        a["x"] < b["x"] + b["w"]
        and b["x"] < a["x"] + a["w"]
        and a["y"] < b["y"] + b["h"]
        and b["y"] < a["y"] + a["h"]
    )
