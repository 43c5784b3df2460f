# SPDX-License-Identifier: Apache-2.0
# What CMake begins with in a bundle (cmake -C prefix.cmake): the bundle's
# libraries first, then those of PyTorch, whose place TROUPE_TORCH says.

set(_deps ${CMAKE_CURRENT_LIST_DIR}/deps/usr)
set(CMAKE_PREFIX_PATH ${_deps} $ENV{TROUPE_TORCH} CACHE STRING "")

set(CMAKE_BUILD_TYPE Release CACHE STRING "")
set(TROUPE_WITH_CUDA ON CACHE BOOL "")
# Another compiler, other warnings.
set(TROUPE_WERROR OFF CACHE BOOL "")

# Headers of the bundle before those of the machine, also for sources that link
# none of its libraries.
set(CMAKE_CXX_FLAGS "-isystem ${_deps}/include $ENV{CXXFLAGS}"
    CACHE STRING "")
# Libraries of the bundle need libraries of the bundle, and only this kind of
# path is looked through for those too.
set(CMAKE_EXE_LINKER_FLAGS "-Wl,--disable-new-dtags $ENV{LDFLAGS}"
    CACHE STRING "")
set(CMAKE_BUILD_RPATH ${_deps}/lib/x86_64-linux-gnu CACHE STRING "")
