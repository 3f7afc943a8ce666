"""`python -m ripik`."""

import sys

from ripik.cli import main

if __name__ == "__main__":
    sys.exit(main())
