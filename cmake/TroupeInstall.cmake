# SPDX-License-Identifier: Apache-2.0
# `cmake --install`: a package for find_package(troupe).
#
# Two export sets, because a user without libtorch must be able to load the
# package: `core` holds every room that needs no libtorch, `torch` the rest.

include(CMakePackageConfigHelpers)
include(TroupeHeaders)

set(_troupe_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/troupe)

# -- rooms ---------------------------------------------------------------------

get_property(_troupe_rooms GLOBAL PROPERTY TROUPE_ROOMS)
set(_troupe_core_rooms)
set(_troupe_torch_rooms)
foreach(room IN LISTS _troupe_rooms)
  get_target_property(folder ${room} SOURCE_DIR)
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${folder})
  if(folder STREQUAL "apps/torch")
    list(APPEND _troupe_torch_rooms ${room})
  elseif(NOT folder MATCHES "^apps/" OR folder MATCHES "^apps/(app|console|monitoring|planning)$")
    # What else is in apps/ are applications, not something to link with.
    list(APPEND _troupe_core_rooms ${room})
  endif()
endforeach()

# What an application links when it does not want to choose.
add_library(troupe_troupe INTERFACE)
add_library(troupe::troupe ALIAS troupe_troupe)
set_target_properties(troupe_troupe PROPERTIES EXPORT_NAME troupe)
foreach(room IN LISTS _troupe_core_rooms)
  get_target_property(name ${room} EXPORT_NAME)
  target_link_libraries(troupe_troupe INTERFACE troupe::${name})
endforeach()

# -- targets and headers -------------------------------------------------------

install(TARGETS ${_troupe_core_rooms} troupe_troupe EXPORT troupe_core)
install(EXPORT troupe_core NAMESPACE troupe:: FILE troupe-targets.cmake
        DESTINATION ${_troupe_package_dir})
if(_troupe_torch_rooms)
  install(TARGETS ${_troupe_torch_rooms} EXPORT troupe_torch)
  install(EXPORT troupe_torch NAMESPACE troupe::
          FILE troupe-torch-targets.cmake DESTINATION ${_troupe_package_dir})
endif()

foreach(room IN LISTS _troupe_core_rooms _troupe_torch_rooms)
  troupe_room_headers(headers ${room})
  foreach(header IN LISTS headers)
    get_filename_component(folder ${header} DIRECTORY)
    install(FILES ${PROJECT_SOURCE_DIR}/${header}
            DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/troupe/${folder})
  endforeach()
endforeach()

if(TARGET troupe)
  install(TARGETS troupe RUNTIME)
endif()

# -- package -------------------------------------------------------------------

configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/cmake/troupe-config.cmake.in
  ${PROJECT_BINARY_DIR}/troupe-config.cmake
  INSTALL_DESTINATION ${_troupe_package_dir})
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/troupe-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/troupe-config.cmake
  ${PROJECT_BINARY_DIR}/troupe-config-version.cmake
  DESTINATION ${_troupe_package_dir})
file(GLOB _troupe_find_modules CONFIGURE_DEPENDS
     ${PROJECT_SOURCE_DIR}/cmake/Find*.cmake)
install(FILES ${_troupe_find_modules}
        DESTINATION ${_troupe_package_dir}/modules)
