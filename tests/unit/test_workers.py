"""Tests of running tasks in order with a bounded number under way, and of threads that are made on demand."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from dver.workers import Workers, abandon


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Two threads."""
    with ThreadPoolExecutor(2) as executor:
        yield Workers(executor, 2)


def test_results_come_in_the_order_of_the_tasks(workers: Workers) -> None:
    first_may_end = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            first_may_end.wait(10)
        else:
            first_may_end.set()
        return number

    started = (workers.executor.submit(work, number) for number in range(20))

    assert list(workers.in_order(started)) == list(range(20))


def test_no_more_tasks_are_started_than_the_window_holds(workers: Workers) -> None:
    submitted = 0

    def start() -> Iterator[Future[int]]:
        nonlocal submitted
        for number in range(100):
            submitted += 1
            yield workers.executor.submit(int, number)

    results = workers.in_order(start())
    assert next(results) == 0
    assert submitted == workers.window + 1
    results.close()  # type: ignore[attr-defined]  # a generator
    assert submitted == workers.window + 1


def test_the_first_error_ends_the_run_and_later_tasks_are_not_left_running(workers: Workers) -> None:
    running = threading.Semaphore(0)
    finished = []

    def fail() -> None:
        running.acquire(timeout=10)
        raise ValueError("as planned")

    def slow() -> None:
        running.release()
        threading.Event().wait(0.1)
        finished.append(True)

    with pytest.raises(ValueError, match="as planned"):
        list(workers.in_order(workers.executor.submit(task) for task in (fail, slow)))
    assert finished == [True]


def test_abandon_cancels_what_waits_and_waits_for_what_runs(workers: Workers) -> None:
    release, begun = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        begun.release()
        release.wait(10)

    futures = [workers.executor.submit(work) for _ in range(5)]
    for _ in range(2):
        begun.acquire(timeout=10)
    threading.Timer(0.05, release.set).start()

    abandon(futures)

    assert all(future.done() for future in futures)
    assert sum(future.cancelled() for future in futures) == 3


def test_threads_are_made_for_the_first_task_and_ended_with_the_workers() -> None:
    before = threading.active_count()
    with Workers(None, 2, name="made-on-demand") as own:
        assert own.jobs == 2
        assert threading.active_count() == before

        name = own.executor.submit(lambda: threading.current_thread().name).result()

        assert name.startswith("made-on-demand")
    assert threading.active_count() == before
    with pytest.raises(RuntimeError):
        own.executor.submit(int)


def test_closing_without_a_task_makes_no_threads() -> None:
    own = Workers(None, 2)
    own.close()
    assert "executor" not in vars(own)


def test_close_leaves_an_executor_of_the_caller_running(workers: Workers) -> None:
    workers.close()
    assert workers.executor.submit(int, "7").result() == 7
