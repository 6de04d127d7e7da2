"""Turn what a person typed into plain lower-case words, whatever was done to hide or bend them.

Pure functions over text. Nothing here knows what is dangerous: that is `data/risk/`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Letters of other scripts that look like Latin ones. After case folding, so lower case only.
_CYRILLIC: Final = ("авсԁеғһіјкӏмнопрԛгѕтуѵԝхзб", "abcdefhijklmhonpqrstyvwx36")
_GREEK: Final = ("ιαβεηκνορτυχωγϲϳ", "iabenkvoptuxwycj")
_LATIN: Final = ("ıʟɩɑʀɴɪᴀᴄᴅᴇᴋᴍᴏᴘᴛᴜᴠᴡᴢɡøđłħ", "iliarniacdekmoptuvwzgodlh")
_LOOK_ALIKE: Final = {
    odd: plain
    for odds, plains in (_CYRILLIC, _GREEK, _LATIN)
    for odd, plain in zip(odds, plains, strict=True)
}
# A word is folded when it also has Latin letters, or has nothing but close look-alikes: a Russian
# word must stay a Russian word.
_CLOSE: Final = frozenset("авсԁеһіјкӏморԛѕтуѵԝхαικνορτυχϲϳ" + _LATIN[0])

_EMOJI: Final = {
    "\U0001f48a": " emojipill ",
    "\U0001f52a": " emojiknife ",
    "\U0001f5e1": " emojiknife ",
    "\U0001f52b": " emojigun ",
    "\U0001f4a3": " emojibomb ",
    "\U0001f198": " sos ",
    "\u26b0": " emojicoffin ",
    "\U0001faa6": " emojicoffin ",
    "\U0001fa78": " emojiblood ",
}
_CURRENCY: Final = {"£": " quid ", "€": " euros "}
_APOSTROPHES: Final = "'’‘ʼʹ`´′＇‛"
_KEEP_AS_SPACE: Final = frozenset("\n\r\t\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029")

_STRETCHED: Final = re.compile(r"([^\W\d_])\1{2,}")
_APOSTROPHE: Final = re.compile(f"[{_APOSTROPHES}]")
_WORD_OF_SCRIPT: Final = re.compile(r"[^\W\d_]+")

_PHONE: Final = re.compile(r"(?<!\d)(?:\+?44|0)[ -]?7(?:[ -]?\d){9}(?!\d)")
_CRIME_NUMBER: Final = re.compile(r"\b\d{5,6}[a-z]/\d{2}\b")
_BIRTH: Final = re.compile(r"(?<!\d)\d{1,2}[/.-]\d{1,2}[/.-](?:19|20)?\d{2}(?!\d)")
_PLATE: Final = re.compile(
    r"\b(?!(?:in|on|at|by|of|to|is|so|no)\b)[a-z]{2}\d{2} ?[a-z]{3}\b|\bn[a-z]\d{2}(?=\.\.)"
)
_POSTCODE: Final = re.compile(r"\b(?:ne|sr|dh|td|ts|dl)\d{1,2} ?\d[a-z]{2}\b")
_MONEY: Final = re.compile(r"[£€]\s?(\d[\d,.]*)")

_TOKEN: Final = re.compile(r"[.!?;]+(?=\s|$)|\n|[@$*]?[^\W_](?:[^\W_]|[@$!|](?=[^\W_*@$!|])|\*)*", re.UNICODE)
_HAN: Final = re.compile("[\u3400-\u9fff\U00020000-\U0002ffff]")
_AGE: Final = re.compile(r"(\d{1,2})(yo|yr|yrs|y|year|years|yearold|m|f|st|wk|wks|mins?|hrs?)")

BREAK: Final = "\n"
"""The token that stands between two sentences."""


def normalise(text: str) -> str:
    """Fold case, look-alike letters, accents, invisible marks, stretched letters and apostrophes.

    Line breaks and full stops stay, since they part sentences; everything else that is not a word
    is left for `tokens` to drop. The result is at most a small multiple of the text's length.
    """
    if not text.isascii():
        text = _fold(text)
    else:
        text = text.lower()
        if not text.isprintable():
            text = "".join(c for c in text if (c >= " " and c != "\x7f") or c in _KEEP_AS_SPACE)
    text = _APOSTROPHE.sub("", text)
    text = _MONEY.sub(r" \1 quid ", text)
    text = _STRETCHED.sub(r"\1\1", text)
    if any(c.isdigit() for c in text):
        text = _PHONE.sub(" phonenumber ", text)
        text = _CRIME_NUMBER.sub(" crimenumber ", text)
        text = _POSTCODE.sub(" postcode ", text)
        text = _BIRTH.sub(" birthdate ", text)
        text = _PLATE.sub(" numberplate ", text)
    return text


def tokens(normal: str) -> list[str]:
    """Cut a normalised text into words; `BREAK` stands where a sentence ends.

    Letters that were spelt out one by one ("k i l l") come back as one word, and an age written
    as one word ("12yo") as two.
    """
    found: list[str] = []
    spelt: list[str] = []
    for word in _TOKEN.findall(normal):
        if len(word) == 1 and word.isalpha() and not _HAN.match(word):
            spelt.append(word)
            continue
        if spelt:
            _end_of_spelling(spelt, found)
        if _HAN.match(word):
            # Chinese has no spaces: each sign stands for itself.
            found.extend(word)
            continue
        if word[0] in ".!?;\n":
            if found and found[-1] != BREAK:
                found.append(BREAK)
            continue
        if word[0].isdigit() and (age := _AGE.fullmatch(word)):
            found.extend(age.groups())
        else:
            found.append(word)
    if spelt:
        _end_of_spelling(spelt, found)
    return found


def _end_of_spelling(spelt: list[str], found: list[str]) -> None:
    if len(spelt) >= 3:
        found.append("".join(spelt))
    else:
        found.extend(spelt)
    spelt.clear()


def _fold(text: str) -> str:
    """The slow half of `normalise`, for text with anything beyond ASCII in it."""
    text = unicodedata.normalize("NFKD", text).casefold()
    text = unicodedata.normalize("NFKD", text)
    kept: list[str] = []
    for char in text:
        if char < "\x7f" and char >= " ":
            kept.append(char)
        elif char in _EMOJI:
            kept.append(_EMOJI[char])
        elif char in _KEEP_AS_SPACE:
            kept.append("\n" if char in "\n\r\u2028\u2029" else " ")
        elif 0x1F1E6 <= ord(char) <= 0x1F1FF:  # flags are pairs of letters, and letters hide words
            kept.append(chr(ord(char) - 0x1F1E6 + ord("a")))
        elif (kind := unicodedata.category(char)) in ("Mn", "Me", "Mc", "Cf", "Cc", "Cs", "Co", "Cn"):
            continue
        elif kind == "So" or kind == "Sk":
            kept.append(" ")
        else:
            kept.append(char)
    return _WORD_OF_SCRIPT.sub(_fold_word, "".join(kept))


def _fold_word(match: re.Match[str]) -> str:
    word = match.group()
    if word.isascii():
        return word
    has_latin = any(c < "\x7f" for c in word)
    if not has_latin and not all(c in _CLOSE for c in word):
        return word
    return "".join(_LOOK_ALIKE.get(c, c) for c in word)
