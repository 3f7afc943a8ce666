"""The task of a variant that only trains a head, on stored outputs: all its unfinished jobs, in one process.

Plain NumPy: neither Keras nor its backend is loaded. Heads share the rows they read, and nothing that they compute: so
each learns the same, to the byte, whichever others are trained with it, on however many cores.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from statistics import mean

from ripik.console import complain
from ripik.errors import InputError, OutOfTimeError
from ripik.execution import environment, time_limit
from ripik.execution.locks import Tell, present
from ripik.execution.signals import noticing
from ripik.execution.task import Reporter
from ripik.features.row_memory import RowMemory
from ripik.models.softmax_head import one_blas_thread
from ripik.names import LOGISTIC, RAY
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage.paths import Job, layout_of
from ripik.training.diverged import DivergedError
from ripik.training.fitted_session import FittedSession
from ripik.training.head_session import HeadSession
from ripik.training.jobs import Training
from ripik.training.predictions import head_of, write_predictions
from ripik.training.signs import epoch_told, last_scores, scores_told, telling

Reporters = Mapping[Training, Reporter]


def work(settings: Settings, jobs: Sequence[Job], report: Reporter) -> str:
    """Do the jobs, all of one variant: train those that are not finished, then predict those that are not predicted.

    Returns the mean of their last epochs' scores as text. A head that diverges leaves the others alone: its error is
    raised when they are done. Raises SurroundingsError when another process is doing one of the jobs; on a cluster,
    where it may be a lost worker that is not quite gone, it is waited for.
    """
    with _at_work(settings, jobs) as tells:
        run, memory = Run.open(settings), RowMemory.of_job(settings.jobs)
        trainings = [Training(run, job) for job in jobs]
        failed = train_heads(trainings, report, memory, tells)
        finished = [each for each in trainings if each not in failed]
        for number, each in enumerate(finished, start=1):
            try:
                predict_head(each, _of_several(report, tells[each.job], number, len(trainings)), memory)
            except DivergedError as error:
                failed[each] = error
    if failed:
        raise _first(list(failed.values()))
    scores = _means([last_scores(each.folder) for each in trainings])
    return scores_told(scores, copies=trainings[0].variant.scores_copies)


def predict_head(training: Training, report: Reporter, memory: RowMemory | None = None) -> None:
    """Write a finished head's probabilities unless they are there; see `write_predictions`."""
    write_predictions(training, lambda size: head_of(training), report, (memory or RowMemory()).open)


def train_heads(
    trainings: Sequence[Training],
    report: Reporter,
    memory: RowMemory | None = None,
    tells: Mapping[Job, Tell] | None = None,
) -> dict[Training, InputError]:
    """Train every head that is not finished to its last epoch, from its saved state if there is one of the same inputs.

    Each head's folder gets what `trainer.train` writes. Returns the errors of those whose loss is no longer a number.
    tells: what tells how far each job is to whoever asks. Raises OutOfTimeError, all saved, when the time limit leaves
    no room for another epoch.
    """
    memory = memory or RowMemory()
    sessions = [session_kind(each).create(each, memory) for each in trainings if not each.is_trained]
    for session in sessions:
        session.restore()
    reporters = _reporters(sessions, report, tells or {})
    with one_blas_thread(), noticing() as asked:
        failed = run_sessions(sessions, reporters, asked)
    for session in sessions:
        if session.training not in failed:
            session.finish()
    return failed


def session_kind(training: Training) -> type[HeadSession]:
    """Return what trains such a head."""
    return FittedSession if training.variant.solver == LOGISTIC else HeadSession


def run_sessions(
    sessions: Sequence[HeadSession], reporters: Reporters, asked: Callable[[], bool]
) -> dict[Training, InputError]:
    """Train epoch after epoch, each head in its turn, one on every core; asked to end, begin no more of them.

    Returns the errors of those whose loss is no longer a number, or whose settings do not fit their rows.
    """
    waiting = deque(session for session in sessions if session.wants_more())
    running: dict[Future, HeadSession] = {}
    failed: dict[Training, InputError] = {}
    stopped: list[Exception] = []
    cores = max(1, min(environment.threads(), len(waiting)))
    with ThreadPoolExecutor(cores) as pool:
        while running or (waiting and not (stopped or asked())):
            while waiting and len(running) < cores and not (stopped or asked()):
                _begin(waiting.popleft(), pool, running, reporters, asked, stopped)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                session, error = running.pop(future), future.exception()
                if isinstance(error, InputError):
                    failed[session.training] = error
                elif isinstance(error, Exception):
                    stopped.append(error)
                elif session.wants_more():
                    waiting.append(session)
    if stopped:
        raise stopped[0]
    return failed


def _begin(
    session: HeadSession,
    pool: ThreadPoolExecutor,
    running: dict[Future, HeadSession],
    reporters: Reporters,
    asked: Callable[[], bool],
    stopped: list[Exception],
) -> None:
    try:
        time_limit.check(session.longest)
    except OutOfTimeError as reason:
        stopped.append(reason)
        return
    running[pool.submit(session.run_epoch, reporters[session.training], asked)] = session


@contextmanager
def _at_work(settings: Settings, jobs: Sequence[Job]) -> Iterator[dict[Job, Tell]]:
    """Mark all of the jobs as run by this process."""
    layout, patient = layout_of(settings), settings.jobs.engine == RAY
    with ExitStack() as stack:
        in_order = sorted(jobs, key=str)  # two commands that wait for one another's jobs would wait for ever
        yield {job: stack.enter_context(present(layout.running(job), str(job), wait=patient)) for job in in_order}


def _reporters(sessions: Sequence[HeadSession], report: Reporter, tells: Mapping[Job, Tell]) -> Reporters:
    """Return what each head reports to: whoever asks for the job, and all heads' common report."""
    together = report if len(sessions) == 1 else Together(sessions, report)
    trainings = [session.training for session in sessions]
    return {each: telling(together, tells[each.job]) if each.job in tells else together for each in trainings}


class Together:
    """Reports the mean of several heads for each of them that reports."""

    def __init__(self, sessions: Sequence[HeadSession], report: Reporter) -> None:
        self.sessions, self.report = sessions, report

    def __call__(self, done: float, total: int, note: str = "") -> None:
        """Report how far all heads are, with their mean scores."""
        parts = [session.done for session in self.sessions]
        epoch = min(int(min(parts)) + 1, total)
        scores, copies = _means([one.scores for one in self.sessions]), self.sessions[0].variant.scores_copies
        self.report(mean(parts), total, epoch_told(epoch, total, scores, copies=copies))


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every score that all rows have."""
    return {name: mean(row[name] for row in rows) for name in rows[0] if all(name in row for row in rows)}


def _of_several(report: Reporter, tell: Tell, number: int, of: int) -> Reporter:
    """Return what the prediction of a job reports to: as it is when it is the only one."""
    if of == 1:
        return telling(report, tell)
    return telling(lambda done, total, note="": report(number, of, note), tell)


def _first(errors: Sequence[InputError]) -> InputError:
    for other in errors[1:]:
        complain(str(other))
    return errors[0]
