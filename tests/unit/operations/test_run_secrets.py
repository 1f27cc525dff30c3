"""Masking of secrets."""

import pytest

from dver.operations.run_secrets import MASK, mask

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"


def masked(*command: str) -> tuple[str, ...]:
    return mask(command, {}, {}).command


@pytest.mark.parametrize(
    ("word", "recorded"),
    [
        ("--password=hunter2", "--password=***"),
        ("--db-password=hunter2", "--db-password=***"),
        ("API_KEY=abc123", "API_KEY=***"),
        ("AWS_SECRET_ACCESS_KEY=abc", "AWS_SECRET_ACCESS_KEY=***"),
        ("curl -u x 'token=abc' host", "curl -u x 'token=***' host"),
        ("load --token abc --rows 3", "load --token *** --rows 3"),
        ('psql --password="a b" x', "psql --password=*** x"),
        ("postgres://me:pw@host/db", "postgres://me:***@host/db"),
        ("https://host/x?sig=abc&y=1", "https://host/x?sig=***&y=1"),
        ("-HAuthorization: Basic dXNlcjpw", "-HAuthorization: Basic ***"),
        ("curl -H 'Authorization: Bearer abcdefgh12'", "curl -H 'Authorization: Bearer ***'"),
        ('{"password": "abc"}', '{"password": ***}'),
        ("AKIAIOSFODNN7EXAMPLE", "***"),
        ("ghp_" + "a" * 36, "***"),
        (JWT, "***"),
        ("PGPASSWORD=hunter2", "PGPASSWORD=***"),
        ("PGPASSWORD=hunter2 psql -c 'select 1'", "PGPASSWORD=*** psql -c 'select 1'"),
        ("env PGPASSWORD='hunter 2' psql", "env PGPASSWORD=*** psql"),
        ("SSHPASS=hunter2", "SSHPASS=***"),
        ("DB_PASS=hunter2", "DB_PASS=***"),
        ("dbPassword=hunter2", "dbPassword=***"),
        ("--password=a b&c'd", "--password=***"),
        ("password = 'a b'", "password = ***"),
        ("password: hunter2", "password: ***"),
        ("X-Api-Key: hunter2", "X-Api-Key: ***"),
        ("X-Auth-Token:hunter2", "X-Auth-Token:***"),
        ("Api-Key: hunter2", "Api-Key: ***"),
        ("-HX-Api-Key: hunter2", "-HX-Api-Key: ***"),
        ("Ocp-Apim-Subscription-Key: hunter2", "Ocp-Apim-Subscription-Key: ***"),
        ("PRIVATE-TOKEN: hunter2", "PRIVATE-TOKEN: ***"),
        ("Cookie: session=hunter2; user=me", "Cookie: ***"),
        ("curl -H 'X-Api-Key: hunter2' https://host", "curl -H 'X-Api-Key: ***' https://host"),
        ("curl -H 'Cookie: a=b; c=d' https://host", "curl -H 'Cookie: ***' https://host"),
        ("curl --cookie 'session=hunter2; a=b' https://host", "curl --cookie 'session=***' https://host"),
        ("curl -b session=hunter2 https://host", "curl -b session=*** https://host"),
        ("--auth=hunter2", "--auth=***"),
        ("load --auth hunter2 x", "load --auth *** x"),
        ("https://host/x?auth=abc&y=1", "https://host/x?auth=***&y=1"),
        ("--pw=hunter2", "--pw=***"),
        ("curl -u me:hunter2 https://host", "curl -u me:*** https://host"),
        ("curl -sSu 'me:hunter2' https://host", "curl -sSu 'me:***' https://host"),
        ("-ume:hunter2", "-ume:***"),
        ("curl --user me:hunter2 https://host", "curl --user me:*** https://host"),
        ("--user=me:hunter2", "--user=me:***"),
        ("curl --oauth2-bearer hunter2 https://host", "curl --oauth2-bearer *** https://host"),
        ("https://hunter2@host/x", "https://***@host/x"),
        ("git+https://hunter2@host/x", "git+https://***@host/x"),
        ("https://hunter2:@host/x", "https://***:@host/x"),
        ("https://hunter2:x-oauth-basic@host/x", "https://***:***@host/x"),
        ("postgres://me:p@ss@host/db", "postgres://me:***@host/db"),
        ("https://me:pw@host/x", "https://me:***@host/x"),
    ],
)
def test_what_looks_like_a_secret_is_masked(word: str, recorded: str) -> None:
    assert masked("run", word) == ("run", recorded)


def test_a_value_in_a_word_of_its_own_is_masked_after_its_option() -> None:
    assert masked("load", "--token", "abc", "--rows", "3") == ("load", "--token", MASK, "--rows", "3")
    assert masked("load", "--token", "--rows") == ("load", "--token", "--rows")
    assert masked("load", "--auth", "abc") == ("load", "--auth", MASK)
    assert masked("curl", "--oauth2-bearer", "abc") == ("curl", "--oauth2-bearer", MASK)
    assert masked("curl", "-u", "me:a b") == ("curl", "-u", "me:***")
    assert masked("curl", "-fsSLu", "me:abc") == ("curl", "-fsSLu", "me:***")
    assert masked("curl", "--user", "me:abc") == ("curl", "--user", "me:***")
    assert masked("curl", "-b", "session=abc; x=y") == ("curl", "-b", MASK)
    assert masked("env", "PGPASSWORD=a&b", "psql") == ("env", "PGPASSWORD=***", "psql")
    assert masked("PGPASSWORD=abc", "psql") == ("PGPASSWORD=***", "psql")


@pytest.mark.parametrize(
    "command",
    [
        ("load", "--auth-file", "me.txt"),
        ("load", "--auth", "$AUTH"),
        ("python", "-u", "train.py"),
        ("docker", "run", "-u", "1000:1000", "image"),
        ("sort", "-u", "names"),
        ("get", "-u", "https://host/x"),
        ("curl", "-u", "$ME:$PW"),
        ("curl", "-u", "me:$PW"),
        ("curl", "--user", "me"),
        ("curl", "-b", "cookies.txt"),
        ("train", "--tokenizer", "x", "--passes", "3", "--author", "me"),
        ("sh", "-c", "test $token == x"),
    ],
)
def test_options_of_other_meanings_keep_their_values(command: tuple[str, ...]) -> None:
    assert masked(*command) == command


def test_a_line_for_the_shell_is_masked_no_further_than_the_value() -> None:
    assert masked("PGPASSWORD=hunter2 psql && date") == ("PGPASSWORD=*** psql && date",)
    assert masked("psql --password=a | sort") == ("psql --password=*** | sort",)
    assert masked("sh", "-c", "PGPASSWORD=hunter2 psql x") == ("sh", "-c", "PGPASSWORD=*** psql x")


@pytest.mark.parametrize(
    "word",
    [
        "--max-tokens=5",
        "--tokenizer=bpe",
        "token.txt",
        "keys=a,b",
        "--key=id",
        "--password=$PASSWORD",
        "psql --password $PASSWORD",
        'x --password="$PASSWORD"',
        "https://host:80/path@2",
        "postgres://me:$PW@host",
        "s3://bucket/key",
        "password",
        "sk-learn",
        "Bearer",
        "--auth-file=me.txt",
        "load --auth-file me.txt",
        "--author=me",
        "--passes=3",
        "train --tokenizer x --passes 3",
        "python -u train.py",
        "sort -u names",
        "docker run -u 1000:1000 image",
        "get -u https://host/x",
        "curl -u $ME:$PW",
        "curl -b cookies.txt --cookie-jar cookies.txt",
        "PGPASSWORD=$PW psql",
        'PGPASSWORD="$PW" psql',
        "https://git@host/x",
        "ssh://me@host/x",
        "https://$TOKEN@host/x",
        "image/auth-token:latest",
        "token:count",
        "accept: text/html",
        "Content-Type: text/plain",
        "OLDPWD=/x",
    ],
)
def test_other_words_are_left_as_they_are(word: str) -> None:
    found = mask(["run", word], {}, {})
    assert found.command == ("run", word)
    assert found.found == ()
    assert not found.decides


def test_parameters_and_tags_are_masked_by_name_and_by_value() -> None:
    found = mask(
        ["run"],
        {"p.yaml:db.password": "x", "token": 5, "url": "ftp://a:b@c", "p.yaml:lr": 0.1},
        {"api_key": "x", "mood": "good"},
    )
    assert found.params == {"p.yaml:db.password": MASK, "token": 5, "url": "ftp://a:***@c", "p.yaml:lr": 0.1}
    assert found.tags == {"api_key": MASK, "mood": "good"}
    assert found.found == ("parameter p.yaml:db.password", "parameter url", "tag api_key")
    assert found.decides


def test_the_name_of_a_step_is_masked_and_decides_nothing() -> None:
    found = mask(["run"], {}, {}, name="load password=hunter2")
    assert found.name == "load password=***"
    assert found.found == ("name load password=***",)
    assert not found.decides
    assert mask(["run"], {}, {}, name="train").name == "train"


def test_a_secret_in_a_tag_decides_nothing() -> None:
    assert not mask(["run"], {}, {"token": "abc"}).decides


def test_the_user_is_told_where_and_never_what() -> None:
    found = mask(["run", "x" * 100 + " --password=hunter2 " + "y" * 100], {}, {})
    assert len(found.found) == 1
    assert "--password=***" in found.found[0]
    assert "hunter2" not in found.found[0]
    assert len(found.found[0]) < 60
