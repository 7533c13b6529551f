// Rows of data sets about images, from the JSON files that they come in.
#pragma once

#include <string>
#include <vector>

#include "dept/tasks/description.h"
#include "dept/tasks/task.h"

namespace dept {

/// The files of one split. An example's image is COCO_SPLIT_ID.jpg in the folder SPLIT, as COCO's archives unpack.
struct ImageRows {
  const TaskDescription& task;
  const std::vector<std::string>& files;
  std::string prefix;    ///< in front of every source
  bool labelled = true;  ///< else answers need not be there
  SplitName split = SplitName::train;
};

/// VQA v2: questions ({"questions": [{image_id, question, question_id}]}) and annotations ({"annotations": [{question_id,
/// answers: [{answer}]}]}), in whatever order of files. `answers` are those of all people, as they wrote them; `scored` their
/// normal forms (tasks/vqa_metric.h) with 0.3, 0.6, 0.9 or 1 for one, two, three and more people. `target` is the first of the
/// best.
/// COCO's captions: {"images": [{id, file_name}], "annotations": [{image_id, caption}]}, or Karpathy's file, of whose images each
/// split takes its own (train also restval). To train on each caption is an example, else each image; `answers` are all captions
/// of the image.
/// Throws io, or bad_input naming file and row.
std::vector<TextExample> read_image_rows(const ImageRows& rows);

/// What is known before the files are read: that they are there. Throws io.
void check_image_rows(const ImageRows& rows);

}  // namespace dept
