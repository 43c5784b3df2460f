// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/status_desk.hpp"

#include <algorithm>
#include <fstream>

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/core.h>

#include "troupe/core/log.hpp"

namespace troupe::engine {

namespace {

/// More would not fit a screen.
constexpr std::size_t metrics_max = 64;

/// Longer than the board's own patience.
constexpr auto board_timeout = 2 * monitor::status_board::patience;

/// Runs on the server's thread.
std::string ask(caf::actor_system& system,
                const monitor::status_board_actor& board) {
  std::string out;
  caf::scoped_actor self{system};
  self->request(board, board_timeout, protocol::get_run_status{})
    .receive([&](const protocol::run_status&
                   x) { out = monitor::status_line(x); },
             [&](const caf::error& x) {
               log::warning("monitor", "the board does not answer: {}",
                            protocol::from_caf(x).message());
             });
  return out;
}

} // namespace

status_desk::status_desk(run_listener& inner, caf::actor_system& system,
                         monitor::status_board_actor board,
                         desk_settings settings)
  : inner_(inner),
    system_(system),
    board_(std::move(board)),
    settings_(std::move(settings)) {
  progress_.episode = settings_.episode;
  progress_.num_episode = settings_.num_episode;
  tell();
  if (settings_.serve)
    open();
}

status_desk::~status_desk() {
  stop();
}

void status_desk::stop() {
  if (!server_)
    return;
  server_.reset();
  std::error_code ignored;
  std::filesystem::remove(settings_.address_file, ignored);
}

void status_desk::open() {
  monitor::status_server_settings x;
  x.port = settings_.port;
  x.hello = monitor::hello_line(settings_.self);
  auto started = monitor::status_server::start(std::move(x), [this] {
    return ask(system_, board_);
  });
  if (!started) {
    inner_.on_note(fmt::format("This run cannot be looked at: {}",
                               started.error().message()));
    return;
  }
  server_ = std::move(*started);
  auto address = fmt::format("127.0.0.1:{}", server_->port());
  log::info("monitor", "tells how the run stands at {}", address);
  if (settings_.address_file.empty())
    return;
  std::ofstream out{settings_.address_file, std::ios::trunc};
  out << address << '\n';
  if (!out.flush())
    log::warning("monitor", "cannot write {}", settings_.address_file.string());
}

void status_desk::watch(monitor::watched_run who) {
  caf::anon_send(board_, std::move(who));
}

void status_desk::close(const run_outcome& outcome) {
  progress_.phase.clear();
  progress_.end = to_string(outcome.end);
  if (outcome.end == run_end::failed)
    progress_.cause = to_string(outcome.verdict.root);
  tell();
  // Whom it knows is about to end.
  watch({});
  stop();
}

void status_desk::tell() {
  caf::anon_send(board_, progress_);
}

void status_desk::on_phase(std::string_view name, std::int64_t done,
                           std::int64_t total) {
  progress_.phase = name;
  progress_.done = done;
  progress_.total = total;
  tell();
  inner_.on_phase(name, done, total);
}

void status_desk::on_episode(const episode_result& x) {
  progress_.episode = x.episode;
  progress_.num_episode = x.num_episode;
  progress_.metrics.clear();
  for (const auto& [name, value] : x.metrics)
    if (progress_.metrics.size() < metrics_max)
      progress_.metrics.emplace_back(name, protocol::wire_double{value});
  if (x.accuracy)
    progress_.metrics.emplace_back("accuracy",
                                   protocol::wire_double{*x.accuracy});
  tell();
  inner_.on_episode(x);
}

void status_desk::on_note(std::string_view text) {
  inner_.on_note(text);
}

void status_desk::on_restart(const restart_notice& x) {
  progress_.restarts = x.number;
  progress_.episode = std::max<std::int64_t>(x.episode, 0);
  progress_.phase = "restarting";
  progress_.done = x.number;
  progress_.total = x.number_max;
  tell();
  inner_.on_restart(x);
}

void status_desk::on_error(const protocol::error_report& x) {
  inner_.on_error(x);
}

} // namespace troupe::engine
