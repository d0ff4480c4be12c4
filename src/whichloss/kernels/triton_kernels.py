# type: ignore - it is Python in form only: what it means is for Triton's compiler to say, and a test has it say so
"""The streamed lifts in Triton: what a program does with tiles of C classes and V voxels. Imported where Triton is.

given: logits, target, weight or None, ignored or None.
by: of each, the strides of image, class, outer rows, rows and voxels.
space: how many voxels; rows from one outer row to the next; voxels in a row.
R, INT: the type of the sums, and of offsets.
z, y, w, p, q: logits, truth, weight, probability and 1 - p of a tile; c (C, 1) and v (1, V), its classes and voxels.
"""

from typing import Any

import triton
import triton.language as tl

VERSION = tuple(int(part) for part in triton.__version__.split(".")[:2])
SUM, EACH = tl.constexpr(1), tl.constexpr(2)  # what is asked of the likelihood; 0 is nothing
ROWS = tl.constexpr(6)  # of the sums

# What is tried is only how far loads run ahead. Other tiles or warps would add in another order, and the last bit of a
# result would hang on a stopwatch.
AHEAD = [triton.Config({"STAGES": stages}) for stages in (1, 2, 3)]
KIND = ["CLASSES", "SOFTMAX", "INDEXED", "REGION", "LIKELIHOOD", "PER_CLASS", "AXES"]


def tuned(kernel: Any) -> Any:
    """With the fastest of AHEAD for each kind of problem; the interpreter has nothing to run ahead of."""
    jitted = triton.jit(kernel, do_not_specialize_on_alignment=["logits", "target", "weight", "gradient"])
    return triton.autotune(AHEAD[:1] if triton.knobs.runtime.interpret else AHEAD, KIND)(jitted)


@triton.jit
def nothing(x):
    """To see whether anything runs."""


@triton.jit
def _at(x, by, image, c, v, space, AXES: tl.constexpr):
    """Where classes c of voxels v of an image are."""
    start, row = x + image * by[0] + c * by[1], v // space[2]
    if AXES == 1:
        return start + v * by[4]
    elif AXES == 2:
        return start + row * by[3] + (v % space[2]) * by[4]
    else:
        return start + (row // space[1]) * by[2] + (row % space[1]) * by[3] + (v % space[2]) * by[4]


@triton.jit
def _look(
    given, by, image, c, v, space, R: tl.constexpr,
    CLASSES: tl.constexpr, INDEXED: tl.constexpr, PER_CLASS: tl.constexpr, AXES: tl.constexpr,
):  # fmt: skip
    """Logits, truth and weight of a tile, and what is left out of it: (C, V), or (1, V) where classes share it."""
    logits, target, weight, ignored = given
    inside = v < space[0]
    here = (c < CLASSES) & inside
    z = tl.load(_at(logits, by[0], image, c, v, space, AXES), mask=here, other=-float("inf")).to(R)
    if INDEXED:
        t = tl.load(_at(target, by[1], image, 0, v, space, AXES), mask=inside, other=0).to(tl.int64)
        lost = (t < 0) | (t >= CLASSES) | (v >= space[0])  # of no class: nobody waits for the device to look
        if ignored is not None:
            lost = lost | (t == ignored)
        y = (tl.where(lost, -1, t).to(tl.int32) == c).to(R)
    else:
        y = tl.load(_at(target, by[1], image, c, v, space, AXES), mask=here, other=0.0).to(R)
        lost = v >= space[0]
        if ignored is not None:
            lost = (here & (y == ignored)) | lost
            y = tl.where(lost, 0.0, y)
    if weight is None:
        w = tl.where(lost, 0.0, 1.0).to(R)
    elif PER_CLASS:
        w = tl.load(_at(weight, by[2], image, c, v, space, AXES), mask=here, other=0.0).to(R)
        w = tl.where(lost, 0.0, w)
    else:
        w = tl.load(_at(weight, by[2], image, 0, v, space, AXES), mask=inside, other=0.0).to(R)
        w = tl.where(lost, 0.0, w)
    return z, y, w, lost


@triton.jit
def _any(x):
    """Of any class: (1, V)."""
    return tl.max(x.to(tl.int32), 0, keep_dims=True) > 0


@triton.jit
def _hushed(z, y, said, c, CLASSES: tl.constexpr):
    """What has no say must not say NaN either."""
    return tl.where(said, z, tl.where(c < CLASSES, 0.0, -float("inf"))), tl.where(said, y, 0.0)


@triton.jit
def _sigmoid(z):
    """sigmoid(z) and sigmoid(-z), neither rounded from the other."""
    e = tl.exp(-tl.abs(z))
    large, small = 1 / (1 + e), e / (1 + e)
    return tl.where(z >= 0, large, small), tl.where(z >= 0, small, large)


@triton.jit
def _log_sigmoid(z):
    """min(z, 0) - log(1 + exp(-|z|)); what is lost in rounding 1 + e is put back (Kahan's log1p)."""
    e = tl.exp(-tl.abs(z))
    one = 1 + e
    rounded = one == 1
    return tl.where(z < 0, z, 0.0) - tl.where(rounded, e, tl.log(one) * (e / tl.where(rounded, 1.0, one - 1)))


@triton.jit
def _times_log(x, log_p):
    """x log p, where 0 log 0 is 0."""
    return tl.where(x == 0, 0.0, x * log_p)


@triton.jit
def _answers(log_p, y, w):
    """Of each voxel: the sums over classes of w y log p and of w y; and log p of the truth, an index. (1, V) each."""
    said = tl.sum(_times_log(w * y, log_p), 0, keep_dims=True)
    return said, tl.sum(w * y, 0, keep_dims=True), tl.sum(tl.where(y > 0, log_p, 0.0), 0, keep_dims=True)


@triton.jit
def _climb(z, highest):
    """The highest of more logits (1, V); by how much that shrinks a sum of earlier exponentials; and the new ones."""
    top = tl.maximum(highest, tl.max(z, 0, keep_dims=True))
    shift = tl.where(top == -float("inf"), 0.0, top)  # so far all are masked
    return top, tl.exp(highest - shift), tl.exp(z - shift)


@triton.jit
def _put(sums, row, c, x, CLASSES: tl.constexpr):
    tl.store(sums + row * CLASSES + c, tl.broadcast_to(tl.sum(x, 1, keep_dims=True), c.shape), mask=c < CLASSES)


@triton.jit
def _upstream(of_sums, image, c, CLASSES: tl.constexpr, SOFTMAX: tl.constexpr):
    """Of TP, FP, FN, and of both sums of log-probabilities, (C, 1) each."""
    row, known = of_sums + image * (ROWS * CLASSES), c < CLASSES
    of_tp = tl.load(row + c, mask=known, other=0.0)
    of_fp = tl.load(row + CLASSES + c, mask=known, other=0.0)
    of_fn = tl.load(row + 2 * CLASSES + c, mask=known, other=0.0)
    of_yes = tl.load(row + 4 * CLASSES + (c * 0 if SOFTMAX else c), mask=known, other=0.0)
    of_no = tl.load(row + 5 * CLASSES + c, mask=known, other=0.0)
    return of_tp, of_fp, of_fn, of_yes, of_no


@triton.jit
def _passed(y, w, of, of_each, REGION: tl.constexpr, LIKELIHOOD: tl.constexpr):
    """What comes upstream to the probabilities of a softmax, and to their logarithms."""
    of_p, of_log_p = tl.zeros_like(y), tl.zeros_like(y)
    if REGION:
        of_p = w * (y * (of[0] - of[2]) + (1 - y) * of[1])
    if LIKELIHOOD:
        of_log_p = w * y * of[3]
    if LIKELIHOOD == EACH:
        of_log_p += y * of_each
    return of_p, of_log_p


@triton.jit
def _each(of_each, by, image, v, space, LIKELIHOOD: tl.constexpr, AXES: tl.constexpr):
    if LIKELIHOOD == EACH:
        return tl.load(_at(of_each, by, image, 0, v, space, AXES), mask=v < space[0], other=0.0)
    else:
        return 0.0


@tuned
def forward(
    logits, target, weight, ignored, by, space, tiles, programs, sums, each,
    CLASSES: tl.constexpr, SOFTMAX: tl.constexpr, INDEXED: tl.constexpr, REGION: tl.constexpr,
    LIKELIHOOD: tl.constexpr, PER_CLASS: tl.constexpr, AXES: tl.constexpr, WIDE: tl.constexpr,
    C: tl.constexpr, V: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Sums (ROWS, CLASSES) over tiles of an image, one in `programs`: of all classes, or of C of a sigmoid."""
    R: tl.constexpr = sums.dtype.element_ty
    INT: tl.constexpr = tl.int64 if WIDE else tl.int32
    given = logits, target, weight, ignored
    ONE: tl.constexpr = 1 if SOFTMAX else C  # where the classes share a number
    image = (tl.program_id(0) // programs).to(tl.int64)
    c = (tl.program_id(1) * C + tl.arange(0, C)[:, None]).to(INT)
    tp, fp, fn = tl.zeros([C, V], R), tl.zeros([C, V], R), tl.zeros([C, V], R)
    elements = tl.zeros([C if PER_CLASS else ONE, V], R)
    yes, no = tl.zeros([ONE, V], R), tl.zeros([ONE, V], R)
    for tile in tl.range((tl.program_id(0) % programs).to(INT), tiles, programs, num_stages=STAGES):
        v = (tile * V + tl.arange(0, V)[None, :]).to(INT)
        z, y, w, lost = _look(given, by, image, c, v, space, R, CLASSES, INDEXED, PER_CLASS, AXES)
        if SOFTMAX:
            w = tl.where(_any(lost), 0.0, w)
            said = _any(w > 0)
            z, y = _hushed(z, y, said, c, CLASSES)
            z -= tl.max(z, 0, keep_dims=True)
            e = tl.exp(z)
            total = tl.sum(e, 0, keep_dims=True)
            p = e / total
            q = 1 - p
            if LIKELIHOOD:
                sum_log_p, shares, log_p = _answers(z - tl.log(total), y, w)
                yes += sum_log_p
                no += shares
                if LIKELIHOOD == EACH:
                    log_p = tl.where(said, log_p, -tl.log(total))
                    tl.store(each + image * space[0] + v, log_p, mask=v < space[0])
        else:
            z, y = _hushed(z, y, w > 0, c, CLASSES)
            p, q = _sigmoid(z)
            if LIKELIHOOD:
                yes += _times_log(w * y, _log_sigmoid(z))
                no += _times_log(w * (1 - y), _log_sigmoid(-z))
        elements += w
        if REGION:
            tp += w * y * p
            fp += w * (1 - y) * p
            fn += w * y * q
    sums += tl.program_id(0).to(tl.int64) * (ROWS * CLASSES)
    _put(sums, 0, c, tp, CLASSES)
    _put(sums, 1, c, fp, CLASSES)
    _put(sums, 2, c, fn, CLASSES)
    _put(sums, 3, c, elements, CLASSES)
    _put(sums, 4, c, tl.where(c == 0, yes, 0.0) if SOFTMAX else yes, CLASSES)
    _put(sums, 5, c, tl.where(c == 0, no, 0.0) if SOFTMAX else no, CLASSES)


@tuned
def backward(
    logits, target, weight, ignored, by, space, tiles, programs, of_sums, gradient, gradient_by, of_each, of_each_by,
    CLASSES: tl.constexpr, SOFTMAX: tl.constexpr, INDEXED: tl.constexpr, REGION: tl.constexpr,
    LIKELIHOOD: tl.constexpr, PER_CLASS: tl.constexpr, AXES: tl.constexpr, WIDE: tl.constexpr,
    C: tl.constexpr, V: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """The gradient at the logits of tiles of an image, one in `programs`: of all classes, or of C of a sigmoid."""
    R: tl.constexpr = of_sums.dtype.element_ty
    INT: tl.constexpr = tl.int64 if WIDE else tl.int32
    given = logits, target, weight, ignored
    image = (tl.program_id(0) // programs).to(tl.int64)
    c = (tl.program_id(1) * C + tl.arange(0, C)[:, None]).to(INT)
    of = _upstream(of_sums, image, c, CLASSES, SOFTMAX)
    for tile in tl.range((tl.program_id(0) % programs).to(INT), tiles, programs, num_stages=STAGES):
        v = (tile * V + tl.arange(0, V)[None, :]).to(INT)
        z, y, w, lost = _look(given, by, image, c, v, space, R, CLASSES, INDEXED, PER_CLASS, AXES)
        said = w > 0
        if SOFTMAX:
            said = _any(said) & (_any(lost) == 0)
            z, y = _hushed(z, y, said, c, CLASSES)
            e = tl.exp(z - tl.max(z, 0, keep_dims=True))
            p = e / tl.sum(e, 0, keep_dims=True)
            here = _each(of_each, of_each_by, image, v, space, LIKELIHOOD, AXES)
            of_p, of_log_p = _passed(y, w, of, here, REGION, LIKELIHOOD)
            g = p * (of_p - tl.sum(p * of_p + of_log_p, 0, keep_dims=True)) + of_log_p
        else:
            z, y = _hushed(z, y, said, c, CLASSES)
            p, q = _sigmoid(z)
            g = tl.zeros([C, V], R)
            if REGION:
                g += p * q * w * (y * (of[0] - of[2]) + (1 - y) * of[1])
            if LIKELIHOOD:
                g += w * y * of[3] * q - w * (1 - y) * of[4] * p
        g = tl.where(said, g, 0.0).to(gradient.dtype.element_ty)
        tl.store(_at(gradient, gradient_by, image, c, v, space, AXES), g, mask=(c < CLASSES) & (v < space[0]))


# softmax of more classes than a program holds: one tile of voxels a program, looked at twice, the second time in cache


@tuned
def forward_by_blocks(
    logits, target, weight, ignored, by, space, tiles, programs, sums, each,
    CLASSES: tl.constexpr, SOFTMAX: tl.constexpr, INDEXED: tl.constexpr, REGION: tl.constexpr,
    LIKELIHOOD: tl.constexpr, PER_CLASS: tl.constexpr, AXES: tl.constexpr, WIDE: tl.constexpr,
    C: tl.constexpr, V: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Sums (ROWS, CLASSES) over a tile of an image."""
    R: tl.constexpr = sums.dtype.element_ty
    INT: tl.constexpr = tl.int64 if WIDE else tl.int32
    given = logits, target, weight, ignored
    image = (tl.program_id(0) // tiles).to(tl.int64)
    v = (tl.program_id(0) % tiles).to(INT) * V + tl.arange(0, V)[None, :]
    top, total = tl.full([1, V], -float("inf"), R), tl.zeros([1, V], R)
    heard, lost_any = v < 0, v < 0
    for first in tl.range(0, CLASSES, C, num_stages=STAGES):
        c = (first + tl.arange(0, C)[:, None]).to(INT)
        z, y, w, lost = _look(given, by, image, c, v, space, R, CLASSES, INDEXED, PER_CLASS, AXES)
        top, less, e = _climb(z, top)
        total = total * less + tl.sum(e, 0, keep_dims=True)
        heard, lost_any = heard | _any(w > 0), lost_any | _any(lost)
    said = heard & (lost_any == 0)
    top, total = tl.where(said, top, 0.0), tl.where(said, total, CLASSES)
    sums += tl.program_id(0).to(tl.int64) * (ROWS * CLASSES)
    yes, no, found = tl.zeros([1, V], R), tl.zeros([1, V], R), tl.zeros([1, V], R)
    for first in tl.range(0, CLASSES, C, num_stages=STAGES):
        c = (first + tl.arange(0, C)[:, None]).to(INT)
        z, y, w, lost = _look(given, by, image, c, v, space, R, CLASSES, INDEXED, PER_CLASS, AXES)
        w = tl.where(said, w, 0.0)
        z, y = _hushed(z, y, said, c, CLASSES)
        z -= top
        p = tl.exp(z) / total
        if LIKELIHOOD:
            sum_log_p, shares, log_p = _answers(z - tl.log(total), y, w)
            yes += sum_log_p
            no += shares
            found += log_p
        if REGION:
            _put(sums, 0, c, w * y * p, CLASSES)
            _put(sums, 1, c, w * (1 - y) * p, CLASSES)
            _put(sums, 2, c, w * y * (1 - p), CLASSES)
        _put(sums, 3, c, w, CLASSES)
    if LIKELIHOOD:
        tl.store(sums + 4 * CLASSES, tl.sum(yes))
        tl.store(sums + 5 * CLASSES, tl.sum(no))
    if LIKELIHOOD == EACH:
        tl.store(each + image * space[0] + v, tl.where(said, found, -tl.log(total)), mask=v < space[0])


@tuned
def backward_by_blocks(
    logits, target, weight, ignored, by, space, tiles, programs, of_sums, gradient, gradient_by, of_each, of_each_by,
    CLASSES: tl.constexpr, SOFTMAX: tl.constexpr, INDEXED: tl.constexpr, REGION: tl.constexpr,
    LIKELIHOOD: tl.constexpr, PER_CLASS: tl.constexpr, AXES: tl.constexpr, WIDE: tl.constexpr,
    C: tl.constexpr, V: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """The gradient at the logits of a tile of an image."""
    R: tl.constexpr = of_sums.dtype.element_ty
    INT: tl.constexpr = tl.int64 if WIDE else tl.int32
    given = logits, target, weight, ignored
    image = (tl.program_id(0) // tiles).to(tl.int64)
    v = (tl.program_id(0) % tiles).to(INT) * V + tl.arange(0, V)[None, :]
    here = _each(of_each, of_each_by, image, v, space, LIKELIHOOD, AXES)
    top, total = tl.full([1, V], -float("inf"), R), tl.zeros([1, V], R)
    mean, shared = tl.zeros([1, V], R), tl.zeros([1, V], R)
    heard, lost_any = v < 0, v < 0
    for first in tl.range(0, CLASSES, C, num_stages=STAGES):
        c = (first + tl.arange(0, C)[:, None]).to(INT)
        z, y, w, lost = _look(given, by, image, c, v, space, R, CLASSES, INDEXED, PER_CLASS, AXES)
        of = _upstream(of_sums, image, c, CLASSES, SOFTMAX)
        of_p, of_log_p = _passed(y, w, of, here, REGION, LIKELIHOOD)
        top, less, e = _climb(z, top)
        total = total * less + tl.sum(e, 0, keep_dims=True)
        mean = mean * less + tl.sum(e * of_p, 0, keep_dims=True)
        shared += tl.sum(of_log_p, 0, keep_dims=True)
        heard, lost_any = heard | _any(w > 0), lost_any | _any(lost)
    said = heard & (lost_any == 0)
    for first in tl.range(0, CLASSES, C, num_stages=STAGES):
        c = (first + tl.arange(0, C)[:, None]).to(INT)
        z, y, w, lost = _look(given, by, image, c, v, space, R, CLASSES, INDEXED, PER_CLASS, AXES)
        of = _upstream(of_sums, image, c, CLASSES, SOFTMAX)
        of_p, of_log_p = _passed(y, w, of, here, REGION, LIKELIHOOD)
        p = tl.exp(z - top) / total
        g = p * (of_p - (mean / total + shared)) + of_log_p
        g = tl.where(said, g, 0.0).to(gradient.dtype.element_ty)
        tl.store(_at(gradient, gradient_by, image, c, v, space, AXES), g, mask=(c < CLASSES) & (v < space[0]))
