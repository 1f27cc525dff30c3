"""The scripts, run by a shell as git runs them."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from dver.git.hook_script import BEFORE, Hook, is_script, pass_on_script

PRE_PUSH = Hook("pre-push", "hook pushed", has_input=True)
PRE_COMMIT = Hook("pre-commit", "hook pre-commit")
POST_CHECKOUT = Hook("post-checkout", "hook checkout post-checkout")
POST_REWRITE = Hook("post-rewrite", "hook checkout post-rewrite", has_input=True)

SHELLS = [name for name in ("dash", "bash", "ksh") if shutil.which(name)]


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder of hooks, and programs that write down what they are given."""

    folder: Path

    @property
    def hooks(self) -> Path:
        """Where the scripts are."""
        return self.folder / "hooks"

    def recorder(self, path: Path, *, code: int = 0) -> Path:
        """Write a program that records its name, arguments and input, and ends with `code`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        log = self.folder / "log"
        path.write_text(
            f'#!/bin/sh\nfor word in "${{0##*/}}" "$@"; do printf "[%s]" "$word"; done >>"{log}"\n'
            f'(printf "<"; cat; printf ">\\n") >>"{log}"\nexit {code}\n'
        )
        path.chmod(0o755)
        return path

    def write(self, name: str, script: bytes) -> None:
        """Put a script among the hooks."""
        self.hooks.mkdir(exist_ok=True)
        (self.hooks / name).write_bytes(script)
        (self.hooks / name).chmod(0o755)

    def run(
        self, name: str, *arguments: str, stdin: bytes = b"", path: str = "/usr/bin:/bin", shell: str = "sh"
    ) -> tuple[int, str]:
        """Run a hook; return its code and what it says."""
        done = subprocess.run(
            [shell, str(self.hooks / name), *arguments],
            input=stdin,
            capture_output=True,
            env={"PATH": path},
            cwd=self.folder,
            check=False,
        )
        return done.returncode, done.stderr.decode()

    @property
    def log(self) -> str:
        """What the recorders wrote."""
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def python(bench: Bench) -> Path:
    return bench.recorder(bench.folder / 'it\'s "odd" $HOME %A' / "py thon")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("stdin", [b"", b"a b c d\n", b"one\ntwo\n\n\n", b"no end", b"%s \\n $x `y`\n"])
def test_both_hooks_get_the_same_arguments_and_input(bench: Bench, python: Path, stdin: bytes, shell: str) -> None:
    bench.write("pre-push", PRE_PUSH.script(str(python), None))
    bench.recorder(bench.hooks / f"pre-push{BEFORE}")

    assert bench.run("pre-push", "origin", "a url", "", stdin=stdin, shell=shell) == (0, "")

    given = f"[origin][a url][]<{stdin.decode()}>\n"
    assert bench.log == f"[pre-push{BEFORE}]{given}[py thon][-P][-m][dver][hook][pushed]{given}"


@pytest.mark.parametrize("hook", [PRE_COMMIT, PRE_PUSH, POST_CHECKOUT, POST_REWRITE])
def test_without_another_hook_only_dver_runs(bench: Bench, python: Path, hook: Hook) -> None:
    bench.write(hook.name, hook.script(str(python), None))

    assert bench.run(hook.name, "x", stdin=b"line\n") == (0, "")

    words = "".join(f"[{word}]" for word in hook.command.split())
    assert bench.log == f"[py thon][-P][-m][dver]{words}[x]<line\n>\n"


@pytest.mark.parametrize("hook", [PRE_COMMIT, PRE_PUSH])
def test_another_hook_that_refuses_ends_it_with_its_code(bench: Bench, python: Path, hook: Hook) -> None:
    bench.write(hook.name, hook.script(str(python), None))
    bench.recorder(bench.hooks / f"{hook.name}{BEFORE}", code=7)

    assert bench.run(hook.name) == (7, "")
    assert "py thon" not in bench.log


@pytest.mark.parametrize("hook", [PRE_COMMIT, PRE_PUSH])
def test_dver_that_refuses_stops_git(bench: Bench, hook: Hook) -> None:
    python = bench.recorder(bench.folder / "python", code=1)
    bench.write(hook.name, hook.script(str(python), None))
    bench.recorder(bench.hooks / f"{hook.name}{BEFORE}")
    assert bench.run(hook.name)[0] == 1


@pytest.mark.parametrize("hook", [POST_CHECKOUT, POST_REWRITE])
def test_after_the_fact_dver_runs_all_the_same_and_the_code_is_that_of_the_other_hook(bench: Bench, hook: Hook) -> None:
    python = bench.recorder(bench.folder / "python", code=3)
    bench.write(hook.name, hook.script(str(python), None))
    assert bench.run(hook.name)[0] == 0

    bench.recorder(bench.hooks / f"{hook.name}{BEFORE}", code=7)
    assert bench.run(hook.name)[0] == 7
    assert bench.log.count("[python]") == 2


def test_a_hook_that_is_not_executable_is_passed_over_as_git_does(bench: Bench, python: Path) -> None:
    bench.write("pre-commit", PRE_COMMIT.script(str(python), None))
    bench.recorder(bench.hooks / f"pre-commit{BEFORE}").chmod(0o644)
    assert bench.run("pre-commit") == (0, "")
    assert BEFORE not in bench.log


def test_a_hook_that_leaves_its_input_unread_does_no_harm(bench: Bench, python: Path) -> None:
    bench.write("pre-push", PRE_PUSH.script(str(python), None))
    (bench.hooks / f"pre-push{BEFORE}").write_text("#!/bin/sh\nexec <&-\n")
    (bench.hooks / f"pre-push{BEFORE}").chmod(0o755)
    assert bench.run("pre-push", stdin=b"refs/heads/main 1 refs/heads/main 2\n" * 20_000) == (0, "")


def test_where_the_interpreter_is_gone_the_command_on_path_stands_in(bench: Bench) -> None:
    bench.recorder(bench.folder / "bin" / "dver")
    bench.write("pre-push", PRE_PUSH.script("/gone/python", None))
    assert bench.run("pre-push", "origin", stdin=b"x", path=f"{bench.folder}/bin:/usr/bin:/bin") == (0, "")
    assert bench.log == "[dver][hook][pushed][origin]<x>\n"


@pytest.mark.parametrize(("hook", "code"), [(PRE_COMMIT, 2), (PRE_PUSH, 2), (POST_CHECKOUT, 0), (POST_REWRITE, 0)])
def test_where_dver_is_gone_it_says_so_and_only_stops_what_has_not_happened(
    bench: Bench, hook: Hook, code: int
) -> None:
    bench.write(hook.name, hook.script("/gone/python", None))
    found, said = bench.run(hook.name)
    assert found == code
    assert "not found at /gone/python or on PATH" in said
    assert "dver install" in said


def test_hooks_of_another_folder_run_under_their_own_name_and_place(bench: Bench, python: Path) -> None:
    # As husky's do, which look at both.
    bench.recorder(bench.folder / "it's here" / "pre-commit")
    bench.write("pre-commit", PRE_COMMIT.script(str(python), "it's here"))
    assert bench.run("pre-commit") == (0, "")
    assert bench.log.startswith("[pre-commit]<>\n[py thon]")


def test_a_hook_that_dver_has_no_part_in_is_passed_on(bench: Bench) -> None:
    bench.write("commit-msg", pass_on_script("commit-msg", "other"))
    assert bench.run("commit-msg", "file") == (0, "")

    bench.recorder(bench.folder / "other" / "commit-msg", code=5)
    assert bench.run("commit-msg", "file", stdin=b"in") == (5, "")
    assert bench.log == "[commit-msg][file]<in>\n"


def test_scripts_are_known_by_their_mark() -> None:
    assert is_script(PRE_PUSH.script("/usr/bin/python3", None))
    assert is_script(pass_on_script("commit-msg", "other"))
    assert not is_script(b"#!/bin/sh\n# runs dver hook status\ndver hook status\n")
    assert not is_script(b"")
