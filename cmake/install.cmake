# cmake --install gives a tree that can be moved: bin/dept, the libraries, LibTorch beside them, headers, and find_package(dept).
# --component runtime leaves out what only another project's build needs.
# The folder is always lib/, also where the system's is another: deptConfig.cmake and the program's rpath count on it.
include(CMakePackageConfigHelpers)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME development)
get_property(dept_folders GLOBAL PROPERTY DEPT_FOLDERS)
install(TARGETS dept ${dept_folders} EXPORT deptTargets ARCHIVE DESTINATION lib)
install(EXPORT deptTargets NAMESPACE dept:: DESTINATION lib/cmake/dept)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/deptConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/deptConfig.cmake cmake/dependencies.cmake ${PROJECT_BINARY_DIR}/deptConfigVersion.cmake DESTINATION lib/cmake/dept)
if(TARGET dept_program)
  install(TARGETS dept_program DESTINATION bin COMPONENT runtime)
endif()
file(GLOB dept_published CONFIGURE_DEPENDS include/dept/*.h)  # those of the folders are the library's own
install(FILES ${dept_published} DESTINATION include/dept)

install(DIRECTORY ${DEPT_TORCH_INCLUDE}/ DESTINATION include/dept-torch)
foreach(part c10 torch_cpu)
  install(PROGRAMS ${DEPT_TORCH_LIB}/lib${part}.so DESTINATION lib/dept COMPONENT runtime)
endforeach()
if(DEPT_CUDA)  # and all that LibTorch's CUDA part is linked against
  install(DIRECTORY ${DEPT_TORCH_LIB}/ DESTINATION lib/dept COMPONENT runtime USE_SOURCE_PERMISSIONS)
endif()
install(PROGRAMS ${DEPT_TORCH_LIB}/libgomp.so.1 ${DEPT_TORCH_LIB}/libcudart.so.13 ${DEPT_TORCH_LIB}/libcupti.so.13
        DESTINATION lib/dept COMPONENT runtime)
install(PROGRAMS ${DEPT_ARROW_LIB}/libarrow.so.2600 ${DEPT_ARROW_LIB}/libparquet.so.2600 DESTINATION lib/dept COMPONENT runtime)
install(FILES LICENSE README.md CHANGELOG.md DESTINATION share/doc/dept COMPONENT runtime)

# Completion for the shells that are there, by the program itself, in the folders where they look.
install(CODE "
  foreach(place bash=bash-completion/completions/dept zsh=zsh/site-functions/_dept fish=fish/vendor_completions.d/dept.fish)
    string(REPLACE = \";\" pair \${place})
    list(GET pair 0 shell)
    list(GET pair 1 file)
    execute_process(COMMAND $<TARGET_FILE:dept_program> completion \${shell} OUTPUT_VARIABLE script RESULT_VARIABLE failed)
    if(failed)
      message(FATAL_ERROR \"[dept completion \${shell}] expected a script, received exit code \${failed}\")
    endif()
    set(target \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/share/\${file}\")
    file(WRITE \"\${target}\" \"\${script}\")
    message(STATUS \"Installing: \${target}\")
  endforeach()
" COMPONENT runtime)
