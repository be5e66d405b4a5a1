"""What the settings say: one frozen model a section.

Durations are integers of microseconds and sizes integers of bytes once loaded; in a file they are
written as '5s', '100ms', '32MB'.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
)

from proxy.settings.values import (
    SECOND,
    STANDIN,
    algorithm,
    claim_parts,
    duration,
    extra_headers,
    folder,
    key_address,
    listed,
    listening,
    masked,
    network,
    size,
    store_url,
    upstream_url,
)

DAY = 86_400 * SECOND

Duration = Annotated[int, BeforeValidator(duration), Field(gt=0)]
Size = Annotated[int, BeforeValidator(size), Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(listed)]
Folder = Annotated[Path, BeforeValidator(folder)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(network)]
Listen = Annotated[str, AfterValidator(listening)]


class Section(BaseModel):
    """What all sections share: strict types, no unknown keys, no changes."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class StoreSettings(Section):
    """Where the counters are.

    url:         'embedded', 'memory' or a URL; secret, as it may hold a password
    deadline:    microseconds a call may take before the request is decided blind
    environment: part of every key, so that two installations can share a server
    replicas:    gateways that share an amount while `on_store_error: local` counts in each
    """

    url: Annotated[SecretStr, AfterValidator(store_url)] = SecretStr("embedded")
    deadline: Duration = SECOND // 10
    environment: Name = "default"
    replicas: Annotated[int, Field(ge=1, le=10_000)] = 1

    @property
    def kind(self) -> str:
        """'embedded', 'memory', or the scheme of the URL ('redis', 'redis+cluster', …)."""
        return self.url.get_secret_value().partition("://")[0]

    @property
    def shown(self) -> str:
        """The URL with its password masked."""
        return masked(self.url.get_secret_value())

    def __repr__(self) -> str:
        return (
            f"StoreSettings(url={self.shown!r}, deadline={self.deadline},"
            f" environment={self.environment!r}, replicas={self.replicas})"
        )

    __str__ = __repr__


class CredentialSettings(Section):
    """Where an upstream's credential is: in an environment variable or in a file."""

    env: Text | None = None
    file: Folder | None = None


class UpstreamSettings(Section):
    """One model API.

    models, dialects: globs and names that it serves; the first upstream that fits is taken
    url:              base URL with its path ('https://api.example.com/v1'), or 'standin'
    ca_file:          PEM file of the authorities to trust instead of the system's
    connect_timeout, first_byte_timeout, idle_timeout: microseconds, to a connection, from there to
                      the answer's head, and between two pieces of its body
    """

    name: Name
    models: Texts = ("*",)
    dialects: Texts = ("*",)
    url: Annotated[str, AfterValidator(upstream_url)]
    credential: CredentialSettings | None = None
    header: Literal["authorization-bearer", "api-key", "x-api-key"] = "authorization-bearer"
    ca_file: Folder | None = None
    connect_timeout: Duration = 5 * SECOND
    first_byte_timeout: Duration = 120 * SECOND
    idle_timeout: Duration = 60 * SECOND
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 1000
    headers: Annotated[dict[str, str], AfterValidator(extra_headers)] = Field(default_factory=dict)
    _secret: SecretStr | None = PrivateAttr(default=None)

    @property
    def secret(self) -> SecretStr | None:
        """The credential itself, read from where `credential` says; None where there is none."""
        return self._secret

    def with_secret(self, secret: SecretStr) -> Self:
        """Return a copy that holds the credential."""
        copy = self.model_copy()
        copy._secret = secret  # noqa: SLF001 - the copy is ours
        return copy

    @property
    def standin(self) -> bool:
        """Whether this is the built-in stand-in model, which the runner starts."""
        return STANDIN in {self.name, self.url}


class LimitSettings(Section):
    """How much of a stranger's request is taken in: bytes, microseconds, connections a worker."""

    body: Size = 32_000_000
    headers: Size = 32_000
    header_timeout: Duration = 10 * SECOND
    body_timeout: Duration = 60 * SECOND
    connections: Annotated[int, Field(ge=1)] = 10_000


class JournalSettings(Section):
    """Where decisions are written.

    rotate_bytes: size at which a file is closed and the next begun
    keep_bytes:   size of all files together beyond which the oldest are deleted
    queue_bytes:  what may wait in memory for a slow disk
    """

    to: Literal["files", "stdout"] = "files"
    directory: Folder
    rotate_bytes: Size = 64_000_000
    keep_bytes: Size = 1_000_000_000
    queue_bytes: Size = 16_000_000


class RecordSettings(Section):
    """Whether traffic is recorded in full, prompts and answers in the clear, and where to.

    directory:    of the files, which nobody else may enter
    keep:         microseconds after its last line at which a file is deleted
    keep_bytes:   size of all files together beyond which the oldest are deleted
    rotate_bytes: size at which a file is closed and the next begun
    queue_bytes:  what may wait in memory for a slow disk
    """

    on: bool = False
    directory: Folder
    keep: Duration = 7 * DAY
    keep_bytes: Size = 10_000_000_000
    rotate_bytes: Size = 256_000_000
    queue_bytes: Size = 64_000_000


class WatchSettings(Section):
    """What accounts collect: whether it is noted, and who assesses it.

    enabled: profiles are kept
    flush:   microseconds between two writes of what was noted; a crash loses no more than that
    assess:  workers assess; False leaves it to `weir watch`
    keep:    microseconds after an account's last request at which its profile is forgotten
    """

    enabled: bool = True
    flush: Annotated[Duration, Field(ge=SECOND // 20, le=60 * SECOND)] = 2 * SECOND
    assess: bool = True
    keep: Annotated[Duration, Field(ge=DAY)] = 45 * DAY


class JwtSettings(Section):
    """Which tokens are trusted, and how their claims become a principal.

    key_file, jwks_url: one of the two
    claims:    part of the principal -> name of the claim ({account: sub, attributes.region: geo})
    types:     values of the `typ` header that are taken; '' lets tokens without one in
    required:  claims that must be there
    leeway:    microseconds that two clocks may differ
    max_bytes: longer tokens are refused unread
    """

    issuer: Text
    audience: Annotated[Texts, Field(min_length=1)]
    algorithms: Annotated[
        tuple[Annotated[str, AfterValidator(algorithm)], ...],
        BeforeValidator(listed),
        Field(min_length=1),
    ]
    key_file: Folder | None = None
    jwks_url: Annotated[str, AfterValidator(key_address)] | None = None
    claims: Annotated[dict[str, Text], AfterValidator(claim_parts)] = Field(default_factory=dict)
    types: Annotated[tuple[str, ...], BeforeValidator(listed)] = ("JWT", "at+jwt")
    required: Texts = ("exp", "iat", "sub")
    leeway: Annotated[Duration, Field(le=300 * SECOND)] = 30 * SECOND
    max_bytes: Annotated[Size, Field(ge=256, le=65_536)] = 8192


class AuthSettings(Section):
    """Which credentials are taken."""

    keys: bool = True
    jwt: JwtSettings | None = None


class AnswerSettings(Section):
    """How developers are told what was changed, and how many are made to wait.

    tell:         `x-weir-decision` carries the codes of what was done, `x-weir-shape` the numbers;
                  without it only the decision's id is told
    most_waiting: requests that a worker delays at one time, of one account a quarter of that; one
                  more is refused, to be tried again
    """

    tell: bool = True
    most_waiting: Annotated[int, Field(ge=1, le=100_000)] = 256


class ShutdownSettings(Section):
    """How long running answers may go on after the signal to stop; microseconds."""

    grace: Duration = 20 * SECOND


class LogSettings(Section):
    """What is told on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section):
    """Everything that is set before Weir starts. Loaded by `proxy.settings.load_settings`."""

    listen: Listen = "127.0.0.1:8080"
    admin: Listen = "127.0.0.1:9090"
    policies: Folder = Path("policies")
    home: Folder = Path(".weir")
    keys: Folder
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    store: StoreSettings = StoreSettings()
    upstreams: Annotated[tuple[UpstreamSettings, ...], BeforeValidator(listed)]
    limits: LimitSettings = LimitSettings()
    trusted_networks: Annotated[tuple[Network, ...], BeforeValidator(listed)] = ()
    journal: JournalSettings
    record: RecordSettings
    watch: WatchSettings = WatchSettings()
    auth: AuthSettings = AuthSettings()
    answers: AnswerSettings = AnswerSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    log: LogSettings = LogSettings()

    @property
    def needs_standin(self) -> bool:
        """Whether the runner has to start the stand-in model."""
        return any(upstream.url == STANDIN for upstream in self.upstreams)
