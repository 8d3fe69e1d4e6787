"""Dashboards, rules and runbook against the catalogue, and the catalogue against the source."""
