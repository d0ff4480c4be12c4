"""Small mistakes, put one at a time into a copy of the library: the contract or an oracle must notice each.

A mutant is true source text with one change that a hand might make: a sign, a factor, a weight forgotten, two counts
swapped. What is not noticed here could be wrong in the library unnoticed.
"""

import importlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import whichloss
from oracles_losses import ORACLES, agrees_with_its_oracle

BOTH, CONTRACT, ORACLE = {"contract", "oracle"}, {"contract"}, {"oracle"}


class Mutant(NamedTuple):
    file: str
    true: str  # the source as it stands, exactly once in the file
    false: str
    loss: str  # that shows it
    noticed: set[str]  # by whom, at least


LIKELIHOOD, MARGIN, REGION, WRAP = (f"losses/{family}" for family in ("likelihood", "margin", "region", "wrap"))
EMBEDDING, REGRESSION, LIFTS, FAMILIES = "losses/embedding", "losses/regression", "core/lifts", "core/families"
SMALL = "AdaptiveLog(Dice(), join='smooth', threshold=0.5)"
ZERO_ONE = "SquaredHinge(scores='softmax', targets='zero_one')"
RCE, NCE = "ReverseCrossEntropy()", "Normalized(CrossEntropy())"
NL, NOT_THIS = "NegativeLearning()", "NegativeLearning(labels='complementary')"
SWAPPED = "[question.target, 1 - question.target]"
TOP_HALF, MINED = "TopK(CrossEntropy(), fraction=0.5)", "HardExamples(CrossEntropy(), threshold=1.5)"
PAIRS = "Logistic(lift='one_versus_one', per_class='sum')"
MULTI = "MultiSimilarity(alpha=1.0, beta=10.0, threshold=-0.25)"

FORMULAS = [
    Mutant(f"{MARGIN}/hinge.py", "(1 - margin).clamp_min(0)", "(1 - margin).abs()", "Hinge()", BOTH),
    Mutant(f"{MARGIN}/hinge.py", "(1 - margin)", "(2 - margin)", "Hinge()", BOTH),
    Mutant(f"{MARGIN}/squared_hinge.py", ".clamp_min(0).square()", ".clamp_min(0)", "SquaredHinge()", BOTH),
    Mutant(f"{MARGIN}/squared_hinge.py", "(1 - margin).clamp_min(0)", "(1 - margin)", "SquaredHinge()", BOTH),
    Mutant(f"{MARGIN}/smooth_hinge.py", "/ (4 * h)", "/ (2 * h)", "SmoothHinge()", BOTH),
    Mutant(f"{MARGIN}/lorenz.py", "gap < 1e4", "gap > 1e4", "Lorenz(lift='sum_to_zero')", ORACLE),
    Mutant(f"{MARGIN}/lorenz.py", "2 * gap.clamp_min(1e4)", "gap.clamp_min(1e4)", "Lorenz()", CONTRACT),
    Mutant(f"{MARGIN}/logistic.py", "-F.logsigmoid(margin)", "F.softplus(margin)", "Logistic()", CONTRACT),
    Mutant(f"{MARGIN}/savage.py", "2 * margin if", "margin if", "Savage()", BOTH),
    Mutant(f"{MARGIN}/tangent.py", "margin.clamp_max(1).atan()", "margin.atan()", "Tangent()", BOTH),
    Mutant(
        f"{MARGIN}/tangent.py", "(2 * margin.atan() - 1)", "(2 * margin.atan())", "Tangent(form='original')", ORACLE
    ),
    Mutant(f"{LIKELIHOOD}/focal.py", "-torch.expm1(log_p)", "torch.exp(log_p)", "Focal()", BOTH),
    Mutant(
        f"{LIKELIHOOD}/focal.py",
        "(self.alpha, 1 - self.alpha)",
        "(1 - self.alpha, self.alpha)",
        "Focal(alpha=0.25)",
        ORACLE,
    ),
    Mutant(
        f"{LIKELIHOOD}/focal.py",
        "error = error.clamp_min(torch.finfo(log_p.dtype).tiny)",
        "pass",
        "Focal(gamma=0.5)",
        CONTRACT,
    ),
    Mutant(
        f"{LIKELIHOOD}/generalized_cross_entropy.py",
        "log_p) / self.q if",
        "log_p) if",
        "GeneralizedCrossEntropy()",
        BOTH,
    ),
    Mutant(f"{LIKELIHOOD}/poly1.py", "-log_p - self.epsilon", "-log_p + self.epsilon", "Poly1()", BOTH),
    Mutant(f"{LIKELIHOOD}/reverse_cross_entropy.py", "self.A * torch.expm1", "-self.A * torch.expm1", RCE, BOTH),
    Mutant(f"{LIKELIHOOD}/normalized.py", "cost.sum(2, keepdim=True)", "cost.mean(2, keepdim=True)", NCE, BOTH),
    Mutant(f"{LIKELIHOOD}/negative_learning.py", "(others * cost)", "((1 - others) * cost)", NL, BOTH),
    Mutant(f"{LIKELIHOOD}/negative_learning.py", "/ (cost.shape[2] - 1)", "/ cost.shape[2]", NL, BOTH),
    Mutant(f"{LIKELIHOOD}/ldam.py", "** 0.25", "** 0.5", "LDAM(counts=(1000.0, 100.0, 10.0))", ORACLE),
    Mutant(f"{LIKELIHOOD}/ldam.py", "log_odds - self", "log_odds + self", "LDAM(counts=(1000.0, 100.0, 10.0))", BOTH),
    Mutant(f"{LIKELIHOOD}/asymmetric.py", ".clamp_max(0)", "", "Asymmetric()", CONTRACT),
    Mutant(f"{LIKELIHOOD}/asymmetric.py", "torch.where(yes > 0", "torch.where(yes == 0", "Asymmetric()", BOTH),
    Mutant(f"{LIKELIHOOD}/modified_focal.py", "(1 - self.delta)", "self.delta", "ModifiedFocal()", BOTH),
    Mutant(f"{LIKELIHOOD}/bi_tempered.py", "** (2 - t) -", "** (2 - t) +", "BiTempered()", BOTH),
    Mutant(f"{LIKELIHOOD}/bi_tempered.py", "_closer(normalizer, u, t)", "normalizer", "BiTempered()", BOTH),
    Mutant(f"{LIFTS}/distribution.py", "torch.log1p(-others.exp())", "others", NL, ORACLE),
    Mutant(f"{LIFTS}/distribution.py", "log_p.flip(2)", "log_p", NL, CONTRACT),
    Mutant(
        f"{LIFTS}/distribution.py", "others.logsumexp(2, keepdim=True)", "torch.log1p(-log_p.exp())", NOT_THIS, CONTRACT
    ),
    Mutant(f"{LIFTS}/distribution.py", "truth * say.unsqueeze(1)", "truth", "NegativeLearning()", BOTH),
    Mutant(f"{LIFTS}/distribution.py", "[1 - question.target, question.target]", SWAPPED, "Asymmetric()", BOTH),
    Mutant(f"{LIKELIHOOD}/kullback_leibler.py", "-truth.log()", "truth.log()", "KullbackLeibler()", ORACLE),
    Mutant(
        f"{LIKELIHOOD}/balanced_cross_entropy.py", "beta, 1 - beta", "1 - beta, beta", "BalancedCrossEntropy()", ORACLE
    ),
    Mutant(
        f"{LIKELIHOOD}/cross_entropy.py",
        "(self.positive_weight, 1.0)",
        "(1.0, self.positive_weight)",
        "CrossEntropy(positive_weight=3.0)",
        ORACLE,
    ),
    Mutant(f"{REGION}/dice.py", "1 - 2 * n.tp", "1 - n.tp", "Dice()", BOTH),
    Mutant(f"{REGION}/dice.py", "/ (2 * n.tp + n.fp + n.fn)", "/ (n.tp + n.fp + n.fn)", "Dice()", BOTH),
    Mutant(f"{REGION}/jaccard.py", "n.fp + n.fn)", "n.fp)", "Jaccard()", BOTH),
    Mutant(
        f"{REGION}/tversky.py",
        "self.fp * n.fp + self.fn * n.fn",
        "self.fn * n.fp + self.fp * n.fn",
        "Tversky(smooth=0.25)",
        ORACLE,
    ),
    Mutant(f"{REGION}/generalized_dice.py", '"square": 2', '"square": 1', "GeneralizedDice(smooth=0.0)", ORACLE),
    Mutant(
        f"{REGION}/sensitivity_specificity.py",
        "self.weight * missed + (1 - self.weight) * false",
        "(1 - self.weight) * missed + self.weight * false",
        "SensitivitySpecificity(smooth=0.0)",
        ORACLE,
    ),
    Mutant(
        f"{REGION}/sensitivity_specificity.py",
        "(n.fp + n.tn)",
        "(n.fp + n.tp)",
        "SensitivitySpecificity(smooth=0.0)",
        ORACLE,
    ),
    Mutant(f"{REGION}/mcc.py", "- (n.fp / answers)", "+ (n.fp / answers)", "MCC()", BOTH),
    Mutant(f"{REGION}/mcc.py", "n._replace(tn=n.tn + self.smooth)", "n", "MCC()", ORACLE),
    Mutant(
        f"{REGION}/mcc.py",
        "torch.where(known, part, 1.0).sqrt()",
        "part.sqrt()",
        "MCC(over='batch', smooth=0.0)",
        CONTRACT,
    ),
    Mutant(f"{REGION}/squared_dice.py", "exponent=2.0", "exponent=1.0", "SquaredDice()", ORACLE),
    Mutant(
        f"{REGION}/power_jaccard.py",
        "self.classes, self.exponent",
        "self.classes",
        "PowerJaccard(exponent=1.5)",
        ORACLE,
    ),
    Mutant(
        f"{REGION}/fbeta.py", "share * n.fn + (1 - share) * n.fp", "share * n.fp + (1 - share) * n.fn", "FBeta()", BOTH
    ),
    Mutant(
        f"{REGION}/noise_robust_dice.py",
        "self.classes, self.gamma",
        "self.classes",
        "NoiseRobustDice(gamma=1.0)",
        ORACLE,
    ),
    Mutant(
        f"{REGION}/penalty_generalized_dice.py",
        "(1 + self.penalty)",
        "self.penalty",
        "PenaltyGeneralizedDice(smooth=0.0)",
        BOTH,
    ),
    Mutant(
        f"{REGION}/generalized_wasserstein_dice.py",
        'self.weighting == "volume")',
        'self.weighting != "volume")',
        "GeneralizedWassersteinDice()",
        ORACLE,
    ),
    Mutant(
        f"{REGION}/modified_focal_tversky.py",
        "== 0, value, raised",
        "== 0, raised, value",
        "ModifiedFocalTversky()",
        ORACLE,
    ),
    Mutant(f"{REGION}/lovasz_softmax.py", "over=self.over, smooth", 'over="image", smooth', "LovaszSoftmax()", ORACLE),
    Mutant(f"{REGION}/lovasz_hinge.py", "hinge=True", "hinge=False", "LovaszHinge()", ORACLE),
    Mutant(f"{REGRESSION}/squared_error.py", "residual.square()", "residual.abs()", "SquaredError()", BOTH),
    Mutant(f"{REGRESSION}/absolute_error.py", "residual.abs()", "residual", "AbsoluteError()", BOTH),
    Mutant(f"{EMBEDDING}/contrastive_pair.py", "lack.square()", "lack", "ContrastivePair()", BOTH),
    Mutant(f"{EMBEDDING}/contrastive_pair.py", "(1 - same)", "same", "ContrastivePair()", BOTH),
    Mutant(f"{EMBEDDING}/triplet.py", "(gap + self.margin)", "(gap - self.margin)", "Triplet()", BOTH),
    Mutant(
        f"{EMBEDDING}/supervised_contrastive.py",
        "return -log_p",
        "return -log_p.exp()",
        "SupervisedContrastive()",
        BOTH,
    ),
    Mutant(f"{EMBEDDING}/ntxent.py", "return -log_p", "return -log_p.exp()", "NTXent()", BOTH),
    Mutant(f"{EMBEDDING}/multi_similarity.py", "/ self.alpha", "/ self.beta", MULTI, ORACLE),
    Mutant(f"{EMBEDDING}/multi_similarity.py", "F.logsigmoid(-crowding)", "F.logsigmoid(crowding)", MULTI, ORACLE),
    Mutant(f"{WRAP}/adaptive_log.py", "value - constant", "value", "AdaptiveLog(Dice())", BOTH),
    Mutant(f"{WRAP}/adaptive_log.py", "value < threshold", "value > threshold", SMALL, ORACLE),
    Mutant(
        f"{WRAP}/focal_power.py",
        "value.clamp_min(tip) ** exponent",
        "value**exponent",
        "FocalPower(Tversky())",
        CONTRACT,
    ),
    Mutant(
        f"{WRAP}/total.py",
        "return total(self.loss.measure(prepared))",
        "return self.loss.measure(prepared)",
        "Total(Dice(over='batch'))",
        ORACLE,
    ),
    Mutant(f"{REGRESSION}/huber.py", "(size - delta / 2)", "(size - delta)", "Huber(delta=0.3)", ORACLE),
    Mutant(f"{REGRESSION}/quantile.py", "-self.tau * residual, (1 - self.tau)", "-residual, 1.0", "Quantile()", BOTH),
    Mutant(f"{REGRESSION}/wing.py", "self.width, self.width, self.curv", "self.width, 1.0, self.curv", "Wing()", BOTH),
    Mutant(f"{WRAP}/log_cosh.py", "size < 1", "size < 10", "LogCosh(CrossEntropy())", BOTH),
    Mutant(f"{WRAP}/log_cosh.py", ") - log(2)", ")", "LogCosh(CrossEntropy())", BOTH),
    Mutant(f"{WRAP}/negative_log_power.py", ".clamp_max(end)", "", "NegativeLogPower(Dice(smooth=0))", CONTRACT),
    Mutant(f"{FAMILIES}/mining.py", "value.detach(), -torch.inf", "value.detach(), torch.inf", TOP_HALF, BOTH),
    Mutant(f"{FAMILIES}/mining.py", "told.sum(1, keepdim=True).double()", "float(told.shape[1])", TOP_HALF, BOTH),
    Mutant(f"{WRAP}/hard_examples.py", "> self.threshold", "< self.threshold", MINED, ORACLE),
    Mutant(f"{WRAP}/label_smoothing.py", "sharp.logits.shape[1] if", "2 if", "LabelSmoothing(CrossEntropy())", ORACLE),
]

LIFTED = [
    Mutant(f"{LIFTS}/region.py", "weight * (1 - y)", "(1 - y)", "Dice()", BOTH),
    Mutant(
        f"{LIFTS}/region.py",
        "(wn * alarm).sum(2), (wy * miss).sum(2)",
        "(wy * miss).sum(2), (wn * alarm).sum(2)",
        "Tversky(smooth=0.25)",
        ORACLE,
    ),
    Mutant(
        f"{LIFTS}/region.py", "weight.sum(2))", "(0 * weight + 1).sum(2))", "SensitivitySpecificity(smooth=0.0)", BOTH
    ),
    Mutant(f"{LIFTS}/region.py", "(1 - p).square()", "(1 - p)", "SensitivitySpecificity(smooth=0.0)", ORACLE),
    Mutant(f"{LIFTS}/region.py", "(wy * hit).sum(2)", "(wy * hit).mean(2)", "Dice()", BOTH),
    Mutant(f"{LIFTS}/four_sums.py", "wn * (1 - p)", "wy * (1 - p)", "MCC()", ORACLE),
    Mutant(f"{LIFTS}/power_sums.py", "(1 - p) - (p - size)", "(1 - p)", "PowerJaccard(exponent=1.5)", ORACLE),
    Mutant(f"{LIFTS}/power_sums.py", "(1 - p) ** self.gamma", "(1 - p)", "NoiseRobustDice()", ORACLE),
    Mutant(f"{LIFTS}/transport.py", "(weight * y) @", "y @", "GeneralizedWassersteinDice()", BOTH),
    Mutant(f"{LIFTS}/transport.py", "foreground[0] = 0", "foreground[-1] = 0", "GeneralizedWassersteinDice()", BOTH),
    Mutant(
        f"{LIFTS}/lovasz.py", "(1 - u).clamp_min(0), (1 + u)", "(1 + u).clamp_min(0), (1 - u)", "LovaszHinge()", ORACLE
    ),
    Mutant(f"{LIFTS}/lovasz.py", "descending=True", "descending=False", "LovaszSoftmax()", ORACLE),
    Mutant(
        f"{LIFTS}/lovasz.py",
        "there, not_there = weight * y, weight",
        "there, not_there = y, weight",
        "LovaszSoftmax()",
        BOTH,
    ),
    Mutant(
        f"{LIFTS}/lovasz.py",
        "cummax(-1).values.flip(-1) + smooth",
        "cummax(-1).values.flip(-1)",
        "LovaszHinge(over='batch', smooth=1.0)",
        ORACLE,
    ),
    Mutant(
        f"{LIFTS}/lovasz.py",
        "none = smaller == 0",
        "none = smaller < 0",
        "LovaszSoftmax(over='image', empty='formula')",
        BOTH,
    ),
    Mutant(
        f"{LIFTS}/log_probability.py",
        "question.log_probabilities.gather(1, truth)",
        "question.log_probabilities.gather(1, 0 * truth)",
        "CrossEntropy()",
        BOTH,
    ),
    Mutant(
        f"{LIFTS}/log_probability.py",
        "weight.expand_as(logits).gather(1, truth)",
        "weight[:, :1]",
        "CrossEntropy()",
        BOTH,
    ),
    Mutant(
        f"{LIFTS}/log_probability.py",
        "F.logsigmoid(-logits)",
        "F.logsigmoid(logits)",
        "CrossEntropy(positive_weight=3.0)",
        ORACLE,
    ),
    Mutant(
        f"{LIFTS}/log_probability.py",
        "share = (weight / logits.shape[1])",
        "share = weight",
        "CrossEntropy(classes='independent')",
        CONTRACT,
    ),
    Mutant(
        f"{LIFTS}/log_probability.py", "target * weight, target", "target, target", "GeneralizedCrossEntropy()", BOTH
    ),
    Mutant(
        f"{LIFTS}/log_probability.py", "1 - target], 1)", "target], 1)", "CrossEntropy(positive_weight=3.0)", ORACLE
    ),
    Mutant(f"{LIFTS}/log_probability.py", "yes / torch.where", "no / torch.where", "BalancedCrossEntropy()", ORACLE),
    Mutant(f"{LIFTS}/margins.py", "yes + no * (1 - yes)", "yes - no * (1 - yes)", "Hinge()", BOTH),
    Mutant(f"{LIFTS}/margins.py", "(question.weight / scores.shape[1])", "question.weight", "SquaredHinge()", CONTRACT),
    Mutant(f"{LIFTS}/margins.py", '0.0 if self.targets == "zero_one" else -1.0', "-1.0", ZERO_ONE, ORACLE),
    Mutant(f"{LIFTS}/margins.py", "rivals.amax(1", "scores.amax(1", "Hinge(lift='top_rival')", ORACLE),
    Mutant(
        f"{LIFTS}/margins.py", "scores.mean(1, keepdim=True) - scores", "-scores", "Lorenz(lift='sum_to_zero')", ORACLE
    ),
    Mutant(
        f"{LIFTS}/margins.py", "torch.where(wins, scores, -scores)", "torch.where(wins, -scores, scores)", PAIRS, ORACLE
    ),
    Mutant(
        f"{LIFTS}/margins.py",
        "_own(weight.expand_as(scores), truth) / rivals",
        "weight / rivals",
        "SquaredHinge(lift='each_rival')",
        ORACLE,
    ),
    Mutant(
        f"{LIFTS}/ranking.py",
        "high.target.unsqueeze(1) > low.target",
        "high.target.unsqueeze(1) < low.target",
        "Hinge(lift='ranking')",
        ORACLE,
    ),
    Mutant(
        f"{LIFTS}/ranking.py",
        "high.weight.unsqueeze(1) * low.weight",
        "high.weight.unsqueeze(1)",
        "Hinge(lift='ranking')",
        BOTH,
    ),
    Mutant(
        f"{LIFTS}/ranking.py",
        "high.score.unsqueeze(1) - low.score",
        "high.score.unsqueeze(1) + low.score",
        "Hinge(lift='ranking')",
        ORACLE,
    ),
    Mutant(
        f"{LIFTS}/ranking.py", "pairs = say.sum(0)", "pairs = 0 * say.sum(0) + 1", "Logistic(lift='ranking')", ORACLE
    ),
    Mutant(
        f"{LIFTS}/cosines.py",
        "scaled.scatter(1, truth, -torch.inf)",
        "scaled",
        "CosFace(scale=2.0)",
        BOTH,
    ),
    Mutant(
        f"{LIFTS}/cosines.py",
        "scaled.masked_fill(out, -torch.inf)",
        "scaled",
        "CosFace(scale=3.0, margin=1.0)",
        ORACLE,
    ),
    Mutant(f"{LIFTS}/cosines.py", "target * weight", "target", "CosFace(scale=3.0, margin=1.0)", BOTH),
    Mutant(
        f"{FAMILIES}/cosine.py", "self.scale * self.asked(cosine)", "self.asked(cosine)", "CosFace(scale=2.0)", ORACLE
    ),
    Mutant(f"{MARGIN}/cos_face.py", "cosine - self.margin", "cosine + self.margin", "CosFace(scale=2.0)", ORACLE),
    Mutant(f"{MARGIN}/arc_face.py", "- sine * sin(m)", "+ sine * sin(m)", "ArcFace(scale=2.0)", ORACLE),
    Mutant(f"{MARGIN}/arc_face.py", "cosine >= -cos(m)", "cosine >= cos(m)", "ArcFace(scale=2.0)", ORACLE),
    Mutant(
        f"{MARGIN}/arc_face.py",
        "torch.where(cosine > 0",
        "torch.where(cosine < 0",
        "ArcFace(scale=1.0, easy_margin=True)",
        ORACLE,
    ),
    Mutant(f"{LIFTS}/margins.py", "share * question.target[:, k : k + 1]", "share", "Hinge(lift='top_rival')", BOTH),
    Mutant(
        f"{LIFTS}/residual.py",
        "question.probabilities - question.proportions",
        "question.logits - question.proportions",
        "SquaredError(of='probability')",
        BOTH,
    ),
    Mutant(
        f"{LIFTS}/residual.py",
        "output - target.to(output.dtype)",
        "output + target.to(output.dtype)",
        "SquaredError()",
        ORACLE,
    ),
    Mutant(
        f"{LIFTS}/points.py",
        "similarity.log_softmax(1)",
        "similarity.log_softmax(0)",
        "SupervisedContrastive()",
        ORACLE,
    ),
    Mutant(
        f"{LIFTS}/points.py",
        "masked_fill(~others, torch.inf).amin(1)",
        "masked_fill(~friends, torch.inf).amin(1)",
        "Triplet()",
        ORACLE,
    ),
    Mutant(f"{LIFTS}/points.py", ".masked_fill(_self(cases, rows), 0.0)", "", "ContrastivePair()", ORACLE),
    Mutant(f"{LIFTS}/points.py", "if self.normalize else", "if not self.normalize else", "Triplet()", ORACLE),
    Mutant(
        f"{LIFTS}/points.py",
        "similarity - _logsumexp(similarity, strangers)",
        "similarity - _logsumexp(similarity, friends | strangers)",
        "NTXent()",
        ORACLE,
    ),
    Mutant(
        f"{LIFTS}/points.py",
        "strangers.any(1, keepdim=True) * cases.weight[rows].unsqueeze(1) * cases.weight",
        "strangers.any(1, keepdim=True) * cases.weight[rows].unsqueeze(1)",
        "NTXent()",
        ORACLE,
    ),
    Mutant(f"{LIFTS}/points.py", "-self.friends * excess", "self.friends * excess", MULTI, ORACLE),
    Mutant(f"{LIFTS}/points.py", "- self.threshold", "+ self.threshold", MULTI, ORACLE),
    Mutant(
        f"{LIFTS}/points.py",
        "(_same(cases, rows) & others) * cases.weight",
        "(_same(cases, rows) & others) * 1.0",
        "SupervisedContrastive()",
        ORACLE,
    ),
    Mutant(
        f"{LIFTS}/points.py",
        "friends / torch.where(total > 0, total, 1.0)",
        "friends",
        "SupervisedContrastive()",
        ORACLE,
    ),
    Mutant(
        f"{LIFTS}/points.py",
        "gap.detach() > -self.margin",
        "gap.detach() > self.margin",
        "Triplet(mining='violating')",
        ORACLE,
    ),
]

REDUCED = [
    Mutant(
        "core/terms.py",
        "weighted_sum(*terms) / weight_sum(terms.weight)",
        "(terms.value * terms.weight).mean()",
        "CrossEntropy()",
        BOTH,
    ),
    Mutant(
        "core/terms.py",
        "weighted_sum(*terms) / weight_sum(terms.weight)",
        "terms.value.sum() / weight_sum(terms.weight)",
        "CrossEntropy()",
        BOTH,
    ),
    Mutant(
        "core/terms.py",
        "weighted_sum(*terms) / weight_sum(terms.weight)",
        "weighted_sum(*terms) / terms.weight.sum()",
        "Hinge()",
        CONTRACT,
    ),
    Mutant("core/terms.py", "total / torch.where(weight > 0, weight, 1.0)", "total", "Hinge()", BOTH),
    Mutant("core/terms.py", "* share).sum(1)", "* share).mean(1)", "Hinge()", BOTH),
    Mutant(
        "core/terms.py",
        "summed = weighted_sum(*terms).reshape(1)",
        "summed = terms.value.mean().reshape(1)",
        "Total(Dice(over='batch'))",
        ORACLE,
    ),
    Mutant(
        "core/loss.py",
        "weight * loss.mean(prepared)",
        "loss.mean(prepared)",
        "CrossEntropy() + 0.5 * Dice()",
        ORACLE,
    ),
    Mutant("core/question.py", "self.logits.softmax(1) if", "self.logits.sigmoid() if", "Dice()", ORACLE),
    Mutant(
        "core/question.py",
        "F.log_softmax(self.logits, 1) if",
        "F.log_softmax(self.logits, -1) if",
        "CrossEntropy()",
        BOTH,
    ),
    Mutant("core/question.py", "logits = torch.where(said, logits, 0.0)", "pass", "Dice()", CONTRACT),
    Mutant(
        "core/question.py",
        "(weight > 0).any(1, keepdim=True) if exclusive else weight > 0",
        "weight > 0",
        "CrossEntropy()",
        ORACLE,
    ),
    Mutant("core/question.py", "target = torch.where(ignored, 0, target)\n", "pass\n", "CrossEntropy()", CONTRACT),
    Mutant(
        "core/question.py",
        "output.float() if output.dtype.itemsize < 4 else output\n    weight = weight_of(batch, logits)",
        "output\n    weight = weight_of(batch, logits)",
        "Dice()",
        CONTRACT,
    ),
    Mutant(f"{FAMILIES}/region.py", "tp=n.tp + self.smooth", "tp=n.tp", "Tversky(smooth=0.25)", ORACLE),
    Mutant(
        f"{FAMILIES}/region.py",
        "elements=n.elements + self.smooth",
        "elements=n.elements",
        "SensitivitySpecificity()",
        CONTRACT,
    ),
    Mutant(
        f"{FAMILIES}/region.py",
        "sums.sum(0, keepdim=True)",
        "sums.mean(0, keepdim=True)",
        "Dice(over='batch', class_weight=(1.0, 2.0, 5.0))",
        ORACLE,
    ),
    Mutant(f"{FAMILIES}/region.py", "sums[:, 1:]", "sums[:, :-1]", "Dice(background=False, empty='volume')", BOTH),
    Mutant(
        f"{FAMILIES}/region.py",
        "weight = weight.masked_fill(absent, 0.0)",
        "value = value.masked_fill(absent, 0.0)",
        "Dice(empty='skip')",
        ORACLE,
    ),
    Mutant(
        f"{FAMILIES}/region.py",
        "weight.expand_as(value).masked_fill(nothing, 0.0)",
        "weight.expand_as(value)",
        "Dice()",
        CONTRACT,
    ),
    Mutant(f"{FAMILIES}/region.py", "say / loudest, absent)", "say, absent)", "GeneralizedDice(smooth=0.0)", ORACLE),
    Mutant(f"{FAMILIES}/margin.py", "value * self.times(asked)", "value", PAIRS, ORACLE),
    Mutant(
        f"{FAMILIES}/likelihood.py",
        "prices[0] * value[:, : answers.yes], prices[1]",
        "prices[1] * value[:, : answers.yes], prices[0]",
        "Focal(alpha=0.25)",
        ORACLE,
    ),
    Mutant(f"{FAMILIES}/likelihood.py", "value - least", "value + least", "KullbackLeibler()", ORACLE),
]

BESIDE = [
    Mutant("losses/boundary/boundary.py", "signed + step", "signed", "Boundary()", ORACLE),
    Mutant("losses/boundary/boundary.py", "return p * distance", "return p + distance", "Boundary()", BOTH),
    Mutant(
        "losses/boundary/cl_dice.py",
        "((s.predicted, s.y), (s.true, s.p))",
        "((s.predicted, s.p), (s.true, s.y))",
        "ClDice()",
        ORACLE,
    ),
    Mutant("losses/boundary/cl_dice.py", "1 - 2 * precision", "1 - precision", "ClDice()", BOTH),
    Mutant("losses/boundary/hausdorff_distance.py", "to_target**self.alpha", "to_target", "HausdorffDistance()", BOTH),
    Mutant("losses/boundary/hausdorff_distance.py", "log1p()", "exp()", "HausdorffDistance(log=True)", ORACLE),
    Mutant(
        "losses/boundary/hausdorff_erosion.py",
        "start=2",
        "start=1",
        "HausdorffErosion(erosions=2, threshold=0.05)",
        ORACLE,
    ),
    Mutant(
        "losses/boundary/distance_weighted_cross_entropy.py",
        "(1 + nearness)",
        "nearness",
        "DistanceWeightedCrossEntropy()",
        BOTH,
    ),
    Mutant("core/distance.py", "~objects & present", "~objects", "Boundary()", CONTRACT),
    Mutant("core/distance.py", "-deep, 0.0", "deep, 0.0", "Boundary()", ORACLE),
    Mutant("core/distance.py", "(away * step) ** 2", "away * step", "Boundary()", CONTRACT),
    Mutant("core/distance.py", "further[away:], out", "further[:-away], out", "HausdorffDistance()", CONTRACT),
    Mutant(
        f"{LIFTS}/distances.py", "question.weight.expand_as(logits) > 0", "logits == logits", "Boundary()", CONTRACT
    ),
    Mutant(f"{LIFTS}/morphology.py", "x = torch.where(present, x, torch.inf)", "x = 1 * x", "ClDice()", BOTH),
    Mutant(f"{LIFTS}/morphology.py", "rest - thin * rest", "rest", "ClDice()", ORACLE),
    Mutant(f"{LIFTS}/morphology.py", "total / (1 + 2 * len(axes))", "total / 5", "HausdorffErosion()", ORACLE),
    Mutant(f"{LIFTS}/morphology.py", "(x - least) / (most - least), 0.0", "x, 0.0", "HausdorffErosion()", ORACLE),
    Mutant(f"{FAMILIES}/boundary.py", "else x[:, 1:]", "else x", "Boundary(background=False)", ORACLE),
]

MUTANTS = FORMULAS + LIFTED + REDUCED + BESIDE


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of the library that losses are made of, in a folder where it may be changed."""
    folder, source = tmp_path_factory.mktemp("copy") / "whichloss", Path(whichloss.__file__).parent
    for part in ("core", "losses", "contract"):
        shutil.copytree(source / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source / "__init__.py", folder)
    return folder


@contextmanager
def imported(folder: Path) -> Iterator[ModuleType]:
    """The library from another folder, imported afresh, while the true one stands aside."""

    def ours() -> list[str]:
        return [name for name in sys.modules if name.partition(".")[0] == "whichloss"]

    true = {name: sys.modules.pop(name) for name in ours()}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder.parent)
        patch.setattr(sys, "dont_write_bytecode", True)  # a change of the same length within a second would be missed
        try:
            copy = importlib.import_module("whichloss")
            assert copy.__file__ == str(folder / "__init__.py")
            yield copy
        finally:
            for name in ours():
                del sys.modules[name]
            sys.modules.update(true)


def noticed(folder: Path, text: str) -> set[str]:
    """Who finds a fault with this loss, as the library in the folder has it."""
    found = set()
    with imported(folder) as library:
        if library.contract.check(library.parse(text)):
            found.add("contract")
        if text in ORACLES:
            try:
                agrees_with_its_oracle(library.parse, text)
            except Exception:  # a mutant may as well crash
                found.add("oracle")
    return found


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: f"{Path(one.file).stem}: {one.true} -> {one.false}")
def test_a_mutant_is_noticed(mutant: Mutant, copied: Path):
    file = copied / mutant.file
    source = file.read_text()
    assert source.count(mutant.true) == 1, f"{mutant.true!r} stands {source.count(mutant.true)} times in {mutant.file}"
    try:
        file.write_text(source.replace(mutant.true, mutant.false))
        assert noticed(copied, mutant.loss) >= mutant.noticed
    finally:
        file.write_text(source)


@pytest.mark.parametrize("text", sorted({mutant.loss for mutant in MUTANTS}))
def test_without_a_change_there_is_nothing_to_notice(text: str, copied: Path):
    assert noticed(copied, text) == set()


def test_mutants_are_of_every_kind():
    assert len(MUTANTS) >= 30
    assert {mutant.file.rpartition("/")[0] for mutant in MUTANTS} >= {
        LIKELIHOOD,
        MARGIN,
        REGION,
        WRAP,
        EMBEDDING,
        REGRESSION,
        LIFTS,
        FAMILIES,
        "core",
    }
