"""Running a command in the foreground."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from dver.errors import DverError, NotFoundError, PathError
from dver.operations.run_command import Ended, run_command


def run(folder: Path, *command: str, shell: bool = False) -> Ended:
    return run_command(command, folder, os.environ, shell=shell)


def script(folder: Path, name: str, text: str, mode: int = 0o755) -> str:
    (folder / name).write_text(text)
    (folder / name).chmod(mode)
    return f"./{name}"


def test_runs_in_its_folder_with_its_arguments_as_they_are(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", 'printf "%s\n" "$@" > out', "x", "a b", "*").exit_code == 0
    assert (tmp_path / "out").read_text() == "a b\n*\n"


def test_a_line_for_the_shell_keeps_pipes_and_quoting(tmp_path: Path) -> None:
    run(tmp_path, "printf 'b\\na b\\n' | sort > 'my out'", shell=True)
    assert (tmp_path / "my out").read_text() == "a b\nb\n"


def test_the_environment_is_that_which_is_given(tmp_path: Path) -> None:
    run_command(["/bin/sh", "-c", "echo $HELLO > out"], tmp_path, {"HELLO": "world"})
    assert (tmp_path / "out").read_text() == "world\n"


def test_exit_codes_come_back(tmp_path: Path) -> None:
    assert run(tmp_path, "exit 7", shell=True).exit_code == 7
    assert run(tmp_path, "kill -KILL $$", shell=True).exit_code == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_is_passed_on_and_the_command_answers(tmp_path: Path, number: signal.Signals) -> None:
    line = "trap 'echo bye > out; exit 5' TERM HUP; touch ready; while :; do sleep 0.05; done"

    def send() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    ended = run(tmp_path, line, shell=True)
    sender.join()
    assert ended.exit_code == 5
    assert (tmp_path / "out").read_text() == "bye\n"


def test_an_interrupt_is_left_to_the_command(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    ended = run(tmp_path, f"kill -INT {os.getpid()}; exit 3", shell=True)
    assert ended.exit_code == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_the_command_does_not_inherit_that_interrupts_are_ignored(tmp_path: Path) -> None:
    assert run(tmp_path, "kill -INT $$; exit 3", shell=True).exit_code == 128 + signal.SIGINT


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nosuch: command not found"):
        run(tmp_path, "nosuch")


def test_a_file_here_is_not_found_without_its_folder(tmp_path: Path) -> None:
    script(tmp_path, "go", "#!/bin/sh\n")
    with pytest.raises(NotFoundError) as caught:
        run(tmp_path, "go")
    assert "./go" in (caught.value.hint or "")


def test_a_whole_line_without_shell_is_told_of_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        run(tmp_path, "sort a | uniq")
    assert "--shell" in (caught.value.hint or "")


def test_a_missing_interpreter_is_told_from_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        run(tmp_path, script(tmp_path, "go", "#!/no/such/interpreter\n"))
    assert "interpreter" in (caught.value.hint or "")


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="cannot be executed"):
        run(tmp_path, script(tmp_path, "go", "#!/bin/sh\n", 0o644))
    with pytest.raises(PathError, match="no format"):
        run(tmp_path, script(tmp_path, "go", "\x00\x01"))
    with pytest.raises(DverError, match="cannot be run"):
        run(tmp_path, "echo", "a\0b")


def test_a_missing_folder_is_not_taken_for_a_missing_command(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="no such folder"):
        run(tmp_path / "gone", "true")
