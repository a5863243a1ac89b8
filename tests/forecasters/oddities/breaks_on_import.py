"""Can't be loaded."""

raise RuntimeError("broken on purpose")
