"""What the commands do, one file each. `trader/cli.py` is only their names and options."""
