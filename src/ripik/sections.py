"""What every table of settings has in common: it is frozen, knows its keys, and holds texts that can be used.

A setting that is added to a table whose values are recorded with what they made is marked `Added`: at its default it is
not recorded, so that what was made before it came is still up to date.
"""

import unicodedata
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo, field_validator

Text = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
CountOrNone = Annotated[int, Field(ge=0, lt=2**31)]
UpTo1000 = Annotated[int, Field(ge=1, le=1000)]
UpTo1000OrNone = Annotated[int, Field(ge=0, le=1000)]
Folders = Annotated[
    Annotated[Text, Tag("a text")] | Annotated[tuple[Text, ...], Field(min_length=1), Tag("a list")],
    Discriminator(lambda value: "a list" if isinstance(value, list | tuple) else "a text"),
]
FoldersOrNone = Annotated[
    Annotated[str, Tag("a text")] | Annotated[tuple[Text, ...], Field(min_length=1), Tag("a list")],
    Discriminator(lambda value: "a list" if isinstance(value, list | tuple) else "a text"),
]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Added:
    """Marks a setting as added later: `epochs: Annotated[Count, Added()] = 30`."""


class Section(BaseModel):
    """A frozen table of settings; keys it does not know are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    @field_validator("*")
    @classmethod
    def _is_usable_text(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what no name or path may contain: control characters, and the home folder of an unknown user."""
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str):
                if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
                    raise ValueError(f"{info.field_name} = {text!r} contains a control character")
                if text.startswith("~"):
                    _check_home(text, f"{info.field_name} = {text!r}")
        return value

    def recorded(self, *, exclude: Collection[str] = ()) -> dict[str, Any]:
        """Return what is recorded of the table as an input: plain values, without added settings at their defaults."""
        values = self.model_dump(mode="json", exclude=set(exclude))
        for name, about in type(self).model_fields.items():
            if any(isinstance(mark, Added) for mark in about.metadata) and getattr(self, name) == about.default:
                values.pop(name, None)
        return values


def _check_home(path: str, where: str) -> None:
    try:
        Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{where}: there is no user of that name") from None
