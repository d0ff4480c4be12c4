/* The region and the log-probability lift, streamed: softmax or sigmoid over logits, and six sums per image and class.

   Logits are read in tiles that stay in cache: TILE voxels by all classes. Forward keeps sums, and the log-probability
   of the truth where that of each voxel is asked for; backward computes the softmax once more, and writes the gradient.
   No libm and no thread library: any team of threads may call `lift_forward` and `lift_backward` with one job, each
   thread takes blocks until none is left, and every block has sums of its own, so that the result is the same for any
   number of threads. One thread adds them up afterwards (`lift_gather`), and collects beforehand what the gradient
   starts from (`lift_collect`).

   No -ffast-math: logits of -inf must have probability 0, and NaN must stay NaN. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TILE 256
#define MANY 32                                    /* classes, of which each voxel's are worth a loop of their own */
#define LINE 16                                    /* classes of a voxel that are moved together, where they lie together */
#define ROWS 6                                     /* of sums: TP, FP, FN, elements, and two of log-probabilities */
#define INLINE static inline __attribute__((always_inline))
#define APART static __attribute__((noinline)) /* called once a tile: what is inlined everywhere compiles for a minute */
#define ALIGNED __attribute__((aligned(64)))
#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

typedef struct {
    int64_t images, classes, rows, row, between;   /* an image is rows x row voxels; `between`: rows of an outer axis */
    int64_t blocks, per_image, span;               /* blocks of `span` voxels; how many in an image */
    int64_t next, thread;                          /* counters: the next block, the next thread */
    int64_t softmax, indexed, region, likelihood;  /* likelihood: 0 not asked for, 1 its sums, 2 that of each voxel too */
    int64_t logits_as;                             /* 0 as what is computed with, 1 bfloat16, 2 float16 */
    int64_t target_as, weight_as;                  /* how numbers are stored: 0 as what is computed with, see `row` */
    int64_t ignored, ignoring, bad;                /* index left out, whether there is one; labels that are no class */
    int64_t logits_at[5], target_at[5], weight_at[5], each_at[5], upstream_at[5], gradient_at[5];
                                                   /* strides in elements: image, class, outer rows, rows, voxels */
    double focus, hit[2], error[2];                /* see `power` and `bend` */
    const void *logits, *target, *weight;          /* weight: NULL, all count alike */
    double *sums;                                  /* blocks x ROWS x classes */
    void *totals, *cost;                           /* images x ROWS x classes; one number, see `lift_gather` */
    double divisor;                                /* of the cost: the weight of all elements */
    void *each, *gradient;                         /* each: the log-probability of the truth */
    const void *upstream;                          /* of `each` */
    const void *of_totals[ROWS];                   /* upstream of each row of totals; NULL: 0 */
    int64_t of_totals_at[ROWS][2];                 /* strides in elements: image, class */
    const void *of_cost;                           /* of the cost, likewise */
    void *of_sums;                                 /* images x ROWS x classes, of all that */
    void *room;                                    /* a tile for each thread */
} Job;

EXPORT int64_t lift_job(void) { return sizeof(Job) * 1000 + 2; } /* what library.py must agree with: 2 is our version */

/* float32 */

INLINE float exp_float(float x) {                  /* Cody and Waite's reduction, then Cephes' polynomial */
    float n = x * 1.44269504088896341f + 12582912.f;
    int32_t i, bits;
    memcpy(&i, &n, 4);
    n -= 12582912.f;
    float f = x - n * 0.693359375f, p = 1.9875691500e-4f, y;
    f -= n * -2.12194440e-4f;
    p = p * f + 1.3981999507e-3f;
    p = p * f + 8.3334519073e-3f;
    p = p * f + 4.1665795894e-2f;
    p = p * f + 1.6666665459e-1f;
    p = p * f + 5.0000001201e-1f;
    p = p * (f * f) + f + 1.f;
    memcpy(&bits, &p, 4);
    bits += (int32_t)((uint32_t)i << 23);
    memcpy(&y, &bits, 4);
    y = x < -87.f ? 0.f : y;
    return x == x ? y : x;
}

INLINE float log_near_float(float f, float k) {    /* log(1 + f) + k log 2, of f from sqrt(1/2) - 1 to sqrt(2) - 1 */
    float z = f * f, p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    return f + (f * z * p + k * -2.12194440e-4f - 0.5f * z) + k * 0.693359375f;
}

INLINE float log_float(float x) {                  /* of sums of exponentials: normal numbers of 1 and more, or NaN */
    int32_t i;
    memcpy(&i, &x, 4);
    int32_t e = (i - 0x3f3504f3) >> 23;
    i -= (int32_t)((uint32_t)e << 23);
    float m;
    memcpy(&m, &i, 4);
    float y = log_near_float(m - 1.f, (float)e);
    return x == x ? y : x;
}

INLINE float log1p_float(float x) {                /* of 0 to 1 */
    int high = x > 0.41421356f;
    return log_near_float(high ? 0.5f * x - 0.5f : x, high ? 1.f : 0.f);
}

/* float64 */

INLINE double exp_double(double x) {               /* the same with Taylor's polynomial of degree 13 */
    double n = x * 1.4426950408889634074 + 6755399441055744.0, y;
    int64_t i, bits;
    memcpy(&i, &n, 8);
    n -= 6755399441055744.0;
    double f = x - n * 6.93145751953125e-1, p = 1.6059043836821614599e-10;
    f -= n * 1.42860682030941723212e-6;
    p = p * f + 2.0876756987868098979e-9;
    p = p * f + 2.5052108385441718775e-8;
    p = p * f + 2.7557319223985890653e-7;
    p = p * f + 2.7557319223985890653e-6;
    p = p * f + 2.4801587301587301587e-5;
    p = p * f + 1.9841269841269841270e-4;
    p = p * f + 1.3888888888888888889e-3;
    p = p * f + 8.3333333333333333333e-3;
    p = p * f + 4.1666666666666666667e-2;
    p = p * f + 1.6666666666666666667e-1;
    p = p * f + 0.5;
    p = p * (f * f) + f + 1.0;
    memcpy(&bits, &p, 8);
    bits += (int64_t)((uint64_t)i << 52);
    memcpy(&y, &bits, 8);
    y = x < -708.0 ? 0.0 : y;
    return x == x ? y : x;
}

INLINE double log_near_double(double f, double k) { /* fdlibm's */
    double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f, r = 1.479819860511658591e-1;
    r = r * z + 1.531383769920937332e-1;
    r = r * z + 1.818357216161805012e-1;
    r = r * z + 2.222219843214978396e-1;
    r = r * z + 2.857142874366239149e-1;
    r = r * z + 3.999999999940941908e-1;
    r = r * z + 6.666666666666735130e-1;
    r = r * z;
    return k * 6.93147180369123816490e-1 - ((half - (s * (half + r) + k * 1.90821492927058770002e-10)) - f);
}

INLINE double log_double(double x) {
    int64_t i;
    memcpy(&i, &x, 8);
    int64_t e = (i - 0x3fe6a09e667f3bcdLL) >> 52;
    i -= (int64_t)((uint64_t)e << 52);
    double m;
    memcpy(&m, &i, 8);
    double y = log_near_double(m - 1.0, (double)e);
    return x == x ? y : x;
}

INLINE double log1p_double(double x) {
    int high = x > 0.41421356237309503;
    return log_near_double(high ? 0.5 * x - 0.5 : x, high ? 1.0 : 0.0);
}

/* storage in 16 bits */

INLINE float from_bfloat(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, 4);
    return y;
}

INLINE uint16_t to_bfloat(float x) {               /* to nearest, ties to even */
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return x == x ? (uint16_t)rounded : (uint16_t)0x7fc0;
}

INLINE float from_half(uint16_t x) {               /* its exponent is 112 less than that of a float with the same bits */
    uint32_t bits = (uint32_t)(x & 0x7fff) << 13, sign = (uint32_t)(x & 0x8000) << 16;
    float y;
    memcpy(&y, &bits, 4);
    y *= 0x1p112f;
    memcpy(&bits, &y, 4);
    bits = (x & 0x7c00) == 0x7c00 ? bits | 0x7f800000 : bits;
    bits |= sign;
    memcpy(&y, &bits, 4);
    return y;
}

INLINE uint16_t to_half(float x) {                 /* to nearest, ties to even; beyond 65504 to infinity */
    uint32_t bits, sign, small;
    memcpy(&bits, &x, 4);
    sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    float y, z;
    memcpy(&z, &bits, 4);
    y = z + 0.5f;                                  /* whose last place is that of the smallest halves */
    memcpy(&small, &y, 4);
    small -= 0x3f000000;
    bits = (bits + 0xfff + ((bits >> 13) & 1)) >> 13;
    bits = bits < (112 << 10) ? 0 : bits - (112 << 10);
    bits = bits > 0x7c00 ? 0x7c00 : bits;
    bits = z < 0x1p-14f ? small : bits;
    return (uint16_t)(sign | (x == x ? bits : 0x7e00));
}

#define SAME(x) (x)
#define IN_ORDER(bits) ((bits) ^ (((bits) >> (8 * sizeof(bits) - 1)) & ~INT_LEAST)) /* of floats; and the way back */
#define NAME_(name, type) name##_##type
#define NAME(name, type) NAME_(name, type)

#define KIND f32
#define REAL float
#define EXP exp_float
#define LOG log_float
#define LOG1P log1p_float
#define INT int32_t
#define INT_LEAST INT32_MIN
#include "tiles.inc"

#define KIND f64
#define REAL double
#define EXP exp_double
#define LOG log_double
#define LOG1P log1p_double
#define INT int64_t
#define INT_LEAST INT64_MIN
#include "tiles.inc"
