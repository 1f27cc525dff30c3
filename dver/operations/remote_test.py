"""Try out a remote: all that dver needs of such a place, below a folder of a random name that is deleted in the end.

Nothing of a store is read or written. Folders that were made on the way are removed where the place has such.
"""

from contextlib import nullcontext, suppress
from dataclasses import dataclass

from dver.errors import DverError
from dver.progress import NO_PROGRESS, Progress
from dver.repo import Repo
from dver.storage.backend import Backend
from dver.storage.local import LocalBackend
from dver.storage.retry import trying_once
from dver.storage.selftest import Result, Trial, try_out
from dver.storage.selftest_leftovers import Leftovers, remove_leftovers
from dver.storage.selftest_trials import FOLDER, Scratch


@dataclass(frozen=True, slots=True)
class RemoteTest:
    """What was found.

    Attributes:
        remote: the remote's name.
        location: its URL or path.
        left: what could not be deleted, by its place in the remote.
        removed: folders of trials that were killed more than a day ago, and are gone.
        others: folders of other trials, which may be at work.
    """

    remote: str
    location: str
    trials: tuple[Trial, ...]
    left: tuple[str, ...]
    removed: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether everything works, and nothing was left behind."""
        return not self.left and all(trial.result is Result.OK for trial in self.trials)


def try_remote(
    repo: Repo, name: str | None = None, *, quick: bool = False, progress: Progress = NO_PROGRESS
) -> RemoteTest:
    """Try out a remote, by default the default one. A failure is part of the answer.

    Args:
        quick: leave out what takes long: a large blob, and more blobs than one page of a list has.

    Raises:
        ConfigError: there is no such remote, or it cannot be opened.
    """
    backend, place = repo.remote(name).backend, repo.remote_backend(name)
    with progress.task(f"trying out {repo.remote_settings(name).name}") as task:
        scratch = Scratch(backend, place, task)
        try:
            trials = try_out(scratch, quick=quick)
        except BaseException:
            # An interrupt, most likely: there will be no answer that could name what is left.
            _tell(progress, backend, _clean(scratch, place))
            raise
        # Where not even the first steps work, all was tried again and again just now.
        is_hopeless = trials[-1].result is Result.NOT_TRIED
        found = Leftovers() if is_hopeless else _remove_leftovers(scratch)
        with trying_once(place) if is_hopeless else nullcontext():
            left = (*found.left, *_clean(scratch, place))
    name = repo.remote_settings(name).name
    return RemoteTest(name, backend.location, tuple(trials), left, found.removed, found.kept)


def _remove_leftovers(scratch: Scratch) -> Leftovers:
    # That a place cannot be listed is among what the trials found.
    with suppress(DverError):
        # By this the place says what time it is.
        scratch.write("now", [b"x"])
        return remove_leftovers(scratch)
    return Leftovers()


def _clean(scratch: Scratch, place: Backend) -> tuple[str, ...]:
    left = scratch.clean()
    if isinstance(place, LocalBackend):
        place.remove_empty_folders(FOLDER)
    return left


def _tell(progress: Progress, backend: Backend, left: tuple[str, ...]) -> None:
    if left:
        progress.note(f"could not be deleted from {backend.location}: {', '.join(left)}")
