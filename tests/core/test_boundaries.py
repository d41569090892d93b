"""Boundaries of worked examples, written with a bar where the response may be cut."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vapo.core.boundaries import find_boundaries, find_thinking_part
from vapo.core.token_texts import split_into_token_texts


def cut(token_texts: list[str]) -> list[str]:
    """The kept prefixes."""
    return ["".join(token_texts[:index]) for index in find_boundaries(token_texts)]


@pytest.mark.parametrize(
    "marked",
    [
        "One,| two.| Three!| Four?| Five:| six;| seven\n| eight",
        "three dots...| and on",
        "What?!| No",
        "a sum of 3.14 and 1,000 at 12:30 is 5.|",
        "see a.png or https://x.org/a?b=c;d or x.y.z for more.|",
        "shapes, e.g. a circle, i.e., round".replace("shapes,", "shapes,|").replace("circle,", "circle,|"),
        "in Fig. 3 and Eq. (2),| p. 7,| and Dr. Smith with J. Smith vs. Mrs. Jones.|",
        "Is it? no.| But what of No. 5?|".replace("it?", "it?|"),
        "at 5 p.m. we met in the U.S. office,| twice.|",
        "list:|\n1. first\n|2. second\n|A. third\n|- b. fourth",
        'He said "stop."| Then "go",| then (left).| **Done.**| End',
        "x\\, y\\; z,| w \\(a + b.\\)| so",
        "三个圆，|十二个方块。|所以！|对吗？|是；|答案：|15、|16。|",
        "at 12：30 sharp",
        "great!|😀 and 对,|我们",
        "\n\n, . the first words,|\n\n. and the next",
        "no boundary at all",
        "",
        "...!?\n",
    ],
)
def test_boundaries_of_characters(marked):
    """With one token per character every boundary is reachable."""
    text = marked.replace("|", "")
    prefixes = ["".join(marked.split("|")[: i + 1]) for i in range(marked.count("|"))]
    assert cut(list(text)) == prefixes


@pytest.mark.parametrize(
    "marked",
    [
        "The answer is A.| Then stop.|",
        "So it is B.| Looking closer,| yes.|",
        "so the answer is (B).| Next one",
        "The answer is **C**.| Double-check",
        "The correct option is D.| Every angle fits.|",
        "We choose E.| Final check",
        "Answer:| A.| Explanation follows",
        "Oranges hold vitamin C.| It heals.|",
        "Patients with hepatitis B.| Doctors agree.|",
        "Go with Plan B.| We wait",
        "Start at point A.| Then walk to point B.| Then stop",
        "The points are A,| B and C.| Draw them.|",
        "AB meets CD at P.| The angle",
        "Take x = A.| Then y = B.| Solve",
        "∠A = ∠B.| Triangles match",
        "Look at panel F.| Bars rise.|",
        "It was I.| Then World War I.| The end",
        "That's A.| Wait,| no.|",
        "It moves from A to B.| So it is fast",
        "答案是A.| 然后 B.| 接着",
        "Ответ:| Б.| Затем",
        "La respuesta es C.| Luego",
        "Die Antwort ist A.| Dann",
        "La réponse est B.| Ensuite",
    ],
)
def test_a_letter_that_is_an_answer_or_a_label_ends_its_thought(marked):
    text = marked.replace("|", "")
    assert cut(list(text)) == ["".join(marked.split("|")[: i + 1]) for i in range(marked.count("|"))]


@pytest.mark.parametrize(
    "marked",
    [
        "by J. Smith and J. R. R. Tolkien.|",
        "John F. Kennedy met Franklin D. Roosevelt.|",
        "A picture of J. Smith,| painted by C. Monet.|",
        "The U.S. Army and the U.K. Parliament.|",
        "The author is C. Darwin.|",
        "My name is A. Baker.|",
        "The answer was found by J. Smith.|",
        "Options:| A. The cat B. The dog C. Both of them",
        "Options:| A. cat B. dog C. bird",
        "Which one?| A. Paris B. London C. Rome",
        "A. The first\n|B. The second",
        "Prof. A. Einstein,| et al. Then",
        "see e.g. A. Turing",
    ],
)
def test_a_letter_that_is_an_initial_or_an_option_does_not(marked):
    text = marked.replace("|", "")
    assert cut(list(text)) == ["".join(marked.split("|")[: i + 1]) for i in range(marked.count("|"))]


@pytest.mark.parametrize(
    ("token_texts", "indices"),
    [
        (["Yes", ".The", " end", "."], (4,)),  # merged with what follows: no clean cut
        (["a", ",b"], ()),
        (["So", ".\n\n", "Next"], (2,)),
        (["He", ' said "', "yes", ',"', " then"], (4,)),
        (["So", ".", " ", "\n", "\n\n", "Next", "."], (2, 7)),  # what trails belongs to the same boundary
        (["So", ".", '"', " Next"], (3,)),  # closing quotes belong to what they close
        (["So", ".", '" Next', "."], (2, 4)),
        (["3", ".", "14", " is", " pi", "."], (6,)),
        (["e", ".", "g", ".", " this", ","], (6,)),
        (["a", ".", "png"], ()),
        (["3", "."], (2,)),  # cut off there: nothing says that the number went on
        (["", "Yes", "", ",", "", " no"], (4,)),
        ([","], ()),
        ([], ()),
        ([""], ()),
    ],
)
def test_boundaries_of_tokens(token_texts, indices):
    assert find_boundaries(token_texts) == indices


@pytest.mark.parametrize(
    ("token_texts", "part", "indices"),
    [
        (["<think>", "A", ",", " b", ".", "</think>", " C", ".", " D", "."], (1, 5), (3, 5)),
        (["A", ",", " b", ".", "</think>", " C", "."], (0, 4), (2, 4)),
        (["<", "think", ">\n", "A", ",", " b", ".\n", "</", "think", ">", "C", "."], (3, 7), (5, 7)),
        (["Well", ",", "<think>", "A", ",", " b"], (3, 6), (5,)),
        (["A", ",", " b", ".</", "think", ">"], (0, 3), (2,)),  # the token that ends the part holds its last mark
        (["A", ".", "</think>", "B", ".", "</think>"], (0, 2), (2,)),  # the first one ends it
        (["</think>", "B", "."], (0, 0), ()),
        (["<think>", "</think>", "B", "."], (1, 1), ()),
        (["</think>", "<think>", "B", "."], (0, 0), ()),
        (["A", ",", " <thi", "nk"], (0, 4), (2,)),
        ([], (0, 0), ()),
    ],
)
def test_thinking_part(token_texts, part, indices):
    assert find_thinking_part(token_texts) == part
    assert find_boundaries(token_texts) == indices


def test_merged_opening_tag():
    assert find_thinking_part(["<think></think>", "B"]) == (0, 0)


relaxed = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
responses = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "one",
            " two",
            ",",
            ".",
            "\n",
            "3.14",
            " 1,000",
            "。",
            "圆",
            "😀",
            "🧮",
            "!",
            ": ",
            "”",
        ]
    ),
    max_size=30,
).map("".join)


ENDS_AT_MARK = re.compile(r"""[.,!?:;…。，、！？：；．｡､،؟؛।\r\n\u2028\u2029][\s"'”’»)\\\]}*_`$」』）】》〉〕]*\Z""")


def check(ids, tok):
    token_texts = split_into_token_texts(ids, tok.decode)
    boundaries = find_boundaries(token_texts)
    start, stop = find_thinking_part(token_texts)
    assert list(boundaries) == sorted(set(boundaries))
    assert 0 <= start <= stop <= len(ids)
    for index in boundaries:
        prefix = "".join(token_texts[:index])
        assert tok.decode(ids[:index]) == prefix  # the cut is one of characters too
        assert ENDS_AT_MARK.search(prefix)
        assert "</think>" not in prefix
        assert start <= index <= stop  # at the start if one token holds the tag and the first thought


@relaxed
@given(data=st.data())
def test_random_tokens(tok, data):
    check(data.draw(st.lists(st.integers(0, tok.size - 1), max_size=80)), tok)


@relaxed
@given(text=responses)
def test_random_responses(tok, text):
    check(tok.encode(text), tok)


def test_long_responses_of_marks_alone():
    """Neither of these is quadratic; a quadratic search would be felt here."""
    for text in (
        ". " * 20_000,
        "1," * 20_000,
        "B. " * 5_000,
        "x A. " * 5_000,
        "a" + '"' * 40_000,
        "fig. " * 10_000,
        "\n " * 20_000,
    ):
        find_boundaries(list(text))
