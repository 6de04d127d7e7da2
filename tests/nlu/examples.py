"""Made-up training data: six kinds of question, small talk, a risk, and what is none of these."""

from __future__ import annotations

from bot.nlu.classifier import Example
from bot.nlu.normalise import normalise

_TEXTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("faq/bike-stolen", "none"): (
        "my bike has been stolen",
        "bike nicked outside the library",
        "someone took my bicycle from the shed",
        "pushbike gone from the rack",
        "they pinched my mountain bike",
        "how do i report a stolen cycle",
        "bike theft",
        "the lock was cut and my bike is missing",
    ),
    ("faq/lost-passport", "none"): (
        "i lost my passport",
        "passport gone missing",
        "cannot find my passport anywhere",
        "do i tell the police about a lost passport",
        "left my passport on the bus",
        "my sons passport is lost",
        "lost passport what now",
        "passport office wants a police number",
    ),
    ("faq/lost-property", "none"): (
        "i lost my keys",
        "left my bag on the train",
        "dropped my purse in town",
        "has anyone handed in a phone",
        "lost my wallet last night",
        "where do i ask about lost things",
        "my umbrella is gone",
        "lost property office",
    ),
    ("faq/noise", "none"): (
        "neighbours are playing loud music",
        "noise from next door all night",
        "party upstairs is keeping me awake",
        "their dog barks all day",
        "who deals with noise",
        "loud tv through the wall",
        "banging at 3am again",
        "music so loud my windows shake",
    ),
    ("faq/parking", "none"): (
        "a car is parked across my drive",
        "someone blocks my garage",
        "cars parked on the pavement",
        "van parked on double yellow lines",
        "who do i tell about bad parking",
        "cannot get my car out",
        "parking outside the school is awful",
        "neighbour takes my parking space",
    ),
    ("faq/da-help", "R03"): (
        "my partner hits me",
        "my husband controls my money and phone",
        "i am scared of my boyfriend",
        "she throws things at me when she is angry",
        "he will not let me see my family",
        "help with an abusive relationship",
        "my wife hurts me",
        "where can i go to get away from my husband",
    ),
    ("risk_R03", "R03"): (
        "he hit me again last night",
        "im frightened of what he will do when he gets home",
        "he says he will kill me if i leave",
        "she slapped me and locked me in",
        "my boyfriend strangled me",
        "he checks my phone and follows me",
        "my ex keeps threatening to hurt me",
        "he pushed me down the stairs",
    ),
    ("greeting", "none"): (
        "hello",
        "hi",
        "hi there",
        "good morning",
        "hey",
        "hiya",
        "alright",
        "good evening",
    ),
    ("thanks", "none"): ("thanks", "thank you", "cheers", "ta very much", "thanks a lot", "great thanks"),
    ("out_of_scope", "none"): (
        "what is the weather tomorrow",
        "tell me a joke",
        "who won the match",
        "write me a poem",
        "best pizza in town",
        "how tall is the eiffel tower",
        "what is your favourite colour",
        "book me a flight",
    ),
}

EXAMPLES = [
    Example(normalise(text), label, risk) for (label, risk), texts in _TEXTS.items() for text in texts
]
