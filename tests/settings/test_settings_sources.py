"""Flags come before the environment, the environment before the file, and secrets stay inside."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from proxy.core.errors import SettingsError
from proxy.settings import FLAGS, load_settings
from proxy.settings.values import host_and_port, masked, size

CANARY = "s3cret-canary"


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(text=None, env=None, flags=None):
        if text is not None:
            (tmp_path / "weir.yaml").write_text(text)
        return load_settings(None, env or {}, flags or {})

    return load


def test_without_any_source_there_are_defaults(loaded):
    settings = loaded()
    assert settings.listen == "127.0.0.1:8080"
    assert settings.admin == "127.0.0.1:9090"
    assert settings.policies == Path("policies")
    assert settings.keys == Path(".weir/keys.yaml")
    assert settings.journal.directory == Path(".weir/journal")
    assert settings.store.kind == "embedded"
    assert settings.store.deadline == 100_000
    assert settings.workers == 1
    assert [(each.name, each.url) for each in settings.upstreams] == [("standin", "standin")]
    assert settings.needs_standin
    assert settings.limits.body == 32_000_000
    assert settings.shutdown.grace == 20_000_000


@pytest.mark.parametrize(
    ("file", "env", "flags", "expected"),
    [
        (None,         {},                    {},                1),
        ("workers: 2", {},                    {},                2),
        ("workers: 2", {"WEIR_WORKERS": "3"}, {},                3),
        ("workers: 2", {"WEIR_WORKERS": "3"}, {"workers": 4},    4),
        ("workers: 2", {"WEIR_WORKERS": "3"}, {"workers": None}, 3),
        ("workers: 2", {"WEIR_WORKERS": ""},  {},                2),
        (None,         {},                    {"workers": "5"},  5),
    ],
)  # fmt: skip
def test_the_nearer_source_wins(loaded, file, env, flags, expected):
    assert loaded(file, env, flags).workers == expected


def test_every_flag_has_a_variable_that_sets_the_same(loaded):
    values = {
        "listen": "127.0.0.1:1", "admin": "127.0.0.1:2", "policies": "p", "home": "h", "keys": "k",
        "workers": "2", "store": "redis://h", "environment": "e", "replicas": "3",
        "upstream": "standin", "journal": "stdout", "record": "true", "grace": "1s",
        "log_level": "error",
    }  # fmt: skip
    assert values.keys() == FLAGS.keys()
    by_env = loaded(None, {f"WEIR_{name.upper()}": value for name, value in values.items()})
    assert by_env == loaded(None, {}, values)
    assert by_env.store.replicas == 3
    assert by_env.log.level == "error"
    assert by_env.shutdown.grace == 1_000_000
    assert by_env.journal.directory == Path("h/journal")


@pytest.mark.parametrize(
    ("file", "env", "flags", "on"),
    [
        (None,                        {},                        {},               False),
        ("record: true",              {},                        {},               True),
        ("record: {on: true}",        {},                        {},               True),
        ("record: {keep: 1h}",        {},                        {},               False),
        ("record: {keep: 1h}",        {},                        {"record": True}, True),
        (None,                        {"WEIR_RECORD": "true"},   {},               True),
        ("record: true",              {"WEIR_RECORD": "False"},  {},               False),
    ],
)  # fmt: skip
def test_traffic_is_recorded_where_somebody_says_so(loaded, file, env, flags, on):
    record = loaded(file, env, flags).record
    assert record.on is on
    assert record.directory == Path(".weir/traffic")
    assert record.keep == (3_600_000_000 if file and "1h" in file else 7 * 86_400_000_000)


def test_variables_of_others_are_left_alone(loaded):
    assert loaded(None, {"WEIR_PORT": "tcp://10.0.0.1:80", "WEIR_SERVICE_HOST": "10.0.0.1"})


def test_a_flag_that_is_no_setting_is_a_mistake(loaded):
    with pytest.raises(SettingsError, match="--wrokers: is no setting"):
        loaded(None, {}, {"wrokers": 1})


def test_a_mistake_in_a_flag_names_the_flag(loaded):
    with pytest.raises(SettingsError, match=r"^--log-level: must be 'debug'"):
        loaded(None, {}, {"log_level": "loud"})


def test_a_section_whose_lines_are_commented_out_is_not_there(loaded):
    assert loaded("limits:\n#  body: 1MB\nstore:\n").limits.body == 32_000_000


def test_a_flag_keeps_what_the_file_says_beside_it(loaded):
    settings = loaded("store: {url: memory, deadline: 7ms}", {}, {"store": "redis://h"})
    assert (settings.store.kind, settings.store.deadline) == ("redis", 7_000)


def test_one_upstream_by_variable_stands_for_the_whole_list(loaded):
    file = "upstreams:\n- {name: a, url: 'http://a.example/v1'}\n"
    assert [each.name for each in loaded(file).upstreams] == ["a"]
    assert loaded(file, {"WEIR_UPSTREAM": "standin"}).needs_standin


def test_one_upstream_takes_the_usual_variable_for_its_credential(loaded):
    env = {"WEIR_UPSTREAM": "https://api.example.com/v1/", "OPENAI_API_KEY": CANARY}
    (upstream,) = loaded(None, env).upstreams
    assert upstream.url == "https://api.example.com/v1"
    assert upstream.secret.get_secret_value() == CANARY


def test_credentials_come_from_variables_and_files(loaded, tmp_path):
    (tmp_path / "key").write_text(f"{CANARY}\n")
    settings = loaded(
        "upstreams:\n"
        "- {name: a, url: 'http://a.example', credential: {file: key}, header: x-api-key}\n"
        "- {name: b, url: 'http://b.example', credential: {env: KEY}, models: 'b-*'}\n"
        "- {name: c, url: 'http://c.example', credential: none, headers: {User-Agent: x}}\n",
        {"KEY": CANARY},
    )
    secrets = [each.secret and each.secret.get_secret_value() for each in settings.upstreams]
    assert secrets == [CANARY, CANARY, None]
    assert settings.upstreams[1].models == ("b-*",)
    assert settings.upstreams[2].headers == {"user-agent": "x"}


def test_no_secret_is_in_a_repr_or_a_dump(loaded):
    settings = loaded(
        "upstreams: [{name: a, url: 'http://a.example', credential: {env: KEY}}]",
        {"KEY": CANARY, "WEIR_STORE": f"redis://weir:{CANARY}@h:6379/0?password={CANARY}"},
    )
    shown = f"{settings!r} {settings} {settings.store!r} {settings.store} {settings.store.shown}"
    shown += f"{settings.model_dump()} {settings.model_dump_json()} {settings.upstreams}"
    assert CANARY not in shown
    assert settings.store.shown == "redis://weir:***@h:6379/0?password=***"
    assert CANARY in settings.store.url.get_secret_value()


@pytest.mark.parametrize("url", [f"redis://:{CANARY}@h", f"redis://h?password={CANARY}"])
def test_a_password_in_a_flag_is_refused_and_in_a_variable_is_not(loaded, url):
    with pytest.raises(SettingsError, match="--store: a password in a flag") as caught:
        loaded(None, {}, {"store": url})
    assert CANARY not in str(caught.value)
    assert loaded(None, {"WEIR_STORE": url}).store.kind == "redis"


def test_settings_cannot_be_changed(loaded):
    with pytest.raises(ValidationError):
        loaded().workers = 2


def test_a_full_file_loads(loaded):
    settings = loaded(
        """
listen: "[::1]:8080"
store: {url: redis+cluster://a:1, deadline: 50ms, environment: prod, replicas: 3}
limits: {body: 1MiB, headers: 16_000, header_timeout: 3s, body_timeout: 1m, connections: 50}
trusted_networks: [10.0.0.0/8, "2001:db8::/32", 192.0.2.1]
journal: {to: stdout, queue_bytes: 1MB}
auth:
  keys: false
  jwt:
    issuer: https://id.example.com
    audience: weir
    algorithms: [RS256, EdDSA]
    jwks_url: https://id.example.com/keys
    claims: {account: sub, attributes.region: geo}
    types: ""
    leeway: 10s
"""
    )
    assert settings.limits.body == 2**20
    assert settings.limits.headers == 16_000
    assert settings.trusted_networks == tuple(
        ip_network(text) for text in ("10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32")
    )
    assert settings.auth.jwt.audience == ("weir",)
    assert settings.auth.jwt.types == ("",)
    assert settings.auth.jwt.leeway == 10_000_000
    assert host_and_port(settings.listen) == ("::1", 8080)


@pytest.mark.parametrize(
    ("written", "read"),
    [("1B", 1), ("32KB", 32_000), ("32 KiB", 32_768), ("1_000", None), (7, 7), ("2GB", 2 * 10**9)],
)
def test_sizes_have_units(written, read):
    if read is None:
        with pytest.raises(ValueError, match="as a size"):
            size(written)
    else:
        assert size(written) == read


@pytest.mark.parametrize(
    "url", ["embedded", "memory", "redis://h:1/0", "unix:///run/redis.sock", "rediss://u@h?db=1"]
)
def test_a_url_without_a_password_is_shown_as_it_is(url):
    assert masked(url).replace("u:***@", "u@") == url
