"""A Ray cluster of two nodes gives the bytes of this machine alone, also when a worker or a node is lost on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Drawn, Tiny, copy_of, write_competition

ray = pytest.importorskip("ray", reason="needs Ray: make test-cluster")
from ray.cluster_utils import Cluster  # noqa: E402

FAST = ("jobs.threads=1", "training.epochs=6", "augmentation.copies=2")
SOME = ("--variants", "original", "finetuned")
SECONDS = 600


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Two nodes of one CPU each, on this machine; jobs have one thread."""
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    yield nodes
    nodes.shutdown()


def start(tiny: Tiny, *arguments: str, address: str = "", step: str = "train") -> subprocess.Popen[str]:
    settings = [part for override in FAST for part in ("--set", override)]
    command = [sys.executable, "-m", "ripik", step, "--config", str(tiny.config), *settings, *arguments]
    environment = os.environ | ({"RAY_ADDRESS": address} if address else {})
    if address:
        command += ["--set", "jobs.engine=ray"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, text=True, cwd=tiny.folder, env=environment, **pipes)


def finish(command: subprocess.Popen[str]) -> str:
    told, _ = command.communicate(timeout=SECONDS)
    assert command.returncode == 0, told
    return told


def made(tiny: Tiny) -> dict[str, bytes]:
    """Return what the variants' CSVs hold."""
    return {str(path.relative_to(tiny.run)): path.read_bytes() for path in tiny.run.glob("*/*.csv")}


def process_at_work(tiny: Tiny) -> int:
    """Return the process of the first training seen to have done an epoch."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        for path in (tiny.run / "running").glob("*-fold*.json"):
            try:
                told = json.loads(path.read_text())
            except (OSError, ValueError):  # it has just ended, or writes
                continue
            if told["done"] > 0:
                return told["pid"]
        time.sleep(0.01)
    raise AssertionError("no training was seen at work")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> Tiny:
    """Train all variants in processes of this machine."""
    tiny = write_competition(tmp_path_factory.mktemp("alone") / "tiny", drawn)
    finish(start(tiny))
    return tiny


def test_two_nodes_make_the_bytes_of_this_machine_alone(alone: Tiny, tiny: Tiny, cluster: Cluster) -> None:
    told = finish(start(tiny, address=cluster.address))
    assert "Ray: 2 nodes, room for 2 jobs at once" in told
    assert made(tiny) == made(alone)
    assert len(made(tiny)) >= 8
    logs = list(tiny.run.glob("*/fold*/logs/events*"))
    processes = {path.name.split(".")[-3] for path in logs}  # a log's name tells which one wrote it
    assert len(processes) < len(logs), "a worker does more than one job"


def test_killed_worker_changes_nothing(alone: Tiny, tiny: Tiny, cluster: Cluster) -> None:
    command = start(tiny, address=cluster.address)
    os.kill(process_at_work(tiny), signal.SIGKILL)
    told = finish(command)
    assert "its worker was lost; it resumes from its last saved state" in told
    assert made(tiny) == made(alone)


def test_every_job_is_finished_after_a_node_is_lost(alone: Tiny, tiny: Tiny, cluster: Cluster) -> None:
    command = start(tiny, address=cluster.address)
    process_at_work(tiny)
    lost = next(node for node in cluster.list_all_nodes() if not node.head)
    cluster.remove_node(lost, allow_graceful=False)
    finish(command)
    assert made(tiny) == made(alone)


def test_interrupted_command_leaves_state_and_goes_on(alone: Tiny, tiny: Tiny, cluster: Cluster) -> None:
    command = start(tiny, *SOME, address=cluster.address)
    process_at_work(tiny)
    command.send_signal(signal.SIGINT)
    told, _ = command.communicate(timeout=SECONDS)
    assert command.returncode == 130, told
    assert "Traceback" not in told
    assert not list((tiny.run / "running").glob("*"))
    finish(start(tiny, address=cluster.address))
    assert made(tiny) == made(alone)


@pytest.mark.parametrize("variant", ["original", "finetuned"])
def test_a_search_tries_what_it_does_here(variant: str, alone: Tiny, tmp_path: Path, cluster: Cluster) -> None:
    """Three trials at once on two nodes, with their scores to the last digit."""
    ranges = ("tune.at_once=3", "tune.ranges.learning_rate={low=1e-4, high=1e-2, log=true}", "training.epochs=2")
    words = ["--variant", variant, "--trials", "5"] + [part for each in ranges for part in ("--set", each)]
    (alone.folder / "submissions").mkdir(exist_ok=True)
    tried = []
    for name, address in (("here", ""), ("there", cluster.address)):
        tiny = copy_of(alone, tmp_path / name)
        finish(start(tiny, *words, step="tune", address=address))
        found = json.loads((tiny.run / "tune" / f"{variant}.json").read_text())
        tried.append([[each[key] for key in ("number", "values", "scores", "whole")] for each in found["trials"]])
    assert tried[0] == tried[1]
    assert len(tried[0]) == 5


def test_folder_that_a_node_does_not_see_is_named(tmp_path: Path) -> None:
    from ripik.errors import SurroundingsError
    from ripik.execution.ray_cluster import work
    from ripik.execution.task import Task

    class Silent:
        def put(self, message: object) -> None:
            raise AssertionError("it has not begun")

        def get(self) -> None:
            time.sleep(SECONDS)

    with pytest.raises(SurroundingsError, match=r"has no folder .* every node of the cluster must see"):
        work(Task("a", "nowhere:none", ()), 1, str(tmp_path / "elsewhere"), None, Silent(), Silent())
