"""Which messages are called foreign: none of ours, and nearly all that are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bot.errors import ContentError
from bot.safety import Languages, Screen
from bot.settings import ROOT

pytestmark = pytest.mark.unit

# Written for this table alone: neither the thresholds nor the words were chosen on it.
OURS = [
    # North East dialect
    "areet pet hoos it gannin",
    "wor lass is gannin doon the toon the neet",
    "divvent knaa wot ter dee like",
    "howay man gis a clue",
    "whey aye man",
    "haddaway and shite",
    "am gannin hyem noo me heed's bangin",
    "some radgie gadgie's kickin off ootside wor netty",
    "the bairns hoyin clarts at us windas",
    "me nana's deed canny upset like",
    "thor's a gadgie deekin in wor motor",
    "he's nowt but a workyticket",
    "ee man a cannit fettle this",
    "wheor d'ye gan te report summat",
    "ahm clamming man wheors me bait",
    "hinny the polis nivvor cum",
    "had yer whisht bonny lad",
    "me marra got chored aff in byker",
    "tha lads plodgin in the burn",
    "a'll be there in a minute marra",
    "whisht lads haad yor gobs",
    "ye knaa wot ah mean leik",
    "spelk in me finger man",
    "gan canny hinny",
    "mackem bastards smashed wor windas",
    # Short
    "ok",
    "hello",
    "cheers marra",
    "ta pet",
    "nah",
    "u there",
    "why",
    "no ta",
    "hola amigo",
    "merci beaucoup",
    "ciao bella",
    "hakuna matata",
    "gracias",
    "que",
    "mamma mia",
    "deja vu",
    "c'est la vie",
    "bon appetit",
    # Typos and dyslexic spelling
    "sombody stol mi bik yestday",
    "teh polcie wnot anwser thier fone",
    "hwo do i reprot a crmie",
    "carnt fynd mi drivin lisense",
    "nieghbour playng muzik reely lowd evry nite",
    "plees cud sumwun fone me bak",
    "i fink sumfin bad hapend nex dor",
    "wear do i no wen cort is",
    "lisence rnewal fro shotgn",
    "recieved a leter abowt speading",
    # Text-speak and teenagers
    "wtf is goin on m8",
    "idk tbh ngl",
    "omg lol wth",
    "u up? wyd",
    "bruh dis so peak fr fr no cap",
    "ngl the feds r moving mad rn",
    "smh my bad g",
    "gonna b l8 4 skool soz",
    "hmu asap pls n ty",
    "skibidi rizz ohio gyatt",
    "ffs jus tell me innit bruv",
    "wuu2 hun",
    "yh but wen tho",
    # Names, places, numbers
    "John Smith",
    "Mohammed Abdul Rahman Khan",
    "Krzysztof Wisniewski",
    "Agnieszka Kowalska Nowak",
    "my name is Krzysztof Wisniewski",
    "Singh Kaur Patel",
    "Nguyen Thi Minh Khai",
    "Seaton Delaval, Whitley Bay, Cullercoats",
    "Heworth Pelaw Felling Jarrow Hebburn",
    "14 Chillingham Road NE6 5LL",
    "FC-8KD2MQ77 AB12 CDE",
    "José Mourinho Cristiano Ronaldo",
    # Voice to text, second-language English, machines
    "hello police um yeah so basically what it is is me neighbor keeps uh banging",
    "my wife she is say the man is coming every day make problem",
    "please sir i am not know where is go for passport",
    "excuse me where is report for the stolen telephone",
    "need interpreter polish please",
    "no english please polish",
    "do you speak urdu or punjabi",
    "can I get the form in Arabic",
    "asdfgh jkl qwerty",
    "hahahahahaha xxxxx",
    "aaaaaargh noooooo",
    "blah blah blah",
    "ha ha ha ha ha",
    "la la la la",
    "???",
    "😀😀😀",
    "https://www.facebook.com/groups/przyklad-ogloszenia",
    # Letters in disguise
    "hеlр mе рlеаsе",
    "𝓱𝓮𝓵𝓵𝓸 𝓽𝓱𝓮𝓻𝓮 𝓶𝔂 𝓯𝓻𝓲𝓮𝓷𝓭",
    "Ｉ ｎｅｅｄ ｔｏ ｔａｌｋ",
    "the graffiti says мир, what is that",
    "café près du théâtre was robbed last night",
    # Older and formal, and food
    "I should be obliged for guidance regarding noise nuisance.",
    "Pursuant to your correspondence, kindly acknowledge receipt.",
    "tagliatelle carbonara garlic bread",
    "chicken tikka masala pilau naan",
    "paella, tapas and sangria stolen from restaurant",
    "Vauxhall Corsa Renault Clio Skoda Octavia",
]

FOREIGN = [
    ("pl", "Proszę o pomoc, zgubiłem dokumenty w autobusie"),
    ("pl", "sasiedzi codziennie pija i krzycza pod oknem"),
    ("pl", "gdzie jest najblizszy komisariat"),
    ("pl", "chcialbym zglosic kradziez samochodu"),
    ("pl", "nie rozumiem po angielsku"),
    ("ro", "Cineva mi-a spart mașina azi noapte"),
    ("ro", "unde este cea mai apropiata sectie de politie"),
    ("ro", "nu vorbesc engleza"),
    ("ro", "patronul nu ne plateste si ne ameninta"),
    ("pt", "Alguém partiu o vidro do meu carro"),
    ("pt", "onde fica a esquadra mais perto"),
    ("pt", "perdi o meu passaporte o que devo fazer"),
    ("ar", "كيف أقدم بلاغا عن سرقة سيارتي"),
    ("ar", "لا أتكلم الإنجليزية"),
    ("ar", "مرحبا، أريد التحدث مع الشرطة"),
    ("ar", "ana la atakallam inglizi, ureed mutarjim 3arabi"),
    ("bn", "আমি পুলিশের সাথে কথা বলতে চাই"),
    ("bn", "আমি ইংরেজি জানি না"),
    ("bn", "amar bari te chor dhukse, ami ki korbo ekhon"),
    ("zh", "我的护照丢了，怎么办"),
    ("zh", "你好，请问警察局在哪里"),
    ("zh", "我唔識講英文"),
    ("ur", "میری گاڑی کا شیشہ کسی نے توڑ دیا"),
    ("ur", "mere parosi bohat shor karte hain"),
    ("ur", "mujhe police se baat karni hai"),
    ("pa", "ਮੈਨੂੰ ਅੰਗਰੇਜ਼ੀ ਨਹੀਂ ਆਉਂਦੀ"),
    ("pa", "mainu police naal gal karni hai"),
    ("fa", "همسایه ما هر شب سر و صدا می‌کند"),
    ("fa", "گذرنامه‌ام را گم کرده‌ام"),
    ("fa", "salam lotfan komak konid man engelisi balad nistam"),
    ("ckb", "سڵاو، پاسپۆرتەکەم ون کردووە"),
    ("ckb", "من ئینگلیزی نازانم"),
    ("es", "Alguien ha entrado en mi casa y se ha llevado todo"),
    ("es", "donde puedo poner una denuncia"),
    ("es", "perdi mi pasaporte"),
    ("fr", "Quelqu'un a cassé la vitre de ma voiture"),
    ("fr", "où est le commissariat le plus proche"),
    ("de", "Meine Nachbarn sind jede Nacht sehr laut"),
    ("de", "wo ist die nächste Polizeiwache"),
    ("it", "qualcuno ha rotto il finestrino della mia macchina"),
    ("it", "non parlo inglese mi serve un interprete"),
    ("nl", "kunt u mij helpen ik ben mijn paspoort kwijt"),
    ("cs", "Kde najdu nejbližší policejní stanici"),
    ("sk", "susedia robia každú noc hluk"),
    ("hu", "Hol van a legközelebbi rendőrség"),
    ("hu", "elvesztettem az útlevelemet a buszon"),
    ("lt", "pamečiau savo pasą autobuse"),
    ("lv", "es pazaudēju savu pasi autobusā"),
    ("bg", "Изгубих си паспорта в автобуса"),
    ("ru", "Где находится ближайший полицейский участок"),
    ("uk", "Я загубила паспорт, що мені робити"),
    ("sq", "ku eshte stacioni me i afert i policise"),
    ("tr", "Komşularım her gece çok gürültü yapıyor"),
    ("tr", "pasaportumu kaybettim ne yapmam lazim"),
    ("so", "baasaboorkaygii ayaa iga lumay"),
    ("vi", "tôi bị mất hộ chiếu phải làm sao"),
    ("tl", "nawala po ang pasaporte ko ano ang gagawin ko"),
    ("sw", "nimepoteza pasipoti yangu nifanye nini"),
    ("ti", "ፓስፖርተይ ጠፊኡኒ እንታይ ክገብር ኣለኒ"),
    ("am", "ፓስፖርቴ ጠፋብኝ ምን ላድርግ"),
    ("el", "έχασα το διαβατήριό μου τι να κάνω"),
    ("hi", "मेरा पासपोर्ट खो गया है"),
    ("ta", "எனது கடவுச்சீட்டு தொலைந்துவிட்டது"),
    ("gu", "મારો પાસપોર્ટ ખોવાઈ ગયો છે"),
    ("ml", "എന്റെ പാസ്പോർട്ട് നഷ്ടപ്പെട്ടു"),
    ("th", "ฉันทำหนังสือเดินทางหาย"),
    ("ja", "パスポートをなくしました"),
    ("ko", "여권을 잃어버렸어요"),
    ("he", "איבדתי את הדרכון שלי"),
    ("ka", "პასპორტი დავკარგე"),
    ("hy", "կորցրել եմ անձնագիրս"),
    ("hr", "izgubila sam putovnicu u autobusu"),
    ("sl", "izgubil sem potni list na avtobusu"),
    ("sv", "jag har tappat bort mitt pass på bussen"),
    ("da", "jeg har mistet mit pas i bussen"),
    ("fi", "kadotin passini bussissa eilen illalla"),
    ("et", "kaotasin oma passi bussis ära"),
    ("id", "saya kehilangan paspor di bus kemarin"),
    ("yo", "mo ti so iwe irinna mi nu ninu oko"),
    ("ne", "मेरो राहदानी हरायो"),
    ("my", "ကျွန်တော့် ပတ်စပို့ ပျောက်သွားတယ်"),
]
"""The language and a message in it; Nepali and Hindi share their letters."""

RECOGNISED_AT_LEAST = 0.95
NAMED_AT_LEAST = 0.85


@pytest.fixture(scope="module")
def languages() -> Languages:
    """As the gateway has them."""
    found = Languages.of(Screen.load(ROOT / "data" / "risk"), ROOT / "data")
    found.load()
    return found


@pytest.mark.parametrize("text", OURS)
def test_nothing_that_is_written_here_is_called_foreign(languages: Languages, text: str) -> None:
    assert languages.recognise(text) is None


def test_none_of_our_own_examples_is_called_foreign(languages: Languages) -> None:
    """But for those that teach the model what other languages look like."""
    meant = {"contact-language.yml", "risk_R20.yml"}
    wrong = [
        line
        for folder in ("faq", "nlu")
        for path in sorted((ROOT / "data" / folder).glob("*.yml"))
        if path.name not in meant
        for line in re.findall(r"^ {4,}- (?!intent:)(.+)$", path.read_text("utf-8"), re.MULTILINE)
        if languages.recognise(line)
    ]

    # A dozen odd English words in a row may happen once in thousands of messages.
    assert len(wrong) <= 3, wrong


def test_messages_in_other_languages_are_recognised(languages: Languages) -> None:
    assert len(FOREIGN) >= 60
    assert len({code for code, _ in FOREIGN}) >= 20

    missed = [text for _, text in FOREIGN if languages.recognise(text) is None]
    named = sum(1 for code, text in FOREIGN if languages.recognise(text) == code)

    assert len(missed) <= (1 - RECOGNISED_AT_LEAST) * len(FOREIGN), missed
    assert named >= NAMED_AT_LEAST * len(FOREIGN)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("救命", "zh"),
        ("مدد چاہیے", "ur"),
        ("Hello. Potrzebuję pomocy, nie mówię po angielsku.", "pl"),
        ("hi police اريد المساعدة الان من فضلكم", "ar"),
        ("please polis yardim edin kocam eve geldi kapiyi kiriyor", "tr"),
    ],
)
def test_short_ones_and_mixtures(languages: Languages, text: str, code: str) -> None:
    assert languages.recognise(text) == code


def test_a_sentence_in_pieces_is_recognised_by_all_of_them(languages: Languages) -> None:
    pieces = ["ktoś ukradł", "mi rower", "wczoraj"]

    assert all(languages.recognise(piece) is None for piece in pieces)
    assert languages.recognise_any(pieces) == "pl"
    assert languages.recognise_any(["hello", "Zgubiłem paszport w autobusie", "hello"]) == "pl"
    assert languages.recognise_any(["hello", "i lost my passport"]) is None
    assert languages.recognise_any([]) is None


def test_a_very_long_message_costs_no_more_than_its_beginning(languages: Languages) -> None:
    assert languages.recognise("ktoś ukradł mi rower " * 5000) == "pl"
    assert languages.recognise("somebody nicked me bike " * 5000) is None


def test_the_detector_stays_small() -> None:
    """What it adds to a gateway, in a process of its own: 150 MB would be more than all the rest."""
    code = (
        "import re, sys; from pathlib import Path\n"
        "from bot.safety import Languages, Screen\n"
        "rss = lambda: int(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024\n"
        "screen = Screen.load(Path('data/risk')); before = rss()\n"
        "Languages.of(screen, Path('data')).load(); print(rss() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert int(done.stdout) < 150


# ---- the emergency words -------------------------------------------------------------------------

SCREEN = Screen.load(ROOT / "data" / "risk")
TEN = ("ar", "bn", "ckb", "fa", "pa", "pl", "pt", "ro", "ur", "zh")


@pytest.mark.parametrize(
    ("code", "category", "text", "priority"),
    [
        (code, category, example.text, example.priority)
        for code, language in SCREEN.content.languages.items()
        for category, example in language.examples
    ],
)
def test_emergency_words_are_found_and_explained(code: str, category: str, text: str, priority: str) -> None:
    hits = {hit.category: hit for hit in SCREEN.check(text).hits}

    assert hits[category].priority == priority
    assert hits[category].language
    # The desk reads what it means.
    assert hits[category].words[-1].startswith("(")


@pytest.mark.parametrize("code", TEN)
def test_each_of_the_ten_has_the_words_that_matter(code: str) -> None:
    language = SCREEN.content.languages[code]

    categories = {category for category, _ in language.examples}

    assert {"R01", "R02", "R03", "R06", "R09"} <= categories
    assert isinstance(language.verify, bool)


def test_no_english_message_of_ours_raises_a_foreign_phrase() -> None:
    wrong = [
        line
        for folder in ("faq", "nlu")
        for path in sorted((ROOT / "data" / folder).glob("*.yml"))
        if path.name not in {"contact-language.yml", "risk_R20.yml"}
        for line in re.findall(r"^ {4,}- (?!intent:)(.+)$", path.read_text("utf-8"), re.MULTILINE)
        if any(hit.language for hit in SCREEN.check(line).hits)
    ]

    assert not wrong
    assert not [text for text in OURS if any(hit.language for hit in SCREEN.check(text).hits)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("language: pl", "language: de"), "the name of its language"),
        (("verify: true", "verify: maybe"), "verify must be true or false"),
        (("category: R01, priority: P1, say", "category: R99, priority: P1, say"), "unknown category"),
        (("priority: P1, say", "priority: P9, say"), "priority must be"),
        (('words: "', 'wordz: "'), "unknown key"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    import shutil

    risk = Path(shutil.copytree(ROOT / "data" / "risk", tmp_path / "risk"))
    path = risk / "languages" / "pl.yml"
    path.write_text(path.read_text("utf-8").replace(*change, 1), "utf-8")

    with pytest.raises(ContentError, match=rf"pl\.yml, line \d+: .*{says}"):
        Screen.load(risk)
