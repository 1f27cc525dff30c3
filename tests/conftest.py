"""What every test stands on: a clean environment, a home of its own, fixed git settings, and a way to run dver.

No test sees the developer's own git configuration, credentials, dver settings or caches, and none can write to the
real home. Only `DVER_TEST_*` variables, which steer the tests themselves, come through.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pygit2
import pygit2.enums
import pytest
from hypothesis import HealthCheck, settings

from tests.commands import DverCommand, GitCommand, installed_dver
from tests.warm import stop_warm_dver

pytest_plugins = ["tests.servers.s3"]

_SCRUBBED_PREFIXES = ("GIT_", "DVER_", "AWS_", "XDG_")
_KEPT_PREFIX = "DVER_TEST_"
_TERMINAL_VARIABLES = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE")

_GIT_CONFIG = """\
[user]
    name = A Tester
    email = tester@example.org
[init]
    defaultBranch = main
    templateDir = ~/.git-template
[commit]
    gpgSign = false
[core]
    autocrlf = false
[protocol "file"]
    allow = always
[advice]
    detachedHead = false
"""

# A slow example says nothing on a busy machine, hence no deadline.
settings.register_profile("dev", max_examples=20, deadline=None, stateful_step_count=15)
settings.register_profile("ci", max_examples=20, deadline=None, stateful_step_count=15, print_blob=True)
settings.register_profile(
    "deep",
    max_examples=2000,
    deadline=None,
    stateful_step_count=60,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def pytest_configure() -> None:
    """Choose the Hypothesis profile: `DVER_TEST_PROFILE`, or "ci" where CI=true says so, or "dev"."""
    default = "ci" if os.environ.get("CI") == "true" else "dev"
    settings.load_profile(os.environ.get("DVER_TEST_PROFILE", default))


@pytest.fixture(scope="session", autouse=True)
def _clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take the caller's git, dver, AWS and XDG settings and home away before any other fixture can read them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if _is_scrubbed(name):
                patch.delenv(name)
        # Fixtures that tests share are made here, before there is the home of any test.
        _move_to(_make_home(tmp_path_factory.mktemp("session-home")), patch)
        # Without credentials botocore would ask the metadata service of a cloud machine, and wait for it.
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_TERMINAL_PROMPT", "0")
        yield


@pytest.fixture(scope="session", autouse=True)
def _heeded_signals() -> None:
    """Have signals end what they end at a terminal: in the background of a script, or under nohup, some are ignored.

    Commands inherit that, and a shell among them could not even set a trap.
    """
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_scrubbed(name: str) -> bool:
    return name in _TERMINAL_VARIABLES or (name.startswith(_SCRUBBED_PREFIXES) and not name.startswith(_KEPT_PREFIX))


@pytest.fixture(autouse=True)
def home(_homes: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The test's own home folder, with a git configuration that gives commits a fixed identity."""
    folder = _make_home(Path(tempfile.mkdtemp(prefix="home-", dir=_homes)))
    before = Path(os.environ["HOME"])
    _move_to(folder, monkeypatch)
    yield folder
    _point_libgit2_at(before)


@pytest.fixture(scope="session")
def _homes(_clean_environment: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Apart from the folders of tests: to number a new one of these, pytest looks at all that are beside it.
    return tmp_path_factory.mktemp("homes")


def _make_home(folder: Path) -> Path:
    (folder / ".gitconfig").write_text(_GIT_CONFIG)
    # What a new repository has of files but for the samples of hooks, which would be most of what tests copy.
    for name in ("hooks", "info"):
        (folder / ".git-template" / name).mkdir(parents=True)
    return folder


def _move_to(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("HOME", str(home))
    patch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    patch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    _point_libgit2_at(home)


def _point_libgit2_at(folder: Path) -> None:
    # libgit2 finds its configuration folders once, when it is loaded, and does not look at the environment again.
    search_path = pygit2.settings.search_path
    search_path[pygit2.enums.ConfigLevel.GLOBAL] = str(folder)
    for level in (pygit2.enums.ConfigLevel.XDG, pygit2.enums.ConfigLevel.SYSTEM):
        search_path[level] = str(folder / "nothing-here")


@pytest.fixture
def git_repo(tmp_path: Path) -> Path:
    """A fresh git repository on branch main, with no commit yet."""
    folder = tmp_path / "repo"
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


@pytest.fixture
def run_dver(tmp_path: Path) -> DverCommand:
    """The installed `dver` command, to run as a user does; in `tmp_path` unless told where."""
    return installed_dver(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def _no_warm_dver_left(_clean_environment: None) -> Iterator[None]:
    yield
    stop_warm_dver()


@pytest.fixture
def run_git(tmp_path: Path) -> GitCommand:
    """Real git, to run as a user does; in `tmp_path` unless told where."""
    return GitCommand(tmp_path)
