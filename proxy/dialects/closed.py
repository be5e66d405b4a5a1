"""The doors that the providers have and Weir keeps shut, each with the code that says why.

Nothing here opens anything: whatever is no route is refused, listed or not. What is listed is
refused with a better sentence.
"""

from __future__ import annotations

from proxy.core.errors import RouteClosedError

_UNMETERED = "its use could not be held to your limits"
_STORED = "it keeps objects in an account that all developers here share"

# By the first part of the path behind the version: code, what it is, why.
_SHUT: dict[str, tuple[str, str, str]] = {
    "agents": ("agents.unmetered", "Agents", _UNMETERED),
    "assistants": ("assistants.unmetered", "The Assistants API", _UNMETERED),
    "audio": ("audio.unmetered", "Speech and transcription", _UNMETERED),
    "batches": ("batches.unmetered", "The Batch API", _UNMETERED),
    "chatkit": ("chatkit.unmetered", "ChatKit", _UNMETERED),
    "complete": ("legacy.unmetered", "The old text completions API", _UNMETERED),
    "containers": ("containers.shared", "The Containers API", _STORED),
    "content_provenance_checks": ("media.unmetered", "Content provenance checks", _UNMETERED),
    "conversations": ("conversations.shared", "The Conversations API", _STORED),
    "decisions": ("decisions.unmetered", "The Decisions API", _UNMETERED),
    "deployment_runs": ("agents.unmetered", "Deployments of agents", _UNMETERED),
    "deployments": ("agents.unmetered", "Deployments of agents", _UNMETERED),
    "dreams": ("agents.unmetered", "Dreams of agents", _UNMETERED),
    "environments": ("agents.unmetered", "Environments of agents", _UNMETERED),
    "evals": ("evals.unmetered", "The Evals API", _UNMETERED),
    "files": ("files.shared", "The Files API", _STORED),
    "fine_tuning": ("fine_tuning.unmetered", "Fine-tuning", _UNMETERED),
    "images": ("images.unmetered", "Making images", _UNMETERED),
    "live": ("realtime.unmetered", "Live sessions", _UNMETERED),
    "memory_stores": ("memory.shared", "Memory stores", _STORED),
    "moderations": ("moderations.unmetered", "Moderation", _UNMETERED),
    "organization": ("administration.closed", "Administration", "it is the operator's"),
    "organizations": ("administration.closed", "Administration", "it is the operator's"),
    "projects": ("administration.closed", "Administration", "it is the operator's"),
    "realtime": ("realtime.unmetered", "The Realtime API", _UNMETERED),
    "safety": ("administration.closed", "Safety administration", "it is the operator's"),
    "sessions": ("agents.unmetered", "Sessions of agents", _UNMETERED),
    "skills": ("skills.shared", "The Skills API", _STORED),
    "threads": ("assistants.unmetered", "The Assistants API", _UNMETERED),
    "tunnels": ("administration.closed", "Tunnels", "they are the operator's"),
    "uploads": ("files.shared", "The Uploads API", _STORED),
    "user_profiles": ("administration.closed", "User profiles", "they are the operator's"),
    "vaults": ("administration.closed", "Vaults", "they are the operator's"),
    "vector_stores": ("vector_stores.shared", "Vector stores", _STORED),
    "videos": ("videos.unmetered", "Making videos", _UNMETERED),
    "webhook_endpoints": ("administration.closed", "Webhooks", "they are the operator's"),
    "webhook_event_types": ("administration.closed", "Webhooks", "they are the operator's"),
}
# By a longer beginning, where the first part has open doors too.
_SHUT_INSIDE: dict[str, tuple[str, str, str]] = {
    "/v1/chat/completions": ("stored_completions.shared", "Reading stored completions", _STORED),
    "/v1/messages/batches": ("batches.unmetered", "The Message Batches API", _UNMETERED),
    "/v1/responses/compact": ("compaction.unmetered", "Compaction", _UNMETERED),
}
_WEBSOCKET = "WebSocket connections are not served, since {why}. Use HTTP with server-sent events."


def closed(method: str, path: str) -> RouteClosedError | None:
    """Return the refusal of a path that is known and kept shut; None for one that is not known.

    >>> closed("GET", "/v1/files/file-1/content").why
    'files.shared'
    """
    version, _, rest = path.removeprefix("/").partition("/")
    if version != "v1":
        return None
    found = _SHUT.get(rest.partition("/")[0])
    for beginning, told in _SHUT_INSIDE.items():
        inside = path.startswith(f"{beginning}/") and not path.endswith("/")
        if path == beginning or inside:
            # A completion itself is made by POST to the very path; all else about it is shut.
            found = None if path == beginning and method not in {"GET", "POST"} else told
    if found is None:
        return None
    why, what, because = found
    return RouteClosedError(f"{what} cannot be used through this gateway, since {because}.", why)


def websocket() -> RouteClosedError:
    """Return the refusal of an upgrade to WebSocket, on any path."""
    return RouteClosedError(_WEBSOCKET.format(why=_UNMETERED), "websocket.unmetered")
