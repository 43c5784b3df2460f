# SPDX-License-Identifier: Apache-2.0
# CMake's own module, for us and for PyTorch. That of CMake 3.25.1 (Debian 12)
# stops at a toolkit without nvToolsExt, as all are since CUDA 13, if the
# project asks for CMake 3.25: it calls the target deprecated that is not there.
set(_troupe_least ${CMAKE_MINIMUM_REQUIRED_VERSION})
if(CMAKE_VERSION VERSION_LESS 3.26
   AND CMAKE_MINIMUM_REQUIRED_VERSION VERSION_GREATER_EQUAL 3.25)
  set(CMAKE_MINIMUM_REQUIRED_VERSION 3.24)
endif()
include(${CMAKE_ROOT}/Modules/FindCUDAToolkit.cmake)
set(CMAKE_MINIMUM_REQUIRED_VERSION ${_troupe_least})
unset(_troupe_least)
