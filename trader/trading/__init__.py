"""What the daemon does: the cycle, the positions between bars, the desk that talks to the venue; through ports only."""
