"""What is measured: the catalogue, and whoever reads it (dashboards, rules, runbook)."""
