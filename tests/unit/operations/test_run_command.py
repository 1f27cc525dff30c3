"""Running a command in the foreground."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dver.errors import CommandNotStartedError, DverError, PathError
from dver.operations.run_command import Attachment, Exit, Relay, run_command, signals_passed_on


def run(folder: Path, *command: str, shell: bool = False) -> Exit:
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("is_typed", [True, False])
def test_what_is_typed_reaches_the_command_from_its_terminal_and_else_from_dver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, is_typed: bool
) -> None:
    monkeypatch.setattr("dver.operations.run_command._is_in_foreground", lambda: is_typed)
    before = signal.getsignal(number)
    ended = run(tmp_path, f"trap 'exit 5' INT QUIT; kill -{int(number)} {os.getpid()}; sleep 0.3; exit 3", shell=True)
    assert ended.exit_code == (3 if is_typed else 5)
    assert signal.getsignal(number) is before


def test_without_a_terminal_nothing_is_typed(tmp_path: Path) -> None:
    code = "from dver.operations.run_command import _is_in_foreground as typed; print(typed())"
    done = subprocess.run(
        [sys.executable, "-c", code], start_new_session=True, capture_output=True, check=True, encoding="ascii"
    )
    assert done.stdout == "False\n"


def test_at_a_terminal_the_group_in_the_foreground_is_typed_to(tmp_path: Path) -> None:
    code = (
        "import os; from dver.operations.run_command import _is_in_foreground as typed\n"
        "print(typed(), flush=True)\n"
        "if os.fork() == 0:\n    os.setpgid(0, 0); print(typed(), flush=True); os._exit(0)\n"
        "os.wait()"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{code}"],
        stdin=theirs, stdout=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = process.stdout.read()
    os.close(ours)
    os.close(theirs)
    assert said == b"True\nFalse\n"


def test_the_command_does_not_inherit_that_interrupts_are_ignored(tmp_path: Path) -> None:
    assert run(tmp_path, "kill -INT $$; exit 3", shell=True).exit_code == 128 + signal.SIGINT


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandNotStartedError, match="nosuch: command not found") as caught:
        run(tmp_path, "nosuch")
    assert (caught.value.program, caught.value.exit_code) == ("nosuch", 127)


def test_a_file_here_is_not_found_without_its_folder(tmp_path: Path) -> None:
    script(tmp_path, "go", "#!/bin/sh\n")
    with pytest.raises(CommandNotStartedError) as caught:
        run(tmp_path, "go")
    assert "./go" in (caught.value.hint or "")


def test_a_whole_line_without_shell_is_told_of_it(tmp_path: Path) -> None:
    with pytest.raises(CommandNotStartedError) as caught:
        run(tmp_path, "sort a | uniq")
    assert "--shell" in (caught.value.hint or "")


def test_a_missing_interpreter_is_told_from_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CommandNotStartedError) as caught:
        run(tmp_path, script(tmp_path, "go", "#!/no/such/interpreter\n"))
    assert "interpreter" in (caught.value.hint or "")


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandNotStartedError, match="cannot be executed") as caught:
        run(tmp_path, script(tmp_path, "go", "#!/bin/sh\n", 0o644))
    assert caught.value.exit_code == 126
    (tmp_path / "folder").mkdir()
    with pytest.raises(CommandNotStartedError, match="is a folder") as caught:
        run(tmp_path, "./folder")
    assert "chmod" not in (caught.value.hint or "")
    with pytest.raises(CommandNotStartedError, match="no format"):
        run(tmp_path, script(tmp_path, "go", "\x00\x01"))
    with pytest.raises(DverError, match="cannot be run"):
        run(tmp_path, "echo", "a\0b")


def test_a_missing_folder_is_not_taken_for_a_missing_command(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="no such folder"):
        run(tmp_path / "gone", "true")


def lines_of(folder: Path, line: str) -> list[tuple[bytes, bool]]:
    """Run a line beside others, and return what it wrote."""
    found: list[tuple[bytes, bool]] = []
    attachment = Attachment(Relay(), sink=lambda text, is_error: found.append((text, is_error)))
    run_command([line], folder, os.environ, shell=True, attachment=attachment)
    return found


def test_output_comes_line_by_line_and_each_stream_for_itself(tmp_path: Path) -> None:
    found = lines_of(tmp_path, "printf 'one\\n\\ntw'; echo err >&2; sleep 0.05; printf 'o\\n\\377\\nend'")
    assert [text for text, is_error in found if not is_error] == [b"one", b"", b"two", b"\xff", b"end"]
    assert [text for text, is_error in found if is_error] == [b"err"]


def test_of_a_line_that_is_written_over_the_last_state_is_handed_on(tmp_path: Path) -> None:
    assert lines_of(tmp_path, "printf '10%%\\r50%%\\r100%%\\nwindows\\r\\n'") == [(b"100%", False), (b"windows", False)]


def test_a_command_beside_others_gets_no_input(tmp_path: Path) -> None:
    assert lines_of(tmp_path, "wc -c") == [(b"0", False)]


def test_a_process_left_behind_does_not_hold_up_the_end_of_its_command(tmp_path: Path) -> None:
    began = time.monotonic()
    assert lines_of(tmp_path, "sleep 20 & echo $! > pid; echo done") == [(b"done", False)]
    assert time.monotonic() - began < 15
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)


def test_a_command_holds_the_file_that_it_is_to_inherit_and_is_named_by_its_process(tmp_path: Path) -> None:
    pids: list[int] = []
    with (tmp_path / "held").open("w") as file:
        attachment = Attachment(held=file.fileno(), on_start=pids.append)
        code = f"import os; os.write({file.fileno()}, str(os.getpid()).encode())"
        run_command([sys.executable, "-c", code], tmp_path, os.environ, attachment=attachment)
    assert (tmp_path / "held").read_text().split() == [str(pid) for pid in pids]


def test_a_signal_reaches_all_commands_and_those_that_start_after_it(tmp_path: Path) -> None:
    codes: list[int] = []

    def work(line: str) -> None:
        ended = run_command([line], tmp_path, os.environ, shell=True, attachment=Attachment(relay))
        codes.append(ended.exit_code)

    with signals_passed_on() as relay:
        threads = [threading.Thread(target=work, args=(f"touch {name}; exec sleep 20",)) for name in "ab"]
        for thread in threads:
            thread.start()
        while not ((tmp_path / "a").exists() and (tmp_path / "b").exists()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)
        for thread in threads:
            thread.join()
        work("exec sleep 20")
    assert codes == [128 + signal.SIGTERM] * 3
    assert relay.received == [signal.SIGTERM]


def test_a_process_left_behind_that_keeps_writing_does_not_hold_up_the_end_of_its_command(tmp_path: Path) -> None:
    behind = "for i in $(seq 500); do echo more; sleep 0.02; done; echo last"
    found = lines_of(tmp_path, f"({behind}) & echo mine")
    assert found[0] in ((b"mine", False), (b"more", False))
    assert (b"mine", False) in found
    assert (b"last", False) not in found


def test_all_that_a_command_wrote_is_handed_on_however_long_others_write(tmp_path: Path) -> None:
    flood = "yes more & head -c 300000 /dev/zero | tr '\\0' '\\n' >&2; echo end >&2"
    found = lines_of(tmp_path, flood)
    assert [text for text, is_error in found if is_error][-1] == b"end"
