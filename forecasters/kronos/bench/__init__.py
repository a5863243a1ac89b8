"""What Kronos costs here, beside the original and beside what the machine could do.

    python -m forecasters.kronos.bench --sizes small --samples 30 --upstream CHECKOUT    # JSON, a line a finding

`trader bench kronos` shows it as a table. Weights are seeded ones: their values do not matter for speed. On a busy
machine take --clock cpu with one thread: the time that others take then does not count.
"""
