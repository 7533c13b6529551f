# The libraries that dept is linked with, for its own build and, installed as it stands, for find_package(dept).
# DEPT_TORCH_LIB and DEPT_TORCH_INCLUDE say where LibTorch is. Its parts are imported targets of our own, since the wheel's
# find_package(Torch) wants a whole CUDA toolkit.
function(dept_torch_library name file)
  add_library(torch::${name} SHARED IMPORTED)
  set_target_properties(torch::${name} PROPERTIES IMPORTED_LOCATION ${DEPT_TORCH_LIB}/${file} INTERFACE_LINK_LIBRARIES "${ARGN}")
endfunction()

dept_torch_library(c10 libc10.so)
dept_torch_library(cpu libtorch_cpu.so torch::c10)
target_link_options(torch::cpu INTERFACE -Wl,--allow-shlib-undefined)
target_include_directories(torch::cpu SYSTEM INTERFACE ${DEPT_TORCH_INCLUDE} ${DEPT_TORCH_INCLUDE}/torch/csrc/api/include)
target_compile_definitions(torch::cpu INTERFACE USE_C10D_GLOO USE_DISTRIBUTED)
if(DEPT_CUDA)
  find_package(CUDAToolkit 13 REQUIRED)
  dept_torch_library(c10_cuda libc10_cuda.so torch::c10 CUDA::cudart)
  dept_torch_library(cuda libtorch_cuda.so torch::cpu torch::c10_cuda)
  target_link_options(torch::cuda INTERFACE -Wl,--no-as-needed)  # it registers its operators when it is loaded
endif()

# Arrow and Parquet stand behind src/data only: an installed tree has the libraries, not the headers.
add_library(arrow::arrow SHARED IMPORTED)
add_library(arrow::parquet SHARED IMPORTED)
set_target_properties(arrow::arrow PROPERTIES IMPORTED_LOCATION ${DEPT_ARROW_LIB}/libarrow.so.2600)
set_target_properties(arrow::parquet PROPERTIES IMPORTED_LOCATION ${DEPT_ARROW_LIB}/libparquet.so.2600
                      INTERFACE_LINK_LIBRARIES arrow::arrow)
if(DEPT_ARROW_INCLUDE)
  target_include_directories(arrow::arrow SYSTEM INTERFACE ${DEPT_ARROW_INCLUDE})
endif()

find_package(nlohmann_json 3.10 REQUIRED)
find_package(spdlog REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL 7.80 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(ICU REQUIRED IMPORTED_TARGET icu-uc)
