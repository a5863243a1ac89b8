"""Files of the repository's top that a wheel brings along, by links: units and examples for systemd, the runbook."""
