from __future__ import annotations

import pytest


@pytest.fixture
def write(tmp_path):
    """Write files into a directory of policies and return it."""

    def write(**texts: str):
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return tmp_path

    return write
