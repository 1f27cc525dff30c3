"""Encrypted remotes from the command line: set up, push, clone, pull, keys that come and go, and what is refused."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dver.storage import keyring, keyring_slot
from tests.cli.runner import Cli
from tests.commands import GitCommand
from tests.encryption import CHEAP
from tests.stores import noise

PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def _cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for each opening is meant for those who guess."""
    for function in (keyring.create_keyring, keyring.add_slot, keyring.rotate_keyring, keyring.reseal):
        defaults = function.__kwdefaults__ or {}
        assert defaults["cost"] == keyring_slot.USUAL_COST
        monkeypatch.setitem(defaults, "cost", CHEAP)


@pytest.fixture
def passphrase(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DVER_PASSPHRASE", PASSPHRASE)
    return PASSPHRASE


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def secured(two_versions: Cli, git: GitCommand, store: Path, passphrase: str) -> Cli:
    """Two versions, pushed to an encrypted remote in a folder."""
    two_versions.ok("remote", "add", "origin", str(store), "--encrypt")
    git("commit", "--quiet", "-a", "-m", "Name the remote")
    two_versions.ok("push", "--all")
    return two_versions


@pytest.fixture
def clone(secured: Cli, git: GitCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A clone on another machine, which has no data and no index."""
    git("clone", "--quiet", str(secured.folder), str(tmp_path / "clone"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other-machine"))
    return Cli(tmp_path / "clone")


def stored(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def contents(cli: Cli) -> dict[str, bytes]:
    folder = cli.folder / "data"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def keys(cli: Cli) -> list[dict[str, object]]:
    found: list[dict[str, object]] = cli("remote", "key", "list", "origin", "--json").json["keys"]
    return found


def test_adding_sets_up_the_keys_and_pins_them(cli: Cli, store: Path, passphrase: str) -> None:
    out = cli.ok("remote", "add", "origin", str(store), "--encrypt")
    assert "(passphrase) opens it" in out
    assert out.endswith(f"added remote origin: {store} (encrypted, the default)\n")
    config = (cli.folder / ".dver/config.toml").read_text()
    assert "encrypt = true" in config
    assert "fingerprint = " in config
    assert passphrase not in config + "".join(map(repr, stored(store).values()))
    assert "(encrypted)" in cli.ok("remote", "list")


def test_a_clone_pulls_what_was_pushed(secured: Cli, clone: Cli) -> None:
    clone.ok("pull")
    assert contents(clone) == contents(secured)
    assert "Everything up to date" in clone.ok("push", "--all")
    assert "on origin" in clone.ok("status", "--remote")
    assert clone.ok("remote", "check").endswith("can be used\n")


def test_the_owner_finds_no_data_and_no_ids(secured: Cli, store: Path) -> None:
    seen = b"".join(name.encode() + data for name, data in stored(store).items())
    assert not [name for name, data in contents(secured).items() if data in seen or name.encode() in seen]
    versions = [entry["version"] for entry in secured("log", "data", "--json").json["versions"]]
    assert len(versions) == 2
    assert not [version for version in versions if version[3:].encode() in seen]


def test_a_wrong_or_missing_passphrase_is_a_plain_sentence(
    clone: Cli, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    monkeypatch.setenv("DVER_PASSPHRASE", "wrong")
    err = clone.fails(3, "pull")
    assert f"the passphrase in DVER_PASSPHRASE does not open remote origin ({store})" in err
    assert "nobody can read the store" in err
    monkeypatch.delenv("DVER_PASSPHRASE")
    err = clone.fails(3, "pull")
    assert "remote origin is encrypted, and no passphrase is given" in err
    assert "DVER_PASSPHRASE_FILE" in err


def test_the_passphrase_can_be_in_a_file(clone: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text(f"{PASSPHRASE}\n")
    monkeypatch.delenv("DVER_PASSPHRASE")
    monkeypatch.setenv("DVER_PASSPHRASE_FILE", str(tmp_path / "phrase"))
    clone.ok("pull")


def test_a_key_file_is_made_and_kept_out_of_the_committed_settings(
    dataset: Cli, store: Path, tmp_path: Path, git: GitCommand
) -> None:
    key = tmp_path / "origin.key"
    dataset.ok("remote", "add", "origin", str(store), "--encrypt", "--new-key-file", str(key))
    assert str(key) in (dataset.folder / ".dver/config.local.toml").read_text()
    assert "key_file =" not in (dataset.folder / ".dver/config.toml").read_text()
    git("commit", "--quiet", "-a", "-m", "Name the remote")
    dataset.ok("push")
    git("clone", "--quiet", str(dataset.folder), str(tmp_path / "clone"))
    clone = Cli(tmp_path / "clone")
    assert "no passphrase is given" in clone.fails(3, "pull")
    assert "--local" in clone.fails(3, "remote", "set", "origin", "key_file", str(key))
    clone.ok("remote", "set", "origin", "key_file", str(key), "--local")
    clone.ok("pull")
    assert contents(clone) == contents(dataset)


def test_a_committed_key_file_is_refused(secured: Cli) -> None:
    file = secured.folder / ".dver/config.toml"
    file.write_text(file.read_text().replace("encrypt = true", 'encrypt = true\nkey_file = "/etc/passwd"'))
    assert "belongs to one clone" in secured.fails(3, "status")


def test_keys_do_not_lie_in_the_repository(cli: Cli, store: Path) -> None:
    err = cli.fails(3, "remote", "add", "origin", str(store), "--encrypt", "--new-key-file", "my.key")
    assert "lies in this repository" in err
    assert not (cli.folder / "my.key").exists()
    assert cli.ok("remote") == ""


def test_a_folder_with_a_plain_store_is_not_taken(shared: Cli, tmp_path: Path, passphrase: str) -> None:
    before = stored(tmp_path / "store")
    assert "holds packs/" in shared.fails(3, "remote", "add", "safe", str(tmp_path / "store"), "--encrypt")
    assert "safe" not in shared.ok("remote")
    assert stored(tmp_path / "store") == before


def test_an_encrypted_store_is_not_taken_for_a_plain_one(secured: Cli, store: Path) -> None:
    before = stored(store)
    secured.ok("remote", "add", "plain", str(store))
    assert "is encrypted, and the settings do not say so" in secured.fails(3, "push", "-r", "plain")
    shutil.rmtree(secured.folder / ".dver/cache")
    assert "is encrypted, and the settings do not say so" in secured.fails(3, "fetch", "--all", "-r", "plain")
    assert stored(store) == before


def test_nothing_is_sent_where_the_store_was_replaced_by_a_plain_one(secured: Cli, store: Path) -> None:
    shutil.rmtree(store)
    (store / "versions").mkdir(parents=True)
    (store / "dver-store.json").write_text('{"format": 1, "chunker": {}}')
    before = stored(store)
    err = secured.fails(3, "push", "--all")
    assert "holds a store that is not encrypted, and the settings say that it is" in err
    assert stored(store) == before


def test_taking_the_setting_away_does_not_go_unnoticed(secured: Cli) -> None:
    file = secured.folder / ".dver/config.toml"
    file.write_text(file.read_text().replace("encrypt = true\n", ""))
    assert "is not said to be encrypted" in secured.fails(3, "push")


def test_lost_keys_are_a_plain_sentence(secured: Cli, clone: Cli, store: Path) -> None:
    shutil.rmtree(store / "keys")
    err = clone.fails(3, "pull")
    assert "the keys of remote origin" in err
    assert "are gone" in err
    assert "restore keys/" in err
    assert "are gone" in clone.fails(3, "remote", "key", "init", "origin")


def test_swapped_cut_and_damaged_files_never_come_back_as_data(
    secured: Cli, clone: Cli, store: Path, git: GitCommand
) -> None:
    secured.write("data/more.bin", noise(5000))
    secured.ok("add", "data")
    git("commit", "--quiet", "-a", "-m", "More")
    secured.ok("push")
    git.at(clone.folder)("pull", "--quiet")
    one, other = (path for path in (store / "packs").rglob("*") if path.is_file())
    first, second = one.read_bytes(), other.read_bytes()
    for data, last in [
        (second, first),
        (second, second),
        (first[:-1], second[:-1]),
        (bytes(len(first)), b""),
        (b"", b""),
    ]:
        for path, wrong in [(one, data), (other, last)]:
            path.unlink()
            path.write_bytes(wrong)
        assert clone("pull").code == 3
        assert contents(clone) == {}
    for path, right in [(one, first), (other, second)]:
        path.unlink()
        path.write_bytes(right)
    clone.ok("pull")
    assert contents(clone) == contents(secured)


def test_the_owner_cannot_bring_back_a_key_that_is_gone(secured: Cli, store: Path) -> None:
    (old,) = (store / "keys").iterdir()
    data = old.read_bytes()
    secured.ok("remote", "key", "rotate", "origin")
    shutil.rmtree(store / "keys")
    (store / "keys").mkdir()
    old.write_bytes(data)
    err = secured.fails(3, "push", "--all")
    assert "its keys are older than the ones known here" in err


def test_keys_are_added_listed_and_removed(secured: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "second").write_text("another passphrase\n")
    second = str(tmp_path / "second")
    secured.ok("remote", "key", "add", "origin", "--label", "laptop", "--passphrase-file", second)
    secured.ok("remote", "key", "add", "origin", "--label", "ci", "--new-key-file", str(tmp_path / "ci.key"))
    listed = secured.ok("remote", "key", "list", "origin").splitlines()
    assert sorted(line.split()[1] for line in listed) == ["key-file", "passphrase", "passphrase"]
    by_label = {key["label"]: key for key in keys(secured)}
    assert [by_label[label]["opened"] for label in ("", "laptop", "ci")] == [True, False, False]
    assert all(key["vouched"] for key in by_label.values())
    monkeypatch.setenv("DVER_PASSPHRASE", "another passphrase")
    secured.ok("remote", "key", "remove", "origin", str(by_label[""]["id"])[:10])
    assert {key["label"] for key in keys(secured)} == {"laptop", "ci"}
    assert "opened the store just now" in secured.fails(
        3, "remote", "key", "remove", "origin", str(by_label["laptop"]["id"])
    )
    monkeypatch.setenv("DVER_PASSPHRASE", PASSPHRASE)
    assert "does not open" in secured.fails(3, "remote", "key", "list", "origin")


def test_removing_a_key_says_what_it_does_not_do(secured: Cli, tmp_path: Path) -> None:
    secured.ok("remote", "key", "add", "origin", "--new-key-file", str(tmp_path / "k"))
    other = next(str(key["id"]) for key in keys(secured) if not key["opened"])
    assert "dver remote key rotate origin" in secured.ok("remote", "key", "remove", "origin", other)


def test_a_key_that_somebody_without_the_master_key_made_is_told(secured: Cli, store: Path, tmp_path: Path) -> None:
    secured.ok("remote", "key", "add", "origin", "--new-key-file", str(tmp_path / "k"))
    other = next(str(key["id"]) for key in keys(secured) if not key["opened"])
    file = store / "keys" / other
    text = file.read_text()
    file.unlink()
    file.write_text(text.replace('"label":""', '"label":"the boss"'))
    assert "not made with the newest master key" in secured.ok("remote", "key", "list", "origin")
    file.unlink()
    file.write_text("{}")
    assert "cannot be used" in secured.ok("remote", "key", "list", "origin")
    secured.ok("remote", "key", "remove", "origin", other)


def test_after_a_rotation_old_and_new_are_read_and_other_keys_are_gone(
    secured: Cli, clone: Cli, tmp_path: Path, git: GitCommand
) -> None:
    clone.ok("pull")
    secured.ok("remote", "key", "add", "origin", "--label", "ci", "--new-key-file", str(tmp_path / "k"))
    err = secured.fails(3, "remote", "key", "rotate", "origin")
    assert "1 of the keys of origin would be gone" in err
    assert '(key-file, "ci") would be gone' in secured.ok("remote", "key", "rotate", "origin", "--dry-run")
    assert len(keys(secured)) == 2
    out = secured.ok("remote", "key", "rotate", "origin", "--drop-others")
    assert "stays encrypted with the old one" in out
    secured.write("data/news.txt", "news\n")
    secured.ok("add", "data")
    git("commit", "--quiet", "-a", "-m", "News and the new master key")
    secured.ok("push")
    # The clone's settings still name the old master key.
    git.at(clone.folder)("pull", "--quiet")
    shutil.rmtree(clone.folder / ".dver/cache")
    clone.ok("pull")
    clone.ok("fetch", "--all")
    assert contents(clone) == contents(secured)


def test_encrypting_anew_leaves_nothing_of_the_old_master_key(secured: Cli, clone: Cli, store: Path) -> None:
    before = stored(store)
    assert "would encrypt" in secured.ok("remote", "key", "rotate", "origin", "--re-encrypt", "--dry-run")
    assert stored(store) == before
    out = secured.ok("remote", "key", "rotate", "origin", "--re-encrypt")
    assert "nothing needs an older master key any more" in out
    after = stored(store)
    assert before.keys() & after.keys() == {"dver-store.json"}
    assert len(after) == len(before)
    # A clone that knows only the old master key takes the new one for its successor.
    clone.ok("pull")
    assert contents(clone) == contents(secured)
    assert secured("remote", "key", "list", "origin", "--json").json["older"] == 0
    assert "encrypted 0 files of origin anew" in secured.ok("remote", "key", "reencrypt", "origin")


def test_a_blob_that_cannot_be_read_keeps_the_old_master_key(secured: Cli, store: Path) -> None:
    pack = next(path for path in (store / "packs").rglob("*") if path.is_file())
    data = pack.read_bytes()
    pack.unlink()
    pack.write_bytes(data[:-1])
    secured.ok("remote", "key", "rotate", "origin")
    result = secured("remote", "key", "reencrypt", "origin")
    assert result.code == 1
    assert "cannot be read, and stays as it is" in result.err
    assert secured("remote", "key", "list", "origin", "--json").json["older"] == 1
    pack.unlink()
    pack.write_bytes(data)
    assert "nothing needs an older master key" in secured.ok("remote", "key", "reencrypt", "origin")
    secured.ok("fetch", "--all")


def test_rotation_can_change_the_key(secured: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = secured.ok("remote", "key", "rotate", "origin", "--new-key-file", str(tmp_path / "k"))
    assert f"here {tmp_path / 'k'} opens origin from now on" in out
    secured.ok("push", "--all")
    monkeypatch.delenv("DVER_PASSPHRASE")
    secured.ok("remote", "key", "rotate", "origin", "--new-key-file", str(tmp_path / "other"))
    secured.ok("push", "--all")


def test_a_remote_that_cannot_be_reached_is_added_and_set_up_later(cli: Cli, tmp_path: Path, passphrase: str) -> None:
    (tmp_path / "store").write_text("a file in its place")
    err = cli.fails(3, "remote", "add", "origin", str(tmp_path / "store"), "--encrypt")
    assert "dver remote key init origin" in err
    assert "origin" in cli.ok("remote")
    (tmp_path / "store").unlink()
    assert "has no keys yet" in cli.fails(3, "remote", "key", "list", "origin")
    assert "set up the keys" in cli.ok("remote", "key", "init", "origin")
    assert "took up the keys" in cli.ok("remote", "key", "init", "origin")


def test_a_second_repository_takes_up_the_keys_that_are_there(secured: Cli, tmp_path: Path, store: Path) -> None:
    GitCommand(tmp_path)("init", "--quiet", "second")
    second = Cli(tmp_path / "second")
    second.ok("init")
    assert "took up the keys" in second.ok("remote", "add", "origin", str(store), "--encrypt")
    second.write("x", "more data")
    second.ok("add", "x")
    second.ok("push")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["key", "list", "plain"], 3, "remote plain is not encrypted"),
        (["key", "list", "none"], 3, "none"),
        (["key", "lst", "origin"], 2, "did you mean dver remote key list?"),
        (["key", "remove", "origin", "ffff"], 3, "no key has an id that begins with 'ffff'"),
        (["key", "add", "origin"], 2, "nobody is there to choose a passphrase"),
        (["key", "add", "origin", "--key-file", "/nowhere"], 3, "cannot be read"),
        (["key", "add", "origin", "--key-file", "/x", "--passphrase-file", "/y"], 2, "cannot go together"),
        (["add", "x", "/elsewhere", "--key-file", "/x"], 2, "a key file is for a remote with --encrypt"),
        (["add", "x", "/elsewhere", "--encrypt", "--key-file", "/nowhere/k"], 3, "cannot be read"),
    ],
)
def test_mistakes_are_refused(secured: Cli, arguments: list[str], code: int, message: str) -> None:
    secured.ok("remote", "add", "plain", "/mnt/plain")
    assert message in secured.fails(code, "remote", *arguments)


def test_a_missing_package_names_the_extra(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dver.storage.crypt_primitives", None)
    err = cli.fails(3, "remote", "add", "origin", str(store), "--encrypt")
    assert "pip install 'dver[encrypt]'" in err
    assert cli.ok("remote") == ""


def test_plain_commands_do_not_load_the_ciphers() -> None:
    script = "import sys, dver.cli.remote; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=Path(__file__).parents[2]).returncode == 0


def test_fsck_names_a_key_that_cannot_be_used_and_what_takes_it_away(secured: Cli, store: Path) -> None:
    (store / "keys" / ("0" * 32)).write_bytes(b"not a key")
    checked = secured("fsck", "--remote", "origin")
    assert checked.code == 1
    assert f"keys/{'0' * 32}" in checked.out
    assert f"dver remote key remove origin {'0' * 32}" in checked.out
    secured("fsck", "--remote", "origin", "--repair")
    assert (store / "keys" / ("0" * 32)).exists()
    secured.ok("remote", "key", "remove", "origin", "0" * 32)
    secured.ok("fsck", "--remote", "origin")


@pytest.fixture
def new_passphrase(tmp_path: Path) -> Path:
    (tmp_path / "new").write_text("another passphrase\n")
    return tmp_path / "new"


@pytest.mark.parametrize("how_far", ["new key there", "old keys gone"])
def test_a_rotation_to_another_key_that_was_cut_off_is_done_by_the_same_command(
    secured: Cli, store: Path, new_passphrase: Path, how_far: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = secured.folder / ".dver/config.toml"
    settings, (old,) = config.read_text(), (store / "keys").iterdir()
    data = old.read_bytes()
    rotate = ("remote", "key", "rotate", "origin", "--passphrase-file", str(new_passphrase))
    secured.ok(*rotate)
    rotated = config.read_text()
    assert rotated != settings
    config.write_text(settings)
    if how_far == "new key there":
        old.write_bytes(data)
    out = secured.ok(*rotate)
    assert "had been cut off, and is done now" in out
    assert config.read_text() == rotated
    assert not old.exists()
    monkeypatch.setenv("DVER_PASSPHRASE", "another passphrase")
    secured.ok("push", "--all")
    assert len(keys(secured)) == 1


def test_a_rotation_that_was_cut_off_is_done_by_the_same_command(secured: Cli, store: Path) -> None:
    (old,) = (store / "keys").iterdir()
    data = old.read_bytes()
    secured.ok("remote", "key", "rotate", "origin")
    old.write_bytes(data)
    secured.ok("remote", "key", "rotate", "origin")
    assert len(keys(secured)) == 1


def test_keys_of_others_do_not_go_by_a_second_try(secured: Cli, tmp_path: Path) -> None:
    secured.ok("remote", "key", "add", "origin", "--label", "ci", "--new-key-file", str(tmp_path / "k"))
    for _ in range(2):
        assert "1 of the keys of origin would be gone" in secured.fails(3, "remote", "key", "rotate", "origin")
    assert len(keys(secured)) == 2


def test_a_key_that_is_there_is_no_rotation(
    secured: Cli, store: Path, new_passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secured.ok("remote", "key", "add", "origin", "--passphrase-file", str(new_passphrase))
    before = stored(store)
    monkeypatch.setenv("DVER_PASSPHRASE", "no passphrase of this remote")
    err = secured.fails(3, "remote", "key", "rotate", "origin", "--passphrase-file", str(new_passphrase))
    assert "does not open remote origin" in err
    assert "does already" in err
    assert "open it with that key" in err
    assert stored(store) == before


def test_rotation_can_change_the_key_and_encrypt_anew(secured: Cli, new_passphrase: Path) -> None:
    rotate = ("remote", "key", "rotate", "origin", "--re-encrypt", "--passphrase-file", str(new_passphrase))
    assert "nothing needs an older master key any more" in secured.ok(*rotate)
