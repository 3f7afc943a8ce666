"""The ways in which a step of the line is stopped, and what must hold of its end."""

import os
import random
import re
import signal
import subprocess
import time
from dataclasses import dataclass

from ripik.execution.locks import look
from torture_compare import folder_differs
from torture_line import Line, Step
from torture_processes import ends_within, left_after, wait_for_all

UNIFORM, AIMED = "uniform", "aimed"
AFTER = "after renaming"
SAVED = "after a saved state"
PACKED = "at a packed name"
UNLOGGED = "before the log"
ONE = "one worker"
ALONE = "main alone"
SCORING = "while scoring"
GO_ON = "run the same command again"
LIMIT = 20.0  # seconds from SIGTERM to the end, while the inner split is scored
SCORED = 1.0  # seconds that scoring is made to take
ORPHANED = 15.0  # seconds that a worker may outlive its parent: ten, and those of a batch, with its import at worst
DELAYS = (0, 20, 50, 100, 200, 400, 800, 1600)  # milliseconds after the first lines


@dataclass(frozen=True)
class Sent:
    """A signal, and how the command ends that heeds it. to_all: to the whole process group, as a terminal does."""

    signum: signal.Signals
    code: int
    to_all: bool = False

    def send(self, process: subprocess.Popen[str]) -> None:
        """Send it."""
        (os.killpg if self.to_all else os.kill)(process.pid, self.signum)


KILLS = {
    UNIFORM: Sent(signal.SIGKILL, -signal.SIGKILL, to_all=True),
    ALONE: Sent(signal.SIGKILL, -signal.SIGKILL),
}
SIGNALS = {
    "SIGTERM": Sent(signal.SIGTERM, 143),
    "SIGTERM to all": Sent(signal.SIGTERM, 143, to_all=True),
    "Ctrl-C": Sent(signal.SIGINT, 130, to_all=True),
}
STARTS = {"SIGTERM at start": SIGNALS["SIGTERM"], "Ctrl-C at start": SIGNALS["Ctrl-C"]}
AT_FILES = (AIMED, AFTER, SAVED, PACKED, UNLOGGED)
KINDS = (*KILLS, *AT_FILES, *SIGNALS, ONE, SCORING, *STARTS)


def stop(line: Line, step: Step, kind: str, rng: random.Random) -> tuple[str, str]:
    """Start the step and stop it; return when or where (empty: it ended first) and what was wrong with its end."""
    if kind in AT_FILES:
        return _killed_at(line, step, rng.choice(moments(line, step, kind))), ""
    if kind == SCORING:
        return _while_scoring(line, step, rng)
    if kind in STARTS:
        return _at_start(line, step, STARTS[kind])
    if kind == ONE:
        return _one_worker(line, step, rng)
    after = rng.uniform(0.02, 0.98) * line.seconds(step)
    sent = (KILLS | SIGNALS)[kind]
    with line.start(step) as process:
        if ends_within(process, after):
            return "", ""
        sent.send(process)
        problem = _outlived(process.pid) if kind == ALONE else ""
        said = process.communicate()[0]
        wait_for_all(process.pid)
    if process.returncode == 0 or (kind in SIGNALS and _unheeded(line, step, process.returncode, said, sent)):
        return "", problem
    return f"{after:.1f} s", problem or _wrong_end(process.returncode, said, sent)


def _unheeded(line: Line, step: Step, code: int, said: str, sent: Sent) -> bool:
    """Whether the signal came before the program could heed it, or when all was done."""
    return code == -sent.signum and (not said or not line.differences(step))


def _wrong_end(code: int, said: str, sent: Sent) -> str:
    """Return what is wrong with the code and the words that a command ended with."""
    if code != sent.code:
        return f"exit code {code}: {said[-300:]}"
    if sent.signum == signal.SIGKILL:
        return ""
    if "Traceback" in said:
        return f"it shows a traceback: {said[-300:]}"
    return "" if GO_ON in " ".join(said.split()) else "it does not say how to go on"


def moments(line: Line, step: Step, kind: str) -> list[int]:
    """Return the numbers of the step's moments of this kind: all, or those just after a rename, or a state's rename.

    Of the states, those in the middle: the first are young, and after the last there is nothing left to train.
    Of packed files, those from the first word of the meta file on until all three have their names; of a submission,
    those from its name on until the blend's meta file is there.
    """
    found = line.moments(step)
    renamed = {number: moment for number, moment in sorted(found.items()) if moment.startswith("os.rename")}
    saved = [number + 1 for number, moment in renamed.items() if moment.endswith("state.npz")]
    if kind == AFTER:
        return [number + 1 for number in renamed]
    if kind == SAVED:
        return saved[len(saved) // 4 : -(len(saved) // 4) or None]
    if kind == PACKED:
        return sorted({before for number in _ending(renamed, ".partial") for before in range(number - 3, number + 1)})
    if kind == UNLOGGED:
        first, last = _ending(renamed, ".csv", "submissions/")[-2:]  # the submission's, the log's
        return list(range(first + 1, last + 2))
    return sorted(found)


def _ending(renamed: dict[int, str], end: str, within: str = "") -> list[int]:
    return [number for number, moment in renamed.items() if moment.endswith(end) and within in moment]


def _killed_at(line: Line, step: Step, moment: int) -> str:
    killed = line.work / "killed"
    for path in (killed, line.work / "count"):
        path.unlink(missing_ok=True)
    with line.start(step, kill=moment) as process:
        process.communicate()
        wait_for_all(process.pid)
    return f"{moment}: {killed.read_text()}" if killed.exists() and process.returncode == -signal.SIGKILL else ""


def _while_scoring(line: Line, step: Step, rng: random.Random) -> tuple[str, str]:
    """Send SIGTERM within one of the first scorings of an inner split, which is made to last."""
    begun, wanted = line.work / "scoring", rng.randint(1, 4)
    begun.unlink(missing_ok=True)
    with line.start(step, told={"RIPIK_SCORING": f"{begun}\n{SCORED}"}) as process:
        while not (begun.exists() and begun.stat().st_size >= wanted):
            if ends_within(process, 0.02):
                return "", ""
        SIGNALS["SIGTERM"].send(process)
        start, problem = time.monotonic(), ""
        if not ends_within(process, LIMIT):
            problem = f"it has not ended {LIMIT:.0f} s after the signal"
            os.killpg(process.pid, signal.SIGKILL)
        seconds, said = time.monotonic() - start, process.communicate()[0]
        wait_for_all(process.pid)
    moment = f"in scoring {wanted}, ended in {seconds:.1f} s"
    return moment, problem or _wrong_end(process.returncode, said, SIGNALS["SIGTERM"])


def _at_start(line: Line, step: Step, sent: Sent) -> tuple[str, str]:
    """Send the signal at each of the delays after the first lines of the program; nothing of it may be a traceback."""
    wrong = [problem for delay in DELAYS if (problem := _started(line, step, sent, delay))]
    return f"{DELAYS[0]} to {DELAYS[-1]} ms", "; ".join(wrong)


def _started(line: Line, step: Step, sent: Sent, delay: int) -> str:
    ours, its = os.pipe()
    with line.start(step, told={"RIPIK_BEGUN": str(its)}, pipe=its) as process:
        os.close(its)
        os.read(ours, 1)
        os.close(ours)
        if not ends_within(process, delay / 1000):
            sent.send(process)
        said = process.communicate()[0]
        wait_for_all(process.pid)
    own = process.returncode == -sent.signum  # before the program could heed it: then it says nothing
    if process.returncode == 0 or (own and not said):
        return ""
    problem = _wrong_end(process.returncode, said, sent)
    return f"after {delay} ms: {problem}" if problem else ""


def _one_worker(line: Line, step: Step, rng: random.Random) -> tuple[str, str]:
    """Kill one process that is at work on a job: the command does the others, and says which one is lost."""
    variant, sets = step.variants[-1], rng.choice(((), ("jobs.jobs=1",)))
    later = rng.choice((0.0, rng.uniform(0, 0.3) * line.seconds(step)))
    with line.start(step, sets=sets) as process:
        while not _at_work(line, variant):
            if ends_within(process, 0.02):
                return "", ""
        ends_within(process, later)
        at_work = _at_work(line, variant)
        if not at_work:
            process.communicate()
            return "", ""
        pid = rng.choice(sorted(set(at_work.values())))
        os.kill(pid, signal.SIGKILL)
        said = process.communicate()[0]
        wait_for_all(process.pid)
    if process.returncode == 0:
        return "", ""
    lost = {name for name, at in at_work.items() if at == pid}
    moment = f"{later:.1f} s after one was at work, {', '.join(sorted(lost))}{', one at a time' if sets else ''}"
    return moment, _wrong_loss(line, step, process.returncode, said, lost)


def _at_work(line: Line, variant: str) -> dict[str, int]:
    """Return the process that is at work on each job of a variant, by the name of the job's folder."""
    paths = (line.run / "running").glob(f"{variant}-*.json")
    found = {path.stem.removeprefix(f"{variant}-"): look(path) for path in paths}
    return {name: presence.pid for name, presence in found.items() if presence and presence.alive and presence.pid}


def _wrong_loss(line: Line, step: Step, code: int, said: str, lost: set[str]) -> str:
    """Return what is wrong with the end of a command one of whose workers was killed."""
    variant, words = step.variants[-1], " ".join(said.split())
    named = re.search(rf"the process of ({re.escape(variant)}\S*( \d+ heads)?) was killed", words)
    if code != 3 or "Traceback" in said or (GO_ON.split()[-1] not in words and "resumes" not in words):
        return f"exit code {code}: {said[-300:]}"
    if named and named[2]:  # one process does all heads of a variant
        return ""
    if not named or named[1] not in {f"{variant}/{name}" for name in lost}:
        return f"it does not name the job of {', '.join(sorted(lost))}: {said[-300:]}"
    after = line.kept / step.name / "after" / "output" / "tiny" / variant
    others = [folder.name for folder in after.iterdir() if folder.is_dir() and folder.name not in lost]
    undone = [name for name in others if folder_differs(after / name, line.run / variant / name)]
    return f"it has not done {', '.join(undone)}" if undone else ""


def _outlived(group: int) -> str:
    """Return which processes of a group live on without the first; they are killed."""
    left = left_after(group, ORPHANED)
    if left:
        os.killpg(group, signal.SIGKILL)
    return f"alive {ORPHANED:.0f} s after their parent: {'; '.join(left)}" if left else ""
