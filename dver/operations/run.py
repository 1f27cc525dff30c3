"""Run: a command with its inputs and outputs, as a step of lineage.

`run_plan` finds what goes in and decides whether the same was done before, `run_command` runs the command here, and
`run_publish` stores what came out and writes the record, which comes last. The working tree is not locked while the
command runs, so it may call dver itself. A run that failed, left an output out or whose inputs changed publishes
nothing: pointers and data stay what they were.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from dver.errors import DverError
from dver.operations.observe import observing
from dver.operations.observe_traces import Traces
from dver.operations.record import now
from dver.operations.run_aside import Aside, claimed, outputs_aside
from dver.operations.run_command import Attachment, Exit, LineSink, Relay, run_command
from dver.operations.run_environment import find_environment
from dver.operations.run_plan import RunPlan
from dver.operations.run_publish import Execution, RunResult, publish_run, reuse_run
from dver.operations.run_register import RegisteredRun, RunNote, this_host
from dver.progress import NO_PROGRESS, Progress
from dver.records.record import State
from dver.repo import CONFIG_FILE, Repo
from dver.workspace.pointers import DVER_DIRECTORY


def carry_out_run(repo: Repo, plan: RunPlan, *, progress: Progress = NO_PROGRESS) -> RunResult:
    """Run the command or restore what an earlier run made, and record it.

    Raises:
        DverError: the command could not be started, or earlier outputs could not be restored. Nothing was recorded.
    """
    hit = plan.decision.hit
    if hit is not None:
        with claimed(repo, plan.step.outputs):
            return reuse_run(repo, plan, hit, now(), progress)
    with started_run(repo, plan) as run:
        run.finish(run.execute(), progress)
    return run.result


@contextmanager
def started_run(repo: Repo, plan: RunPlan) -> Iterator["StartedRun"]:
    """Set the outputs of a run aside, for its command to be executed; in the end they are settled.

    Raises:
        LockedError: another run makes one of the outputs.
        DataLossError: data in the way is stored nowhere.
    """
    started, step = now(), plan.step
    note = RunNote(
        step.name, step.command, step.shell, step.folder, step.outputs, started, host=this_host(), pid=os.getpid()
    )
    with claimed(repo, step.outputs):
        with outputs_aside(repo, note) as (aside, registered):
            run = StartedRun(repo, plan, started, aside, registered)
            yield run
        run.settled()


class StartedRun:
    """A run whose outputs are out of the way. Its command may be executed in any thread; the rest is for one."""

    def __init__(self, repo: Repo, plan: RunPlan, started: str, aside: Aside, registered: RegisteredRun) -> None:
        self._repo = repo
        self._plan = plan
        self._started = started
        self._aside = aside
        self._registered = registered
        self._result: RunResult | None = None
        self._traces: Traces | None = None

    @property
    def result(self) -> RunResult:
        """How it ended, once it is finished."""
        assert self._result is not None
        return self._result

    def execute(self, relay: Relay | None = None, sink: LineSink | None = None) -> Exit:
        """Run the command; with a relay and a sink beside others, else alone.

        Raises:
            DverError: it could not be started.
        """
        request = self._plan.request
        attachment = Attachment(relay, sink, self._registered.held, self._registered.started)
        folder = self._repo.root / request.folder
        if not request.observe:
            return run_command(request.command, folder, request.env, shell=request.shell, attachment=attachment)
        scratch = self._registered.place / "observed"
        with observing(
            self._repo.root, scratch, request.command, folder, request.env, shell=request.shell
        ) as observation:
            wrapped = observation.wrapped
            ended = run_command(wrapped.command, folder, wrapped.env, shell=wrapped.shell, attachment=attachment)
            self._traces = observation.traces()
        return ended

    def finish(self, ended: Exit, progress: Progress = NO_PROGRESS) -> None:
        """Publish what the command made, or nothing, and record the run."""
        repo, request = self._repo, self._plan.request
        if not (repo.dver_dir / CONFIG_FILE).is_file():
            # What is there is all there is, for what was set aside is gone as well.
            self._aside.accept()
            raise DverError(
                f"the command removed {DVER_DIRECTORY}, and with it the cache and what was set aside; nothing was"
                " published or recorded",
                hint=f"git checkout HEAD -- {DVER_DIRECTORY} restores what git has of it; then dver pull, and run it"
                " again",
            )
        folder = repo.root / request.folder
        # The list of packages is named by nothing until the record is written.
        with repo.storing():
            environment = find_environment(repo, request.command, folder, request.env, shell=request.shell)
            failed = ended.exit_code != 0
            execution = Execution(self._started, ended.seconds, environment, failed, ended.exit_code, self._traces)
            self._result = publish_run(repo, self._plan, execution, progress=progress)
        if self._result.state is State.COMPLETE:
            self._aside.accept()
        elif self._result.changed and not ended.exit_code:
            # Made in good order, though nobody knows from what.
            self._aside.keep()

    def settled(self) -> None:
        """Take note of where what a failed command left was put."""
        if self._result is not None:
            self._result = replace(self._result, left_behind=(), leftovers=self._aside.leftovers)
