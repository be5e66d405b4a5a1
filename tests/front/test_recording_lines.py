"""What a model API says beyond all measure is recorded so that it can be read back."""

from __future__ import annotations

import pytest

from proxy.front.recording import _status
from proxy.traffic.parsing import entry_of


@pytest.mark.parametrize(
    ("said", "told"),
    [(0, 0), (99, 599), (100, 100), (200, 200), (599, 599), (600, 599), (999, 599)],
)
def test_a_status_beyond_http_is_told_as_the_last_there_is(said, told):
    assert _status(said) == told
    line = b'{"t":1763900000,"account":"a","facts":{"dialect":"d"},"answer":{"status":%d}}' % told
    assert entry_of(line).answer.status == told
