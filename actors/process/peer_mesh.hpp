// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "troupe/actors/process/host_types.hpp"
#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::process {

/// A memory file on its way to a peer. Shared, so that a release meanwhile
/// does not close it.
struct exported_file {
  std::shared_ptr<const unique_fd> file;
  std::uint64_t size = 0;
};

/// A memory file received from a peer. `size` is what the peer claims; whoever
/// maps the file checks it.
struct fetched_file {
  unique_fd file;
  std::uint64_t size = 0;
};

/// Sockets between the processes of one machine, over which they pass file
/// descriptors: nothing has a name, so nothing can be left behind.
///
/// The guard makes a pair for every two processes. A peer is a life of a slot
/// (the node process lives once: `node_incarnation`); one that ends, or sends
/// anything malformed, is dropped: everything that waits for it fails at once
/// with `errc::lost`. A peer that is frozen costs its callers their deadline
/// and nobody else anything.
///
/// Threads: owns one, which polls all peers and serves their requests. All
/// members are callable from any thread, but not from the handler.
class peer_mesh {
public:
  /// Answers a peer that asks for a buffer. Runs on the mesh's thread: no
  /// waiting.
  using handler = std::function<result<exported_file>(buffer_id)>;

  /// Longest tag of `send_fd` in bytes.
  static constexpr std::size_t tag_bytes_max = 256;

  /// Descriptors of one peer that nobody has asked for yet; one more drops the
  /// peer.
  static constexpr std::size_t mailbox_max = 256;

  /// Discarded tags that are remembered. What is late is late by moments.
  static constexpr std::size_t discarded_max = 4096;

  /// A mesh without peers for the process in slot `self`.
  explicit peer_mesh(std::int32_t self);

  peer_mesh(const peer_mesh&) = delete;

  peer_mesh& operator=(const peer_mesh&) = delete;

  /// Drops all peers and joins the thread.
  ~peer_mesh();

  /// Our own slot.
  [[nodiscard]] std::int32_t self() const noexcept;

  // -- membership -------------------------------------------------------------

  /// A new peer; one of an older incarnation in the same slot is dropped.
  /// A peer older than the one known, or already gone, is ignored.
  void add_peer(std::int32_t slot, incarnation life, unique_fd socket);

  /// The peer, or any older one in that slot, is gone. The end of its socket
  /// says the same unless one of its children holds the socket open.
  void drop_peer(std::int32_t slot, incarnation life);

  /// Waits until the peer is there. Fails with `errc::lost` if it is gone,
  /// with `errc::timed_out` at the deadline, with `errc::aborted` once
  /// `given_up` is true (`wake_waiters`).
  [[nodiscard]] result<void>
  await_peer(std::int32_t slot, incarnation life, deadline until,
             const std::atomic<bool>* given_up = nullptr);

  /// Has those who wait look whether they are to give up.
  void wake_waiters();

  // -- buffers ----------------------------------------------------------------

  /// Who answers the peers' requests; an empty handler refuses them. Returns
  /// when no call of the previous handler runs any more.
  void serve(handler answer);

  /// Asks a peer for a buffer. Fails with
  ///  - what the peer's handler says (`errc::unavailable`: no such buffer);
  ///  - `errc::lost`: that life of the peer is over, or ends meanwhile;
  ///  - `errc::timed_out`: no answer by the deadline.
  [[nodiscard]] result<fetched_file> fetch(std::int32_t slot, incarnation life,
                                           buffer_id id, deadline until);

  // -- any descriptor ---------------------------------------------------------

  /// Hands a duplicate of `fd` to a peer, who finds it under `tag`. Does not
  /// wait for the peer to take it. Errors as `fetch`.
  [[nodiscard]] result<void> send_fd(std::int32_t slot, incarnation life,
                                     std::string_view tag, int fd,
                                     deadline until);

  /// Waits for a descriptor under `tag` from a peer; several under one tag
  /// come in the order sent. Errors as `fetch`, and as `await_peer`.
  [[nodiscard]] result<unique_fd>
  receive_fd(std::int32_t slot, incarnation life, std::string_view tag,
             deadline until, const std::atomic<bool>* given_up = nullptr);

  /// Closes the descriptors under `tag` that nobody has asked for, and those
  /// that come late as soon as they come: of the last `discarded_max` tags.
  void discard(std::string_view tag);

  /// Keeps the descriptors under `tag` again that come from now on. For tags
  /// that may have been discarded before.
  void expect(std::string_view tag);

private:
  struct impl;

  std::unique_ptr<impl> impl_;
};

} // namespace troupe::process
