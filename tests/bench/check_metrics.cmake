# SPDX-License-Identifier: Apache-2.0
# Runs ${PROGRAM} --quick --json ${JSON} and fails unless every one of the
# comma-separated ${METRICS} is a finite number above zero, and every one of
# ${NUMBERS} a finite number.
file(REMOVE ${JSON})
execute_process(COMMAND ${PROGRAM} --quick --json ${JSON}
  RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ended with ${code}")
endif()
file(READ ${JSON} text)

function(read_number name out)
  string(JSON type ERROR_VARIABLE missing TYPE ${text} ${name})
  if(missing)
    message(FATAL_ERROR "${name} is missing")
  elseif(NOT type STREQUAL NUMBER)
    message(FATAL_ERROR "${name} is no finite number")
  endif()
  string(JSON value GET ${text} ${name})
  set(${out} ${value} PARENT_SCOPE)
endfunction()

string(REPLACE "," ";" names "${METRICS}")
foreach(name IN LISTS names)
  read_number(${name} value)
  if(NOT value GREATER 0)
    message(FATAL_ERROR "${name} is ${value}, not above zero")
  endif()
endforeach()
string(REPLACE "," ";" names "${NUMBERS}")
foreach(name IN LISTS names)
  read_number(${name} value)
endforeach()
