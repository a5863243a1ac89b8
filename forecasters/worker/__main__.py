"""`python -m forecasters.worker`: the child, one backend behind a socket."""

import sys

from forecasters.worker.child import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
