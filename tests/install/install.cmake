# SPDX-License-Identifier: Apache-2.0
# cmake -DBUILD=... -DSOURCE=... -DPREFIX=... -P install.cmake
#
# Installs anew, and refuses an installation that leads back to this tree.

file(REMOVE_RECURSE ${PREFIX})
execute_process(
  COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX}
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)

# Not as a part of a longer path: a tree may lie in /troupe, whose headers are in
# include/troupe.
string(REGEX REPLACE "([][+.*()^$?|\\\\])" "\\\\\\1" own "${SOURCE}")
file(GLOB_RECURSE files ${PREFIX}/*.cmake ${PREFIX}/*.hpp)
foreach(file IN LISTS files)
  file(READ ${file} text)
  if(text MATCHES "(^|[^A-Za-z0-9_.}/-]|-I|-L|-isystem)${own}([^A-Za-z0-9_.-]|$)")
    message(SEND_ERROR "${file} names the folder it was built from: use "
                       "$<BUILD_INTERFACE:...> in the room's CMakeLists.txt")
  endif()
endforeach()
list(LENGTH files count)
message("installed ${count} headers and package files in ${PREFIX}")
