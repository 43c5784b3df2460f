# SPDX-License-Identifier: Apache-2.0
# Which headers belong to a room: those that are installed with it, and that
# must compile alone.

# troupe_room_headers(OUT TARGET)
#
# Sets OUT to the headers below the folder of a room, as paths from the root of
# the sources, without those of rooms that lie in folders of it. Every header
# of a room is public, so they are found, not listed.
function(troupe_room_headers out target)
  get_target_property(folder ${target} SOURCE_DIR)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS
       RELATIVE ${PROJECT_SOURCE_DIR} ${folder}/*.hpp)
  get_property(rooms GLOBAL PROPERTY TROUPE_ROOMS)
  foreach(other IN LISTS rooms)
    get_target_property(inner ${other} SOURCE_DIR)
    file(RELATIVE_PATH inner ${PROJECT_SOURCE_DIR} ${inner})
    file(RELATIVE_PATH outer ${PROJECT_SOURCE_DIR} ${folder})
    string(FIND ${inner} "${outer}/" at)
    if(at EQUAL 0)
      list(FILTER headers EXCLUDE REGEX "^${inner}/")
    endif()
  endforeach()
  set(${out} ${headers} PARENT_SCOPE)
endfunction()

# Makes the target check_headers: every header of every room compiled by
# itself, against no more than its room's public libraries.
function(troupe_add_header_check)
  add_custom_target(check_headers)
  get_property(rooms GLOBAL PROPERTY TROUPE_ROOMS)
  foreach(room IN LISTS rooms)
    troupe_room_headers(headers ${room})
    set(sources)
    foreach(header IN LISTS headers)
      set(source ${PROJECT_BINARY_DIR}/check_headers/${header}.cpp)
      # Twice: a header without a guard shows here too.
      file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
           "#include \"troupe/@header@\"\n#include \"troupe/@header@\"\n")
      list(APPEND sources ${source})
    endforeach()
    if(sources)
      add_library(${room}_headers OBJECT EXCLUDE_FROM_ALL ${sources})
      target_link_libraries(${room}_headers PRIVATE troupe_options ${room})
      add_dependencies(check_headers ${room}_headers)
    endif()
  endforeach()
endfunction()
