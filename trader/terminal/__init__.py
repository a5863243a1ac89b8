"""The daemon at a terminal: the live view, progress bars, log lines where there is no terminal, last words."""
