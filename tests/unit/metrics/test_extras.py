"""What a face of the metrics says where the package it needs is not installed."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    ("face", "package"), [("prometheus", "prometheus_client"), ("opentelemetry", "opentelemetry.metrics")]
)
def test_without_its_extra_a_face_says_what_to_install(
    face: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"mailstrom.metrics.{face}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed

    with pytest.raises(ImportError, match=rf"pip install 'mailstrom\[{face}\]'"):
        import_module(f"mailstrom.metrics.{face}")


def test_metrics_alone_need_neither() -> None:
    code = (
        "import sys, mailstrom.metrics;"
        "print([name for name in sys.modules if name.startswith(('prometheus_client', 'opentelemetry'))])"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
