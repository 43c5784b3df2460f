# SPDX-License-Identifier: Apache-2.0
# Runs ${PROGRAM} --quick --json ${JSON} and fails unless every one of the
# comma-separated ${METRICS} is a finite number above zero.
file(REMOVE ${JSON})
execute_process(COMMAND ${PROGRAM} --quick --json ${JSON}
  RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ended with ${code}")
endif()
file(READ ${JSON} text)
string(REPLACE "," ";" names ${METRICS})
foreach(name IN LISTS names)
  string(JSON type ERROR_VARIABLE missing TYPE ${text} ${name})
  if(missing)
    message(FATAL_ERROR "${name} is missing")
  elseif(NOT type STREQUAL NUMBER)
    message(FATAL_ERROR "${name} is no finite number")
  endif()
  string(JSON value GET ${text} ${name})
  if(NOT value GREATER 0)
    message(FATAL_ERROR "${name} is ${value}, not above zero")
  endif()
endforeach()
