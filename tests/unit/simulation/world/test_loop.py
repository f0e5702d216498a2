"""Tasks in virtual time, invocations in environments, and the death of environments."""

from __future__ import annotations

import gc
import weakref
from contextlib import contextmanager, suppress
from contextvars import ContextVar

import pytest

from simulation.environments import Environment, LambdaFunction
from simulation.faults import FaultRates
from simulation.scheduler import Scheduler
from simulation.tasks import LambdaDied, TimedOut, Violation

CALM = FaultRates.calm()


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler("loop", CALM)


def test_tasks_run_in_the_order_of_virtual_time(scheduler):
    seen = []

    def work(name, pause):
        for _ in range(3):
            scheduler.sleep(pause)
            seen.append((round(scheduler.now, 3), name))

    scheduler.spawn(lambda: work("slow", 2.0), "slow")
    scheduler.spawn(lambda: work("fast", 0.9), "fast")
    scheduler.run()
    assert seen == [
        (0.9, "fast"),
        (1.8, "fast"),
        (2.0, "slow"),
        (2.7, "fast"),
        (4.0, "slow"),
        (6.0, "slow"),
    ]


def test_a_run_ends_at_its_time_and_continues_later(scheduler):
    seen = []
    scheduler.at(5.0, seen.append, "five")
    scheduler.run(max_time=3.0)
    assert (scheduler.now, seen) == (3.0, [])
    scheduler.sleep(4.0)
    assert (scheduler.now, seen) == (7.0, ["five"])


def test_an_unobserved_error_of_a_task_ends_the_run(scheduler):
    def work():
        raise Violation("money is gone")

    scheduler.spawn(work, "a")
    with pytest.raises(Violation, match="money is gone"):
        scheduler.run()


def test_a_join_returns_the_outcome_and_the_run_continues(scheduler):
    def broken():
        scheduler.sleep(1)
        raise KeyError("x")

    def parent():
        child = scheduler.spawn(broken, "child")
        scheduler.join([child])
        return type(child.error)

    task = scheduler.spawn(parent, "parent")
    scheduler.run()
    assert task.value is KeyError


def test_each_task_has_its_own_context_variables(scheduler):
    variable = ContextVar("variable", default="nothing")
    seen = []

    def work(name):
        seen.append(variable.get())
        variable.set(name)
        scheduler.sleep(1)
        seen.append(variable.get())

    scheduler.spawn(lambda: work("a"), "a")
    scheduler.spawn(lambda: work("b"), "b")
    scheduler.run()
    assert seen == ["nothing", "nothing", "a", "b"]


def test_an_invocation_returns_or_raises_the_result_of_its_work(scheduler):
    assert scheduler.invoke("f", lambda: 7, seconds=3) == 7

    def broken():
        scheduler.sleep(0.1)
        raise KeyError("x")

    with pytest.raises(KeyError):
        scheduler.invoke("f", broken, seconds=3)


def test_a_timeout_stops_an_invocation_without_running_finally(scheduler):
    unwound = []

    def work():
        try:
            scheduler.sleep(1)
            assert scheduler.remaining() == pytest.approx(2)
            scheduler.sleep(10)
        finally:
            unwound.append("finally")

    with pytest.raises(LambdaDied):
        scheduler.invoke("f", work, seconds=3)
    assert scheduler.now == pytest.approx(3)
    scheduler.run()
    gc.collect()
    assert unwound == []


def test_everything_in_a_killed_environment_stops_and_nothing_else(scheduler):
    seen = []
    environment = Environment("e")

    def beside():
        while True:
            scheduler.sleep(1)
            seen.append("beside")

    def work():
        scheduler.spawn(beside, "beside", environment)
        scheduler.sleep(2.5)
        scheduler.kill(environment)
        scheduler.sleep(100)

    with pytest.raises(LambdaDied):
        scheduler.invoke("f", work, seconds=50, environment=environment)
    scheduler.run()
    assert seen == ["beside", "beside"]
    with pytest.raises(AssertionError, match="dead"):
        scheduler.invoke("f", work, seconds=50, environment=environment)


def test_an_impatient_caller_leaves_while_the_work_continues(scheduler):
    done = []

    def work():
        scheduler.sleep(5)
        done.append(scheduler.now)

    with pytest.raises(TimedOut):
        scheduler.invoke("f", work, seconds=30, impatience=1)
    assert scheduler.now == pytest.approx(1)
    scheduler.run()
    assert done == [5.0]


def test_the_end_of_the_world_frees_dead_tasks_without_effects(scheduler):
    class Held:
        pass

    effects, held = [], []

    @contextmanager
    def context():
        try:
            yield
        finally:
            scheduler.sleep(1)  # like a call of the database, which must not be executed
            effects.append("after a sleep")

    def work():
        mine = Held()
        held.append(weakref.ref(mine))
        with context():
            scheduler.sleep(100)

    with pytest.raises(LambdaDied):
        scheduler.invoke("f", work, seconds=3)
    scheduler.spawn(work, "still waiting")
    scheduler.sleep(5)
    assert [each() is None for each in held] == [False, False]
    scheduler.close()
    gc.collect()
    assert effects == []
    assert [each() is None for each in held] == [True, True]


def test_a_function_keeps_environments_warm_and_replaces_dead_ones(scheduler):
    built = []

    def build(environment):
        built.append(environment.name)

        def handler(event, context):
            assert context.get_remaining_time_in_millis() == 5000
            if event == "die":
                scheduler.sleep(10)
            return environment.name

        return handler

    function = LambdaFunction(scheduler, "f", build, seconds=5)
    assert [function.invoke("x"), function.invoke("x")] == ["f#1", "f#1"]
    with pytest.raises(LambdaDied):
        function.invoke("die")
    assert function.invoke("x") == "f#2"
    assert built == ["f#1", "f#2"]


def test_a_function_runs_one_invocation_at_a_time_in_an_environment(scheduler):
    def build(environment):
        def handler(event, context):
            scheduler.sleep(1)
            return environment.name

        return handler

    function = LambdaFunction(scheduler, "f", build, seconds=5)
    tasks = [scheduler.spawn(lambda: function.invoke("x"), str(n)) for n in range(3)]
    scheduler.join(tasks)
    assert {task.value for task in tasks} == {"f#1", "f#2", "f#3"}


def test_old_code_is_still_served_for_a_while_after_a_deployment(scheduler):
    function = LambdaFunction(scheduler, "f", lambda _: lambda event, context: "old", seconds=5)

    def busy(event, context):
        scheduler.sleep(1)
        return "old"

    function.deploy(lambda _: busy)
    scheduler.join([scheduler.spawn(lambda: function.invoke("x"), str(n)) for n in range(20)])
    function.deploy(lambda _: lambda event, context: "new")
    answers = [function.invoke("x") for _ in range(100)]
    assert {"old", "new"} == set(answers)
    assert set(answers[-20:]) == {"new"}


def test_a_failed_assertion_ends_the_run_even_if_a_handler_catches_it(scheduler):
    def handler(event, context):
        raise AssertionError("a defect")

    function = LambdaFunction(scheduler, "f", lambda _: handler, seconds=5)

    def caller():
        with suppress(AssertionError):  # like a projector that parks a record it cannot process
            function.invoke("x")

    scheduler.spawn(caller, "caller")
    with pytest.raises(AssertionError, match="a defect"):
        scheduler.run()
