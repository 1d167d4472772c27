"""Where the command line finds server and token."""

from __future__ import annotations

import json

import pytest

from agent_client.commands.client_settings import load_client_settings
from agent_client.errors import ConfigError, ExitCode


@pytest.fixture
def environ(tmp_path):
    """Return an environment with an empty home and a token."""
    return {"HOME": str(tmp_path), "DIALER_TOKEN": "dpu_env"}


def _store(tmp_path, content: object):
    path = tmp_path / ".config" / "dialer" / "client.json"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_address_is_loopback_when_nothing_is_given(environ):
    assert load_client_settings(environ).url == "http://127.0.0.1:8000"


def test_trailing_slash_is_removed(environ):
    assert load_client_settings({**environ, "DIALER_URL": "https://h/x/"}).url == "https://h/x"


@pytest.mark.parametrize(
    "content",
    [{"url": "https://f:1", "token": "t"}, {"client": {"url": "https://f:1", "token": "t"}}],
)
def test_file_gives_both(environ, tmp_path, content):
    _store(tmp_path, content)
    del environ["DIALER_TOKEN"]
    settings = load_client_settings(environ)
    assert (settings.url, settings.token) == ("https://f:1", "t")


def test_environment_wins_over_the_file(environ, tmp_path):
    _store(tmp_path, {"url": "https://f:1", "token": "t"})
    settings = load_client_settings({**environ, "DIALER_URL": "https://e:2"})
    assert (settings.url, settings.token) == ("https://e:2", "dpu_env")


def test_other_configuration_home_is_respected(environ, tmp_path):
    path = tmp_path / "xdg" / "dialer" / "client.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"url": "https://x:3"}')
    settings = load_client_settings({**environ, "XDG_CONFIG_HOME": str(tmp_path / "xdg")})
    assert settings.url == "https://x:3"


def test_token_file_is_read(environ, tmp_path):
    (tmp_path / "t").write_text("dpu_file\n")
    del environ["DIALER_TOKEN"]
    environ["DIALER_TOKEN_FILE"] = str(tmp_path / "t")
    assert load_client_settings(environ).token == "dpu_file"


def test_missing_token_says_how_to_make_one(environ):
    del environ["DIALER_TOKEN"]
    with pytest.raises(ConfigError, match=r"manage\.py token USER") as caught:
        load_client_settings(environ)
    assert caught.value.exit_code == ExitCode.REFUSED


@pytest.mark.parametrize(
    "change",
    [
        {"DIALER_URL": "h:8000"},
        {"DIALER_TOKEN": "a\nb"},
        {"DIALER_TOKEN": "密"},
        {"DIALER_TOKEN": "", "DIALER_TOKEN_FILE": "/nowhere"},
    ],
)
def test_unusable_setting_is_refused(environ, change):
    with pytest.raises(ConfigError):
        load_client_settings({**environ, **change})


@pytest.mark.parametrize("content", ["{", "[1]", '{"client": 5}'])
def test_unreadable_file_is_refused(environ, tmp_path, content):
    _store(tmp_path, content)
    with pytest.raises(ConfigError, match=r"client\.json"):
        load_client_settings(environ)


def test_token_is_not_in_the_representation(environ):
    assert "dpu_env" not in repr(load_client_settings(environ))


@pytest.mark.parametrize("url", ["http://10.0.0.1:8000", "HTTP://dialer.example"])
def test_token_is_not_sent_in_clear_to_another_machine(environ, tmp_path, url):
    with pytest.raises(ConfigError, match="not encrypted") as caught:
        load_client_settings({**environ, "DIALER_URL": url})
    assert caught.value.code == "config_invalid"
    assert caught.value.remedy.endswith("DIALER_ALLOW_PLAIN_HTTP=1.")
    allowed = {**environ, "DIALER_URL": url, "DIALER_ALLOW_PLAIN_HTTP": "yes"}
    assert load_client_settings(allowed).url == url


def test_file_allows_the_unencrypted_way_and_the_environment_wins(environ, tmp_path):
    _store(tmp_path, {"url": "http://10.0.0.1", "allow_plain_http": True})
    assert load_client_settings(environ).url == "http://10.0.0.1"
    with pytest.raises(ConfigError, match="not encrypted"):
        load_client_settings({**environ, "DIALER_ALLOW_PLAIN_HTTP": "0"})
