"""What becomes of bad input: `python -m tests.bad_input [OUT]` writes the messages, case by case, to `bad_input.md`."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

from tests import bad_input_config, bad_input_csv, bad_input_edited, bad_input_others
from tests.bad_input_world import Case, Outcome, draw, problems, run, shown
from tests.conftest import Tiny

CASES: tuple[Case, ...] = (
    *bad_input_csv.CASES,
    *bad_input_others.CASES,
    *bad_input_config.CASES,
    *bad_input_edited.CASES,
)
for _name in ("scores", "weights", "archives", "images", "names", "submissions", "layouts"):
    if importlib.util.find_spec(f"tests.bad_input_{_name}"):
        CASES += importlib.import_module(f"tests.bad_input_{_name}").CASES
TABLE = Path(__file__).with_suffix(".md")
HEADINGS = "| case | command | code | message |"
LONGEST = 100  # characters of an argument that are shown
HEAD = """# What bad input is answered with

Every row spoils a tiny competition and runs one command on it (`tests/bad_input.py`; `python -m tests.bad_input` writes
this file). Exit code 0: the input is fine, and the test checks what comes of it. 2: the input is refused, with the one
message shown; the user's files stay as they are, and nothing half-written is left behind.
"""


def row(case: Case, tiny: Tiny, found: Outcome) -> str:
    """Return a case's line of the table."""
    message = found.told[0].removeprefix("ripik: ") if found.told else "*accepted*"
    given = " ".join(text if len(text) < LONGEST else text[:LONGEST] + "…" for text in case.command)
    cells = (case.name, given.replace("{folder}/", "").replace("{folder}", "."), str(found.code), shown(message, tiny))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def text(rows: dict[str, str]) -> str:
    """Return the page of these lines by id of their case, which stand in the order of the cases."""
    topics = list(dict.fromkeys(case.topic for case in CASES))
    parts = [HEAD]
    for topic in topics:
        own = [rows[case.id] for case in CASES if case.topic == topic]
        parts.append(f"\n## {topic}\n\n{HEADINGS}\n|---|---|---|---|\n" + "\n".join(own) + "\n")
    return "".join(parts)


def written() -> dict[str, str]:
    """Return the lines of the table as it is written, by id of their case."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").split("\n") if line.startswith("| ")]
    topics = list(dict.fromkeys(case.topic for case in CASES))
    ordered = sorted(CASES, key=lambda case: topics.index(case.topic))
    return {case.id: line for case, line in zip(ordered, [line for line in lines if line != HEADINGS], strict=False)}


def main(out: Path = TABLE) -> int:
    """Run all cases and write the table; 1 when a case is not as it should be."""
    drawn, rows, failed = draw(), {}, 0
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(CASES):
            tiny, found = run(case, Path(folder) / str(number), drawn)
            rows[case.id] = row(case, tiny, found)
            wrong = problems(case, tiny, found)
            failed += bool(wrong)
            for problem in wrong:
                print(f"{case.id}: {problem}\n    {shown(found.err, tiny)}")
    out.write_text(text(rows), encoding="utf-8")
    print(f"{out}: {len(rows)} cases, {failed} not as they should be")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
