"""The browser that has no network, and none at all."""

import pytest

import lab
from lab import open_offline


def test_open_offline_sees_every_request(tmp_path):
    html = tmp_path / "offline.html"
    html.write_text(
        '<p>words</p><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
        '<script src="http://example.com/a.js"></script><link rel="stylesheet" href="a.css">'
        "<script>nowhere()</script>"
    )
    page = open_offline(html, "harness_offline")
    assert page.requests == ["http://example.com/a.js", (tmp_path / "a.css").as_uri()]
    assert len(page.errors) == 1 and "nowhere" in page.errors[0]
    assert "words" in page.text
    assert page.screenshot.is_file()


def test_missing_chromium_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="need chromium, which is not installed"):
        with lab.chromium():
            pass
