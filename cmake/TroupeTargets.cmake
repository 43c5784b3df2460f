# SPDX-License-Identifier: Apache-2.0
# The functions every room's CMakeLists.txt is written with.

add_library(troupe_options INTERFACE)
target_compile_features(troupe_options INTERFACE cxx_std_20)
# nvcc hands its host compiler what stands behind -Xcompiler.
target_compile_options(troupe_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra>"
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>")
if(TROUPE_WERROR)
  target_compile_options(troupe_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Werror>
    "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Werror>")
endif()
if(TROUPE_SANITIZE)
  target_compile_options(troupe_options INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${TROUPE_SANITIZE};-fno-omit-frame-pointer>")
  target_link_options(troupe_options INTERFACE -fsanitize=${TROUPE_SANITIZE})
  # Instrumented code makes gcc's flow analysis see what is not there (its
  # manual says so). The other presets warn of these.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    foreach(warning IN ITEMS maybe-uninitialized restrict array-bounds
                             stringop-overflow nonnull)
      target_compile_options(troupe_options INTERFACE
        $<$<COMPILE_LANGUAGE:CXX>:-Wno-${warning}>)
    endforeach()
  endif()
endif()

# troupe_add_room(NAME
#   SOURCES file.cpp...            explicit, never globbed
#   [PUBLIC lib...] [PRIVATE lib...])
#
# Makes the library troupe_NAME (alias troupe::NAME) of one room. Its headers
# are included as "troupe/NAME/file.hpp".
function(troupe_add_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(troupe_${name} STATIC ${ARG_SOURCES})
  add_library(troupe::${name} ALIAS troupe_${name})
  set_target_properties(troupe_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(troupe_${name} PUBLIC cxx_std_20)
  target_include_directories(troupe_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(troupe_${name}
    PUBLIC ${ARG_PUBLIC}
    PRIVATE $<BUILD_INTERFACE:troupe_options> ${ARG_PRIVATE})
  set_property(GLOBAL APPEND PROPERTY TROUPE_ROOMS troupe_${name})
endfunction()

# troupe_add_program(NAME SOURCES file.cpp... LIBRARIES lib...)
#
# Makes build/bin/NAME.
function(troupe_add_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE troupe_options ${ARG_LIBRARIES})
endfunction()

# troupe_set_timeout(SECONDS TEST...)
#
# Instrumented programs are several times slower.
function(troupe_set_timeout seconds)
  if(TROUPE_SANITIZE)
    math(EXPR seconds "${seconds} * 5")
  endif()
  set_tests_properties(${ARGN} PROPERTIES TIMEOUT ${seconds})
endfunction()

# troupe_add_tests(ROOM
#   FILES a_test.cpp sub/b_test.cpp...
#   LIBRARIES lib...
#   [SUPPORT file.cpp...]          helpers compiled in, no tests of their own
#   [LABEL unit|multiproc|gpu]     default unit; gpu: needs a device
#   [NAME binary]                  default test_ROOM
#   [TIMEOUT seconds])             per file, default 60
#
# Builds one Boost.Test binary from the files and registers one ctest a file:
# tests/comm/gloo/channel_test.cpp must hold BOOST_AUTO_TEST_SUITE(gloo_channel)
# (slashes become underscores) and is run by the ctest comm.gloo.channel. Those
# of the CUDA backends have the label cuda as well. A program with the label gpu
# that finds no device says why and exits with 77: ctest calls it skipped.
function(troupe_add_tests room)
  cmake_parse_arguments(ARG "" "LABEL;NAME;TIMEOUT" "FILES;LIBRARIES;SUPPORT"
                        ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_NAME)
    set(ARG_NAME test_${room})
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${ARG_NAME} ${ARG_FILES} ${ARG_SUPPORT}
                 ${PROJECT_SOURCE_DIR}/tests/support/main.cpp)
  target_link_libraries(${ARG_NAME} PRIVATE
    troupe_options ${ARG_LIBRARIES} Boost::unit_test_framework)
  target_compile_definitions(${ARG_NAME} PRIVATE BOOST_TEST_DYN_LINK)
  target_include_directories(${ARG_NAME} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  if(TROUPE_SANITIZE MATCHES thread)
    target_sources(${ARG_NAME} PRIVATE
      ${PROJECT_SOURCE_DIR}/tests/sanitizers/timed_lock.cpp)
  endif()
  foreach(file IN LISTS ARG_FILES)
    string(REGEX REPLACE "_test\\.cpp$" "" stem ${file})
    string(REPLACE "/" "_" suite ${stem})
    string(REPLACE "/" "." dotted ${stem})
    add_test(NAME ${room}.${dotted}
             COMMAND ${ARG_NAME} --run_test=${suite} --log_level=test_suite)
    set(labels ${ARG_LABEL})
    if("${room}.${dotted}" MATCHES "^comm\\.(cuda|nccl|cuda_ipc|devices)\\.")
      list(APPEND labels cuda)
    endif()
    set_tests_properties(${room}.${dotted} PROPERTIES
      LABELS "${labels}"
      ENVIRONMENT "OPENBLAS_NUM_THREADS=1;OMP_NUM_THREADS=1")
    troupe_set_timeout(${ARG_TIMEOUT} ${room}.${dotted})
    if(ARG_LABEL STREQUAL gpu)
      set_tests_properties(${room}.${dotted} PROPERTIES
        SKIP_RETURN_CODE 77 RUN_SERIAL ON)
    endif()
    # Tests of several processes measure what happens within seconds of a
    # kill: they get the machine to themselves.
    if(ARG_LABEL STREQUAL multiproc)
      set_tests_properties(${room}.${dotted} PROPERTIES RUN_SERIAL ON)
    endif()
  endforeach()
endfunction()
