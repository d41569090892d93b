"""Whatever is whole in an answer is read; nothing is guessed."""

from __future__ import annotations

import json

import pytest

from vapo.claims.making.response_parser import parse_claims, parse_response
from vapo.types import Claim

CAT, DOG = Claim("A cat sits.", True), Claim("A dog {runs}.", False)
PLAIN = json.dumps({"claims": [{"text": c.text, "is_true": c.is_true} for c in (CAT, DOG)]})
FORM = '{"claims": [{"text": "...", "is_true": true}, ...]}'


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        f"```json\n{PLAIN}\n```",
        f"Here you are:\n{PLAIN}\nI hope this helps!",
        f'<think>They want {FORM}, perhaps {{"claims": []}}.</think>\n{PLAIN}',
        f"I follow {FORM}.\n{PLAIN}",
        json.dumps(json.loads(PLAIN)["claims"]),
        json.dumps(json.loads(PLAIN), indent=2).replace(": true", ':"True"').replace(": false", ':"FALSE"'),
        '{"claims": [{"claim": "A cat  sits.", "label": "CORRECT"}, {"statement": "A dog {runs}.", "label":"wrong"}]}',
        PLAIN.replace("}]}", "},]}"),
        "\n".join(json.dumps(entry) for entry in json.loads(PLAIN)["claims"]),
        PLAIN[:-2],
        PLAIN[:-2] + ', {"text": "A bird s',
        str(json.loads(PLAIN)),
        f"```python\nIt's done:\nclaims = {json.loads(PLAIN)['claims']}\n```",
        PLAIN.replace(": true", ": True").replace(": false", ": False"),
        PLAIN.replace(": true", ": 1").replace(": false", ": 0"),
        PLAIN.replace(": true", ': "T"').replace(": false", ': "f"'),
        PLAIN.replace(": true", ': "1"').replace(": false", ': "0"'),
        f'{PLAIN}\nThe form was {{"claims": [{{"text": "...", "is_true": true}}]}}',
        f'{json.loads(PLAIN)}\nThe form was {{"claims": [{{"text": "...", "is_true": true}}]}}',
        f'{PLAIN}\nThe form was {{"claims": [{{"text": "...", "is_true": true}}, ...]}}',
        f"{PLAIN}\nNothing else: []",
    ],
)
def test_leniently(text: str):
    assert parse_claims(text).claims == (CAT, DOG)


@pytest.mark.parametrize(
    "text", ['It\'s "red".', "A 'cat', black.", "It says 'a', 'b'.", "None is True.", "a\nb", "C:\\x", "It's"]
)
def test_python_is_read_as_python_reads_it(text: str):
    claims = (Claim(" ".join(text.split()), True), Claim("None of it is False.", False))
    entries = [{"text": text, "is_true": True}, {"text": "None of it is False.", "is_true": False}]
    assert parse_claims(str({"claims": entries})).claims == claims


def test_a_short_list_behind_a_long_one_is_the_form_and_one_of_its_length_the_answer():
    entries = [{"text": f"Claim {n}.", "is_true": True} for n in range(8)]
    form = '{"claims": [{"text": "one sentence", "is_true": true}]}'
    assert len(parse_claims(f"{json.dumps(entries)} {form}").claims) == 8
    assert [claim.text for claim in parse_claims(f"{json.dumps(entries)} {json.dumps(entries[4:])}").claims] == [
        f"Claim {n}." for n in range(4, 8)
    ]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"text": "A cat sits."}, "no truth"),
        ({"text": "A cat sits.", "is_true": 2}, "a number that is no truth"),
        ({"text": "A cat sits.", "is_true": 1.0}, "a measure"),
        ({"text": "A cat sits.", "is_true": None}, "null"),
        ({"text": "A cat sits.", "is_true": "maybe"}, "neither"),
        ({"text": "A cat sits.", "is_true": True, "label": "wrong"}, "two truths"),
        ({"text": "", "is_true": True}, "no text"),
        ({"text": "...", "is_true": True}, "no words"),
        ({"text": ["A cat sits."], "is_true": True}, "a list"),
    ],
)
def test_strictly(entry: dict, reason: str):
    reading = parse_claims(json.dumps({"claims": [entry, {"text": CAT.text, "is_true": True}]}))
    assert (reading.claims, reading.unusable) == ((CAT,), 1), reason
    assert reading.trouble == '1 of its 2 claims had no "text", or no "is_true" that is true or false'


@pytest.mark.parametrize(
    ("text", "finish_reason", "trouble"),
    [
        ("", "stop", "it was empty"),
        ("<think>Hm", "length", "it held no JSON of the asked form"),
        ("", "length", "it was cut off before any claim"),
        ("I'm sorry, but I can't help with that.", "stop", "it was a refusal"),
        ("A cat sits. A dog runs.", "stop", "it held no JSON of the asked form"),
        ('{"claims": []}', "stop", "its list of claims was empty"),
        ('{"claims": ["A cat sits."]}', "stop", "it held no JSON of the asked form"),
        ('{"answer": 3}', "stop", "it held no JSON of the asked form"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, finish_reason: str, trouble: str):
    reading = parse_claims(text, finish_reason)
    assert reading.claims == () and reading.trouble == trouble


def test_a_cut_answer_keeps_what_is_whole_and_says_so():
    reading = parse_claims(PLAIN[: PLAIN.index("runs")], "length")
    assert (reading.claims, reading.trouble) == ((CAT,), "it was cut off")


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 100_000, '{"a":' * 50_000, "{" * 100_000, "[{" * 50_000 + "]" * 9),
        *("['" * 100_000, "[':" * 100_000, '["' * 100_000, "['\\" * 100_000, "{'a'" * 50_000),
    ],
)
def test_hostile_answers_hold_no_claims(text: str):
    assert parse_claims(text).claims == ()


def wrap(message: dict, **choice) -> bytes:
    return json.dumps({"choices": [{"message": message, **choice}]}).encode()


@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        (wrap({"content": PLAIN}), ""),
        (wrap({"content": [{"type": "text", "text": PLAIN[:40]}, {"type": "text", "text": PLAIN[40:]}]}), ""),
        (wrap({"content": PLAIN}, finish_reason="length"), "it was cut off"),
        (wrap({"content": None, "refusal": "no"}), "it was a refusal"),
        (wrap({"content": None}), "it was empty"),
        (b'{"choices": []}', "it was no chat completion"),
        (b"\xff{", "it was no chat completion"),
        (b"", "it was no chat completion"),
    ],
)
def test_replies_as_they_are_received(body: bytes, trouble: str):
    reading = parse_response(body)
    assert reading.trouble == trouble and reading.claims == ((CAT, DOG) if trouble in ("", "it was cut off") else ())


def test_an_answer_that_was_taken_for_thoughts_is_read_as_one():
    assert parse_response(wrap({"content": None, "reasoning_content": PLAIN})).claims == (CAT, DOG)
    assert parse_response(wrap({"content": "  ", "reasoning": PLAIN})).claims == (CAT, DOG)
    assert parse_response(wrap({"content": "nothing", "reasoning_content": PLAIN})).claims == ()
    trouble = parse_response(wrap({"content": "", "reasoning_content": "A cat sits."})).trouble
    assert trouble == "all of it arrived as reasoning; it held no JSON of the asked form"


@pytest.mark.parametrize("spoilt", ['[{"a": ', '[{"text": "x", "is_true": ' + "9" * 9_999 + "}, ", "[[1, "])
def test_an_answer_without_end_is_not_read_without_end(spoilt: str, monkeypatch: pytest.MonkeyPatch):
    tried: list[int] = []
    decode = json.JSONDecoder.raw_decode

    def count(self: json.JSONDecoder, text: str, start: int = 0):
        tried.append(len(text) - start)
        return decode(self, text, start)

    monkeypatch.setattr(json.JSONDecoder, "raw_decode", count)
    assert parse_claims(spoilt * (300_000 // len(spoilt) + 1)).claims == ()
    assert sum(tried) <= 200_000_000
