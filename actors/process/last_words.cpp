// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/last_words.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

#include <unistd.h>

namespace troupe::process {

namespace {

std::terminate_handler before = nullptr;
last_act act = last_act::as_before;
std::atomic_flag told = ATOMIC_FLAG_INIT;

constexpr const char* no_threads =
  "no thread can be started: this user or container may have no more "
  "processes and threads; raise `ulimit -u`, the container's limit of pids, "
  "or TasksMax, or ask for fewer devices\n";

constexpr const char* no_memory = "out of memory (std::bad_alloc): free some, "
                                  "raise `ulimit -v` or the "
                                  "container's limit, or ask for less\n";

/// Without memory: there may be none.
void say(const char* text) noexcept {
  std::array<const char*, 3> parts{program_invocation_short_name, ": ", text};
  for (const auto* part : parts)
    // Nobody is left to tell if it fails.
    if (::write(STDERR_FILENO, part, std::strlen(part)) < 0)
      return;
}

/// What is said of the exception that nobody has caught; null: nothing.
const char* words() noexcept {
  auto thrown = std::current_exception();
  if (!thrown)
    return nullptr;
  try {
    std::rethrow_exception(thrown);
  } catch (const std::system_error& x) {
    return x.code() == std::errc::resource_unavailable_try_again ? no_threads
                                                                 : nullptr;
  } catch (const std::bad_alloc&) {
    return no_memory;
  } catch (...) {
    return nullptr;
  }
}

[[noreturn]] void on_terminate() {
  const auto* text = words();
  // Several threads may meet the limit at once.
  auto first = !told.test_and_set();
  if (text && first)
    say(text);
  if (text && act == last_act::exit)
    ::_exit(1);
  if (before)
    before();
  std::abort();
}

} // namespace

void say_what_ran_out(last_act then) noexcept {
  act = then;
  auto earlier = std::set_terminate(on_terminate);
  if (earlier != on_terminate)
    before = earlier;
}

} // namespace troupe::process
