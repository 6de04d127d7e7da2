"""`python -m benchmarks.understanding.thresholds`: what each threshold would do, on left-out examples.

Every figure is of training examples, each by a model that has not seen it. The held-out set has no part
in it. Runs in the assistant's environment (`.venv-assistant/bin/python`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.understanding.shipped import Shipped, shipped
from bot.nlu import classifier
from bot.nlu.classifier import FAQ, NO_RISK, Example, Options
from bot.nlu.judge import evidence_of
from bot.nlu.kernel import Floats
from bot.nlu.learning import Learned, Task, learn, learn_judge
from bot.nlu.words import WordFeatures

REJECTED = (0.06, 0.08, 0.10, 0.12, 0.15, 0.18, 0.22)
CHANCES = (0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50)


def main() -> None:
    """Print the tables."""
    given = shipped()
    words = WordFeatures.fit([example.text for example in given.examples])
    rows = words.transform([example.text for example in given.examples])
    options = Options()
    learned = learn(given.examples, given.vectors, rows, options)
    print(f"{len(given.examples)} examples, {words.size} word features")
    topics(given, learned)
    risks(given, learned)


def topics(given: Shipped, learned: Learned) -> None:
    """What the judge's share of right answers turned away does to wrong and unknown ones."""
    examples = given.examples
    task = Task.of([e.about for e in examples], learned, learned.options.whole)
    assert task is not None
    tested = np.array([not examples[place].written for place in task.places])
    head = task.head(tested)
    scores = task.left_out()
    cosines = task.vectors @ task.vectors.T
    np.fill_diagonal(cosines, -1.0)
    logs = head.logs(scores)
    evidence, chosen = evidence_of(logs, scores, cosines, task.targets)
    names = np.array(head.labels)
    faq = tested & np.char.startswith(names[task.targets], FAQ)
    outside = tested & (names[task.targets] == "out_of_scope")
    first_faq = np.char.startswith(names[chosen], FAQ)
    right = chosen == task.targets
    unknown = task.unknown(head)
    third = np.argsort(-logs, axis=1)[:, :3]
    in_three = (third == task.targets[:, None]).any(axis=1)
    print(f"FAQ examples {faq.sum()}: first {right[faq].mean():.3f}, among three {in_three[faq].mean():.3f}")
    print("turned away  answered  right  wrong | out of scope answered | unknown intents answered")
    for share in REJECTED:
        task.learned = replace(learned, options=replace(learned.options, rejected=share))
        judge = learn_judge(task, head, tested, examples)
        known = judge.score(evidence) >= judge.threshold
        print(
            f"{share:11.2f} {known[faq].mean():9.3f} {(known & right)[faq].mean():6.3f}"
            f" {(known & ~right & first_faq)[faq].mean():6.3f} |"
            f" {(known & first_faq)[outside].mean():.3f} |"
            f" {(judge.score(unknown) >= judge.threshold).mean():.3f}"
        )
    task.learned = learned
    judge = learn_judge(task, head, tested, examples)
    known = judge.score(evidence) >= judge.threshold
    chances = np.exp(np.take_along_axis(logs, third, axis=1))
    of_faq = np.char.startswith(names[third], FAQ)
    print("of what is not known: mass, each -> offered (right among) of FAQ, offered of out of scope")
    for mass in (0.1, 0.15, 0.2, 0.3):
        for each in (0.03, 0.05, 0.1):
            listed = of_faq & (chances >= each)
            worth = ~known & of_faq[:, 0] & ((chances * listed).sum(axis=1) >= mass)
            among = worth & (listed & (third == task.targets[:, None])).any(axis=1)
            print(
                f"{mass:5.2f} {each:5.2f}  {worth[faq].mean():.3f} ({among[faq].mean():.3f})"
                f"  {worth[outside].mean():.3f}"
            )


def risks(given: Shipped, learned: Learned) -> None:
    """Recall of each category and grade by its own chance, beside what it raises of what is harmless."""
    examples: list[Example] = [e for e in given.examples if e.carries is not None]
    task = Task.of([e.carries for e in given.examples], learned)
    assert task is not None
    logs = task.head(np.ones(len(task.targets), dtype=bool), free=NO_RISK).logs(task.left_out())
    none = task.labels.index(NO_RISK)
    chances: Floats = 1.0 - np.exp(logs[:, none])
    likeliest = np.array([label for label in task.labels if label != NO_RISK])[
        np.delete(logs, none, axis=1).argmax(axis=1)
    ]
    truth = np.array(task.labels)[task.targets]
    harmless = np.array([e.label == classifier.HARMLESS for e in examples])
    plain = np.array([e.label.startswith(FAQ) and e.carries == NO_RISK for e in examples])
    print("chance at least  " + "  ".join(f"{chance:5.2f}" for chance in CHANCES))

    def line(name: str, which: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        shares = [float((chances[which] >= chance).mean()) for chance in CHANCES]
        print(f"{name:15s}  " + "  ".join(f"{share:5.3f}" for share in shares) + f"   n {which.sum()}")

    for category in sorted(set(truth) - {NO_RISK}):
        line(f"recall {category}", truth == category)
    for grade in classifier.GRADES:
        line(f"recall {grade}", np.array([e.grade == grade for e in examples]))
    line("harmless", harmless)
    line("plain FAQ", plain)
    for category in sorted(set(truth) - {NO_RISK}):
        raised = (harmless | plain) & (likeliest == category)
        counts = [int((chances[raised] >= chance).sum()) for chance in CHANCES]
        print(f"falsely {category}      " + "  ".join(f"{count:5d}" for count in counts))


if __name__ == "__main__":
    main()
