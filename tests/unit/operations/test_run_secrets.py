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
    ],
)
def test_what_looks_like_a_secret_is_masked(word: str, recorded: str) -> None:
    assert masked("run", word) == ("run", recorded)


def test_a_value_in_a_word_of_its_own_is_masked_after_its_option() -> None:
    assert masked("load", "--token", "abc", "--rows", "3") == ("load", "--token", MASK, "--rows", "3")
    assert masked("load", "--token", "--rows") == ("load", "--token", "--rows")


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


def test_a_secret_in_a_tag_decides_nothing() -> None:
    assert not mask(["run"], {}, {"token": "abc"}).decides


def test_the_user_is_told_where_and_never_what() -> None:
    found = mask(["run", "x" * 100 + " --password=hunter2 " + "y" * 100], {}, {})
    assert len(found.found) == 1
    assert "--password=***" in found.found[0]
    assert "hunter2" not in found.found[0]
    assert len(found.found[0]) < 60
