"""From the files of a competition to its settings: which CSV is which, which columns, which folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from PIL import Image

from ripik.data.csv_tables import first, line_of, read_table
from ripik.data.image_headers import quiet
from ripik.data.survey.guess import Guess
from ripik.data.survey.images import Images, Naming
from ripik.data.survey.labels import OF_GROUPS, cells_of, take_labels, take_metric
from ripik.errors import InputError

SAMPLE = ("sample", "submission")
IDS = ("image_id", "id", "image", "file", "filename", "file_name", "path", "name")
LOOKED_AT = 50  # images whose size is looked at


def look(files: Mapping[str, Path], source: object, answers: Mapping[str, Any]) -> Guess:
    """Return the settings that fit the files, by their names in the source.

    answers: keys of [competition] that are settled. Raises InputError where there are no images or no labels, and
    where the files may be read in several ways and nobody can be asked.
    """
    return _Look(files, source, answers).guess_all()


class _Look:
    def __init__(self, files: Mapping[str, Path], source: object, answers: Mapping[str, Any]) -> None:
        self.files, self.source, self.guess = files, source, Guess(answers)
        self.images = Images(list(files))
        self.tables: dict[str, pd.DataFrame] = {}
        if not self.images.files:
            raise InputError(f"{source} contains no images. Give the folder or zip with the competition's files.")

    def guess_all(self) -> Guess:
        names = [name for name in self.files if name.lower().endswith(".csv")]
        sample = self._pick("sample_submission", "the sample submission", [n for n in names if _has(n, SAMPLE)])
        rest = [name for name in names if name != sample and not _has(name, SAMPLE)]
        tests = [name for name in rest if "test" in PurePosixPath(name).stem.lower()]
        trains = self._trains([name for name in rest if name not in tests])
        self._tell_images()
        if trains:
            self._by_table(trains, tests, sample)
        else:
            self._by_folders(sample, rest)
        self.guess.take_other_answers()
        return self.guess

    def _pick(self, key: str, question: str, names: Sequence[str]) -> str:
        if key in self.guess.answers:
            return str(self.guess.answers[key])
        return self.guess.choose(key, question, dict.fromkeys(names, "by its name")) if names else ""

    def _trains(self, names: Sequence[str]) -> list[str]:
        """Return the CSVs that may list the training images: of those that name images, those called train."""
        if "train_csv" in self.guess.answers:
            return [str(self.guess.answers["train_csv"])]
        naming = [name for name in names if self._namings(name)]
        return [name for name in naming if "train" in PurePosixPath(name).stem.lower()] or naming

    def _table(self, name: str) -> pd.DataFrame:
        if name not in self.files:
            tables = [each for each in self.files if each.lower().endswith(".csv")]
            raise InputError(
                f"{self.source} has no file {name!r}; its CSVs are {first(tables) if tables else 'none'}. Set one "
                "of them in --set competition.train_csv, test_csv or sample_submission."
            )
        if name not in self.tables:
            self.tables[name] = read_table(self.files[name], [], name=name)
        return self.tables[name]

    def _namings(self, name: str) -> list[Naming]:
        table = self._table(name)
        found = [self.images.naming(table[column]) for column in table.columns]
        return [naming for naming in found if naming]

    def _tell_images(self) -> None:
        readable = [self.files[name] for name in self.images.files[:LOOKED_AT] if _opens(self.files[name])]
        with quiet():
            sizes = [Image.open(path).size for path in readable]
        ends = sorted(sizes, key=lambda size: size[0] * size[1])
        span = f"{ends[0][0]} × {ends[0][1]} to {ends[-1][0]} × {ends[-1][1]} pixels" if ends else "none is readable"
        self.guess.tell("images", str(len(self.images.files)), span)

    def _by_table(self, trains: Sequence[str], tests: Sequence[str], sample: str) -> None:
        guess = self.guess
        name = guess.choose(
            "train_csv", "the training images and labels", {each: self._columns(each) for each in trains}
        )
        guess.take("train_csv", name, "names images", "training images")
        train, shown = self._table(name), None if not sample else self._table(sample)
        naming = self._take_ids(name, train, shown)
        self._take_folders("train", train[naming.column].tolist(), naming.by_id)
        ids = guess.values["id_column"]
        test = self._take_test(tests, naming, sample, ids)
        asked = [] if shown is None else [column for column in shown.columns if column != self._sample_ids(shown, ids)]
        others = {ids, naming.column, *(test.columns if test is not None else ())}
        columns = [column for column in train.columns if column not in others and not column.startswith("Unnamed: ")]
        classes = take_labels(guess, train, columns, asked, name)
        take_metric(guess, shown, asked, classes)
        self._tell_unused(columns)

    def _columns(self, name: str) -> str:
        table = self._table(name)
        return f"{len(table)} rows of {first(list(table.columns))}"

    def _take_ids(self, name: str, train: pd.DataFrame, sample: pd.DataFrame | None) -> Naming:
        """Take the columns of ids and of file names; return the one that names the files."""
        namings = {naming.column: naming for naming in self._namings(name)}
        unique = [column for column in train.columns if train[column].is_unique]
        known = [column for column in (sample.columns[:1] if sample is not None else ()) if column in unique]
        usual = [column for word in IDS for column in unique if column.lower() == word]
        ids = (known or usual or [*namings])[0]
        ids = self.guess.take(
            "id_column", ids, "as in the sample" if known else "a different value for each image", "ids"
        )
        by_name = [naming for naming in namings.values() if not naming.by_id]
        own = namings.get(ids)
        files = own if own and not own.by_id else by_name[0] if by_name else own or next(iter(namings.values()))
        if files.by_id and files.column != ids:
            ids = self.guess.take("id_column", files.column, "names the files", "ids")
        why = f"files are named by this column of {name}" if not files.by_id else "files are named by their ids"
        self.guess.take("filename_column", "" if files.by_id else files.column, why, "file names")
        if files.by_id:
            self.guess.take("image_extension", files.ending, "the extension of most files", "file extension")
        return files

    def _take_folders(self, split: str, cells: Sequence[str], by_id: bool) -> None:
        readings = self.images.folders(cells, by_id, split)
        if not readings:
            raise InputError(f"{self.source}: no folder holds the images of the {split} set. Add it to the source.")
        options = {tuple(each) if len(each) > 1 else each[0]: f"holds all {len(cells)} images" for each in readings}
        folder = self.guess.choose(f"{split}_images", f"the folder of the {split} images", options)
        folder = [*map(plain, folder)] if isinstance(folder, tuple) else plain(folder)
        self.guess.take(f"{split}_images", folder, f"{len(cells)} images", f"folder of {split}")

    def _take_test(self, tests: Sequence[str], naming: Naming, sample: str, ids: str) -> pd.DataFrame | None:
        """Take the test set, of a CSV, the sample's ids, or a folder; return the CSV's content where there is one."""
        guess = self.guess
        usable = [name for name in tests if naming.column in self._table(name).columns]
        name = self._pick("test_csv", "the test images", usable)
        guess.take("test_csv", plain(name), "names images" if name else "no CSV lists them", "test images")
        table = self._table(name) if name else self._table(sample) if sample else None
        if table is None:
            self._take_test_folder()
        else:
            column = naming.column if name else self._sample_ids(table, ids)
            self._take_folders("test", cells_of(table, column, name or sample).tolist(), naming.by_id if name else True)
        guess.take(
            "sample_submission", plain(sample), "by its name" if sample else "there is none", "sample submission"
        )
        return self._table(name) if name else None

    def _take_test_folder(self) -> None:
        folders = self.images.folder_of("test")
        chosen = self._pick("test_images", "the folder of the test images", folders)
        why = f"{len(self.images.below(chosen))} images" if chosen else "there is no test set"
        self.guess.take("test_images", plain(chosen), why, "folder of test")

    def _sample_ids(self, sample: pd.DataFrame, ids: str) -> str:
        return ids if ids in sample.columns else str(sample.columns[0])

    def _by_folders(self, sample: str, others: Sequence[str]) -> None:
        guess = self.guess
        options = {folder: f"{len(found)} folders: {first(found)}" for folder, found in self._class_folders().items()}
        if not options:
            self._refuse_repeated(others)
            told = f"its CSVs {first(list(others))} list none of the images" if others else "it has no CSV of images"
            raise InputError(
                f"{self.source}: {told}, and no folder has a subfolder for each class. Set where the labels are."
            )
        folder = guess.choose("train_images", "the folder of the classes", options)
        guess.take("layout", "folders", f"a folder per class: {options.get(folder, '')}")
        guess.take("train_images", plain(folder), f"{len(self.images.below(folder))} images", "folder of train")
        shown = self._table(sample) if sample else None
        if shown is not None:
            guess.take("id_column", str(shown.columns[0]), "the sample's first column", "ids")
            cells = cells_of(shown, guess.values["id_column"], sample, "id_column").tolist()
            self._take_folders("test", cells, True)
        else:
            self._take_test_folder()
        guess.take(
            "sample_submission", plain(sample), "by its name" if sample else "there is none", "sample submission"
        )
        asked = [] if shown is None else [str(column) for column in shown.columns[1:]]
        classes = self.images.classes(folder)
        if len(asked) == 1:
            guess.take("label_column", asked[0], "the sample's second column", "labels")
        guess.take("label_type", _kind(classes), f"such as {first(classes)}", "kind of labels")
        take_metric(guess, shown, asked, classes)

    def _refuse_repeated(self, names: Sequence[str]) -> None:
        """Raise InputError where a CSV lists an image twice, which is why it was not taken for a list of images."""
        for name in names:
            table = self._table(name)
            for column in table.columns:
                cell = self.images.repeated(table[column])
                if cell is not None:
                    lines = [str(line_of(row)) for row in table.index[table[column] == cell]]
                    raise InputError(
                        f"{self.source}: {name} lists the image {cell!r} ({column}) in lines {first(lines)}. "
                        "Each image must be listed once, with one label: delete the other lines."
                    )

    def _class_folders(self) -> dict[str, list[str]]:
        """Return the folders that hold nothing but folders with images, by those; of several those called train."""
        parents = {str(parent) for name in self.images.files for parent in PurePosixPath(name).parents}
        found = {parent: self.images.classes(parent) for parent in sorted(parents)}
        found = {parent: classes for parent, classes in found.items() if classes and not _are_splits(classes)}
        named = {parent: classes for parent, classes in found.items() if "train" in PurePosixPath(parent).name.lower()}
        outer = [each for each in found if not any(each != other and _within(each, other) for other in found)]
        return named or {each: found[each] for each in outer}

    def _tell_unused(self, columns: Sequence[str]) -> None:
        used = {self.guess.values.get("label_column"), *self.guess.values.get("label_columns", ())}
        named = {"group_column", "weight_column", "ignore"} & self.guess.answers.keys()
        used |= {str(self.guess.answers[key]) for key in named}
        left = [column for column in columns if column not in used]
        groups = [column for column in left if OF_GROUPS.search(column)]
        if groups:
            why = "set competition.group_column if equal values mean the same object"
            self.guess.tell("possible group columns", first(groups), why)
        if left:
            self.guess.tell("columns not used", first(left))


def plain(name: str) -> str:
    """Return a path of a source without the endings of archives, which count as the folders they unpack to."""
    return "/".join(part.removesuffix(".zip") for part in name.split("/"))


def _has(name: str, words: Sequence[str]) -> bool:
    return any(word in PurePosixPath(name).stem.lower() for word in words)


def _kind(classes: Sequence[str]) -> str:
    return "integer" if all(name.isdigit() and str(int(name)) == name for name in classes) else "string"


def _are_splits(names: Sequence[str]) -> bool:
    """Whether folders are parts of the data, and not classes."""
    return any(word in name.lower() for name in names for word in ("train", "test", "valid"))


def _within(inner: str, outer: str) -> bool:
    return PurePosixPath(outer) in PurePosixPath(inner).parents


def _opens(path: Path) -> bool:
    try:
        with quiet(), Image.open(path):
            return True
    except (OSError, ValueError, Image.DecompressionBombError):
        return False
