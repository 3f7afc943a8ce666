"""What the code file starts on Kaggle's machine: checks the packages, finds what is mounted, runs the steps.

Only the standard library is imported before the packages are checked.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ripik.kaggle.kernel import packages


def main(facts_path: str) -> int:
    """Do what a kernel's facts ask for; return the exit code: 0 done, or stopped by the time limit, to resume; else as
    `ripik` does."""
    facts: dict[str, Any] = json.loads(Path(facts_path).read_text(encoding="utf-8"))
    problems = packages.problems(facts["requires"], facts["kind"])
    if problems:
        print("ripik: this machine's packages do not meet the requirements: " + "; ".join(problems), file=sys.stderr)
        print("Choose Kaggle's latest environment for the kernel (Settings, Environment).", file=sys.stderr)
        return 3
    from ripik.errors import RipikError
    from ripik.kaggle.kernel import machine

    try:
        return machine.run(facts)
    except RipikError as error:
        print(f"ripik: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
