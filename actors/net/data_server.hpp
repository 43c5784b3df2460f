// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "troupe/actors/net/event_loop.hpp"
#include "troupe/actors/process/peer_mesh.hpp"
#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::net {

struct data_settings {
  /// Requests answered at a time; more wait in line, one a connection.
  int threads_max = 16;

  /// A connection on which nobody asks for so long is closed.
  duration idle_max = std::chrono::minutes{2};

  /// The most that one answer may take, whatever the asker would wait.
  duration answer_max = std::chrono::minutes{2};
};

/// Answers requests for buffers on data channels:
///
///     loop:  idle connections ---- a request ----> queue
///               ^                                    | a thread
///               '------- answered <---- handler, then the file's bytes
///
/// An idle connection costs no thread. Whoever sends anything but requests is
/// dropped.
///
/// Threads: the loop waits for requests; up to `threads_max` of its own, made
/// when needed, ask the handler and send.
class data_server {
public:
  /// Finds a buffer. Runs on a thread of the server's and may wait until the
  /// deadline.
  using handler = std::function<
    result<process::exported_file>(std::int32_t slot, incarnation life,
                                   buffer_id id, deadline until)>;

  /// `loop` must outlive the server.
  data_server(event_loop& loop, data_settings config);

  data_server(const data_server&) = delete;

  data_server& operator=(const data_server&) = delete;

  /// Closes all connections, and waits for handlers that run. Not on the
  /// loop's thread.
  ~data_server();

  /// Any thread. Who answers from now on; an empty handler refuses. Returns
  /// when no call of the previous one runs any more.
  void serve(handler answer);

  /// The loop's thread. Takes over a connection whose opening is done.
  /// `on_end` is called on that thread when it is closed, unless the server
  /// goes before.
  void add(process::unique_fd socket, std::function<void()> on_end);

private:
  struct impl;

  std::unique_ptr<impl> impl_;
};

} // namespace troupe::net
