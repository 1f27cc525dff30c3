"""Run a command against OpenStack Swift's S3 API: a real object store that installs from PyPI.

    python -m tests.servers.swift --run -- python -m pytest -m s3

One node with one copy of everything starts on free ports of 127.0.0.1 in a temporary folder, the command runs with
the `DVER_TEST_S3_*` variables that the fixtures in `tests/servers/s3.py` read, and all is stopped and removed
afterwards, whether the command passed, failed or was interrupted. The exit code is the command's. Only the standard
library is imported, so that any Python starts it; Swift itself lives in an environment of its own (`--venv`, or a new
one in the temporary folder).
"""

import argparse
import getpass
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

HOST = "127.0.0.1"
REGION = "us-east-1"
REQUIREMENT = "swift>=2.38"
STORAGE_SERVERS = ("account", "container", "object")
START_SECONDS = 60.0
STOP_SECONDS = 10.0

_SWIFT_CONF = """\
[swift-hash]
swift_hash_path_prefix = dver
swift_hash_path_suffix = dver

[storage-policy:0]
name = Policy-0
default = yes
"""

# `workers = 0` serves from the process that was started: no children that a kill by pid would miss.
_DEFAULT_CONF = """\
[DEFAULT]
bind_ip = {host}
bind_port = {port}
workers = 0
user = {user}
swift_dir = {etc}
log_level = WARNING
"""

_STORAGE_CONF = """\
devices = {devices}
mount_check = false
disable_fallocate = true
recon_cache_path = {cache}

[pipeline:main]
pipeline = {kind}-server

[app:{kind}-server]
use = egg:swift#{kind}
"""

_PROXY_FILTERS = ("catch_errors", "gatekeeper", "healthcheck", "listing_formats", "s3api", "tempauth", "copy", "slo")

_PROXY_APP = """
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
"""


@dataclass(frozen=True, slots=True)
class SwiftNode:
    """A running Swift: where its S3 API listens and who may use it."""

    endpoint_url: str
    key: str
    secret: str

    def environment(self) -> dict[str, str]:
        """Return the variables that point the S3 fixtures at this node."""
        return {
            "DVER_TEST_S3_ENDPOINT": self.endpoint_url,
            "DVER_TEST_S3_KEY": self.key,
            "DVER_TEST_S3_SECRET": self.secret,
            "DVER_TEST_S3_REGION": REGION,
        }


class SwiftError(Exception):
    """Swift could not be installed or started; the message says why."""


def install(venv: Path) -> None:
    """Make a virtual environment with Swift in it, from wheels only."""
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    subprocess.run([*pip, REQUIREMENT], check=True)


@contextmanager
def running(venv: Path, folder: Path) -> Iterator[SwiftNode]:
    """Start a node whose state is under `folder`, yield it once it answers, and stop it."""
    _require_extended_attributes(folder)
    ports = _free_ports(["proxy", *STORAGE_SERVERS])
    secret = secrets.token_hex(16)
    etc = folder / "etc"
    for part in (etc, folder / "node" / "d1", folder / "log", folder / "cache"):
        part.mkdir(parents=True)
    _write_configuration(folder, ports, secret)
    for kind in STORAGE_SERVERS:
        _build_ring(venv, etc, kind, ports[kind])
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(_server(venv, folder, kind)) for kind in [*STORAGE_SERVERS, "proxy"]}
        _wait_until_healthy(servers, ports, folder / "log")
        yield SwiftNode(endpoint_url=f"http://{HOST}:{ports['proxy']}", key="dver:tester", secret=secret)


def _require_extended_attributes(folder: Path) -> None:
    probe = folder / "xattr-probe"
    probe.touch()
    try:
        os.setxattr(probe, "user.swift.metadata", b"1")
    except OSError as exc:
        raise SwiftError(f"{folder} is on a file system without user extended attributes; set TMPDIR") from exc
    finally:
        probe.unlink()


def _free_ports(names: Sequence[str]) -> dict[str, int]:
    """Return one free port a name; all are held until the last is known, so that they differ."""
    with ExitStack() as stack:
        ports = {}
        for name in names:
            listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.bind((HOST, 0))
            ports[name] = int(listener.getsockname()[1])
        return ports


def _write_configuration(folder: Path, ports: Mapping[str, int], secret: str) -> None:
    etc = folder / "etc"
    (etc / "swift.conf").write_text(_SWIFT_CONF)
    for kind, port in ports.items():
        text = _DEFAULT_CONF.format(host=HOST, port=port, user=getpass.getuser(), etc=etc)
        if kind == "proxy":
            text += _proxy_sections(secret)
        else:
            text += _STORAGE_CONF.format(devices=folder / "node", cache=folder / "cache", kind=kind)
        (etc / f"{kind}.conf").write_text(text)


def _proxy_sections(secret: str) -> str:
    options = {"s3api": f"location = {REGION}\n", "tempauth": f"user_dver_tester = {secret} .admin\n"}
    filters = "".join(f"\n[filter:{name}]\nuse = egg:swift#{name}\n{options.get(name, '')}" for name in _PROXY_FILTERS)
    return f"\n[pipeline:main]\npipeline = {' '.join(_PROXY_FILTERS)} proxy-server\n{_PROXY_APP}{filters}"


def _build_ring(venv: Path, etc: Path, kind: str, port: int) -> None:
    builder = [str(venv / "bin" / "swift-ring-builder"), f"{kind}.builder"]
    device = f"r1z1-{HOST}:{port}/d1"
    for arguments in (["create", "6", "1", "1"], ["add", device, "1"], ["rebalance"]):
        done = subprocess.run([*builder, *arguments], cwd=etc, capture_output=True, text=True, check=False)
        # 1 is "done, with warnings": a ring with a single device always has some.
        if done.returncode not in {0, 1}:
            raise SwiftError(f"swift-ring-builder {arguments[0]} failed: {done.stdout}{done.stderr}")


@contextmanager
def _server(venv: Path, folder: Path, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(venv / "bin" / f"swift-{kind}-server"), str(folder / "etc" / f"{kind}.conf"), "-v"]
    with (folder / "log" / f"{kind}.log").open("wb") as log:
        # A session of its own: Ctrl-C must reach the command first, and the servers only through the clean-up.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_healthy(servers: Mapping[str, subprocess.Popen[bytes]], ports: Mapping[str, int], logs: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    waiting = dict(servers)
    while waiting:
        for kind, process in list(waiting.items()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SwiftError(f"the {kind} server did not start:\n{(logs / f'{kind}.log').read_text()}")
            if _is_healthy(kind, ports[kind]):
                del waiting[kind]
        time.sleep(0.1)


def _is_healthy(kind: str, port: int) -> bool:
    """Say whether a server answers; storage servers have no health check and answer anything at all."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/healthcheck")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return kind != "proxy" or status == http.client.OK


def run(command: Sequence[str], venv: Path | None) -> int:
    """Run `command` while a node is up and return its exit code."""
    with tempfile.TemporaryDirectory(prefix="dver-swift-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if venv is None:
            venv = folder / "venv"
            install(venv)
        (folder / "state").mkdir()
        with running(venv, folder / "state") as node:
            return subprocess.run(command, env={**os.environ, **node.environment()}, check=False).returncode


def _exit_on_signal(number: int, _frame: FrameType | None) -> NoReturn:
    """Turn a termination request into an exception, so that the servers are stopped on the way out."""
    raise SystemExit(128 + number)


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and run the command that follows `--`."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    command = arguments[split + 1 :]
    parser = argparse.ArgumentParser(prog="python -m tests.servers.swift", usage="%(prog)s [options] --run -- COMMAND…")
    parser.add_argument("--run", action="store_true", required=True, help="run the command that follows `--`")
    parser.add_argument("--venv", type=Path, help="an environment that has Swift already")
    options = parser.parse_args(arguments[:split])
    if not command:
        parser.error("no command after `--`")
    signal.signal(signal.SIGTERM, _exit_on_signal)
    try:
        return run(command, options.venv)
    except (SwiftError, subprocess.CalledProcessError) as exc:
        sys.stderr.write(f"swift: {exc}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
