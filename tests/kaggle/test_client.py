"""The real `kaggle` command against a server of our own."""

import json
import socket
import sys
from pathlib import Path

import pytest

from kaggle_stand_in import ETAG, OWNER, SLUG, StandIn
from organiser import check_filled, nested, settings, zip_of
from ripik.errors import InputError, SurroundingsError
from ripik.kaggle import client as kaggle_command
from ripik.kaggle.client import failure, has_credentials
from ripik.kaggle.downloads import data, download_dataset
from ripik.settings import Settings

NAME = f"{OWNER}/{SLUG}"
COMMAND = kaggle_command._command


def made(tmp_path: Path) -> Settings:
    return settings(tmp_path, kaggle_dataset=NAME)


@pytest.fixture
def by_itself(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the command as it is started outside the tests."""
    monkeypatch.setattr(kaggle_command, "_command", COMMAND)


@pytest.mark.usefixtures("login", "by_itself")
def test_a_dataset_fills_the_input_folder(tmp_path: Path, server: StandIn) -> None:
    data(made(tmp_path))
    check_filled(tmp_path, made(tmp_path))
    assert server.asked == ["GetDatasetMetadata", "DownloadDataset", "GET bytes=0-"]


def test_a_public_dataset_needs_no_credentials(tmp_path: Path, server: StandIn) -> None:
    assert download_dataset(NAME, tmp_path / "to").read_bytes() == server.archive


@pytest.mark.usefixtures("login")
def test_a_cut_download_goes_on_in_the_same_run(tmp_path: Path, server: StandIn) -> None:
    server.cuts = 1
    server.archive = zip_of({**nested(), "other.bin": bytes(3 * 2**20)})
    data(made(tmp_path))
    check_filled(tmp_path, made(tmp_path))
    assert server.asked[2:] == ["GET bytes=0-", f"GET bytes={2**20}-"]  # the command keeps whole MiB


@pytest.mark.usefixtures("login")
def test_a_download_that_was_killed_goes_on_in_the_next_run(tmp_path: Path, server: StandIn) -> None:
    part = tmp_path / "input" / ".cars.fetching" / "download" / f"{SLUG}.zip"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.archive[:100])
    marker = {"validator": ETAG, "size": len(server.archive)}
    part.with_name(f"{SLUG}.zip.kaggle-partial").write_text(json.dumps(marker))
    data(made(tmp_path))
    check_filled(tmp_path, made(tmp_path))
    assert server.asked[-1] == "GET bytes=100-"


@pytest.mark.usefixtures("login")
def test_a_damaged_download_is_thrown_away(tmp_path: Path, server: StandIn) -> None:
    whole, server.archive = server.archive, server.archive[:-50]
    with pytest.raises(InputError, match=r"car-photos\.zip is damaged"):
        data(made(tmp_path))
    assert list((tmp_path / "input").iterdir()) == []
    server.archive = whole
    data(made(tmp_path))
    check_filled(tmp_path, made(tmp_path))


@pytest.mark.usefixtures("login")
def test_a_dataset_is_downloaded_by_its_address(tmp_path: Path, server: StandIn) -> None:
    data(settings(tmp_path, kaggle_dataset=f"https://www.kaggle.com/datasets/{NAME}"))
    check_filled(tmp_path, made(tmp_path))


def test_the_address_of_a_competition_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'Write it as owner/name, .*or set kaggle\.competition = "cars"'):
        data(settings(tmp_path, kaggle_dataset="https://www.kaggle.com/competitions/cars"))


@pytest.mark.usefixtures("login")
@pytest.mark.parametrize(
    ("status", "message", "kind", "match"),
    [
        (
            403,
            "",
            InputError,
            r"refuses .*car-photos \(403\).*Open https://www.kaggle.com/datasets/somebody/car-photos",
        ),
        (403, "Permission 'datasets.get' was denied", InputError, r"\(403\)"),
        (404, "", InputError, r"there is no Kaggle dataset somebody/car-photos \(404\)"),
        (404, "Dataset not found", InputError, r"\(404\)"),
        (401, "", InputError, "are not valid.*kaggle auth login.*KAGGLE_API_TOKEN.*KAGGLE_USERNAME.*kaggle.json"),
        (429, "", SurroundingsError, r"\(429\)"),
        (429, "Too many requests", SurroundingsError, r"\(429\)"),
        (500, "", SurroundingsError, "Kaggle had an internal error"),
        (400, "Something odd", SurroundingsError, "exit code 1 .*: Something odd"),
    ],
)
def test_refusals(
    tmp_path: Path, server: StandIn, status: int, message: str, kind: type[Exception], match: str
) -> None:
    server.status, server.message = status, message
    with pytest.raises(kind, match=match):
        data(made(tmp_path))
    assert not (tmp_path / "input" / "cars").exists()


@pytest.mark.parametrize("status", [401, 403])
def test_no_credentials_tells_the_ways_to_give_them(tmp_path: Path, server: StandIn, status: int) -> None:
    server.status = status
    with pytest.raises(InputError, match=r"kaggle auth login.*KAGGLE_API_TOKEN.*access_token.*kaggle\.json"):
        download_dataset(NAME, tmp_path)


@pytest.mark.usefixtures("login")
def test_a_connection_cut_without_an_answer(tmp_path: Path, server: StandIn) -> None:
    server.drop = True
    with pytest.raises(SurroundingsError, match="connection to Kaggle failed"):
        data(made(tmp_path))


@pytest.mark.usefixtures("login")
def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(SurroundingsError, match="connection to Kaggle failed"):
            data(made(tmp_path))


@pytest.mark.usefixtures("login", "by_itself")
def test_without_the_script_the_module_runs(tmp_path: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kaggle_command.shutil, "which", lambda name, path: None)
    assert kaggle_command._command() == [sys.executable, "-m", "kaggle"]
    assert download_dataset(NAME, tmp_path).read_bytes() == server.archive


def test_a_failure_with_exit_code_0_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kaggle_command, "_command", lambda: [sys.executable, "-c", "print('User cancelled operation')"])
    with pytest.raises(SurroundingsError, match=r"exit code 0 without .*: User cancelled operation"):
        download_dataset(NAME, tmp_path)


def test_progress_is_shown_and_not_taken_for_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = "from tqdm import tqdm; [0 for _ in tqdm(range(3), unit='B', unit_scale=True, mininterval=0)]"
    open_end = "t = tqdm(unit='B', unit_scale=True, mininterval=0); t.update(5); t.close()"
    monkeypatch.setattr(
        kaggle_command,
        "_command",
        lambda: [sys.executable, "-c", f"{bar}; {open_end}; print('License(s): CC0\\nlast')"],
    )
    code, said = kaggle_command.run_kaggle([])
    shown = capsys.readouterr()
    assert (code, said) == (0, "License(s): CC0\nlast\n")
    assert "100%|" in shown.err
    assert shown.out == "License(s): CC0\n"


@pytest.mark.parametrize("name", ["car-photos", "a/b/c", "--help", "-p/x", "a/../b", "a/b/1/2", "a b/c"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="owner/name"):
        download_dataset(name, tmp_path)


@pytest.mark.parametrize(
    ("said", "kind", "match"),
    [
        ("403 - Forbidden", InputError, r"\(403\)"),
        ("404 - Not Found", InputError, r"\(404\)"),
        ("OSError: Could not find kaggle.json. Make sure it's located in x", InputError, "kaggle auth login"),
        ("HTTPSConnectionPool: Read timed out.", SurroundingsError, "connection"),
        ("('Connection broken: IncompleteRead(5 bytes read, 9 more expected)')", SurroundingsError, "connection"),
        ("[Errno 28] No space left on device", SurroundingsError, "could not write"),
        ("", SurroundingsError, "it printed nothing"),
    ],
)
def test_what_other_versions_and_moments_say(home: Path, said: str, kind: type[Exception], match: str) -> None:
    error = failure("the Kaggle dataset a/b", "https://page", 1, said)
    assert type(error) is kind
    with pytest.raises(kind, match=match):
        raise error


def test_credentials_are_seen_wherever_the_command_looks(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_credentials()
    for name in ("access_token", "credentials.json", "kaggle.json"):
        (home / ".kaggle" / name).write_text("x")
        assert has_credentials()
        (home / ".kaggle" / name).unlink()
    for names in (["KAGGLE_API_TOKEN"], ["KAGGLE_USERNAME", "KAGGLE_KEY"]):
        with monkeypatch.context() as given:
            assert not has_credentials()
            for name in names:
                given.setenv(name, "x")
            assert has_credentials()
