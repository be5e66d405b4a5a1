"""Where settings come from: flags before environment before file before defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from proxy.document import Document, document, dotted
from proxy.settings.values import STANDIN, secret_text, split_url

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from pydantic import SecretStr

    from proxy.document import Steps
    from proxy.settings.schema import CredentialSettings, Settings

FILE = Path("weir.yaml")

# What a flag --NAME and a variable WEIR_NAME set.
FLAGS: Mapping[str, Steps] = {
    "listen": ("listen",),
    "admin": ("admin",),
    "policies": ("policies",),
    "home": ("home",),
    "keys": ("keys",),
    "workers": ("workers",),
    "store": ("store", "url"),
    "environment": ("store", "environment"),
    "replicas": ("store", "replicas"),
    "upstream": ("upstream",),
    "journal": ("journal", "to"),
    "record": ("record", "on"),
    "grace": ("shutdown", "grace"),
    "log_level": ("log", "level"),
}


class Sources:
    """The raw values of all sources, and where each came from."""

    def __init__(self, file: Path | None) -> None:
        self.mistakes: list[str] = []
        self.labels: dict[Steps, str] = {}
        self.name = ""
        found = Document()
        if file is not None or FILE.is_file():
            path = file or FILE
            self.name = str(path)
            try:
                found = document(path)
            except OSError as error:
                self.mistakes.append(f"{path}: cannot be opened: {error.strerror}")
        self.found = found
        self.values = without_none(found.values)
        for mistake in found.mistakes:
            self.mistakes.append(self.line(mistake.place, mistake.steps, mistake.sentence))
        if isinstance(self.values.get("store"), str):
            self.values["store"] = {"url": self.values["store"]}
        if "record" in self.values and not isinstance(self.values["record"], dict):
            self.values["record"] = {"on": self.values["record"]}

    def overlay(self, env: Mapping[str, str], flags: Mapping[str, object]) -> None:
        """Lay environment and flags over the file."""
        for name, steps in FLAGS.items():
            variable = f"WEIR_{name.upper()}"
            if env.get(variable):
                self.put(steps, variable, env[variable])
        for name, value in flags.items():
            flag = "--" + name.replace("_", "-")
            if value is None:
                continue
            if name not in FLAGS:
                self.mistakes.append(f"{flag}: is no setting")
                continue
            if name == "store" and with_password(str(value)):
                self.mistakes.append(
                    f"{flag}: a password in a flag can be seen by everybody on the machine"
                    " (WEIR_STORE or the settings file would do)"
                )
            self.put(FLAGS[name], flag, value)

    def put(self, steps: Steps, label: str, value: object) -> None:
        """Set one value; text that should be a number, or yes or no, is made one."""
        if steps[-1] in {"workers", "replicas"} and isinstance(value, str):
            value = int(value) if value.isascii() and value.isdigit() else value
        if steps[-1] == "on" and isinstance(value, str):
            value = {"true": True, "false": False}.get(value.lower(), value)
        target: MutableMapping[str, object] = self.values
        for step in steps[:-1]:
            inner = target.get(str(step))
            if not isinstance(inner, dict):
                inner = {}
                target[str(step)] = inner
            target = inner
        if steps == ("upstream",):  # one upstream by flag or variable stands for the whole list
            self.values.pop("upstreams", None)
        target[str(steps[-1])] = value
        self.labels[steps] = label

    def fill(self) -> None:
        """Put in what defaults to something that another setting says."""
        home = self.values.get("home", ".weir")
        if isinstance(home, str | Path):
            self.values.setdefault("keys", Path(home) / "keys.yaml")
            journal = self.values.setdefault("journal", {})
            if isinstance(journal, dict):
                journal.setdefault("directory", Path(home) / "journal")
            record = self.values.setdefault("record", {})
            if isinstance(record, dict):
                record.setdefault("directory", Path(home) / "traffic")
        upstreams = self.values.get("upstreams")
        upstream = self.values.pop("upstream", None)
        if upstreams is None:
            self.values["upstreams"] = [lone(upstream)]
            self.moved(("upstreams", 0, "url"), ("upstream",))
        elif upstream is not None:
            self.blame(("upstream",), "says the same as upstreams (leave one of them out)")
        for item in upstreams if isinstance(upstreams, list) else ():
            if isinstance(item, dict) and item.get("credential") == "none":
                del item["credential"]

    def moved(self, new: Steps, old: Steps) -> None:
        """Let a path stand where another one does in the sources."""
        if old in self.labels:
            self.labels[new[:1]] = self.labels[old]
        elif old in self.found.places:
            self.found.places[new[:1]] = self.found.places[old]
            self.found.places[new] = self.found.places[old]

    def with_credentials(self, settings: Settings, env: Mapping[str, str]) -> Settings:
        """Return the settings with the credentials of all upstreams in them."""
        upstreams = []
        for index, upstream in enumerate(settings.upstreams):
            try:
                secret = credential(upstream.credential, env)
            except ValueError as error:
                self.blame(("upstreams", index, "credential"), str(error))
                continue
            upstreams.append(upstream.with_secret(secret) if secret else upstream)
        return settings.model_copy(update={"upstreams": tuple(upstreams)})

    def blame(self, steps: Steps, said: str) -> None:
        """Note a mistake at a path of the merged settings."""
        for length in range(len(steps), 0, -1):
            label = self.labels.get(steps[:length])
            if label is not None:
                self.mistakes.append(f"{label}: {said}")
                return
        self.mistakes.append(self.line(self.found.place(steps), steps, said))

    def line(self, place: tuple[int, int], steps: Steps, said: str) -> str:
        """Return one mistake as it is told."""
        where = f"{self.name}:{place[0]}:{place[1]}" if self.name else "settings"
        path = dotted(steps)
        return f"{where}: {path}: {said}" if path else f"{where}: {said}"


def without_none(values: dict[str, object]) -> dict[str, object]:
    """Return a mapping without what is empty, as a section is whose lines are commented out."""
    return {
        key: without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }


def lone(upstream: object) -> dict[str, object]:
    """Return the one upstream that `upstream:` stands for."""
    if upstream is None or upstream == STANDIN:
        return {"name": STANDIN, "url": STANDIN}
    return {"name": "default", "url": upstream, "credential": {"env": "OPENAI_API_KEY"}}


def with_password(text: str) -> bool:
    """Tell whether a URL carries a password."""
    try:
        parts = split_url(text)
    except ValueError:
        return False
    return parts.password is not None or "password=" in parts.query


def credential(where: CredentialSettings | None, env: Mapping[str, str]) -> SecretStr | None:
    """Read a credential from where it is; ValueError says what is wrong with the place."""
    if where is None:
        return None
    if (where.env is None) == (where.file is None):
        raise ValueError("needs one of env and file ({env: NAME} or {file: PATH})")
    if where.env is not None:
        place, text = f"the environment variable {where.env}", env.get(where.env)
        if text is None:
            raise ValueError(
                f"{place} is not set (set it, or list the upstream under upstreams"
                " without a credential)"
            )
    else:
        place = f"the file {where.file}"
        try:
            text = cast("Path", where.file).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"{place} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{place} is not text") from None
    try:
        return secret_text(text.strip())
    except ValueError as error:
        raise ValueError(f"{place} {error}") from None
