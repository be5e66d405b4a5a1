"""An issuer's published keys, fetched without making requests wait or stampede.

PyJWT's own client blocks the event loop, fetches once for every unknown `kid`, and forgets what it
had when the issuer is down. This one does none of it.
"""

from __future__ import annotations

import asyncio
import math
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from proxy.auth.verifying import keys_of_set
from proxy.core.errors import AuthUnavailableError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.auth.verifying import VerifyingKey

OK = 200


class PublishedKeys:
    """The keys at one address. All times are seconds.

    fresh:     for how long a set is used without asking again; until twice that, a set is used
               while it is fetched anew, later the request waits for the news
    stale:     for how long the last good set stands in while the issuer cannot be had
    cooldown:  between two fetches because of an unknown `kid`
    pause:     between two fetches after a failure
    """

    def __init__(
        self,
        url: str,
        algorithms: Sequence[str],
        *,
        fresh: float = 300,
        stale: float = 86_400,
        cooldown: float = 30,
        pause: float = 5,
        timeout: float = 5,
        max_bytes: int = 262_144,
        on_error: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_address(url)
        self._url = url
        self._algorithms = tuple(algorithms)
        self._fresh, self._stale = fresh, stale
        self._cooldown, self._pause = cooldown, pause
        self._timeout, self._max_bytes = timeout, max_bytes
        self._on_error = on_error
        self._clock = clock
        self._keys: tuple[VerifyingKey, ...] = ()
        self._fetched = self._tried = -math.inf
        self._failed = False
        self._flight: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def find(self, kid: str | None) -> Sequence[VerifyingKey]:
        """Return the keys with this id, all keys for a token without one, none for a stranger's.

        Raises AuthUnavailableError when there is no set, or none that is recent enough, and when an
        unknown id may be one that we could not hear of.
        """
        age = self._clock() - self._fetched
        if age >= self._fresh and self._may_ask():
            flight = self._fetching()
            if age >= 2 * self._fresh and not self._failed:
                await asyncio.shield(flight)
        if not self._recent():
            if self._flight is not None:
                await asyncio.shield(self._flight)
            if not self._recent():
                raise AuthUnavailableError("the keys that verify tokens cannot be had now")
        if found := self._known(kid):
            return found
        if self._flight is not None or self._clock() - self._tried >= self._cooldown:
            await asyncio.shield(self._fetching())
        found = self._known(kid)
        if not found and self._failed:
            raise AuthUnavailableError("the keys that verify tokens cannot be had now")
        return found

    async def close(self) -> None:
        """End a running fetch and let go of the connection."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait([self._flight])
        if self._session is not None:
            await self._session.close()

    def _known(self, kid: str | None) -> Sequence[VerifyingKey]:
        return [key for key in self._keys if kid is None or key.kid == kid]

    def _recent(self) -> bool:
        return self._clock() - self._fetched < self._stale

    def _may_ask(self) -> bool:
        return not self._failed or self._clock() - self._tried >= self._pause

    def _fetching(self) -> asyncio.Task[None]:
        """Return the one fetch that is under way, begun now if there is none."""
        if self._flight is None:
            self._flight = asyncio.get_running_loop().create_task(self._fetch())
            self._flight.add_done_callback(self._landed)
        return self._flight

    def _landed(self, _: asyncio.Task[None]) -> None:
        self._flight = None

    async def _fetch(self) -> None:
        try:
            self._keys = keys_of_set(await self._body(), self._algorithms)
            self._fetched = self._clock()
            self._failed = False
        except TimeoutError:
            self._fail("did not answer in time")
        except (aiohttp.ClientError, OSError) as error:
            self._fail(f"cannot be fetched ({type(error).__name__})")
        except ValueError as mistake:
            self._fail(str(mistake))
        finally:
            self._tried = self._clock()

    def _fail(self, reason: str) -> None:
        self._failed = True
        self._on_error(f"the key set of the token issuer {reason}")

    async def _body(self) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                headers={"Accept": "application/jwk-set+json, application/json"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        # A redirect could lead to plain http, or to somebody else.
        async with self._session.get(self._url, allow_redirects=False) as answer:
            if answer.status != OK:
                raise ValueError(f"answered with status {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_chunked(65_536):
                body += chunk
                if len(body) > self._max_bytes:
                    raise ValueError(f"is larger than {self._max_bytes} bytes")
            return bytes(body)


def check_address(url: str) -> None:
    """Raise SettingsError unless the address is https, or http on this machine."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise SettingsError("jwt.jwks_url: cannot be read as a URL") from None
    if parts.username is not None or parts.password is not None:
        raise SettingsError("jwt.jwks_url: must not carry a credential")
    host = parts.hostname or ""
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))):
        raise SettingsError(
            "jwt.jwks_url: must be an https address: who can change the keys can sign as anybody"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
