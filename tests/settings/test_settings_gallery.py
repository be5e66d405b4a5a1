"""Every mistake in the settings has the sentence that its author reads."""

import pytest

from proxy.core.errors import SettingsError
from proxy.settings import load_settings

CANARY = "s3cret-canary"

# what is in weir.yaml                                      what its author reads, a line each
GALLERY = {
    "workerz: 2": ["1:1: workerz: is unknown (did you mean 'workers'?)"],
    "store: {urll: embedded}": ["1:9: store.urll: is unknown (did you mean 'url'?)"],
    "log: {zzz: 1}": ["1:7: log.zzz: is unknown (level would do)"],
    "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2": ["2:1: listen: is there twice (first in line 1)"],
    "listen: '8080'": ["1:1: listen: cannot read '8080' as an address (127.0.0.1:8080, [::1]:8080)"],
    "listen: h:99999": ["1:1: listen: cannot read 'h:99999' as an address (127.0.0.1:8080, [::1]:8080)"],
    "listen: 8080": ["1:1: listen: must be text"],
    "admin: 127.0.0.1:8080": ["1:1: admin: is the address that listen has (127.0.0.1:9090)"],
    "workers: two": ["1:1: workers: must be a whole number"],
    "workers: 0": ["1:1: workers: must be at least 1"],
    "workers: 1.5": ["1:1: workers: must be a whole number"],
    "workers: yes": ["1:1: workers: must be a whole number"],
    "workers: 999": ["1:1: workers: must be at most 256"],
    "store: memory\nworkers: 4": [
        ("2:1: workers: memory counters are each process's own, so the real limits would be "
        "multiplied by 4 (store: embedded would do, or workers: 1)")],
    "store: mysql://x": [
        ("1:1: store.url: names no kind of store (embedded, memory, redis://…, rediss://…, unix://…, "
        "redis+sentinel://…, redis+cluster://…)")],
    "store: redis://": ["1:1: store.url: needs a host (redis://127.0.0.1:6379)"],
    "store: 'redis://[h'": ["1:1: store.url: cannot be read as a URL"],
    "store: 'redis://a b'": ["1:1: store.url: has a blank or a control character in it"],
    "store: redis+sentinel://a:1,:2/main": [
        "1:1: store.url: is not redis+sentinel://HOST:PORT,HOST:PORT/SERVICE"],
    "store: redis+sentinel://a:1": [
        "1:1: store.url: is not redis+sentinel://HOST:PORT,HOST:PORT/SERVICE"],
    "store: redis+cluster://a:1,b:2": [
        "1:1: store.url: needs a host (redis+cluster://127.0.0.1:6379)"],
    "store: unix://redis.sock": [
        "1:1: store.url: needs the absolute path of a socket (unix:///run/redis.sock)"],
    "store: {deadline: 100}": ["1:9: store.deadline: cannot read 100 as a duration (400ms, 30s, 1m, 6h, 7d)"],
    f"store: 'redis://:{CANARY}@h:x'": ["1:1: store.url: needs a host (redis://127.0.0.1:6379)"],
    "upstream: api.example.com": [
        "1:1: upstreams[0].url: must be a base URL or 'standin' (https://api.example.com/v1)"],
    f"upstream: https://u:{CANARY}@api.example.com/v1": [
        "1:1: upstreams[0].url: must not carry a credential (credential: {env: NAME} would do)"],
    "upstream: https://api.example.com/v1": [
        ("1:1: upstreams[0].credential: the environment variable OPENAI_API_KEY is not set (set it, "
        "or list the upstream under upstreams without a credential)")],
    "upstream: standin\nupstreams:\n- {name: a, url: standin}": [
        "1:1: upstream: says the same as upstreams (leave one of them out)"],
    "upstreams: []": ["1:1: upstreams: must not be empty"],
    "upstreams: {name: a}": ["1:1: upstreams: must be a list"],
    "upstreams:\n- url: standin": ["2:3: upstreams[0].name: is missing"],
    "upstreams:\n- {name: a, url: standin}\n- {name: a, url: standin}": [
        "3:4: upstreams[1].name: 'a' is the name of an earlier one"],
    f"upstreams:\n- {{name: a, url: standin, credential: {CANARY}}}": [
        ("2:27: upstreams[0].credential: must say where the secret is, not what it is ({env: NAME} "
        "or {file: PATH})")],
    f"upstreams:\n- {{name: a, url: standin, secret: {CANARY}}}": [
        ("2:27: upstreams[0].secret: is unknown (name, models, dialects, url, credential, header, "
        "ca_file, connect_timeout, first_byte_timeout, idle_timeout, max_connections, headers "
        "would do)")],
    "upstreams:\n- {name: a, url: standin, credential: {}}": [
        "2:27: upstreams[0].credential: needs one of env and file ({env: NAME} or {file: PATH})"],
    "upstreams:\n- {name: a, url: standin, credential: {env: A, file: b}}": [
        "2:27: upstreams[0].credential: needs one of env and file ({env: NAME} or {file: PATH})"],
    "upstreams:\n- {name: a, url: standin, credential: {env: EMPTY}}": [
        "2:27: upstreams[0].credential: the environment variable EMPTY is empty"],
    "upstreams:\n- {name: a, url: standin, credential: {env: BLANK}}": [
        ("2:27: upstreams[0].credential: the environment variable BLANK holds characters that "
        "cannot stand in a header")],
    "upstreams:\n- {name: a, url: standin, credential: {file: nowhere}}": [
        "2:27: upstreams[0].credential: the file nowhere cannot be read: No such file or directory"],
    "upstreams:\n- {name: a, url: standin, header: cookie}": [
        "2:27: upstreams[0].header: must be 'authorization-bearer', 'api-key' or 'x-api-key'"],
    "upstreams:\n- {name: a, url: standin, headers: {host: evil}}": [
        ("2:27: upstreams[0].headers: 'host' cannot be set (anthropic-beta, anthropic-version, "
        "openai-beta, openai-organization, openai-project, user-agent)")],
    "upstreams:\n- {name: a, url: standin, idle_timeout: 0s}": [
        "2:27: upstreams[0].idle_timeout: must be above 0"],
    "upstreams:\n- {name: 'a b', url: standin}": [
        "2:4: upstreams[0].name: may hold letters, digits, '.', '_' and '-', 63 at most"],
    "limits: {body: 32 megs}": [
        "1:10: limits.body: cannot read '32 megs' as a size (65536, 32KB, 32MB, 1GiB)"],
    "limits: {body: 0}": ["1:10: limits.body: must be above 0"],
    "limits: 5": ["1:1: limits: must be a mapping"],
    "trusted_networks: [10.0.0.1/8]": [
        "1:20: trusted_networks[0]: '10.0.0.1/8' has bits set beyond its prefix (10.0.0.0/8 would do)"],
    "trusted_networks: [localhost]": [
        "1:20: trusted_networks[0]: cannot read 'localhost' as a network (10.0.0.0/8, 2001:db8::/32)"],
    "journal: {to: syslog}": ["1:11: journal.to: must be 'files' or 'stdout'"],
    "record: perhaps": ["1:1: record.on: must be true or false"],
    "record: {on: 1}": ["1:10: record.on: must be true or false"],
    "record: {keep: 7}": ["1:10: record.keep: cannot read 7 as a duration (400ms, 30s, 1m, 6h, 7d)"],
    "record: {keep_bytes: 8MB}": ["1:10: record.keep_bytes: must be at least rotate_bytes"],
    "record: {directory: .weir/journal}": [
        "1:10: record.directory: must be another than the journal's"],
    "journal: {rotate_bytes: 9MB, keep_bytes: 8MB}": [
        "1:30: journal.keep_bytes: must be at least rotate_bytes"],
    "auth: {keys: false}": ["1:1: auth: lets nobody in (keys: true, or a jwt section)"],
    "auth: {jwt: {}}": [
        "1:8: auth.jwt.issuer: is missing",
        "1:8: auth.jwt.audience: is missing",
        "1:8: auth.jwt.algorithms: is missing"],
    "auth: {jwt: {issuer: a, audience: b, algorithms: RS256}}": [
        "1:8: auth.jwt: needs one of key_file and jwks_url"],
    "auth: {jwt: {issuer: a, audience: b, algorithms: [none], key_file: k}}": [
        ("1:51: auth.jwt.algorithms[0]: 'none' is no signature that can be trusted (HS256, HS384, "
        "HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA)")],
    "auth: {jwt: {issuer: a, audience: b, algorithms: [HS256, RS256], key_file: k}}": [
        ("1:38: auth.jwt.algorithms: HS256 would take a public key for a shared secret (only HS… or "
        "none, and HS… with a key_file)")],
    "auth: {jwt: {issuer: a, audience: b, algorithms: RS256, jwks_url: http://a.example/k}}": [
        ("1:57: auth.jwt.jwks_url: must be an https address: who can change the keys can sign as "
        "anybody")],
    "auth: {jwt: {issuer: a, audience: b, algorithms: RS256, key_file: k, claims: {acount: x}}}": [
        ("1:70: auth.jwt.claims: 'acount' is no part (account, org, plan, verified, purpose, key, "
        "attributes.NAME)")],
    "log: {level: loud}": ["1:7: log.level: must be 'debug', 'info', 'warning' or 'error'"],
    "shutdown: {grace: soon}": [
        "1:12: shutdown.grace: cannot read 'soon' as a duration (400ms, 30s, 1m, 6h, 7d)"],
    "- a": ["1:1: must be a mapping (name: value, a line each)"],
    "listen: [1": [("1:11: is not YAML: while parsing a flow sequence, expected ',' or ']', but got "
                   "'<stream end>'")],
    "a: &x 1": ["1:4: a: anchors and aliases are not read here (write it out)"],
    "1: 2": ["1:1: a key must be text"],
    "a: 1\n---\nb: 1": [("2:1: is not YAML: expected a single document in the stream, but found "
                        "another document")],
    "listen: !x 1": ["1:9: listen: cannot be read ('1' in quotes is text)"],
}  # fmt: skip


def told(text, tmp_path, monkeypatch, env=None, flags=None):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weir.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(None, env or {"EMPTY": "", "BLANK": f"{CANARY} x"}, flags or {})
    return str(caught.value).splitlines()


@pytest.mark.parametrize("text", GALLERY)
def test_a_mistake_has_its_sentence(text, tmp_path, monkeypatch):
    lines = told(text, tmp_path, monkeypatch)
    assert lines[: len(GALLERY[text])] == [f"weir.yaml:{line}" for line in GALLERY[text]]
    assert CANARY not in "\n".join(lines)


def test_all_mistakes_are_told_at_once(tmp_path, monkeypatch):
    text = "workers: 0\nlimits:\n  body: x\n  bodi: 1\nlog: {level: loud}\nworkers: 3\n"
    assert told(text, tmp_path, monkeypatch, flags={"listen": "x"}, env={"WEIR_STORE": "y"}) == [
        "weir.yaml:6:1: workers: is there twice (first in line 1)",
        "--listen: cannot read 'x' as an address (127.0.0.1:8080, [::1]:8080)",
        "weir.yaml:1:1: workers: must be at least 1",
        (
            "WEIR_STORE: names no kind of store (embedded, memory, redis://…, rediss://…, unix://…, "
            "redis+sentinel://…, redis+cluster://…)"
        ),
        "weir.yaml:3:3: limits.body: cannot read 'x' as a size (65536, 32KB, 32MB, 1GiB)",
        "weir.yaml:4:3: limits.bodi: is unknown (did you mean 'body'?)",
        "weir.yaml:5:7: log.level: must be 'debug', 'info', 'warning' or 'error'",
    ]


def test_bytes_that_are_no_text_have_a_place(tmp_path, monkeypatch):
    (tmp_path / "weir.yaml").write_bytes(b"listen: x\nadmin: \xff\n")
    with pytest.raises(SettingsError, match=r"weir.yaml:2:8: is not UTF-8"):
        load_settings(tmp_path / "weir.yaml", {}, {})


def test_a_file_that_is_not_there_is_a_mistake(tmp_path):
    with pytest.raises(SettingsError, match=r"none.yaml: cannot be opened: No such file"):
        load_settings(tmp_path / "none.yaml", {}, {})


@pytest.mark.parametrize("depth", [100, 5000])
def test_nesting_has_an_end(tmp_path, monkeypatch, depth):
    lines = told("a: " + "[" * depth + "]" * depth, tmp_path, monkeypatch)
    assert "nested too deeply" in lines[0] or "not YAML that can be read" in lines[0]


def test_a_file_has_a_largest_size(tmp_path, monkeypatch):
    assert told("a: 1 #" + "x" * 1_000_000, tmp_path, monkeypatch)[0] == (
        "weir.yaml:1:1: is larger than 1000000 bytes"
    )
