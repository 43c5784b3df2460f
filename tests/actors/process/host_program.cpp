// SPDX-License-Identifier: Apache-2.0
// The processes of the tests.
//
//     test_process_host serve       a device host that obeys `order`s
//     test_process_host driver FD   a driver with two hosts and their orphans;
//                                   hands over a pidfd of each process on FD
//     test_process_host exit CODE   ends at once
//     test_process_host say TEXT    writes a line to stdout and one to stderr

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/process/harness.hpp"
#include "troupe/actors/process/host_side.hpp"

using namespace troupe;
using namespace troupe::process;
using namespace process_test;

namespace {

/// Forks twice, like a daemon: the grandchild's parent is gone and its session
/// is its own. It ends only if somebody kills it.
unique_fd make_orphan() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return {};
  auto child = ::fork();
  if (child == 0) {
    ::setsid();
    auto orphan = ::fork();
    if (orphan == 0)
      for (;;)
        ::pause();
    [[maybe_unused]] auto n = ::write(ends[1], &orphan, sizeof(orphan));
    ::_exit(0);
  }
  pid_t orphan = 0;
  auto got = ::read(ends[0], &orphan, sizeof(orphan));
  ::close(ends[0]);
  ::close(ends[1]);
  ::waitpid(child, nullptr, 0);
  return got == sizeof(orphan) ? open_pidfd(orphan) : unique_fd{};
}

class server {
public:
  explicit server(host_side& side)
    : store_(settings_of(side.identity()), &side.mesh()) {
    // nop
  }

  /// Answers one order; the descriptor is handed over with the answer.
  bytes obey(const bytes& order_bytes, unique_fd& file) {
    decoder in{order_bytes};
    bytes answer;
    encoder out{answer};
    std::uint8_t what = 0;
    if (!in.get(what))
      return answer;
    std::uint64_t argument = 0;
    switch (static_cast<order>(what)) {
      case order::put: {
        std::int64_t rows = 0;
        std::uint64_t scope = 0;
        if (in.get(rows) && in.get(scope))
          if (auto part = store_.put(numbered_batch(rows), scope))
            put(out, *part);
        break;
      }
      case order::get: {
        batch_part part;
        if (!get(in, part))
          break;
        auto found = store_.get(part, soon());
        out.put(found ? std::uint8_t{0}
                      : static_cast<std::uint8_t>(found.error().code()));
        out.put(std::uint8_t{
          found && is_numbered(*found, part.rows(), part.row_begin)});
        break;
      }
      case order::release:
        if (in.get(argument))
          out.put(std::uint64_t{store_.release(argument)});
        break;
      case order::make_orphan:
        file = make_orphan();
        out.put(std::uint8_t{1});
        break;
      case order::exit:
        if (in.get(argument))
          ::_exit(static_cast<int>(argument));
        break;
      case order::count_descriptors:
        out.put(std::uint64_t{open_descriptors()});
        break;
    }
    return answer;
  }

private:
  static store_settings settings_of(const host_identity& who) {
    store_settings config;
    config.slot = who.slot;
    config.incarnation = who.incarnation;
    return config;
  }

  batch_store store_;
};

int serve() {
  auto side = host_side::from_environment();
  if (!side)
    return 2;
  auto control = (*side)->mesh().receive_fd(node_slot, node_incarnation,
                                            "control", soon());
  if (!control)
    return 3;
  server obedient{**side};
  for (;;) {
    // Longer than any test; a host whose node is gone is killed before.
    auto in = receive(*control, deadline::after(std::chrono::minutes{5}));
    if (in.message.empty())
      return 0;
    unique_fd file;
    auto answer = obedient.obey(in.message, file);
    if (!answer.empty())
      send_message(control->get(), answer, file.get());
  }
}

int drive(int fd, const char* job_id) {
  // Long, because all of them must live where nobody is stopped.
  node_harness node{job_id, std::chrono::milliseconds{1500}};
  auto hand_over = [fd](const unique_fd& pidfd) {
    bytes one(1);
    send_message(fd, one, pidfd.get());
  };
  hand_over(open_pidfd(node.guard->pid()));
  for (std::int32_t slot = 0; slot < 2; ++slot) {
    auto host = node.start(slot);
    if (!host)
      return 4;
    hand_over(open_pidfd(host->pid));
    auto orphan = node.call(slot, simple_order(order::make_orphan));
    if (orphan.files.empty())
      return 5;
    hand_over(orphan.files[0]);
  }
  for (;;)
    ::pause();
}

} // namespace

int main(int argc, char** argv) {
  std::string_view role = argc > 1 ? argv[1] : "";
  if (role == "serve")
    return serve();
  if (role == "driver" && argc > 3) {
    // The test may be killed too.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    return drive(std::atoi(argv[2]), argv[3]);
  }
  if (role == "exit" && argc > 2)
    return std::atoi(argv[2]);
  if (role == "say" && argc > 2) {
    std::puts(argv[2]);
    std::fputs(argv[2], stderr);
    auto* extra = std::getenv("TROUPE_TEST_EXTRA");
    std::puts(extra ? extra : "none");
    return 0;
  }
  return 1;
}
