# LibTorch's CPU part as imported targets of our own: the wheel's find_package(Torch) wants a whole CUDA toolkit.
if(NOT EXISTS ${DEPT_TORCH}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "[${DEPT_TORCH}] expected LibTorch in include/ and lib/, received nothing there: run scripts/setup.sh first")
endif()

add_library(torch::c10 SHARED IMPORTED)
set_target_properties(torch::c10 PROPERTIES IMPORTED_LOCATION ${DEPT_TORCH}/lib/libc10.so)
add_library(torch::cpu SHARED IMPORTED)
set_target_properties(torch::cpu PROPERTIES
  IMPORTED_LOCATION ${DEPT_TORCH}/lib/libtorch_cpu.so
  INTERFACE_LINK_LIBRARIES torch::c10
  INTERFACE_LINK_OPTIONS "-Wl,--allow-shlib-undefined")
target_include_directories(torch::cpu SYSTEM INTERFACE ${DEPT_TORCH}/include ${DEPT_TORCH}/include/torch/csrc/api/include)
target_compile_definitions(torch::cpu INTERFACE USE_C10D_GLOO USE_DISTRIBUTED)

find_package(nlohmann_json 3.10 REQUIRED)
find_package(spdlog REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CLI11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(ICU REQUIRED IMPORTED_TARGET icu-uc)
