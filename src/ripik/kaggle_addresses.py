"""Names on Kaggle, given by themselves or by the address that a browser shows."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

ADDRESS = re.compile(r"(?:https?://)?(?:www\.)?kaggle\.com/([^?#]*).*", re.IGNORECASE)
NAME = r"^[a-z0-9-]*$"  # of a competition
OTHER_PAGES = (
    "competitions",
    "c",
    "code",
    "kernels",
    "models",
    "discussions",
    "learn",
    "docs",
)  # no owners of datasets


def competition_name(text: str) -> str:
    """Return the name of a competition that is given by itself, or by its address; any other text as it is."""
    parts = _parts(text)
    return parts[1] if len(parts) > 1 and parts[0] in ("competitions", "c") else text


def dataset_name(text: str) -> str:
    """Return a dataset's owner/name, or owner/name/version, where it is given by its address; else the text."""
    parts = _parts(text)
    parts = parts[1:] if parts[:1] == ["datasets"] else parts
    if len(parts) < 2 or parts[0] in OTHER_PAGES:
        return text
    version = parts[3:4] if parts[2:3] == ["versions"] else []
    return "/".join([*parts[:2], *version])


def _parts(text: str) -> list[str]:
    found = ADDRESS.fullmatch(text.strip())
    return [part for part in found[1].split("/") if part] if found else []


def _checked(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    name = competition_name(text)
    if not re.fullmatch(NAME, name):
        raise ValueError(
            f"kaggle.competition = {text!r} is not a competition's name: write it as in its web address, "
            "https://www.kaggle.com/competitions/NAME"
        )
    return name


CompetitionName = Annotated[str, Field(pattern=NAME), BeforeValidator(_checked)]
