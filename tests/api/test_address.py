from __future__ import annotations

import pytest

from vapo.api.address import find_api, hide_password
from vapo.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://openrouter.ai/api/v1/", "https://openrouter.ai/api/v1"),
        ("https://example.org/v1beta/openai", "https://example.org/v1beta/openai"),
    ],
)
def test_where_the_endpoints_are(url, api):
    assert find_api(url) == api


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://host",
        "http://",
        "http://[bad",
        "http://a host",
        "http://host:x",
        "http://host:99999",
    ],
)
def test_what_is_no_url(url):
    with pytest.raises(ConfigError, match="is no URL of a server; write it as"):
        find_api(url)


def test_a_password_in_a_url_is_not_told():
    assert hide_password("http://me:secret@host:1/v1") == "http://host:1/v1"
    assert hide_password("http://host:1") == "http://host:1"
