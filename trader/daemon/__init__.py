"""How it runs: settings become ports, ports become jobs, jobs run on a schedule until told to stop."""
