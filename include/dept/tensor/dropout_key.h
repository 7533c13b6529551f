// In-step random numbers: a dropout bit is a pure function of (config seed, micro-step, example, layer, site, element in the
// example).
#pragma once

#include <cstdint>

#include "dept/base/philox.h"

namespace dept {

/// Where in a layer a dropout stands. Part of the key: never renumber.
enum class Site : uint32_t {
  embedding = 0,
  self_attention_probabilities = 1,
  self_attention_output = 2,
  cross_attention_probabilities = 3,
  cross_attention_output = 4,
  feed_forward_inner = 5,
  feed_forward_output = 6,
  final_output = 7,
  head_input = 8,
  head_units = 9,
  adapter_offset = 10,
  target = 11,  ///< no dropout: which of several answers is learnt
};

/// The stream of 16-bit numbers of one example at one site. Element e is number e % 8 of Philox block e / 8.
struct DropoutStream {
  uint64_t seed;
  uint32_t micro_step;
  uint32_t example;
  uint32_t layer_site;

  DropoutStream(uint64_t seed, uint32_t micro_step, int64_t example, int64_t layer, Site site)
      : seed(seed),
        micro_step(micro_step),
        example(static_cast<uint32_t>(example)),
        layer_site(static_cast<uint32_t>(layer) << 4 | static_cast<uint32_t>(site)) {}

  static constexpr int64_t layer_of(uint32_t layer_site) { return layer_site >> 4; }
  static constexpr Site site_of(uint32_t layer_site) { return static_cast<Site>(layer_site & 15); }

  /// The eight 16-bit numbers of elements 8*block .. 8*block+7, packed low half first.
  Philox4 block(uint64_t index) const {
    return philox({static_cast<uint32_t>(index), example, micro_step, layer_site ^ static_cast<uint32_t>(index >> 32) << 24},
                  seed);
  }
  uint32_t number(uint64_t element) const { return block(element / 8)[element % 8 / 2] >> (element % 2 * 16) & 0xFFFF; }
};

/// An element is dropped when its number is below this; p is realised in steps of 2^-16.
constexpr uint32_t dropout_threshold(double p) {
  return (static_cast<uint32_t>(p * 131072.0) + 1) / 2;  // rounded
}
/// What kept elements are multiplied with: 1 / (1 - realised p).
constexpr double dropout_scale(double p) {
  return 65536.0 / (65536.0 - dropout_threshold(p));
}

/// Encoder layers count from 0, decoder layers from here.
constexpr int64_t decoder_layer_base = 4096;

}  // namespace dept
