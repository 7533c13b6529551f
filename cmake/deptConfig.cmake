# find_package(dept): the target dept::dept. Everything it needs of LibTorch stands beside it; the other libraries are the system's.
cmake_minimum_required(VERSION 3.22)
get_filename_component(dept_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(DEPT_TORCH_LIB "${dept_prefix}/lib/dept")
set(DEPT_ARROW_LIB "${dept_prefix}/lib/dept")
set(DEPT_TORCH_INCLUDE "${dept_prefix}/include/dept-torch")
include("${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/deptTargets.cmake")
