r"""One spelling for the many of an answer: Unicode, LaTeX and markdown that mean the same become the same text.

Nothing is interpreted here. What is left is LaTeX in a small set of commands, `°` for degrees, currency codes for
currency signs, and plain words.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉ₙ", "0123456789n", strict=True))
_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda nu xi rho sigma tau phi chi psi omega Gamma "
    "Delta Theta Lambda Xi Sigma Phi Psi mu mu phi"
)
_GREEK = dict(
    zip(
        "αβγδεζηθικλνξρστφχψωΓΔΘΛΞΣΦΨμµϕ",
        _GREEK_NAMES.split(),
        strict=True,
    )
)
_SIGNS = {
    **{sign: f"\\{name} " for sign, name in _GREEK.items()},
    **dict.fromkeys("−–—‐‑‒﹣", "-"),
    **dict.fromkeys("’‘′＇", "'"),
    **dict.fromkeys("“”„", '"'),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff✓✔✅☑", ""),
    **dict.fromkeys("º˚", "°"),
    "π": "\\pi ",
    "∞": "\\infty ",
    "×": "\\times ",
    "÷": "\\div ",
    "·": "\\cdot ",
    "⋅": "\\cdot ",
    "≤": "\\le ",
    "⩽": "\\le ",
    "≥": "\\ge ",
    "⩾": "\\ge ",
    "≠": "\\ne ",
    "≈": "\\approx ",
    "±": "\\pm ",
    "∪": "\\cup ",
    "∩": "\\cap ",
    "∈": "\\in ",
    "∅": "\\emptyset ",
    "ℝ": "\\mathbb{R}",
    "∠": "\\angle ",
    "△": "\\triangle ",
    "∥": "\\parallel ",
    "⊥": "\\perp ",
    "→": "\\to ",
    "⇒": "\\to ",
    "∑": "\\sum ",
    "∫": "\\int ",
    "⟨": "\\langle ",
    "⟩": "\\rangle ",
    "Ω": "\\Omega ",
    "\u2126": "\\Omega ",
    "…": "\\dots ",
    "。": ".",
    "∶": ":",
    "｡": ".",
    "【": "[",
    "】": "]",
    "「": '"',
    "」": '"',
}
_FRACTION = re.compile("[¼½¾⅐-⅞↉]")
_ROOT = re.compile(r"(?:√|∛)\s*(\d+(?:\.\d+)?|[A-Za-z](?![A-Za-z]))?")
_SCRIPTS = re.compile(f"([{''.join(_SUPERSCRIPTS)}]+)|([{''.join(_SUBSCRIPTS)}]+)")

_INNER = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
_WRAPPED = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|sc|up|md|normal)?|math(?:rm|bf|it|sf|tt|normal)|mbox|hbox|boldsymbol|bm|emph|"
    r"operatorname\*?|f?boxed|fbox|underline|ensuremath|(?:text)?color\s*\{[^{}]*\})\s*" + _INNER
)
_DROPPED = re.compile(
    r"\\(?:left|right|middle)(?![A-Za-z])\.?|\\(?:[bB]igg?[lrm]?|(?:display|text|script|scriptscript)style|checkmark|"
    r"limits|nolimits|bf|it|rm|sf|tt|em|hfill|tiny|small|(?:script|footnote|normal)size|large|Large|LARGE|huge|"
    r"Huge)(?![A-Za-z])|\\(?:color|phantom|hspace|vspace|tag|label)\*?\s*\{[^{}]*\}|\\!"
)
_SPACES = re.compile(
    r"\\(?:qquad|quad|enspace|thinspace|;|:|>|,| )(?![A-Za-z])|~|[\u2000-\u200a\u202f\u205f\u3000\xa0]"
)
_GAP = re.compile(r"\\q?quad(?![A-Za-z])|[\r\n]+")
_TAGS = re.compile(r"</?(?:answer|strong|em|p|span|math|mark|code)>|<br\s*/?>|</?[biu]>(?=.*</[biu]>|$)")
_RENAMED = [
    (re.compile(pattern + (r"(?![A-Za-z])" if pattern[-1].isalpha() or pattern.endswith(")") else "")), text)
    for pattern, text in (
        (r"\\(?:[dtc]|nice|s|x)frac", r"\\frac"),
        (r"\\[dt]binom", r"\\binom"),
        (r"\\(?:leq|leqslant|leqq)", r"\\le "),
        (r"\\(?:geq|geqslant|geqq)", r"\\ge "),
        (r"\\neq", r"\\ne "),
        (r"\\(?:ldots|cdots|dotsc|dotsb|dotso|dots)", r"\\dots "),
        (r"\\(?:varnothing)", r"\\emptyset "),
        (r"\\lbrace", r"\\{"),
        (r"\\rbrace", r"\\}"),
        (r"\\lt", "<"),
        (r"\\gt", ">"),
        (r"\\(?:lvert|rvert|vert)", "|"),
        (r"\\(?:lbrack)", "["),
        (r"\\(?:rbrack)", "]"),
        (r"\\colon", ":"),
        (r"\\(?:simeq|thickapprox)", r"\\approx "),
        (r"\\(?:ast)", "*"),
        (r"\\(?:degree|textdegree|celsius)", "°"),
        (r"\\(?:therefore|because)", ""),
        (r"\\(?:rightarrow|Rightarrow|longrightarrow|implies)", r"\\to "),
        (r"\\(?:lor|vee)", " or "),
        (r"\\(?:land|wedge)", " and "),
        (r"\\varphi", r"\\phi "),
        (r"\\varepsilon", r"\\epsilon "),
        (r"\\pounds", "GBP "),
        (r"\\(?:euro|texteuro)", "EUR "),
    )
]
_CURRENCIES = {"€": "EUR", "£": "GBP", "¥": "CNY", "￥": "CNY", "₹": "INR", "₩": "KRW", "₽": "RUB", "¢": "cents"}
_LEAD = re.compile(
    r"\s*(?:(?:so|thus|hence|therefore|and)?,?\s*(?:the|my)?\s*(?:final|correct|right|best)?\s*(?:answer|ans|result|"
    r"solution)\s*(?:\s+is\b|\s+are\b|:|\s+=|=|(?=\s[\d\\(]))\s*:?|\\(?:approx|sim)(?![A-Za-z])\s*|~\s*(?=[\d.])|=\s*"
    r"|(?:about|approximately|approx\.?|roughly|around|nearly|circa)\s+(?=[-\d.\\$A-Z])|is\s+(?=[-\d.\\])"
    r"|in\s+(?=\d{4}$)|(?:最终)?答案\s*(?:是|为|:)?\s*:?|大?约为?(?=\d)"
    r"|(?:so|thus|hence|therefore)(?:,\s*|\s+(?=[-\d.\\(]))"
    r"|(?:i\s+(?:choose|pick|select)|select|choose)\s+(?=\W?[A-Z]\W?$))",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"""(["'`])([^"'`]+)\1|\*\*([^*]+)\*\*|\*([^*\d]+)\*|__([^_]+)__""", re.DOTALL)


@lru_cache(maxsize=8192)
def clean(text: str) -> str:
    """Spell an answer plainly.

    Args:
        text: an answer without its box, of any length that is to be interpreted.

    Returns:
        The text that is left; line breaks and wide gaps are `\\quad`.
    """
    text = _spell_rows(_spell_signs(text))
    text = _TAGS.sub("", text).replace("&nbsp;", " ")
    text = re.sub(r"(?<=\d),\s*\\!\s*(?=\d{3})", ",", _mark_currencies(text))
    before = None
    while before != text:
        before = text
        text = _WRAPPED.sub(r" \1 ", text)
    text = re.sub(r"\{([^{}]*)\\over(?![A-Za-z])([^{}]*)\}", r"\\frac{\1}{\2}", text)
    for pattern, name in _RENAMED:
        text = pattern.sub(name, text)
    text = _DROPPED.sub("", text)
    text = re.sub(r"(?<!\\)\\[()\[\]]", " ", text)
    text = re.sub(r"\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\}|°|\{°\})", "°", text)
    text = re.sub(r"\\circ(?![A-Za-z])", "°", text)
    text = (
        text.replace("‰", "\\times 10^{-3}")
        .replace("\\%", "%")
        .replace("\\#", "#")
        .replace("\\&", "and")
        .replace("\\_", "_")
    )
    text = re.sub(r"_\{(\w)\}(?!\w)", r"_\1", text)
    text = re.sub(r"\^\s*(?:o|\{o\})(?![A-Za-z])", "°", text)
    text = re.sub(r"(?<=\d)\{,\}(?=\d{3})|(?<=\d)\\,(?=\d{3}(?!\d))", ",", text)
    text = _spell_operators(text)
    text = _GAP.sub("\\\\quad ", text.strip())
    text = re.sub(r"\\quad\s*(?=,|;|and\b|or\b)|(?<=[,;])\s*\\quad|^\\quad|\\quad\s*$", " ", text)
    text = _SPACES.sub(lambda gap: "\\quad " if gap[0] == "\\quad" else " ", text)
    return _strip_shell(" ".join(text.split()))


def _spell_signs(text: str) -> str:
    text = _ROOT.sub(lambda root: _spell_root(root), text)
    text = _FRACTION.sub(_spell_fraction, text)
    text = _SCRIPTS.sub(_spell_script, text)
    text = "".join(_SIGNS.get(sign, sign) for sign in text)
    text = unicodedata.normalize("NFKC", text.replace("\u3001", "、"))
    return "".join(_SIGNS.get(sign, sign) for sign in text)


def _spell_rows(text: str) -> str:
    r"""Write the `\\\\` between rows as `\\cr`, and take it for an escaped backslash where there are no rows."""
    if "\\begin{" in text:
        return re.sub(r"\\\\(?:\[[^\]]*\])?", r"\\cr ", text)
    return re.sub(r"\\\\(?=[A-Za-z%${}()\[\]])", r"\\", text).replace("\\\\", "\\quad ")


def _spell_fraction(sign: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", sign[0]).partition("⁄")
    return f"\\frac{{{top}}}{{{bottom}}}"


def _spell_root(root: re.Match[str]) -> str:
    return ("\\sqrt[3]" if root[0][0] == "∛" else "\\sqrt") + (f"{{{root[1]}}}" if root[1] else "")


def _spell_script(script: re.Match[str]) -> str:
    if script[1]:
        return "^{" + "".join(_SUPERSCRIPTS[sign] for sign in script[1]) + "}"
    return "_{" + "".join(_SUBSCRIPTS[sign] for sign in script[2]) + "}"


def _mark_currencies(text: str) -> str:
    """Write currency signs as codes; a dollar sign is one where it is escaped or has no partner."""
    for sign, code in _CURRENCIES.items():
        text = text.replace(sign, f" {code} ")
    text = text.replace("\\$", " USD ")
    if text.count("$") % 2 == 0:
        return text.replace("$", " ")
    return re.sub(r"\$(?=\s*[\d.])|(?<=\d)\s*\$", " USD ", text).replace("$", " ")


def _spell_operators(text: str) -> str:
    text = re.sub(r"(?<![<>=!])<=|=<", "\\\\le ", text)
    text = re.sub(r"(?<![<>=!])>=", "\\\\ge ", text)
    text = text.replace("!=", "\\ne ").replace("...", "\\dots ")
    text = re.sub(r"(?<![\\A-Za-z])sqrt(?![A-Za-z])", r"\\sqrt", text)
    text = re.sub(r"(?<![\\A-Za-z])(pi|infinity|infty|inf)(?![A-Za-z])", _spell_constant, text)
    text = re.sub(r"(?<=\d)\s*[xX*]\s*(?=10\s*\^)", "\\\\times ", text)
    return re.sub(r"\+-|\+/-", "\\\\pm ", re.sub(r"(?<=[\d)}\w])\s*\*\*\s*(?=[\d({\w-])", "^", text))


def _spell_constant(name: re.Match[str]) -> str:
    return "\\pi " if name[1] == "pi" else "\\infty "


def _strip_shell(text: str) -> str:
    """Take off what stands around the whole: quotes, emphasis, braces, a lead such as "Answer:", a closing period."""
    before = None
    while before != text:
        before = text
        text = text.strip()
        quoted = _QUOTED.fullmatch(text)
        if quoted:
            text = next(part for part in quoted.groups()[1:] if part)
        if text.startswith("{") and _find_close(text) == len(text) - 1:
            text = text[1:-1]
        lead = _LEAD.match(text)
        if lead and lead.end() < len(text):
            text = text[lead.end() :]
        if text.endswith((".", ",", ";", ":")) and not text.endswith(".."):
            text = text[:-1]
        text = re.sub(r"(?:\s|\\quad)+$|^(?:\s|\\quad(?![A-Za-z]))+", "", text)
    return text


def _find_close(text: str) -> int:
    """Return where the brace closes that opens the text; -1 if nowhere."""
    depth = 0
    for place, sign in enumerate(text):
        if place and text[place - 1] == "\\":
            continue
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return place
    return -1


def split_outside(text: str, separator: re.Pattern[str]) -> list[str]:
    """Split a text where a separator stands outside all brackets, braces and environments."""
    parts: list[str] = []
    depth, start, place = 0, 0, 0
    while place < len(text):
        found = separator.match(text, place) if depth == 0 else None
        if found and found.end() > place:
            parts.append(text[start:place])
            start = place = found.end()
            continue
        if text.startswith("\\begin{", place) or text.startswith("\\langle", place):
            depth += 1
        elif text.startswith("\\end{", place) or text.startswith("\\rangle", place):
            depth -= 1
        elif text[place] == "\\" and text[place + 1 : place + 2] not in ("{", "}"):
            place += 1  # a command's first letter is no bracket
        elif text[place] in "([{":
            depth += 1
        elif text[place] in ")]}":
            depth -= 1
        place += 1
    parts.append(text[start:])
    return [part.strip() for part in parts]
