#include "dept/tensorio/ggml_types.h"

#include <c10/util/Half.h>

#include <cstring>

#include "dept/base/clones.h"

namespace dept {
namespace {

// Every type below multiplies and adds in the order of the reference, in fp32. Products of a scale (11 bits) and a value fit
// fp32's 24 bits exactly, so that it does not matter whether the compiler fuses multiply and add.

using Bytes = const uint8_t* __restrict;
using Floats = float* __restrict;

float half_at(Bytes bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return c10::detail::fp16_ieee_to_fp32_value(bits);
}

uint32_t word_at(Bytes bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// Low nibbles are the first half of the values, high nibbles the second.
struct Q4_0 {
  static constexpr size_t values = 32, bytes = 18, scales[] = {0};
  static DEPT_INLINE void block(Bytes in, Floats out) {
    const float d = half_at(in);
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<float>((in[2 + i] & 15) - 8) * d;
      out[i + 16] = static_cast<float>((in[2 + i] >> 4) - 8) * d;
    }
  }
};

struct Q4_1 {
  static constexpr size_t values = 32, bytes = 20, scales[] = {0, 2};
  static DEPT_INLINE void block(Bytes in, Floats out) {
    const float d = half_at(in), m = half_at(in + 2);
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<float>(in[4 + i] & 15) * d + m;
      out[i + 16] = static_cast<float>(in[4 + i] >> 4) * d + m;
    }
  }
};

// The fifth bit of value i is bit i of a 32-bit word.
struct Q5_0 {
  static constexpr size_t values = 32, bytes = 22, scales[] = {0};
  static DEPT_INLINE void block(Bytes in, Floats out) {
    const float d = half_at(in);
    const uint32_t high = word_at(in + 2);
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<float>(static_cast<int>((in[6 + i] & 15) | (high >> i & 1) << 4) - 16) * d;
      out[i + 16] = static_cast<float>(static_cast<int>((in[6 + i] >> 4) | (high >> (i + 16) & 1) << 4) - 16) * d;
    }
  }
};

struct Q5_1 {
  static constexpr size_t values = 32, bytes = 24, scales[] = {0, 2};
  static DEPT_INLINE void block(Bytes in, Floats out) {
    const float d = half_at(in), m = half_at(in + 2);
    const uint32_t high = word_at(in + 4);
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<float>(static_cast<int>((in[8 + i] & 15) | (high >> i & 1) << 4)) * d + m;
      out[i + 16] = static_cast<float>(static_cast<int>((in[8 + i] >> 4) | (high >> (i + 16) & 1) << 4)) * d + m;
    }
  }
};

struct Q8_0 {
  static constexpr size_t values = 32, bytes = 34, scales[] = {0};
  static DEPT_INLINE void block(Bytes in, Floats out) {
    const float d = half_at(in);
    for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(in[2 + i])) * d;
  }
};

// The 16 values of the non-linear types.
constexpr int8_t uneven_steps[] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

struct IQ4_NL {
  static constexpr size_t values = 32, bytes = 18, scales[] = {0};
  static DEPT_INLINE void block(Bytes in, Floats out) {
    const float d = half_at(in);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(uneven_steps[in[2 + i] & 15]);
      out[i + 16] = d * static_cast<float>(uneven_steps[in[2 + i] >> 4]);
    }
  }
};

// 8 groups as IQ4_NL has them, each with a scale of 6 bits: the low four in nibbles of 4 bytes, the top two in a 16-bit word.
struct IQ4_XS {
  static constexpr size_t values = 256, bytes = 136, scales[] = {0};
  static DEPT_INLINE void block(Bytes in, Floats out) {
    const float d = half_at(in);
    const int top = in[2] | in[3] << 8;
    for (int g = 0; g < 8; ++g) {
      const float ds = d * static_cast<float>(((in[4 + g / 2] >> g % 2 * 4 & 15) | (top >> 2 * g & 3) << 4) - 32);
      for (int i = 0; i < 16; ++i) {
        out[g * 32 + i] = ds * static_cast<float>(uneven_steps[in[8 + g * 16 + i] & 15]);
        out[g * 32 + i + 16] = ds * static_cast<float>(uneven_steps[in[8 + g * 16 + i] >> 4]);
      }
    }
  }
};

// Runs of 32 values: two bits each, four runs in 32 bytes; for every 16 values a scale and a minimum of 4 bits in one byte.
struct Q2_K {
  static constexpr size_t values = 256, bytes = 84, scales[] = {80, 82};
  static DEPT_INLINE void block(Bytes in, Floats out) {
    const float d = half_at(in + 80), dmin = half_at(in + 82);
    for (int run = 0; run < 8; ++run) {
      Bytes pairs = in + 16 + run / 4 * 32;
      const int shift = run % 4 * 2;
      for (int part = 0; part < 2; ++part) {
        const int packed = in[run * 2 + part];
        const float ds = d * static_cast<float>(packed & 15), m = dmin * static_cast<float>(packed >> 4);
        for (int i = part * 16; i < part * 16 + 16; ++i) out[run * 32 + i] = ds * static_cast<float>(pairs[i] >> shift & 3) - m;
      }
    }
  }
};

// As Q2_K, the third bit of value i of a run being bit `run` of byte i of 32, which takes 4 away where it is not set. A scale for
// every 16 values, 6 bits each in 12 bytes: the low four of scale j and j + 8 in byte j, the top two in the last four bytes.
struct Q3_K {
  static constexpr size_t values = 256, bytes = 110, scales[] = {108};
  static int scale(Bytes packed, int j) {
    return ((packed[j % 8] >> j / 8 * 4 & 15) | (packed[8 + j % 4] >> j / 4 * 2 & 3) << 4) - 32;
  }
  static DEPT_INLINE void block(Bytes in, Floats out) {
    const float d = half_at(in + 108);
    for (int run = 0; run < 8; ++run) {
      Bytes pairs = in + 32 + run / 4 * 32;
      const int shift = run % 4 * 2;
      for (int part = 0; part < 2; ++part) {
        const float ds = d * static_cast<float>(scale(in + 96, run * 2 + part));
        for (int i = part * 16; i < part * 16 + 16; ++i)
          out[run * 32 + i] = ds * static_cast<float>((pairs[i] >> shift & 3) - (in[i] >> run & 1 ? 0 : 4));
      }
    }
  }
};

// Scale and minimum of group g of 8, 6 bits each in 12 bytes: the first four groups' in the low six bits of bytes 0-3 and 4-7;
// of the last four the low nibbles share bytes 8-11 and the top two bits are those of bytes 0-3 and 4-7.
struct ScaleMin {
  float scale, min;
};
ScaleMin scale_min(Bytes packed, int g) {
  if (g < 4) return {static_cast<float>(packed[g] & 63), static_cast<float>(packed[g + 4] & 63)};
  return {static_cast<float>((packed[g + 4] & 15) | (packed[g - 4] >> 6) << 4),
          static_cast<float>((packed[g + 4] >> 4) | (packed[g] >> 6) << 4)};
}

// 8 groups of 32 values; groups 2j and 2j+1 are the low and high nibbles of the same 32 bytes.
struct Q4_K {
  static constexpr size_t values = 256, bytes = 144, scales[] = {0, 2};
  static DEPT_INLINE void block(Bytes in, Floats out) {
    const float d = half_at(in), dmin = half_at(in + 2);
    for (int g = 0; g < 8; ++g) {
      const auto [scale, min] = scale_min(in + 4, g);
      const float ds = d * scale, m = dmin * min;
      Bytes nibbles = in + 16 + g / 2 * 32;
      const int shift = g % 2 * 4;
      for (int i = 0; i < 32; ++i) out[g * 32 + i] = ds * static_cast<float>(nibbles[i] >> shift & 15) - m;
    }
  }
};

// As Q4_K, the fifth bit of value i of group g being bit g of byte i of 32.
struct Q5_K {
  static constexpr size_t values = 256, bytes = 176, scales[] = {0, 2};
  static DEPT_INLINE void block(Bytes in, Floats out) {
    const float d = half_at(in), dmin = half_at(in + 2);
    for (int g = 0; g < 8; ++g) {
      const auto [scale, min] = scale_min(in + 4, g);
      const float ds = d * scale, m = dmin * min;
      Bytes high = in + 16, nibbles = in + 48 + g / 2 * 32;
      const int shift = g % 2 * 4;
      for (int i = 0; i < 32; ++i)
        out[g * 32 + i] = ds * static_cast<float>((nibbles[i] >> shift & 15) | (high[i] >> g & 1) << 4) - m;
    }
  }
};

// Two halves of 128 values, each four runs of 32: low nibbles of 64 bytes (runs 0, 1), their high nibbles (runs 2, 3), two more
// bits each in 32 bytes; a signed 8-bit scale for every 16 values.
struct Q6_K {
  static constexpr size_t values = 256, bytes = 210, scales[] = {208};
  static DEPT_INLINE void block(Bytes in, Floats out) {
    const float d = half_at(in + 208);
    for (int run = 0; run < 8; ++run) {
      Bytes low = in + run / 4 * 64 + run % 2 * 32, high = in + 128 + run / 4 * 32;
      const int low_shift = run % 4 / 2 * 4, high_shift = run % 4 * 2;
      for (int part = 0; part < 2; ++part) {
        const float ds = d * static_cast<float>(static_cast<int8_t>(in[192 + run * 2 + part]));
        for (int i = part * 16; i < part * 16 + 16; ++i)
          out[run * 32 + i] = ds * static_cast<float>(((low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4) - 32);
      }
    }
  }
};

#define DEPT_DEQUANTISE(Type)                                                                      \
  DEPT_CLONES void dequantise_##Type(const std::byte* stored, float* out, size_t blocks) {         \
    const auto* in = reinterpret_cast<const uint8_t*>(stored);                                     \
    for (size_t b = 0; b < blocks; ++b) Type::block(in + b * Type::bytes, out + b * Type::values); \
  }                                                                                                \
  GgmlType quantised_##Type(uint32_t id) {                                                         \
    return {#Type, Type::values, Type::bytes, dequantise_##Type, Type::scales, id, std::nullopt};  \
  }
DEPT_DEQUANTISE(Q4_0)
DEPT_DEQUANTISE(Q4_1)
DEPT_DEQUANTISE(Q5_0)
DEPT_DEQUANTISE(Q5_1)
DEPT_DEQUANTISE(Q8_0)
DEPT_DEQUANTISE(IQ4_NL)
DEPT_DEQUANTISE(IQ4_XS)
DEPT_DEQUANTISE(Q2_K)
DEPT_DEQUANTISE(Q3_K)
DEPT_DEQUANTISE(Q4_K)
DEPT_DEQUANTISE(Q5_K)
DEPT_DEQUANTISE(Q6_K)
#undef DEPT_DEQUANTISE

constexpr GgmlType plain(uint32_t id, std::string_view name, uint64_t bytes, at::ScalarType scalar) {
  return {name, 1, bytes, nullptr, {}, id, scalar};
}

const GgmlType ggml_types[] = {
    plain(0, "F32", 4, at::kFloat),
    plain(1, "F16", 2, at::kHalf),
    plain(30, "BF16", 2, at::kBFloat16),
    quantised_Q4_0(2),
    quantised_Q4_1(3),
    quantised_Q5_0(6),
    quantised_Q5_1(7),
    quantised_Q8_0(8),
    quantised_Q2_K(10),
    quantised_Q3_K(11),
    quantised_Q4_K(12),
    quantised_Q5_K(13),
    quantised_Q6_K(14),
    quantised_IQ4_NL(20),
    quantised_IQ4_XS(23),
    plain(24, "I8", 1, at::kChar),
    plain(25, "I16", 2, at::kShort),
    plain(26, "I32", 4, at::kInt),
    plain(27, "I64", 8, at::kLong),
    plain(28, "F64", 8, at::kDouble),
};

}  // namespace

const GgmlType* find_ggml_type(uint32_t id) {
  for (const GgmlType& type : ggml_types)
    if (type.id == id) return &type;
  return nullptr;
}

const GgmlType* find_ggml_type(std::string_view name) {
  for (const GgmlType& type : ggml_types)
    if (type.name == name) return &type;
  return nullptr;
}

std::string_view ggml_type_names() {
  return "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, I8, I16, I32, I64 or F64";
}

}  // namespace dept
