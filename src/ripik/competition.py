"""Read and check what the organiser gave: three CSVs and two folders of images."""

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from ripik import artifacts
from ripik.errors import InputError
from ripik.layout import layout_of
from ripik.settings import CompetitionSettings, Label, Settings

SHOWN = 5


@dataclass(frozen=True)
class Competition:
    """The competition's data. Ids are text, exactly as written in the CSVs.

    train: frame with image_id (str), path (Path), label (int or str), in the order of train.csv.
    test: frame with image_id, path, in the order of test.csv.
    sample: the sample submission, all columns as text.
    classes: the label values in class order.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame
    classes: tuple[Label, ...]

    @functools.cached_property
    def fingerprints(self) -> dict[str, str]:
        """A hash of each split's ids and images as they were when first asked for; see `fingerprint`."""
        splits = {"train": self.train, "test": self.test}
        return {
            name: artifacts.digest([list(rows["image_id"]), artifacts.files_digest(list(rows["path"]))])
            for name, rows in splits.items()
        }

    def class_indices(self) -> pd.Series:
        """Return the class index (0…C−1) of every training row, indexed by image_id."""
        index = {label: position for position, label in enumerate(self.classes)}
        return pd.Series(self.train["label"].map(index).to_numpy(), index=self.train["image_id"], dtype="int64")

    def rows(self, split: str) -> pd.DataFrame:
        """Return the frame of a split, `train` or `test`."""
        return self.train if split == "train" else self.test


def read_competition(settings: Settings) -> Competition:
    """Read the competition of `settings`.

    Raises InputError for missing files, columns or images, duplicate ids, missing or unknown labels, and a sample
    submission whose ids are not those of the test set.
    """
    how, root = settings.competition, layout_of(settings).input
    if not (root / how.train_csv).exists():
        raise InputError(
            f"there is no {root / how.train_csv}. `make data` fetches the competition named in the configuration, "
            "`make demo` draws a small one to try; competition.root=FOLDER names a folder of your own."
        )
    train = _read_images(root, how.train_csv, how.train_images, how, [how.label_column])
    test = _read_images(root, how.test_csv, how.test_images, how, [])
    sample = _read_sample(root / how.sample_submission, how, test)
    _check_disjoint(train, test, root, how)
    train = train.assign(label=_labels(train["label"], root / how.train_csv, how))
    classes = _classes(train, root / how.train_csv, how)
    _check_sample_columns(sample, root / how.sample_submission, how, classes)
    train, test, sample = (frame.reset_index(drop=True) for frame in (train, test, sample))
    return Competition(train, test, sample, classes)


def fingerprint(competition: Competition, split: str) -> str:
    """Return a hash of a split's ids and images; of a competition read later, it tells whether a file was replaced."""
    return competition.fingerprints[split]


def _read_images(root: Path, csv: str, folder: str, how: CompetitionSettings, more_columns: list[str]) -> pd.DataFrame:
    path = root / csv
    columns = [how.id_column, *([how.filename_column] if how.filename_column else []), *more_columns]
    frame = _read_table(path, columns)
    _check_ids(frame[how.id_column], path)
    ids = frame[how.id_column]
    names = frame[how.filename_column] if how.filename_column else ids + how.image_extension
    result = pd.DataFrame({"image_id": ids, "path": _image_paths(names, root / folder, path)})
    return result.assign(label=frame[how.label_column]) if more_columns else result


def _read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path, dtype=str, keep_default_na=False, index_col=False, skip_blank_lines=False, encoding="utf-8-sig"
            )
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(
            f"there is no file {path}. The competition's folder must hold it, or name it in [competition]."
        ) from None
    except pd.errors.ParserWarning:
        raise InputError(f"{path}: rows have more fields than the header has columns.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a UTF-8 CSV with a header: {error}") from None
    frame = frame[(frame != "").any(axis=1)]  # blank lines are no rows; the index still tells the line
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(frame.columns)}. "
            "Set the names of the columns in [competition] (id_column, filename_column, label_column)."
        )
    if frame.empty:
        raise InputError(f"{path} has a header but no rows.")
    return frame


def _check_ids(ids: pd.Series, path: Path) -> None:
    empty = ids.index[ids.str.strip() == ""]
    if len(empty):
        raise InputError(f"{path}, line {empty[0] + 2}: the image id is empty.")
    repeated = ids[ids.duplicated(keep=False)]
    if len(repeated):
        lines = [str(line + 2) for line in repeated.index[repeated == repeated.iloc[0]]]
        raise InputError(
            f"{path}: id {repeated.iloc[0]} stands on lines {', '.join(lines[:SHOWN])} "
            f"({repeated.nunique()} ids are repeated). Every image needs an id of its own."
        )


def _image_paths(names: pd.Series, folder: Path, csv: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}, where the images of {csv} should be.")
    for row, name in zip(names.index, names, strict=True):
        pure = PurePosixPath(name)
        if not name.strip() or pure.is_absolute() or ".." in pure.parts:
            raise InputError(f"{csv}, line {row + 2}: {name!r} is not a file name inside {folder}.")
    paths = [folder / name for name in names]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise InputError(f"{len(missing)} of the {len(paths)} images of {csv} are not in {folder}: {_first(missing)}.")
    return paths


def _labels(texts: pd.Series, path: Path, how: CompetitionSettings) -> pd.Series:
    empty = texts.index[texts.str.strip() == ""]
    if len(empty):
        raise InputError(f"{path}, line {empty[0] + 2}: the label is missing ({len(empty)} rows have none).")
    if how.label_type == "string":
        return texts
    wrong = texts.index[~texts.str.fullmatch(r"[+-]?\d{1,18}")]
    if len(wrong):
        raise InputError(
            f"{path}, line {wrong[0] + 2}: label {texts[wrong[0]]!r} is not an integer. "
            'For labels that are text set competition.label_type = "string".'
        )
    return texts.astype("int64")


def _classes(train: pd.DataFrame, path: Path, how: CompetitionSettings) -> tuple[Label, ...]:
    present = sorted(train["label"].unique().tolist())
    classes = how.classes or tuple(present)
    kind = int if how.label_type == "integer" else str
    if not all(isinstance(label, kind) for label in classes):
        raise InputError(f"competition.classes {list(classes)} are not all of the label_type {how.label_type!r}.")
    if len(set(classes)) < len(classes):
        raise InputError(f"competition.classes names a class twice: {list(classes)}.")
    unknown = [label for label in present if label not in classes]
    if unknown:
        line = train.index[train["label"] == unknown[0]][0] + 2
        raise InputError(
            f"{path}, line {line}: label {unknown[0]!r} is not one of competition.classes {list(classes)}."
        )
    absent = [label for label in classes if label not in present]
    if absent:
        raise InputError(f"{path}: no row has the label {_first(absent)}, which competition.classes names.")
    if len(classes) < 2:
        raise InputError(f"{path}: at least two classes are needed, found {list(classes)} only.")
    return tuple(classes)


def _read_sample(path: Path, how: CompetitionSettings, test: pd.DataFrame) -> pd.DataFrame:
    columns = [how.id_column] + ([how.label_column] if how.submission == "labels" else [])
    sample = _read_table(path, columns)
    _check_ids(sample[how.id_column], path)
    given, wanted = set(sample[how.id_column]), set(test["image_id"])
    if given != wanted:
        missing, extra = sorted(wanted - given), sorted(given - wanted)
        raise InputError(
            f"{path} does not list the ids of {how.test_csv}: {len(missing)} are missing ({_first(missing)}), "
            f"{len(extra)} are unknown ({_first(extra)})."
        )
    return sample


def _check_sample_columns(sample: pd.DataFrame, path: Path, how: CompetitionSettings, classes: Sequence[Label]) -> None:
    values = [how.label_column] if how.submission == "labels" else [str(label) for label in classes]
    if sorted(sample.columns) != sorted([how.id_column, *values]):
        raise InputError(
            f"{path} has the columns {', '.join(sample.columns)}; a submission of {how.submission} has "
            f"{', '.join([how.id_column, *values])}. Set competition.submission and the column names to match it."
        )


def _check_disjoint(train: pd.DataFrame, test: pd.DataFrame, root: Path, how: CompetitionSettings) -> None:
    both = sorted(set(train["image_id"]) & set(test["image_id"]))
    if both and (root / how.train_images) == (root / how.test_images):
        raise InputError(f"{len(both)} ids stand in {how.train_csv} and in {how.test_csv}: {_first(both)}.")


def _first(values: list) -> str:
    shown = ", ".join(str(value) for value in values[:SHOWN])
    return (shown or "none") + (", …" if len(values) > SHOWN else "")
