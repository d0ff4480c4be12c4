"""whichloss: which loss function should this network be trained with?

    import whichloss

    loss = whichloss.Lorenz()                               # any loss by its name
    loss = whichloss.parse("CrossEntropy() + 0.5 * Dice()") # or by its expression
    loss(logits, target).backward()

Nothing heavy is imported until it is used.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whichloss.core import Loss as Loss
    from whichloss.core import parse as parse
    from whichloss.core import plain as plain
    from whichloss.core import registry as registry
    from whichloss.losses.boundary.boundary import Boundary as Boundary
    from whichloss.losses.boundary.cl_dice import ClDice as ClDice
    from whichloss.losses.boundary.distance_weighted_cross_entropy import (
        DistanceWeightedCrossEntropy as DistanceWeightedCrossEntropy,
    )
    from whichloss.losses.boundary.hausdorff_distance import HausdorffDistance as HausdorffDistance
    from whichloss.losses.boundary.hausdorff_erosion import HausdorffErosion as HausdorffErosion
    from whichloss.losses.compat.keras_categorical_hinge import KerasCategoricalHinge as KerasCategoricalHinge
    from whichloss.losses.compat.keras_dice import KerasDice as KerasDice
    from whichloss.losses.compat.keras_hinge import KerasHinge as KerasHinge
    from whichloss.losses.compat.keras_squared_hinge import KerasSquaredHinge as KerasSquaredHinge
    from whichloss.losses.compat.keras_tversky import KerasTversky as KerasTversky
    from whichloss.losses.compat.kornia_dice import KorniaDice as KorniaDice
    from whichloss.losses.compat.kornia_focal import KorniaFocal as KorniaFocal
    from whichloss.losses.compat.monai_dice import MonaiDice as MonaiDice
    from whichloss.losses.compat.monai_dice_ce import MonaiDiceCE as MonaiDiceCE
    from whichloss.losses.compat.monai_dice_focal import MonaiDiceFocal as MonaiDiceFocal
    from whichloss.losses.compat.monai_focal import MonaiFocal as MonaiFocal
    from whichloss.losses.compat.monai_generalized_dice import MonaiGeneralizedDice as MonaiGeneralizedDice
    from whichloss.losses.compat.monai_mcc import MonaiMCC as MonaiMCC
    from whichloss.losses.compat.monai_softmax_focal import MonaiSoftmaxFocal as MonaiSoftmaxFocal
    from whichloss.losses.compat.monai_tversky import MonaiTversky as MonaiTversky
    from whichloss.losses.compat.monai_unified_focal import MonaiUnifiedFocal as MonaiUnifiedFocal
    from whichloss.losses.compat.monai_wasserstein_dice import MonaiWassersteinDice as MonaiWassersteinDice
    from whichloss.losses.compat.nnunet_dice import NnunetDice as NnunetDice
    from whichloss.losses.compat.nnunet_dice_ce import NnunetDiceCE as NnunetDiceCE
    from whichloss.losses.compat.smp_binary_lovasz import SmpBinaryLovasz as SmpBinaryLovasz
    from whichloss.losses.compat.smp_dice import SmpDice as SmpDice
    from whichloss.losses.compat.smp_focal import SmpFocal as SmpFocal
    from whichloss.losses.compat.smp_jaccard import SmpJaccard as SmpJaccard
    from whichloss.losses.compat.smp_lovasz import SmpLovasz as SmpLovasz
    from whichloss.losses.compat.smp_mcc import SmpMCC as SmpMCC
    from whichloss.losses.compat.smp_tversky import SmpTversky as SmpTversky
    from whichloss.losses.compat.toolbelt_balanced_bce import ToolbeltBalancedBCE as ToolbeltBalancedBCE
    from whichloss.losses.compat.toolbelt_dice import ToolbeltDice as ToolbeltDice
    from whichloss.losses.compat.toolbelt_lovasz import ToolbeltLovasz as ToolbeltLovasz
    from whichloss.losses.compat.torch_margin_ranking import TorchMarginRanking as TorchMarginRanking
    from whichloss.losses.compat.torch_multi_margin import TorchMultiMargin as TorchMultiMargin
    from whichloss.losses.embedding.contrastive_pair import ContrastivePair as ContrastivePair
    from whichloss.losses.embedding.multi_similarity import MultiSimilarity as MultiSimilarity
    from whichloss.losses.embedding.ntxent import NTXent as NTXent
    from whichloss.losses.embedding.supervised_contrastive import SupervisedContrastive as SupervisedContrastive
    from whichloss.losses.embedding.triplet import Triplet as Triplet
    from whichloss.losses.likelihood.asymmetric import Asymmetric as Asymmetric
    from whichloss.losses.likelihood.balanced_cross_entropy import BalancedCrossEntropy as BalancedCrossEntropy
    from whichloss.losses.likelihood.bi_tempered import BiTempered as BiTempered
    from whichloss.losses.likelihood.cross_entropy import CrossEntropy as CrossEntropy
    from whichloss.losses.likelihood.focal import Focal as Focal
    from whichloss.losses.likelihood.generalized_cross_entropy import GeneralizedCrossEntropy as GeneralizedCrossEntropy
    from whichloss.losses.likelihood.kullback_leibler import KullbackLeibler as KullbackLeibler
    from whichloss.losses.likelihood.ldam import LDAM as LDAM
    from whichloss.losses.likelihood.modified_focal import ModifiedFocal as ModifiedFocal
    from whichloss.losses.likelihood.negative_learning import NegativeLearning as NegativeLearning
    from whichloss.losses.likelihood.normalized import Normalized as Normalized
    from whichloss.losses.likelihood.poly1 import Poly1 as Poly1
    from whichloss.losses.likelihood.reverse_cross_entropy import ReverseCrossEntropy as ReverseCrossEntropy
    from whichloss.losses.margin.arc_face import ArcFace as ArcFace
    from whichloss.losses.margin.cos_face import CosFace as CosFace
    from whichloss.losses.margin.hinge import Hinge as Hinge
    from whichloss.losses.margin.logistic import Logistic as Logistic
    from whichloss.losses.margin.lorenz import Lorenz as Lorenz
    from whichloss.losses.margin.savage import Savage as Savage
    from whichloss.losses.margin.smooth_hinge import SmoothHinge as SmoothHinge
    from whichloss.losses.margin.squared_hinge import SquaredHinge as SquaredHinge
    from whichloss.losses.margin.tangent import Tangent as Tangent
    from whichloss.losses.margin.zero_one import ZeroOne as ZeroOne
    from whichloss.losses.region.dice import Dice as Dice
    from whichloss.losses.region.fbeta import FBeta as FBeta
    from whichloss.losses.region.generalized_dice import GeneralizedDice as GeneralizedDice
    from whichloss.losses.region.generalized_wasserstein_dice import (
        GeneralizedWassersteinDice as GeneralizedWassersteinDice,
    )
    from whichloss.losses.region.jaccard import Jaccard as Jaccard
    from whichloss.losses.region.lovasz_hinge import LovaszHinge as LovaszHinge
    from whichloss.losses.region.lovasz_softmax import LovaszSoftmax as LovaszSoftmax
    from whichloss.losses.region.mcc import MCC as MCC
    from whichloss.losses.region.modified_focal_tversky import ModifiedFocalTversky as ModifiedFocalTversky
    from whichloss.losses.region.noise_robust_dice import NoiseRobustDice as NoiseRobustDice
    from whichloss.losses.region.penalty_generalized_dice import PenaltyGeneralizedDice as PenaltyGeneralizedDice
    from whichloss.losses.region.power_jaccard import PowerJaccard as PowerJaccard
    from whichloss.losses.region.sensitivity_specificity import SensitivitySpecificity as SensitivitySpecificity
    from whichloss.losses.region.squared_dice import SquaredDice as SquaredDice
    from whichloss.losses.region.tversky import Tversky as Tversky
    from whichloss.losses.regression.absolute_error import AbsoluteError as AbsoluteError
    from whichloss.losses.regression.huber import Huber as Huber
    from whichloss.losses.regression.log_cosh_error import LogCoshError as LogCoshError
    from whichloss.losses.regression.quantile import Quantile as Quantile
    from whichloss.losses.regression.squared_error import SquaredError as SquaredError
    from whichloss.losses.regression.wing import Wing as Wing
    from whichloss.losses.wrap.adaptive_log import AdaptiveLog as AdaptiveLog
    from whichloss.losses.wrap.deep_supervision import DeepSupervision as DeepSupervision
    from whichloss.losses.wrap.focal_power import FocalPower as FocalPower
    from whichloss.losses.wrap.hard_examples import HardExamples as HardExamples
    from whichloss.losses.wrap.label_smoothing import LabelSmoothing as LabelSmoothing
    from whichloss.losses.wrap.log_cosh import LogCosh as LogCosh
    from whichloss.losses.wrap.negative_log_power import NegativeLogPower as NegativeLogPower
    from whichloss.losses.wrap.top_k import TopK as TopK
    from whichloss.losses.wrap.total import Total as Total
    from whichloss.study.study import Study as Study

__version__ = "0.1.0"

_HOME = {"Loss": "core", "parse": "core", "plain": "core", "registry": "core", "Study": "study"}


def _load() -> None:
    """Tell core where losses live and what is faster; called when a name is first looked for."""
    import_module("whichloss.losses")
    if find_spec("whichloss.kernels") is not None:
        import_module("whichloss.kernels")


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    if name.islower() and name not in _HOME and find_spec(f"whichloss.{name}") is not None:
        return import_module(f"whichloss.{name}")  # `from whichloss import stats` asks here first
    _load()
    if name in _HOME:
        return getattr(import_module(f"whichloss.{_HOME[name]}"), name)
    core = import_module("whichloss.core")
    found = core.find(core.Loss, name)
    if found is None:
        raise AttributeError(f"whichloss has no {name!r}{core.suggestion(core.Loss, name)}")
    return found


def __dir__() -> list[str]:
    core = import_module("whichloss.core")
    return sorted([*_HOME, *(name for name in core.registry(core.Loss) if name.isidentifier()), "__version__"])
