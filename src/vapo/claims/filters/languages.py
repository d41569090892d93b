"""Whether a text is in the language that was asked for: by its letters, and among languages that share them by their
commonest words."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from vapo.claims.filters.words import list_words, without_quotations

SCRIPTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("English", "German", "French", "Spanish", "Italian", "Portuguese", "Dutch"), ("LATIN",)),
    **dict.fromkeys(("Polish", "Czech", "Swedish", "Danish", "Turkish", "Vietnamese", "Indonesian"), ("LATIN",)),
    **dict.fromkeys(("Russian", "Ukrainian", "Bulgarian", "Serbian"), ("CYRILLIC",)),
    "Chinese": ("CJK",),
    "Japanese": ("HIRAGANA", "KATAKANA", "CJK"),
    "Korean": ("HANGUL", "CJK"),
    **dict.fromkeys(("Arabic", "Persian", "Urdu"), ("ARABIC",)),
    "Hindi": ("DEVANAGARI",),
    "Bengali": ("BENGALI",),
    "Greek": ("GREEK",),
    "Hebrew": ("HEBREW",),
    "Thai": ("THAI",),
}
"""Languages that can be told, by their English names, and the scripts they are written in."""

_COMMON: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "English": "the a an is are of and with has have there on at this that which wears two left right its from",
        "German": "der die das ist sind und mit ein eine einen hat auf dem den von trägt zwei im neben nicht links",
        "French": "le la les est sont et avec un une des du porte deux sur dans il elle au aux qui gauche droite",
        "Spanish": "el la los las es está están y con una un tiene hay del lleva dos en al su izquierda derecha",
        "Italian": "il lo gli è sono e con una un ha del della dei indossa due nel sul di che sinistra destra",
        "Portuguese": "o os as é está estão e com uma um tem há do da veste dois duas no na esquerda direita",
        "Dutch": "de het is zijn en met een heeft er van draagt twee op naast niet links rechts aan",
    }.items()
}
_LANGUAGES_OF: Mapping[str, tuple[str, ...]] = {
    word: tuple(language for language, words in _COMMON.items() if word in words)
    for word in frozenset[str]().union(*_COMMON.values())
}
_LEAST_SHARE = 0.8
_LEAST_WORDS = 2


def is_in_language(text: str, language: str) -> bool:
    """Return whether a text may be in a language; what it quotes does not count.

    Args:
        text: a claim.
        language: one of `SCRIPTS`.
    """
    plain = without_quotations(text)
    if not (plain.isascii() and "LATIN" in SCRIPTS[language]) and not _is_in_script(plain, language):
        return False
    if language not in _COMMON:
        return True
    counts = Counter(name for word in list_words(plain) for name in _LANGUAGES_OF.get(word, ()))
    most = max(counts.values(), default=0)
    return counts[language] == most or most < _LEAST_WORDS


def _is_in_script(plain: str, language: str) -> bool:
    scripts = [_find_script(character) for character in plain if character.isalpha()]
    if sum(script.startswith(SCRIPTS[language]) for script in scripts) < _LEAST_SHARE * len(scripts):
        return False
    if language == "Japanese":  # else it is Chinese
        return any(script.startswith(("HIRAGANA", "KATAKANA")) for script in scripts)
    return True


@lru_cache(maxsize=4096)
def _find_script(letter: str) -> str:
    return "LATIN" if letter.isascii() else unicodedata.name(letter, "")
