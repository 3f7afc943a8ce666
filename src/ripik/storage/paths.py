"""The folders and files of a run that several rooms know; from these a room derives what it alone reads and writes."""

from dataclasses import dataclass
from pathlib import Path

from ripik.settings import Settings


@dataclass(frozen=True)
class Job:
    """The unit of training: one variant, one fold (None: the refit on all rows), one seed number."""

    variant: str
    fold: int | None
    seed: int = 0

    @property
    def folder(self) -> str:
        """`fold2`, `fold2-seed1`, `refit`: the job's folder inside its variant's."""
        stem = "refit" if self.fold is None else f"fold{self.fold}"
        return f"{stem}-seed{self.seed}" if self.seed else stem

    def __str__(self) -> str:
        return f"{self.variant}/{self.folder}"


@dataclass(frozen=True)
class Layout:
    """The folders and files of one run."""

    input: Path
    run: Path
    submissions: Path

    @property
    def folds(self) -> Path:
        """The folds' CSV."""
        return self.run / "folds.csv"

    @property
    def groups(self) -> Path:
        """The near-copy groups' CSV."""
        return self.run / "groups.csv"

    @property
    def groups_page(self) -> Path:
        """The gallery of the near-copy groups."""
        return self.run / "near-copies.html"

    @property
    def unreadable(self) -> Path:
        """The CSV of the images that cannot be read."""
        return self.run / "unreadable.csv"

    @property
    def config(self) -> Path:
        """The effective configuration of the last training or blend."""
        return self.run / "config.toml"

    @property
    def threads(self) -> Path:
        """How many threads each job of the run has."""
        return self.run / "threads.json"

    @property
    def images(self) -> Path:
        """The CSV of the path of each image."""
        return self.run / "images.csv"

    @property
    def report(self) -> Path:
        """The folder of the report."""
        return self.run / "report"

    @property
    def analysis(self) -> Path:
        """The folder of tables and pages about the run."""
        return self.run / "analysis"

    @property
    def ensemble(self) -> Path:
        """The folder of the blend."""
        return self.run / "ensemble"

    @property
    def copies(self) -> Path:
        """The folder of the augmented copies as JPEG."""
        return self.run / "augmented_images"

    def kernel(self, kind: str) -> Path:
        """The folder of a Kaggle kernel, `train` or `infer`."""
        return self.run / "kernel" / kind

    @property
    def exported(self) -> Path:
        """The folder of the blend as it predicts without this package."""
        return self.run / "export"

    def pixels(self, size: int) -> Path:
        """The folder of decoded images of `size` × `size` pixels."""
        return self.run / "pixels" / str(size)

    def features(self, key: str) -> Path:
        """The folder of a frozen part's stored outputs."""
        return self.run / "features" / key

    def backbone(self, key: str) -> Path:
        """A backbone's initial weights, the same file for all jobs."""
        return self.run / "backbones" / f"{key}.weights.h5"

    def variant(self, name: str) -> Path:
        """The folder of a variant."""
        return self.run / name

    def job(self, job: Job) -> Path:
        """The folder of one training."""
        return self.variant(job.variant) / job.folder

    def state(self, job: Job) -> Path:
        """The file that a training resumes from."""
        return self.job(job) / "state.npz"

    def running(self, job: Job) -> Path:
        """The file that shows which process runs a training."""
        return self.at_work.parent / f"{job.variant}-{job.folder}.json"

    def tune(self, variant: str) -> Path:
        """The folder of the trials of a search; its storage, record and result stand beside it, by the same name."""
        return self.run / "tune" / variant

    @property
    def at_work(self) -> Path:
        """The file that shows which command writes what the trainings share."""
        return self.run / "running" / "run.json"


def layout_of(settings: Settings) -> Layout:
    """Return the paths of the run that `settings` describe."""
    paths = settings.paths
    root = settings.competition.root
    return Layout(
        input=(Path(root) if root else Path(paths.input) / settings.run).expanduser(),
        run=Path(paths.output).expanduser() / settings.run,
        submissions=Path(paths.submissions).expanduser(),
    )
