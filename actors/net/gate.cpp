// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/gate.hpp"

#include <atomic>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "troupe/actors/net/event_loop.hpp"
#include "troupe/actors/net/gate_book.hpp"
#include "troupe/actors/net/gate_session.hpp"
#include "troupe/actors/net/listener.hpp"
#include "troupe/actors/net/socket_address.hpp"
#include "troupe/actors/net/splicer.hpp"

namespace troupe::net {

namespace {

// A listening address is looked up at the start of a program.
constexpr duration lookup_max = std::chrono::seconds{5};

error needs_tls(const endpoint& at) {
  return error{errc::refused,
               fmt::format("{} can be reached by others, and without TLS "
                           "anybody who does commands this machine: make "
                           "certificates with `troupe certs DIR` and pass "
                           "`--certs DIR`, or listen at 127.0.0.1:{}",
                           to_string(at), at.port)};
}

} // namespace

struct gate::impl {
  explicit impl(gate_settings x) : config(std::move(x)) {
    // nop
  }

  gate_settings config;
  endpoint bound;
  gate_book book;
  gate_session::settings session_settings{};
  std::atomic<std::size_t> open = 0;

  // The loop goes last: the others live on its thread.
  std::unique_ptr<event_loop> loop;
  std::unique_ptr<data_server> data;

  // The loop's thread alone.
  std::unique_ptr<splicer> splices;
  std::unique_ptr<listener> door;
  std::uint64_t last_session = 0;
  std::map<std::uint64_t, std::unique_ptr<gate_session>> sessions;

  ~impl() {
    if (!loop)
      return;
    loop->run([this] {
      door.reset();
      sessions.clear();
      splices.reset();
    });
    data.reset();
  }

  void admit_one(process::unique_fd socket) {
    if (open >= config.connections_max) {
      book.note_refusal(to_string(socket_address::of_peer(socket.get())),
                        fmt::format("{} connections are open already",
                                    config.connections_max));
      return;
    }
    ++open;
    auto name = ++last_session;
    sessions.emplace(name,
                     std::make_unique<gate_session>(loop_ref(), book,
                                                    session_settings,
                                                    std::move(socket),
                                                    [this, name](
                                                      gate_session::outcome x) {
                                                      settle(name, x);
                                                    }));
  }

  event_loop& loop_ref() { return *loop; }

  void settle(std::uint64_t name, gate_session::outcome x) {
    auto entry = sessions.extract(name);
    auto& session = *entry.mapped();
    auto on_end = [this] { --open; };
    switch (x) {
      case gate_session::outcome::nothing: --open; break;
      case gate_session::outcome::control:
        splices->add(session.take_outside(), session.take_inside(), on_end);
        break;
      case gate_session::outcome::data:
        data->add(session.take_outside()->release(), on_end);
        break;
      case gate_session::outcome::pulse:
        --open;
        if (auto take = book.take_pulse())
          take(session.take_outside()->release());
        break;
    }
  }
};

result<std::unique_ptr<gate>> gate::start(gate_settings config) {
  auto found = resolve(config.listen, deadline::after(lookup_max));
  if (!found)
    return fail(found.error());
  const auto& at = found->front();
  if (!config.tls && !at.is_loopback())
    return fail(needs_tls(config.listen));
  auto socket = listen_at(at);
  if (!socket)
    return fail(socket.error());
  auto state = std::make_unique<impl>(std::move(config));
  state->bound = socket_address::of_socket(socket->get()).to_endpoint();
  state->session_settings.opening_max = state->config.opening_max;
  if (state->config.tls)
    state->session_settings.open_tls =
      [identity = *state->config.tls](process::unique_fd x) {
        return identity.accept(std::move(x));
      };
  auto loop = event_loop::start();
  if (!loop)
    return fail(loop.error());
  state->loop = std::move(*loop);
  state->data = std::make_unique<data_server>(*state->loop, state->config.data);
  state->loop->run([&state, &socket] {
    state->splices = std::make_unique<splicer>(*state->loop);
    state->door = std::make_unique<listener>(*state->loop, std::move(*socket),
                                             [x = state.get()](
                                               process::unique_fd stranger) {
                                               x->admit_one(
                                                 std::move(stranger));
                                             });
  });
  return std::unique_ptr<gate>{new gate(std::move(state))};
}

gate::gate(std::unique_ptr<impl> x) : impl_(std::move(x)) {
  // nop
}

gate::~gate() = default;

endpoint gate::bound() const {
  return impl_->bound;
}

void gate::route(std::int32_t slot, std::uint16_t loopback_port) {
  impl_->book.route(slot, loopback_port);
}

void gate::unroute(std::int32_t slot) {
  impl_->book.unroute(slot);
}

void gate::admit(std::string job, job_key key) {
  impl_->book.admit(std::move(job), key);
}

void gate::dismiss(const std::string& job) {
  impl_->book.dismiss(job);
}

void gate::serve(data_server::handler answer) {
  impl_->data->serve(std::move(answer));
}

void gate::on_pulse(std::function<void(process::unique_fd)> take) {
  impl_->book.on_pulse(std::move(take));
}

std::size_t gate::connections() const {
  return impl_->open;
}

} // namespace troupe::net
