"""Lucene's default English analysis without Java: text in, index terms out.

The chain is that of Lucene's EnglishAnalyzer, as in Anserini's DefaultEnglishAnalyzer: StandardTokenizer, possessive
filter, lower case, 33 stop words, Porter. The tokenizer's grammar of word breaks (Unicode UAX #29, with emoji) is one
pattern here; the stemmer is Snowball's `porter` plus the places where Lucene's, Porter's own later code, departs.
"""

from collections.abc import Iterator
from functools import lru_cache

import regex
import Stemmer

STOP_WORDS = frozenset(
    ["a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of",
     "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with"]
)  # fmt: skip
MAX_TOKEN_LENGTH = 255  # characters; StandardTokenizer cuts longer tokens

_EXTENDERS = r"[\p{WB=Format}\p{WB=Extend}\p{WB=ZWJ}]--\p{Emoji_Modifier}"  # WB4: they belong to the character before
_EXTEND = f"[{_EXTENDERS}]*+"
_CLASSES = {  # of Unicode 9, which Lucene's grammar stays with; later versions count a few signs among the letters
    "letter": r"[[\p{WB=ALetter}\p{WB=Hebrew_Letter}]--[\u00B8\u02E5-\u02EB]]",
    "hebrew": r"\p{WB=Hebrew_Letter}",
    "digit": r"[\p{WB=Numeric}\uFF10-\uFF19]",
    "kana": r"\p{WB=Katakana}",
    "mid_letter": r"[\p{WB=MidLetter}\p{WB=MidNumLet}\p{WB=Single_Quote}]",
    "mid_digit": r"[\p{WB=MidNum}\p{WB=MidNumLet}\p{WB=Single_Quote}]",
    "joiner": r"\p{WB=ExtendNumLet}",
    "quote": r"\p{WB=Single_Quote}",
    "quotes": r"\p{WB=Double_Quote}",
    "single": r"[\p{Script=Han}\p{Script=Hiragana}]",
    "complex": r"\p{LB=SA}",
    "flag": r"\p{Regional_Indicator}",
}
_CLASSES = {name: f"(?:{characters}{_EXTEND})" for name, characters in _CLASSES.items()}
# Emoji 11 took more characters for pictures than later versions do: musical signs, stars, cards.
_PICTURES = (
    r"[\p{Extended_Pictographic}\u2388\u2605\u2607-\u2612\u2614-\u2685\u2690-\u2704\u2708-\u2712\u2763-\u2767"
    r"\U0001F000-\U0001F0FF\U0001F322-\U0001F3FA\U0001F400-\U0001F53D\U0001F546-\U0001F64F\U0001F680-\U0001F6FF]"
    r"--\p{Emoji_Modifier}"
)
_TAIL = rf"[{_EXTENDERS}--[\uFE0E\uFE0F]]*"
_PICTURE = rf"(?: (?: [{_PICTURES}] {_TAIL} )? \p{{Emoji_Modifier}} {_TAIL} | [{_PICTURES}] {_TAIL} \uFE0F? )"
_EMOJI = rf"(?: {_PICTURE} (?: (?: \u200D | (?<=\u200D) ) {_PICTURE} )* | [\#*] \uFE0F? \u20E3 )"
_RUN = r"""(?: {kana} (?: {joiner}*+ {kana} )*
    | (?: {letter} (?: (?: {joiner}*+ | {mid_letter} | (?<={hebrew}) {quotes} (?={hebrew}) ) {letter} )*
          (?: (?<={hebrew}) {quote} )?
        | {digit} (?: (?: {joiner}*+ | {mid_digit} ) {digit} )*
      )+ )"""
_WORD = f"{{joiner}}*+ {_RUN} (?: {{joiner}}++ {_RUN} )* {{joiner}}*+"
# The last branch steps over underscores that join nothing, so that a line of them takes linear time.
_OTHERS = r"{flag}{{2}} | {complex}++ | {single} | {joiner}++ (*SKIP)(*FAIL)"
_TOKEN = regex.compile(f"{_WORD} | {_OTHERS}".format(**_CLASSES) + f" | {_EMOJI}", flags=regex.VERBOSE | regex.V1)
_SNOWBALL = Stemmer.Stemmer("porter")
_MEASURED = regex.compile("[aeiou][^aeiou]|[^aeiouy]y[^aeiou]|^yy[^aeiou]")  # Porter's m > 0
# Pairs of consonants that Snowball does not know as doubled ones.
_DOUBLED = regex.compile(r"(.*(?:[aeiou]|[^aeiou]y).*([^aeiouylszbdfgmnprt]))\2(?:ed|ing)s?")
_LOST_IN_STEP_1 = frozenset(("", "s", "es", "ed", "eds", "ing", "ings"))


def analyse(text: str) -> list[str]:
    r"""Index terms of a text, in its order, repeats kept; the same list that Lucene's English analyser gives.

    >>> analyse("The Sylow theorems' proofs: what's $p^{k}$ in \\mathbb{Z}/n?")
    ['sylow', 'theorem', 'proof', 'what', 'p', 'k', 'mathbb', 'z', 'n']
    """
    return [term for token in tokenise(text) if (term := _term(token))]


def tokenise(text: str) -> Iterator[str]:
    """Tokens of a text as Lucene's StandardTokenizer cuts them, case kept; none is longer than 255 characters."""
    for found in _TOKEN.finditer(text):
        token = found.group()
        if len(token) <= MAX_TOKEN_LENGTH:
            yield token
        else:
            yield from _cut(token)


def _cut(token: str) -> Iterator[str]:
    """Pieces of a token that is too long: the scanner sees 255 characters and takes the longest match in them."""
    start = 0
    while start < len(token):
        piece = _TOKEN.match(token, start, start + MAX_TOKEN_LENGTH)
        if piece:
            yield piece.group()
        start = piece.end() if piece else start + 1


@lru_cache(maxsize=1 << 20)
def _term(token: str) -> str:
    """Index term of one token; empty for a stop word."""
    if token[-1] in "sS" and token[-2:-1] in ("'", "\u2019", "\uff07"):
        token = token[:-2]
    # Java lowers character by character: no final sigma, no combining dot.
    word = token.replace("\u03a3", "\u03c3").replace("\u0130", "i").lower()
    return "" if word in STOP_WORDS else stem(word)


def stem(word: str) -> str:
    """Porter stem of a lower-case word, as Lucene's PorterStemmer gives it.

    Snowball follows the paper (Porter 1980), Lucene its author's later code: words of one or two letters are left
    alone, any doubled consonant before -ed and -ing loses one letter (trekking -> trek), and the second step also has
    `logi` -> `log` and `bli` -> `ble`, where m > 0.
    """
    if len(word) < 3:
        return word
    if doubled := _DOUBLED.fullmatch(word):
        word = doubled[1]
    stemmed = _SNOWBALL.stemWord(word)
    if word[len(stemmed) :] in _LOST_IN_STEP_1:
        if stemmed.endswith("logi") and _MEASURED.search(stemmed[:-4]):
            return stemmed[:-1]
        if stemmed.endswith("bli") and _MEASURED.search(stemmed[:-3]):
            return _SNOWBALL.stemWord(stemmed[:-1] + "e")
    return stemmed
