// All that another program needs: docs/library.md.
#pragma once

#include "dept/adapted_model.h"
#include "dept/error.h"
#include "dept/generation.h"
#include "dept/metrics.h"
#include "dept/options.h"
#include "dept/process.h"
#include "dept/task.h"
#include "dept/tokenizer.h"
#include "dept/training.h"
