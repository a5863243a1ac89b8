"""What a strategy owes the daemon, as checks that its author can run: `trader strategies check NAME`."""
