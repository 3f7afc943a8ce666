"""What of the cluster's engine needs no cluster: the order, the room, and what is said when it cannot be used."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from ripik.errors import InputError, SurroundingsError
from ripik.execution import ray_cluster
from ripik.execution.ray_cluster import run_on_cluster, slots
from ripik.execution.task import Task
from ripik.settings import JobSettings

NODES = [{"CPU": 4.0}, {"CPU": 3.0}, {"memory": 1.0}]


def task(name: str, *after: str) -> Task:
    return Task(name, "nowhere:none", (), after=after)


def test_order_has_each_task_after_those_it_names() -> None:
    tasks = [task("c", "b", "elsewhere"), task("b", "a"), task("a"), task("d")]
    assert [found.name for found in ray_cluster._in_order(tasks)] == ["a", "d", "b", "c"]


def test_room_is_counted_node_by_node() -> None:
    assert [ray_cluster._room(NODES, threads) for threads in (1, 2, 3, 4, 5)] == [7, 3, 2, 1, 0]
    assert ray_cluster._gpus(NODES[1:]) == 0


def test_where_there_are_gpus_they_are_the_room() -> None:
    nodes = [{"CPU": 64.0, "GPU": 2.0}, {"CPU": 3.0, "GPU": 4.0}, {"CPU": 64.0}]
    assert [ray_cluster._room(nodes, threads) for threads in (1, 2, 64)] == [5, 3, 1]
    assert ray_cluster._gpus(nodes) == 4


def test_more_threads_than_any_node_has_are_refused() -> None:
    with pytest.raises(InputError, match=r"a job gets 5 threads, but no node .* more than 4 CPUs"):
        ray_cluster._check_room(NODES, 5)


def test_a_cluster_started_here_has_room_for_the_jobs_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert slots(3, 2) == 3


def test_without_ray_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'jobs\.engine = "ray": the package ray is not installed'):
        run_on_cluster([task("a")], 1, 1)


def test_nobody_at_the_address_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeRay:
        def init(self, **how: object) -> None:
            raise AssertionError("Ray would try for minutes")

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with (
        pytest.raises(SurroundingsError, match=r"cluster 127\.0\.0\.1:1 cannot be used: .*refused"),
        ray_cluster._connected(FakeRay(), 1),
    ):
        pass


def test_engine_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="local"):
        JobSettings(engine="spark")


def test_workers_are_counted_once_for_each_task() -> None:
    class Job:
        options = property(lambda self: lambda **how: self)

        def remote(self, *arguments: object) -> object:
            return object()

    ray: Any = SimpleNamespace(remote=lambda **how: lambda work: Job())
    messages: Any = SimpleNamespace(queue=None, orders=None, workers=0)
    running = ray_cluster._submit(ray, [task("a"), task("b")], 1, 0, messages)
    running |= ray_cluster._submit(ray, [task("c")], 1, 0, messages)
    assert (len(running), messages.workers) == (3, 3 * (ray_cluster.RETRIES + 1))
