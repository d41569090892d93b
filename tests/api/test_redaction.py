"""Keys and passwords are in nothing that is kept, logged or shown; what only looks like one is left alone."""

from __future__ import annotations

import base64
import json

import pytest

from vapo.api.redaction import HIDDEN, redact, redact_bytes, redact_settings

KEY = "sk/this is+secret"


@pytest.fixture(autouse=True)
def own_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HF_TOKEN", "")


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
def test_a_key_is_found_in_base64_wherever_it_stands(before: str):
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = encode(f"{before}{KEY}".encode()).decode()
        left = redact(f"Authorization was {shown}")
        assert HIDDEN in left and len(left) < len("Authorization was ") + 16


@pytest.mark.parametrize(
    "shown", [KEY, json.dumps(KEY), json.dumps(KEY).replace("/", r"\/"), "sk%2Fthis%20is%2Bsecret"]
)
def test_a_key_is_found_as_it_is_and_escaped(shown: str):
    assert "secret" not in redact(f"wrong key {shown}!") and "secret" not in redact_bytes(shown.encode()).decode()


@pytest.mark.parametrize(
    "shown",
    [
        "http://me:password@host:8000/v1",
        "https://password@host/x",
        "Bearer password-of-1-user",
        "Basic cGFzc3dvcmQ6cGFzc3dvcmQ",
        "Authorization: Bearer password",
        '{"authorization": "Basic password"}',
        r'{"said": "{\"Authorization\":\"Bearer password\"}"}',
        "https://host/a.png?token=password&size=2",
        "hf_password1234567890",
    ],
)
def test_credentials_are_found_by_their_form(shown: str):
    left = redact(shown)
    assert HIDDEN in left and "password" not in left and "cGFz" not in left
    assert redact(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "The basic container is red.",
        "A standard bearer stands at home@noon.",
        "authorization: required by law",
        "See https://example.org/a@b for the EMPTY key.",
        "a key=value pair",
    ],
)
def test_what_only_looks_like_one_is_left_alone(text: str):
    assert redact(text) == text
    body = text.encode()
    assert redact_bytes(body) is body


@pytest.mark.parametrize("key", ["EMPTY", "none", "dummy", "ollama"])
def test_a_word_in_place_of_a_key_is_no_key(key: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert redact(f"The glass is {key}.") == f"The glass is {key}."


def test_settings_keep_their_types_and_lose_their_secrets():
    settings = {
        "model_init_kwargs": {"token": "abc", "headers": [{"api_key": "abc"}], "use_auth_token": True},
        "vllm_server_base_url": "http://me:abc@host:8000",
        "hub_token": "abc",
        "probe_batch_tokens": 8192,
        "eos_token": "<eos>",
        "betas": (0.9, 0.99),
    }
    left = redact_settings(settings)
    assert "abc" not in str(left) and left["model_init_kwargs"]["use_auth_token"] is True
    assert left["vllm_server_base_url"] == f"http://{HIDDEN}@host:8000"
    for name in ("probe_batch_tokens", "eos_token", "betas"):
        assert left[name] is settings[name]
