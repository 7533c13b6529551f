# Draws of src/sweep/plan.cpp: Philox4x32-10 written from its paper (Salmon et al., SC11), the distributions by SciPy, the choice of a
# whole number or a place in a list by Python's integers.
#   python tests/parity/make/sweep.py > tests/parity/data/sweep/draws.json
import json

from scipy.stats import loguniform, uniform

MASK = 2**32 - 1


def philox(counter, key):
    c, k = list(counter), [key & MASK, key >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & MASK, (a >> 32) ^ c[3] ^ k[1], a & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


def bits(seed, draw, axis):
    block = philox([draw & MASK, draw >> 32, axis, 0], seed)
    return block[0] << 32 | block[1]


cases = []
for seed in (0, 7, 42, 2**63 - 1):
    for draw in (0, 1, 2, 23, 2**33 + 5):
        for axis in (0, 1, 5):
            word = bits(seed, draw, axis)
            unit = (word >> 11) / 2**53
            cases.append({
                "seed": seed,
                "draw": draw,
                "axis": axis,
                "uniform": {"min": -0.5, "max": 2.0, "value": float(uniform.ppf(unit, loc=-0.5, scale=2.5))},
                "log_uniform_values": {"min": 1e-4, "max": 0.5, "value": float(loguniform.ppf(unit, 1e-4, 0.5))},
                "int_uniform": {"min": -3, "max": 1000, "value": -3 + (word * 1004 >> 64)},
                "categorical": {"count": 3, "place": word * 3 >> 64},
            })
print(json.dumps(cases, indent=1))
