#!/usr/bin/env bash
# What scripts/test.sh leaves out because it takes long: sanitizers, static checks, the CUDA build, long runs.
#   scripts/check.sh             all sections
#   scripts/check.sh asan tidy   only these; gemma3 and threads are run by name alone
# DEPT_CHECK_UNTIL: a moment (date +%s) behind which no further section begins; the last line names those that are left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
. scripts/versions.env
readonly all_sections=(format scripts cuda asan long asan_models report tokenizers ranks serve written hub python tensorboard tidy)

check_format() { git ls-files -z '*.cpp' '*.h' '*.cu' '*.cuh' | xargs -0 clang-format --dry-run -Werror; }

check_scripts() { git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck -x; }

# under_sanitizers PATTERN [ctest flag...]: these tests under the address and undefined-behaviour sanitizers. Other kernels and modules,
# which read no file, are the release build's.
under_sanitizers() {
  local pattern=$1 targets
  shift
  scripts/build.sh release --target dept_kernels dept_nn
  mapfile -t targets < <(scripts/build.sh readers --target help | sed -nE "s/^$pattern: phony.*/\1/p")
  cmake --build --preset readers --target "${targets[@]}"
  DEPT_FUZZ_SECONDS=30 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 ctest --test-dir build/asan -j "$(nproc)" --output-on-failure --no-tests=error -R "^$pattern" "$@"
}

# The folders that read what others wrote; then the readers of configurations and images, and the CUDA kernels on the CPU.
readonly readers='(unit_(base|tensorio|hub|text|data)|fuzz_(json|safetensors|gguf|torch_file|hdf5|unpickler|tokenizer|tokenizer_files|sentencepiece|chat|table|parquet))'
check_asan() { under_sanitizers "$readers"; }
check_asan_models() { under_sanitizers '(fuzz_[a-z0-9_]+|unit_vision|cuda_on_cpu)' -E "^$readers\$"; }

# By the commands of a build without precompiled headers, so that a file has to name what it includes.
check_tidy() {
  local omp
  omp=$(dirname "$("${CXX:-g++}" -print-file-name=include/omp.h)")  # OpenMP's header is the compiler's own
  cmake --preset debug >/dev/null
  git ls-files -z 'src/base/*.cpp' 'src/tensorio/*.cpp' 'src/hub/*.cpp' 'src/text/*.cpp' 'src/data/delimited.cpp' 'src/vision/jpeg.cpp' 'src/vision/png.cpp' 'src/adapter/dept.cpp' |
    xargs -0 -n 1 -P "$(nproc)" .deps/clang-tidy/bin/clang-tidy --quiet -p build/debug --extra-arg="-idirafter$omp"
}

# Compiles and links the program with the CUDA kernels, and their tests, beside the release build's other libraries; it has to start
# without a driver, too. Running the tests needs a GPU: scripts/gpu_check.sh.
check_cuda() {
  if ! have nvcc; then
    say "no nvcc here: left out"
    return
  fi
  scripts/build.sh release --target dept_program
  scripts/build.sh kernels --target dept_program gpu_kernels
  build/cuda/bin/dept doctor --threads 1 | grep -E '^GPUs +[0-9]+ device'
}

# 100,000 strings against the tokenizers library's ids, where the tokenizer files are.
check_tokenizers() {
  local folder=${DEPT_TOKENIZERS:-../shared/tokenizers}
  if [ ! -d "$folder" ]; then
    say "no tokenizer files at $folder (DEPT_TOKENIZERS names them): left out"
    return
  fi
  scripts/build.sh release --target parity_text
  DEPT_TOKENIZERS=$(realpath "$folder") ctest --test-dir build/release --output-on-failure --no-tests=error -L tokenizers
}

# beside_python SCRIPT [ARGUMENT...]: a script that runs the program beside Python packages, by DEPT_PEERS_PYTHON or, if that is not
# set, in an environment of their own. Where that cannot be made, a line says so.
beside_python() {
  local folder=.deps/peers-python script=$1 python
  python=${DEPT_PEERS_PYTHON:-$folder/bin/python}
  shift
  if [ ! -x "$python" ] && ! { python3 -m venv "$folder" && "$python" -m pip -q --disable-pip-version-check install --no-compile "${peers[@]}"; } >&2; then
    rm -rf "$folder"
    say "no Python environment with ${peers[*]} could be made: left out"
    return
  fi
  scripts/build.sh release --target dept_program
  "$python" "$script" build/release/bin/dept "$@"
}

# The tokenizer beside a .gguf model's adapter in transformers.
check_written() { beside_python tests/text/in_transformers.py .deps/models/smollm2-135m/*.gguf; }

# Ten greedy continuations of Gemma 3 beside transformers. By name only: it fetches 250 MB under a licence of their own.
check_gemma3() {
  scripts/setup.sh gemma3
  beside_python tests/models/gemma3_in_transformers.py .deps/models/gemma3-270m/*.gguf
}

# One cache for the program and for Python's huggingface_hub and datasets.
check_hub() { beside_python tests/hub/beside_python.py; }

# The blocks of docs/python.md.
check_python() { beside_python tests/python/page.py; }

# The page on runs in a browser, at both widths, light and dark.
check_report() {
  scripts/build.sh release --target dept_program
  tests/report/run.sh build/release/bin/dept
}

# The runs' options in TensorBoard's own reader.
check_tensorboard() { beside_python tests/report/hparams_in_tensorboard.py; }

# Ranks under torchrun and, where Open MPI is installed, mpirun.
check_ranks() { beside_python tests/recipe/ranks.py launchers; }

# The server beside PyPI's openai client and schemathesis, and its page in a browser.
check_serve() {
  beside_python tests/serve/beside_python.py
  scripts/build.sh release --target dept_program
  python3 tests/serve/browser.py build/release/bin/dept
}

# The server and its engine under the thread sanitizer, which does not look into LibTorch, in a short soak.
check_threads() {
  scripts/build.sh release --target dept_program
  scripts/build.sh threads --target dept_program
  TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1 python3 tests/serve/soak.py build/threads/bin/dept
}

# Kills at many moments, 64 adapters behind one server, and a soak of it; DEPT_SOAK_SECONDS=600 is the long one.
check_long() {
  scripts/build.sh release
  ctest --test-dir build/release -j "$(nproc)" --output-on-failure --no-tests=error -L long
}

timed "set-up" scripts/setup.sh build check model
sections=("$@")
left_out=()
[ $# -gt 0 ] || sections=("${all_sections[@]}")
# `section` is timed's own.
for name in "${sections[@]}"; do
  declare -F "check_$name" >/dev/null || die "[check.sh] expected one of ${all_sections[*]}, received $name"
  if [ "$(date +%s)" -ge "${DEPT_CHECK_UNTIL:-9999999999}" ]; then
    left_out+=("$name")
  else
    timed "$name" "check_$name"
  fi
done
say "check.sh: all green, $SECONDS s"
[ ${#left_out[@]} -eq 0 ] || say "left out for want of time: scripts/check.sh ${left_out[*]}"
