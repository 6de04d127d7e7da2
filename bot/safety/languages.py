"""Which language a message is in, where it is not English: so that a person reads it at once.

Letters of another script are certain by themselves. Latin letters are judged by three things
together: how many of the words our own content uses (and so does the North East), words that only
one language has, and a statistical detector. Short messages need all of them; one or two words are
never called foreign, unless one is on a list of words that no English speaker types.

The detector is lingua (Apache-2.0, https://github.com/pemistahl/lingua-py) in its low accuracy
mode: about 60 MB and half a millisecond a message. Its full mode needs 0.5 to 0.9 GB.
"""

from __future__ import annotations

import functools
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from bot.safety.screen import Screen

UNKNOWN: Final = "und"
"""The code of a language that is not English and that nothing names (ISO 639-2 "undetermined")."""

LONGEST: Final = 600
"""Letters that are looked at: a language shows itself long before."""

SHORTEST_SLIP: Final = 4
"""Letters that a word needs before one wrong letter is forgiven."""

NAMES: Final[Mapping[str, str]] = {
    "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "be": "Belarusian", "bg": "Bulgarian",
    "bn": "Bengali", "bs": "Bosnian", "ca": "Catalan", "ckb": "Kurdish (Sorani)", "cs": "Czech",
    "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek", "es": "Spanish", "et": "Estonian",
    "fa": "Farsi", "fi": "Finnish", "fr": "French", "ga": "Irish", "gu": "Gujarati", "he": "Hebrew",
    "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian",
    "it": "Italian", "ja": "Japanese", "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "kn": "Kannada",
    "ko": "Korean", "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian",
    "ml": "Malayalam", "mn": "Mongolian", "ms": "Malay", "my": "Burmese", "nb": "Norwegian",
    "nl": "Dutch", "pa": "Punjabi", "pl": "Polish", "ps": "Pashto", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "si": "Sinhala", "sk": "Slovak", "sl": "Slovene",
    "sn": "Shona", "so": "Somali", "sq": "Albanian", "sr": "Serbian", "sv": "Swedish",
    "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "ti": "Tigrinya", "tl": "Tagalog",
    "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "yo": "Yoruba",
    "zh": "Chinese",
}  # fmt: skip
"""English names by code, for the desk."""

_SCRIPTS: Final = (
    (0x0370, 0x03FF, "el"), (0x0400, 0x052F, "cyrillic"), (0x0530, 0x058F, "hy"), (0x0590, 0x05FF, "he"),
    (0x0600, 0x06FF, "arabic"), (0x0750, 0x077F, "arabic"), (0x0900, 0x097F, "hi"),
    (0x0980, 0x09FF, "bn"), (0x0A00, 0x0A7F, "pa"), (0x0A80, 0x0AFF, "gu"), (0x0B80, 0x0BFF, "ta"),
    (0x0C00, 0x0C7F, "te"), (0x0C80, 0x0CFF, "kn"), (0x0D00, 0x0D7F, "ml"), (0x0D80, 0x0DFF, "si"),
    (0x0E00, 0x0E7F, "th"), (0x0E80, 0x0EFF, "lo"), (0x1000, 0x109F, "my"), (0x10A0, 0x10FF, "ka"),
    (0x1100, 0x11FF, "ko"), (0x1200, 0x139F, "am"), (0x1780, 0x17FF, "km"), (0x1F00, 0x1FFF, "el"),
    (0x3040, 0x30FF, "ja"), (0x3400, 0x9FFF, "zh"), (0xAC00, 0xD7AF, "ko"), (0xFB50, 0xFDFF, "arabic"),
    (0xFE70, 0xFEFC, "arabic"), (0x20000, 0x2FFFF, "zh"),
)  # fmt: skip
_BLOCK_OF: Final = {
    code >> 4: script for first, last, script in _SCRIPTS if last < 0x10000 for code in range(first, last, 16)
}
_CLUES: Final = (
    # Letters that one language of a script has and its neighbours do not, the surest first.
    ("arabic", "ckb", re.compile("[ێۆڵڕڤ]|ە(?=\\s|$)")),
    ("arabic", "ps", re.compile("[ښړېۍځڅډټ]")),
    ("arabic", "ur", re.compile("[ٹڈڑےںھہ]")),
    ("cyrillic", "uk", re.compile("[їєґ]|^(?=[^ыэёъ]*$).*і", re.IGNORECASE | re.DOTALL)),
    ("cyrillic", "be", re.compile("ў")),
    ("cyrillic", "sr", re.compile("[ђћџљњј]")),
    ("am", "ti", re.compile("[ቐ-ቝኸ-ዅኣ]")),
)

_LATIN: Final = (
    "AFRIKAANS ALBANIAN BOKMAL BOSNIAN CATALAN CROATIAN CZECH DANISH DUTCH ENGLISH ESTONIAN FINNISH FRENCH "
    "GERMAN HUNGARIAN INDONESIAN ITALIAN LATVIAN LITHUANIAN MALAY POLISH PORTUGUESE ROMANIAN SHONA SLOVAK "
    "SLOVENE SOMALI SPANISH SWAHILI SWEDISH TAGALOG TURKISH VIETNAMESE WELSH YORUBA"
).split()
_OTHER: Final = (
    "ARABIC BELARUSIAN BULGARIAN KAZAKH MACEDONIAN MONGOLIAN PERSIAN RUSSIAN SERBIAN UKRAINIAN URDU".split()
)

# Addresses, names of accounts, codes. Counted repeats: without them a word of 1,000 letters is slow.
_NOISE: Final = re.compile(r"https?://\S+|www\.\S+|\S{1,64}@\S+|[@#]\w+|\S{0,32}\d\S*")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_STRETCHED: Final = re.compile(r"(.)\1{2,}")
_LETTER: Final = re.compile(r"[^\W\d_]")
_FOREIGN_LETTER: Final = re.compile("[^\x00-\x7f'éèêëïçñôû]")
"""Letters that hardly stand in a word borrowed by English (café, naïve, jalapeño)."""

# Chosen on our own training examples (data/faq, data/nlu), which are English but for a few, and on a
# list of foreign messages that no test uses. Each is the most that English may have of the
# detector's belief, and the least that the foreign language must have.
_SURE: Final[Mapping[int, tuple[int, float, float]]] = {
    3: (0, 0.0005, 0.93),
    4: (1, 0.001, 0.85),
}
"""For messages of three and four different words: known words at most, English at most, other at least."""
_ENGLISH_AT_MOST: Final = 0.003
_ENGLISH_AT_MOST_UNKNOWN: Final = 0.05
"""When not one of five words or more is known to us."""
_NO_ENGLISH: Final = 0.000001
_HALF: Final = 0.5
_SLIPS: Final = (0.0001, 0.9)
"""English at most and the other at least, where most words are near to one of ours."""
_NAMED: Final = 0.7


class Languages:
    """Names the language of a message. Loads on first use, or by `load` in a thread. Thread-safe."""

    def __init__(
        self, data: Path, markers: Mapping[str, Iterable[str]], sure: Mapping[str, Iterable[str]]
    ) -> None:
        """`data` holds what our own words are read from. `markers` are common words of a language in
        Latin letters, of which two count; of `sure` one counts."""
        self._data = data
        self._markers = {code: frozenset(words) for code, words in markers.items()}
        self._sure = {word: code for code, words in sure.items() for word in words}
        self._lock = threading.Lock()
        self._words: frozenset[str] | None = None
        self._shorter: frozenset[str] = frozenset()
        self._detector: Any = None

    @classmethod
    def of(cls, screen: Screen, data: Path) -> Languages:
        """With the words that the screen's files list for each language."""
        known = screen.content.languages
        return cls(
            data,
            {code: language.words for code, language in known.items()},
            {code: language.sure for code, language in known.items()},
        )

    @property
    def loaded(self) -> bool:
        """Whether the next question is answered at once."""
        return self._words is not None

    def load(self) -> None:
        """Read our words and build the detector: about a second, so outside the event loop."""
        with self._lock:
            if self._words is None:
                self._detector = _build()
                self._shorter = _one_less_of_each(self._data)
                self._words = vocabulary(self._data)

    def recognise(self, text: str) -> str | None:
        """The code of the language, `und` where it has no name, or None for what may be English."""
        text = _NOISE.sub(" ", text[: 2 * LONGEST])[:LONGEST]
        if not text.isascii():
            # Letters in fancy dress ("bold", full width) are put into plain clothes.
            text = unicodedata.normalize("NFKC", text)
            script = _script(text)
            if script is not None:
                return self._of_script(script, text)
        return self._of_latin(text)

    def recognise_any(self, texts: Sequence[str]) -> str | None:
        """The language of several messages, each by itself and then all of them together."""
        for text in reversed(texts):
            if found := self.recognise(text):
                return found
        return self.recognise("\n".join(texts)) if len(texts) > 1 else None

    # ---- scripts ---------------------------------------------------------------------------------

    def _of_script(self, script: str, text: str) -> str:
        for of, code, clue in _CLUES:
            if of == script and clue.search(text):
                return code
        if script not in ("arabic", "cyrillic"):
            return script
        self.load()
        language = self._detector.detect_language_of(text)
        found = _code(language) if language is not None else ""
        return found if found in _OF_SCRIPT[script] else UNKNOWN

    # ---- Latin letters ---------------------------------------------------------------------------

    def _of_latin(self, text: str) -> str | None:
        typed = [word for word in _WORD.findall(text) if len(word) > 1]
        words = list(dict.fromkeys(_plain(word) for word in typed))
        count = len(words)
        if count < 2 and not any(word in self._sure for word in words):
            return None
        self.load()
        known = sum(1 for word in words if self._is_known(word))
        sure = next((self._sure[word] for word in words if word in self._sure), None)
        if sure is not None and known * 2 <= count:
            return sure
        marked, marks = self._marked(words)
        if marks >= 2 and marks * 3 >= count and known * 2 <= count:
            return marked
        accented = sum(1 for word in words if _FOREIGN_LETTER.search(word))
        most_known = 0.5 if accented >= 2 else 0.4 if accented else 0.34
        if count < 3 or known > count * most_known or _are_names(typed, known):
            return None
        return self._by_detector(text, words, known, accented, marked if marks >= 2 else None)

    def _by_detector(
        self, text: str, words: Sequence[str], known: int, accented: int, marked: str | None
    ) -> str | None:
        count = len(words)
        beliefs = self._detector.compute_language_confidence_values(text)
        if not beliefs:
            return None
        best, english = beliefs[0], 0.0
        for belief in beliefs:
            if belief.language.name == "ENGLISH":
                english = belief.value
        if count in _SURE and not (accented >= 2 and known <= 1 and english <= _ENGLISH_AT_MOST):
            most_known, most_english, least = _SURE[count]
            if known > most_known or english > most_english:
                return None
            # Close relatives share the belief: when none is left for English, half of it will do.
            if best.value < (least if count == 3 or english > _NO_ENGLISH else _HALF):
                return None
        elif count not in _SURE and english > (_ENGLISH_AT_MOST if known else _ENGLISH_AT_MOST_UNKNOWN):
            return None
        if best.language.name == "ENGLISH":
            return None
        slips = sum(1 for word in words if self._is_slip(word))
        if (known + slips) * 5 >= count * 3 and (english > _SLIPS[0] or best.value < _SLIPS[1]):
            # It may be English with a slip in each word.
            return None
        if best.value >= _NAMED:
            return _code(best.language)
        return marked or UNKNOWN

    def _marked(self, words: Sequence[str]) -> tuple[str, int]:
        best, most = UNKNOWN, 0
        strange = [word for word in words if not self._is_known(word)]
        for code, markers in self._markers.items():
            marks = sum(1 for word in strange if word in markers)
            if marks > most:
                best, most = code, marks
        return best, most

    def _is_known(self, word: str) -> bool:
        words = self._words or frozenset()
        if word in words:
            return True
        stem, _, _ = word.partition("'")
        if stem != word and len(stem) > 1 and stem in words:
            return True
        squeezed = _STRETCHED.sub(r"\1", word)
        if squeezed != word:
            return squeezed in words or _STRETCHED.sub(r"\1\1", word) in words
        return word.endswith("s") and word[:-1] in words

    def _is_slip(self, word: str) -> bool:
        """Whether one slip of the finger makes another word of one that we know."""
        if len(word) < SHORTEST_SLIP or not word.isascii() or self._is_known(word):
            return False
        if word in self._shorter:
            return True
        return any(shorter in self._shorter or shorter in (self._words or ()) for shorter in _one_less(word))


@functools.cache
def vocabulary(data: Path) -> frozenset[str]:
    """The words that our content uses: every file of `faq`, `nlu` and `risk`, and the list of names.

    A line counts if most of its words are in several files: the examples in other languages, which
    teach the model, are no English.
    """
    files = [
        [set(_plain(word) for word in _WORD.findall(line)) for line in path.read_text("utf-8").splitlines()]
        for folder in ("faq", "nlu", "risk")
        for path in sorted((data / folder).glob("*.yml"))
    ]
    spread = Counter(word for lines in files for word in set().union(*lines))
    common = {word for word, number in spread.items() if number >= 3}
    counts = Counter(
        word for lines in files for line in lines if 2 * len(line & common) >= len(line) for word in line
    )
    own = data / "risk" / "english.yml"
    listed = (
        yaml.safe_load(own.read_text("utf-8"))["words"].replace(",", " ").split() if own.is_file() else []
    )
    return frozenset({word for word, number in counts.items() if number >= 2} | common | set(listed))


@functools.cache
def _one_less_of_each(data: Path) -> frozenset[str]:
    return frozenset(
        shorter for word in vocabulary(data) if len(word) >= SHORTEST_SLIP for shorter in _one_less(word)
    )


def _one_less(word: str) -> set[str]:
    return {word[:place] + word[place + 1 :] for place in range(len(word))}


@functools.cache
def _build() -> Any:
    # Here, not above: whatever only reads this module's names needs no detector.
    from lingua import Language, LanguageDetectorBuilder

    languages = [getattr(Language, name) for name in (*_LATIN, *_OTHER)]
    return (
        LanguageDetectorBuilder.from_languages(*languages)
        .with_low_accuracy_mode()
        .with_preloaded_language_models()
        .build()
    )


def _code(language: Any) -> str:
    return str(language.iso_code_639_1.name).lower()


_OF_SCRIPT: Final = {
    "arabic": frozenset({"ar", "fa", "ur"}),
    "cyrillic": frozenset({"be", "bg", "kk", "mk", "mn", "ru", "sr", "uk"}),
}


def _plain(word: str) -> str:
    return word.lower().replace("’", "'")


def _script(text: str) -> str | None:
    """The script of a text that is mostly not Latin; None for Latin letters, and for disguises.

    A word that mixes scripts is an English word in disguise, which the screen undoes.
    """
    latin = 0
    found: Counter[str] = Counter()
    for word in re.findall(r"\w+", text):
        letters = _LETTER.findall(word)
        scripts = [
            script
            for letter in letters
            if (script := _BLOCK_OF.get(ord(letter) >> 4) or ("zh" if ord(letter) >= 0x20000 else None))
        ]
        if scripts and len(scripts) == len(letters):
            found.update(scripts)
        else:
            latin += len(letters)
    if not found:
        return None
    script = found.most_common(1)[0][0]
    if "ja" in found and script == "zh":
        script = "ja"
    foreign = found.total()
    # A word of Chinese is a letter or two; elsewhere a name or a joke may be so short.
    least = 2 if script in ("zh", "ja", "ko") else 3
    return script if foreign >= least and foreign * 5 >= 2 * (foreign + latin) else None


def _are_names(typed: Sequence[str], known: int) -> bool:
    """Whether a few words, each with a capital first letter, are somebody's names."""
    return (
        len(typed) <= 4
        and not known
        and all(word[0].isupper() for word in typed)
        and not all(word.isupper() for word in typed)
    )
