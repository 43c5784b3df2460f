# SPDX-License-Identifier: Apache-2.0
# libtorch: Debian's, or that of a PyTorch installation through
# CMAKE_PREFIX_PATH, whose package does more than to be found.

# troupe_find_torch()
#
# find_package(Torch REQUIRED), after which the language CUDA is as it was. A
# macro: packages of libtorch enable languages.
macro(troupe_find_torch)
  if(TROUPE_WITH_CUDA)
    # PyTorch with CUDA looks for the toolkit once more, in its own way, and
    # adds its own architectures and flags. Which ones it is told here matters
    # to nobody; without any it looks for a device.
    set(_troupe_architectures ${CMAKE_CUDA_ARCHITECTURES})
    set(_troupe_flags "${CMAKE_CUDA_FLAGS}")
    unset(CMAKE_CUDA_ARCHITECTURES)
    if(NOT DEFINED TORCH_CUDA_ARCH_LIST)
      set(TORCH_CUDA_ARCH_LIST 8.0 9.0)
    endif()
    if(NOT DEFINED CUDA_TOOLKIT_ROOT_DIR)
      get_filename_component(_troupe_toolkit ${CUDAToolkit_BIN_DIR} DIRECTORY)
      set(CUDA_TOOLKIT_ROOT_DIR ${_troupe_toolkit} CACHE PATH "")
    endif()
  endif()
  find_package(Torch REQUIRED)
  if(TROUPE_WITH_CUDA)
    set(CMAKE_CUDA_ARCHITECTURES ${_troupe_architectures})
    set(CMAKE_CUDA_FLAGS "${_troupe_flags}")
    # A toolkit of nvcc and the runtime alone has no library to compile CUDA at
    # run time; PyTorch's package names it all the same, and nothing of ours
    # calls it.
    list(FILTER TORCH_LIBRARIES EXCLUDE REGEX "(-NOTFOUND|/libnvrtc\\.so)$")
    # Nor the headers of cuBLAS and its kind, which those of PyTorch include. The
    # packages that PyTorch's wheel depends on bring them.
    file(GLOB TROUPE_TORCH_CUDA_INCLUDES
         ${TORCH_INSTALL_PREFIX}/../nvidia/cu*/include
         ${TORCH_INSTALL_PREFIX}/../nvidia/cublas/include
         ${TORCH_INSTALL_PREFIX}/../nvidia/cusparse/include
         ${TORCH_INSTALL_PREFIX}/../nvidia/cusolver/include)
    # Where both are, PyTorch's CUDA runtime is loaded, not the toolkit's.
    file(GLOB _troupe_cudart
         ${TORCH_INSTALL_PREFIX}/../nvidia/cu*/lib/libcudart.so.*)
    foreach(_troupe_file IN LISTS _troupe_cudart)
      get_filename_component(_troupe_file ${_troupe_file} DIRECTORY)
      get_filename_component(_troupe_file ${_troupe_file} ABSOLUTE)
      list(PREPEND CMAKE_BUILD_RPATH ${_troupe_file})
    endforeach()
  endif()

  # PyTorch's package looks for this one in the system's folders first, where
  # that of another libtorch may lie.
  if(EXISTS "${TORCH_INSTALL_PREFIX}/lib/libc10.so")
    list(TRANSFORM TORCH_LIBRARIES REPLACE ".*/libc10\\.so$"
         "${TORCH_INSTALL_PREFIX}/lib/libc10.so")
  endif()

  # PyTorch brings headers of another fmt, which would be found before ours.
  get_target_property(_troupe_fmt fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
  get_filename_component(_troupe_fmt ${_troupe_fmt} REALPATH)
  if(EXISTS "${TORCH_INSTALL_PREFIX}/include/fmt"
     AND NOT _troupe_fmt STREQUAL "${TORCH_INSTALL_PREFIX}/include")
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/include_first)
    file(CREATE_LINK ${_troupe_fmt}/fmt ${PROJECT_BINARY_DIR}/include_first/fmt
         SYMBOLIC)
    include_directories(BEFORE SYSTEM ${PROJECT_BINARY_DIR}/include_first)
  endif()
endmacro()
