// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::bench {

/// Another process that runs this program with other arguments, with a stream
/// socket to us as its standard input and output. What it runs ends at the end
/// of its input, so that none outlives us, however we end; one that does not
/// is killed by the destructor.
class child_process {
public:
  /// `args` stand behind the program's name.
  [[nodiscard]] static result<child_process>
  start(const std::vector<std::string>& args);

  child_process(child_process&& other) noexcept;
  child_process& operator=(child_process&&) = delete;

  /// Ends the process: one second to end by itself, then force.
  ~child_process();

  /// Reads exactly `size` bytes. Errors: timed_out, lost.
  [[nodiscard]] result<std::string> read(std::size_t size,
                                         deadline until) const;

  /// Reads up to the end of a line of at most 64 bytes, which is cut off.
  [[nodiscard]] result<std::string> read_line(deadline until) const;

  [[nodiscard]] int socket() const noexcept { return socket_.get(); }

private:
  child_process(std::int32_t pid, process::unique_fd socket)
    : pid_(pid),
      socket_(std::move(socket)) {
    // nop
  }

  std::int32_t pid_ = 0;
  process::unique_fd socket_;
};

} // namespace troupe::bench
