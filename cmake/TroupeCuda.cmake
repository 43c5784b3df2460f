# SPDX-License-Identifier: Apache-2.0
# The CUDA toolkit, and which sources may see it. Included where
# TROUPE_WITH_CUDA is ON.
#
# Only the sources named by troupe_add_cuda_sources see vendor headers. All
# other objects are compiled with the same flags as without CUDA, so that a
# compiler cache serves both builds.

# -- the compiler --------------------------------------------------------------

# CMake looks on PATH and in CUDACXX; the usual folder is often on neither.
if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(TROUPE_NVCC nvcc
               HINTS ${CUDAToolkit_ROOT} $ENV{CUDAToolkit_ROOT} $ENV{CUDA_HOME}
                     $ENV{CUDA_PATH}
               PATHS /usr/local/cuda
               PATH_SUFFIXES bin)
  mark_as_advanced(TROUPE_NVCC)
  if(NOT TROUPE_NVCC)
    message(FATAL_ERROR
      "TROUPE_WITH_CUDA is ON, but no nvcc was found on PATH, in CUDACXX, "
      "CUDA_HOME, CUDAToolkit_ROOT or /usr/local/cuda.\n"
      "Either install the CUDA toolkit (on Debian 12: ./dev setup --cuda), "
      "or name it: -DCMAKE_CUDA_COMPILER=/opt/cuda/bin/nvcc, "
      "or build without it: -DTROUPE_WITH_CUDA=OFF (preset release).\n"
      "Neither a GPU nor a driver is needed to build.")
  endif()
  set(CMAKE_CUDA_COMPILER ${TROUPE_NVCC})
endif()

# One host compiler for both languages.
if(NOT DEFINED CMAKE_CUDA_HOST_COMPILER AND NOT DEFINED ENV{CUDAHOSTCXX})
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
endif()

# A100 and H100 as machine code; the last also as PTX, which newer devices
# translate when a program starts.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  if(DEFINED ENV{CUDAARCHS})
    set(CMAKE_CUDA_ARCHITECTURES $ENV{CUDAARCHS})
  else()
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
  endif()
endif()

enable_language(CUDA)
# CMake 3.25.1 does not know yet that nvcc compiles C++20, as it does since 12.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)

# The runtime of libtorch is the shared one; a static one beside it would be a
# second in the process.
set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
# Neither the toolkit nor PyTorch lies where the loader looks.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
find_package(CUDAToolkit REQUIRED)

# -- sources -------------------------------------------------------------------

# troupe_add_cuda_sources(ROOM
#   SOURCES file.cpp... file.cu...
#   [LIBRARIES lib...])            CUDA::cudart is always among them
#
# Adds sources that include vendor headers to a room made by troupe_add_room.
# The folders of the libraries' headers are known to these sources alone;
# programs that link the room link the libraries.
function(troupe_add_cuda_sources room)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  set(target troupe_${room}_cuda)
  add_library(${target} OBJECT ${ARG_SOURCES})
  target_compile_features(${target} PRIVATE cxx_std_20)
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/include)
  get_target_property(libraries troupe_${room} LINK_LIBRARIES)
  target_link_libraries(${target} PRIVATE
    ${libraries} ${ARG_LIBRARIES} CUDA::cudart)
  target_sources(troupe_${room} PRIVATE $<TARGET_OBJECTS:${target}>)
  # A static library links nothing; who uses it does.
  foreach(library IN LISTS ARG_LIBRARIES ITEMS CUDA::cudart)
    set_property(TARGET troupe_${room} APPEND PROPERTY
      INTERFACE_LINK_LIBRARIES $<LINK_ONLY:${library}>)
  endforeach()
endfunction()
