"""Traffic sent as live HTTP to a gateway: what it decides beside what it should, and how fast."""

from proxy.replay.live.keys import Keys, load_keys
from proxy.replay.live.options import Options, speed_of, target_of
from proxy.replay.live.result import Result
from proxy.replay.live.running import run

__all__ = ["Keys", "Options", "Result", "load_keys", "run", "speed_of", "target_of"]
