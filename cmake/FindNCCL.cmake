# SPDX-License-Identifier: Apache-2.0
# Finds NCCL 2.19 or newer: NCCL::nccl, NCCL_VERSION, NCCL_LIBRARY.
#
# A process must hold one NCCL only, so the one that PyTorch loads comes first:
# pip lays it beside torch, in nvidia/nccl. Then NCCL_ROOT, the folders of the
# CUDA toolkit, and those of the system. Call find_package(Torch) before.

include(FindPackageHandleStandardArgs)

set(_nccl_hints)
if(TORCH_INSTALL_PREFIX)
  get_filename_component(_nccl_site "${TORCH_INSTALL_PREFIX}/.." ABSOLUTE)
  list(APPEND _nccl_hints ${_nccl_site}/nvidia/nccl)
endif()
list(APPEND _nccl_hints ${NCCL_ROOT} $ENV{NCCL_ROOT})
foreach(_nccl_folder IN LISTS CUDAToolkit_LIBRARY_ROOT CUDAToolkit_TARGET_DIR)
  # A toolkit out of pip's packages has NCCL in the folder beside it.
  get_filename_component(_nccl_site "${_nccl_folder}/.." ABSOLUTE)
  list(APPEND _nccl_hints ${_nccl_folder} ${_nccl_site}/nccl)
endforeach()

find_path(NCCL_INCLUDE_DIR nccl.h
          HINTS ${_nccl_hints} PATH_SUFFIXES include)
# The library of the same installation as the header. pip's has no libnccl.so.
get_filename_component(_nccl_prefix "${NCCL_INCLUDE_DIR}" DIRECTORY)
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2 NAMES_PER_DIR
             HINTS ${_nccl_prefix} PATH_SUFFIXES lib64 lib)
mark_as_advanced(NCCL_INCLUDE_DIR NCCL_LIBRARY)

if(NCCL_INCLUDE_DIR)
  file(STRINGS ${NCCL_INCLUDE_DIR}/nccl.h _nccl_lines
       REGEX "^#define NCCL_(MAJOR|MINOR|PATCH) ")
  foreach(_nccl_part IN ITEMS MAJOR MINOR PATCH)
    string(REGEX MATCH "NCCL_${_nccl_part} +([0-9]+)" _nccl_match
           "${_nccl_lines}")
    set(_nccl_${_nccl_part} ${CMAKE_MATCH_1})
  endforeach()
  set(NCCL_VERSION ${_nccl_MAJOR}.${_nccl_MINOR}.${_nccl_PATCH})
endif()

find_package_handle_standard_args(NCCL
  REQUIRED_VARS NCCL_LIBRARY NCCL_INCLUDE_DIR
  VERSION_VAR NCCL_VERSION
  REASON_FAILURE_MESSAGE "Set NCCL_ROOT to the folder that holds \
include/nccl.h and lib/libnccl.so.2, or install it: Debian's and NVIDIA's \
packages are called libnccl-dev, pip's nvidia-nccl-cu13.")

if(NCCL_FOUND AND NOT TARGET NCCL::nccl)
  add_library(NCCL::nccl SHARED IMPORTED)
  set_target_properties(NCCL::nccl PROPERTIES
    IMPORTED_LOCATION ${NCCL_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${NCCL_INCLUDE_DIR})
endif()
