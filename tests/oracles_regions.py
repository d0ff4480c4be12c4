"""Region losses beyond Dice, Jaccard and Tversky, worked out element by element in plain Python."""

from collections.abc import Callable

from oracles_losses import ORACLES, Lists, Oracle, elements, shares, sigmoid, softmax

Case = tuple[float, float, float]  # probability or score, share of yes, weight
Formula = Callable[[list[Case], float], float]


def regions(
    logits: Lists, target: Lists, weight: Lists, *, exclusive: bool, over: str, scores: bool = False
) -> dict[tuple[int, int], list[Case]]:
    """The cases of each region, (image or 0, class)."""
    found: dict[tuple[int, int], list[Case]] = {}
    for image in range(len(logits)):
        for u, y, w in elements(logits[image : image + 1], target[image : image + 1], weight[image : image + 1]):
            seen = u if scores else softmax(u) if exclusive else [sigmoid(x) for x in u]
            for k, case in enumerate(zip(seen, shares(y, len(u)), w, strict=True)):
                found.setdefault((image if over == "image" else 0, k), []).append(case)
    return found


def of_regions(
    formula: Formula,
    *,
    exclusive: bool = True,
    over: str = "image",
    smooth: float = 1.0,
    scores: bool = False,
    absent: str = "formula",
    background: Formula | None = None,
) -> Oracle:
    """The mean of a formula over regions of any weight; `background` is that of class 0."""

    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        values = []
        for (_, k), cases in regions(logits, target, weight, exclusive=exclusive, over=over, scores=scores).items():
            there = sum(w * y for _, y, w in cases)
            if sum(w for *_, w in cases) == 0 or (absent == "skip" and there == 0):
                continue
            values.append((background if k == 0 and background else formula)(cases, smooth))
        return sum(values) / len(values) if values else 0.0

    return oracle


def counts(cases: list[Case], s: float) -> tuple[float, float, float, float]:
    tp = s + sum(w * y * p for p, y, w in cases)
    fp = sum(w * (1 - y) * p for p, y, w in cases)
    fn = sum(w * y * (1 - p) for p, y, w in cases)
    return tp, fp, fn, sum(w * (1 - y) * (1 - p) for p, y, w in cases)


def matthews(cases: list[Case], s: float) -> float:
    tp, fp, fn, tn = counts(cases, s)
    tn += s
    return 1 - (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5


def squared_dice(cases: list[Case], s: float) -> float:
    """A soft label is so much of a yes and so much of a no: the square of its yes is the share of it."""
    size = 2 * s + sum(w * (p**2 + y) for p, y, w in cases)
    return 1 - 2 * counts(cases, s)[0] / size


def power_jaccard(q: float) -> Formula:
    def formula(cases: list[Case], s: float) -> float:
        shared = sum(w * p * y for p, y, w in cases)
        return 1 - (shared + s) / (sum(w * (p**q + y) for p, y, w in cases) - shared + s)

    return formula


def f_beta(beta: float) -> Formula:
    def formula(cases: list[Case], s: float) -> float:
        tp, fp, fn, _ = counts(cases, s)
        precision, recall = tp / (tp + fp), tp / (tp + fn)
        return 1 - (1 + beta**2) * precision * recall / (beta**2 * precision + recall)

    return formula


def noise_robust_dice(gamma: float) -> Formula:
    def formula(cases: list[Case], s: float) -> float:
        wrong = sum(w * (y * abs(p - 1) ** gamma + (1 - y) * abs(p) ** gamma) for p, y, w in cases)
        return wrong / (2 * s + sum(w * (p**2 + y) for p, y, w in cases))

    return formula


def tversky_to_a_power(delta: float, exponent: float) -> Formula:
    def formula(cases: list[Case], s: float) -> float:
        tp, fp, fn, _ = counts(cases, s)
        return (1 - tp / (tp + delta * fn + (1 - delta) * fp)) ** exponent

    return formula


def penalty_generalized_dice(k: float) -> Oracle:
    """The score of all classes of an image, those absent as loud as the smallest that is there; then the penalty."""

    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        found = regions(logits, target, weight, exclusive=True, over="image")
        values = []
        for image in range(len(logits)):
            classes = [cases for (n, _), cases in found.items() if n == image]
            volumes = [sum(w * y for _, y, w in cases) for cases in classes]
            least = min(v for v in volumes if v > 0)
            above = below = 0.0
            for cases, volume in zip(classes, volumes, strict=True):
                tp, fp, fn, _ = counts(cases, 0.0)
                above += 2 * tp / (volume or least) ** 2
                below += (2 * tp + fp + fn) / (volume or least) ** 2
            score = above / below
            values.append(1 - score / (1 + k * (1 - score)))
        return sum(values) / len(values)

    return oracle


def wasserstein_dice(distances: Lists | None, by_volume: bool, s: float = 1.0) -> Oracle:
    """Voxel by voxel: the mean distance of the probabilities from the true class."""

    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        values = []
        for image in zip(logits, target, weight, strict=True):
            cases = []  # of each voxel and class that it has a share of: the class, the say, the probabilities
            for u, y, w in elements(*([part] for part in image)):
                p = softmax(u)
                cases += [(k, share * w[k], p) for k, share in enumerate(shares(y, len(u)))]
            volume = [sum(say for k, say, _ in cases if k == c) for c in range(len(logits[0]))]
            alpha = [1 / (1 + v) for v in volume] if by_volume else [0.0] + [1.0] * (len(volume) - 1)
            # the library adds smooth to sums in which the loudest class weighs 1
            loudest = max(a for a, v in zip(alpha, volume, strict=True) if v > 0) if by_volume else 1.0
            right = wrong = 0.0
            for k, say, p in cases:
                far = sum((distances[k][c] if distances else float(k != c)) * p[c] for c in range(len(p)))
                right += alpha[k] / loudest * say * (1 - far)
                wrong += (alpha[k] / loudest if by_volume else 1.0) * say * far
            values.append(1 - 2 * (right + s) / (2 * (right + s) + wrong))
        return sum(values) / len(values)

    return oracle


# the Lovasz extension, from its definition: sort, and ask the set function of ever larger sets


def jaccard_of(wrong: Lists, parts: Lists, s: float) -> float:
    """The Jaccard loss of calling these parts wrong: their weight over that of all that is there or wrong."""
    union = s + sum(w for at, (_, w, there) in enumerate(parts) if there or at in wrong)
    return sum(parts[at][1] for at in wrong) / union if union else 0.0


def extension(parts: Lists, s: float) -> float:
    order = sorted(range(len(parts)), key=lambda at: -parts[at][0])
    value, before, wrong = 0.0, 0.0, []
    for at in order:
        wrong.append(at)
        after = jaccard_of(wrong, parts, s)
        value += parts[at][0] * (after - before)
        before = after
    return value


def lovasz(error_of_yes: Callable[[float], float], error_of_no: Callable[[float], float]) -> Formula:
    """Of a soft label both errors count, each in its proportion."""

    def formula(cases: list[Case], s: float) -> float:
        yes = [(error_of_yes(x), w * y, True) for x, y, w in cases if w * y > 0]
        no = [(error_of_no(x), w * (1 - y), False) for x, y, w in cases if w * (1 - y) > 0]
        return extension(yes + no, s)

    return formula


lovasz_softmax = lovasz(lambda p: 1 - p, lambda p: p)
lovasz_hinge = lovasz(lambda u: max(0.0, 1 - u), lambda u: max(0.0, 1 + u))

NEAR = [[0.0, 1.0, 1.0], [1.0, 0.0, 0.5], [1.0, 0.5, 0.0]]
REGIONS: dict[str, tuple[str, Oracle]] = {
    "MCC()": ("index", of_regions(matthews)),
    "MCC(over='batch', smooth=0.0)": ("yes/no", of_regions(matthews, exclusive=False, over="batch", smooth=0.0)),
    "SquaredDice()": ("index", of_regions(squared_dice)),
    "SquaredDice(over='batch', smooth=0.5)": (
        "yes/no",
        of_regions(squared_dice, exclusive=False, over="batch", smooth=0.5),
    ),
    "PowerJaccard()": ("yes/no", of_regions(power_jaccard(2.0), exclusive=False)),
    "PowerJaccard(exponent=1.5)": ("index", of_regions(power_jaccard(1.5))),
    "FBeta()": ("index", of_regions(f_beta(1.5))),
    "FBeta(beta=0.5)": ("proportions", of_regions(f_beta(0.5))),
    "NoiseRobustDice()": ("index", of_regions(noise_robust_dice(1.5))),
    "NoiseRobustDice(gamma=1.0)": ("yes/no", of_regions(noise_robust_dice(1.0), exclusive=False)),
    "PenaltyGeneralizedDice(smooth=0.0)": ("index", penalty_generalized_dice(2.5)),
    "GeneralizedWassersteinDice()": ("index", wasserstein_dice(None, False)),
    "GeneralizedWassersteinDice(distances=((0, 1, 1), (1, 0, 0.5), (1, 0.5, 0)))": (
        "proportions",
        wasserstein_dice(NEAR, False),
    ),
    "GeneralizedWassersteinDice(distances=((0, 1, 1), (1, 0, 0.5), (1, 0.5, 0)), weighting='volume')": (
        "index",
        wasserstein_dice(NEAR, True),
    ),
    "ModifiedFocalTversky()": (
        "index",
        of_regions(tversky_to_a_power(0.6, 0.5), background=tversky_to_a_power(0.6, 1.0)),
    ),
    "ModifiedFocalTversky(enhance='all', gamma=0.25)": ("index", of_regions(tversky_to_a_power(0.6, 0.75))),
    "ModifiedFocalTversky(delta=0.7)": ("yes/no", of_regions(tversky_to_a_power(0.7, 0.5), exclusive=False)),
    "LovaszSoftmax()": ("index", of_regions(lovasz_softmax, over="batch", smooth=0.0, absent="skip")),
    "LovaszSoftmax(over='image', empty='formula')": ("index", of_regions(lovasz_softmax, smooth=0.0)),
    "LovaszSoftmax(over='image', smooth=0.5)": (
        "proportions",
        of_regions(lovasz_softmax, smooth=0.5, absent="skip"),
    ),
    "LovaszHinge()": ("yes/no", of_regions(lovasz_hinge, exclusive=False, smooth=0.0, scores=True)),
    "LovaszHinge(over='batch', smooth=1.0)": ("index", of_regions(lovasz_hinge, over="batch", scores=True)),
}
ORACLES.update(REGIONS)
