// Scalars and the run's options as TensorBoard reads them: a file of TFRecords (length, masked CRC-32C, protobuf Event).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/file.h"
#include "dept/base/json.h"

namespace dept {

class EventWriter {
 public:
  /// A new file events.out.tfevents.TIME.HOST.PID.0 in `folder`. TensorBoard forgets what earlier files there say of steps from
  /// `first_step` on: a run that goes on has drawn them already. Throws io.
  EventWriter(const fs::path& folder, int64_t first_step);
  ~EventWriter();
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  /// An entry of log_history under transformers' tags: eval_loss is eval/loss, loss is train/loss (unrounded).
  void log(const OrderedJson& entry);
  /// Shown under "HParams": a run's options, numbers as numbers, in a row of its own; TensorBoard makes one row of all runs with
  /// the same `group`.
  void begin_session(const OrderedJson& options, std::string_view group);
  /// The same row's state.
  void end_session(bool success);
  /// Shown under "Text".
  void text(std::string_view tag, std::string_view markdown);

 private:
  void write(int64_t step, std::string_view fields);
  void write_hparams(std::string_view tag, std::string_view data);
  fs::path path_;
  int descriptor_ = -1;
};

/// CRC-32C (Castagnoli) as TFRecord masks it.
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace dept
