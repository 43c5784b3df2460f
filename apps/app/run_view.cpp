// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/app/run_view.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "troupe/actors/engine/nodes_file.hpp"
#include "troupe/actors/monitor/status_json.hpp"
#include "troupe/apps/console/complaint.hpp"
#include "troupe/apps/console/reward_plot.hpp"
#include "troupe/apps/console/run_summary.hpp"

namespace troupe::app_command {

namespace {

constexpr auto tick_interval = std::chrono::milliseconds{500};

/// A terminal that is not redrawn.
class plain_terminal final : public console::terminal {
public:
  explicit plain_terminal(std::unique_ptr<console::terminal> inner)
    : inner_(std::move(inner)) {
    // nop
  }

  void write(std::string_view text) override { inner_->write(text); }

  bool live() const override { return false; }

  bool colour() const override { return false; }

  bool unicode() const override { return inner_->unicode(); }

  int columns() const override { return inner_->columns(); }

  int lost() const override { return inner_->lost(); }

private:
  std::unique_ptr<console::terminal> inner_;
};

std::unique_ptr<console::terminal> make_output(bool plain) {
  auto out = console::make_terminal(STDOUT_FILENO);
  if (plain)
    return std::make_unique<plain_terminal>(std::move(out));
  return out;
}

double seconds(std::chrono::nanoseconds x) {
  return std::chrono::duration<double>(x).count();
}

/// Moves a metric out of the map of others.
std::optional<double> take(std::map<std::string, double>& from,
                           const std::string& name) {
  auto i = from.find(name);
  if (i == from.end())
    return std::nullopt;
  auto value = i->second;
  from.erase(i);
  return value;
}

std::string level_name(protocol::severity x) {
  return x == protocol::severity::warning ? "warning" : "error";
}

nlohmann::ordered_json make_ledger_line(const engine::episode_result& x) {
  nlohmann::ordered_json out;
  out["episode"] = x.episode;
  out["begin"] = x.samples.begin;
  out["end"] = x.samples.end;
  out["digest"] = x.samples.digest;
  return out;
}

} // namespace

run_view::run_view(const console::run_directory& directory, std::string title,
                   bool plain)
  : directory_(directory),
    terminal_(make_output(plain)),
    progress_(console::make_progress(*terminal_, std::move(title))) {
  open_files();
  lose(errors_.open(directory.errors_file()));
  ticker_ = std::thread{[this] {
    std::unique_lock guard{mutex_};
    while (!ended_.wait_for(guard, tick_interval, [this] { return finished_; }))
      progress_->tick();
  }};
}

run_view::~run_view() {
  finish();
}

void run_view::on_phase(std::string_view name, std::int64_t done,
                        std::int64_t total) {
  progress_->phase(name, done, total);
}

void run_view::on_episode(const engine::episode_result& result) {
  auto row = make_row(result);
  keep(metrics_, row);
  keep(ledger_, make_ledger_line(result));
  progress_->episode(row);
}

void run_view::on_note(std::string_view text) {
  progress_->note(text);
}

void run_view::open_files() {
  lose(metrics_.open(directory_.metrics_file()));
  lose(ledger_.open(directory_.ledger_file()));
}

void run_view::on_restart(const engine::restart_notice& x) {
  auto where = x.episode < 0    ? std::string{"from the beginning"}
               : x.episode == 0 ? std::string{"after the warm start"}
                                : fmt::format("after episode {}", x.episode);
  if (x.further_back)
    progress_->note(
      fmt::format("What is left has lost too much; goes on {}.", where));
  else
    progress_->note(fmt::format("Restart {} of {}, {}: {}", x.number,
                                x.number_max, where, to_string(x.cause)));
  lose(rewind(x.episode));
}

result<void> run_view::rewind(std::int64_t episode) {
  metrics_.close();
  ledger_.close();
  auto done = directory_.rewind(episode);
  open_files();
  return done;
}

void run_view::on_error(const protocol::error_report& report) {
  keep(errors_, monitor::to_json(report));
  // An error is told at the end, with what followed from it.
  if (report.level == protocol::severity::warning)
    progress_->note(fmt::format("Warning: {}", to_string(report)));
}

void run_view::write_plot(const console::run_directory& directory,
                          const std::string& app) {
  // Not kept all the time: a run may have any number of episodes.
  auto rows = directory.rows();
  if (rows.empty())
    return;
  lose(console::write_plot(directory.plot_file(), rows,
                           fmt::format("{} {}", app, directory.name())));
}

template <class Row>
void run_view::keep(console::line_writer& to, const Row& row) {
  if (!lost_output())
    lose(to.write(row));
}

std::optional<error> run_view::lost_output() const {
  std::lock_guard guard{lost_mutex_};
  return lost_;
}

void run_view::lose(const result<void>& written) {
  if (written)
    return;
  std::lock_guard guard{lost_mutex_};
  if (lost_)
    return;
  lost_ = written.error();
  progress_->note(lost_->message());
}

void run_view::finish() {
  {
    std::lock_guard guard{mutex_};
    finished_ = true;
  }
  ended_.notify_all();
  if (ticker_.joinable())
    ticker_.join();
  progress_->finish();
}

console::episode_row make_row(const engine::episode_result& result) {
  console::episode_row row;
  row.episode = result.episode;
  row.num_episode = result.num_episode;
  row.more = result.metrics;
  row.mean_reward = take(row.more, "mean_reward");
  row.loss = take(row.more, "loss");
  row.kl = take(row.more, "kl");
  row.eval_accuracy = result.accuracy;
  if (auto i = row.more.find("tokens");
      i != row.more.end() && result.spent.count() > 0)
    row.tokens_per_second = i->second / seconds(result.spent);
  row.sync_ms = static_cast<double>(result.sync.count()) / 1e3;
  row.elapsed = result.elapsed;
  row.more["episode_seconds"] = seconds(result.spent);
  for (const auto& [step, spent] : result.times)
    row.more[fmt::format("seconds/{}", step)] = seconds(spent);
  return row;
}

namespace {

/// How to go on with a run that has not reached its end; empty if nothing of it
/// was saved.
std::string way_on(const engine::run_outcome& outcome,
                   const console::run_directory& directory) {
  if (outcome.end == engine::run_end::finished || !outcome.saved_episode)
    return {};
  auto when = *outcome.saved_episode == 0
                ? std::string{"the warm start"}
                : fmt::format("episode {}", *outcome.saved_episode);
  return fmt::format("Saved after {}; go on with: {} run --resume {}", when,
                     console::program_name(), directory.path().string());
}

} // namespace

console::run_summary make_summary(const config::job_config& config,
                                  const engine::run_outcome& outcome,
                                  const console::run_directory& directory) {
  console::run_summary out;
  out.app = config.app;
  out.run_name = directory.name();
  out.version = TROUPE_VERSION;
  out.seed = config.runtime.seed;
  out.exit_reason = engine::to_string(outcome.end);
  out.episodes = outcome.episodes;
  out.wall = outcome.wall;
  out.warm_start_accuracy = outcome.warm_start_accuracy;
  out.final_accuracy = outcome.final_accuracy;
  out.evaluated = outcome.evaluated;
  out.weights_identical = outcome.weights_identical;
  auto wall = seconds(outcome.wall);
  if (outcome.tokens > 0 && wall > 0)
    out.tokens_per_second = outcome.tokens / wall;
  if (!outcome.syncs.empty()) {
    auto sorted = outcome.syncs;
    auto middle = sorted.begin()
                  + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    out.sync_ms = static_cast<double>(middle->count()) / 1e3;
    out.more["syncs"] = static_cast<double>(outcome.syncs.size());
  }
  console::process_row driver;
  driver.slot = "driver";
  driver.pid = ::getpid();
  driver.models = {"engine", "planner", "sync groups", "monitor"};
  out.processes.push_back(std::move(driver));
  for (const auto& node : outcome.nodes)
    for (const auto& host : node.hosts) {
      console::process_row row;
      row.slot = outcome.nodes.size() == 1
                   ? fmt::format("host-{}", host.host.slot)
                   : fmt::format("host-{}.{}", node.node.value(),
                                 host.host.slot);
      row.device = host.device;
      row.pid = host.pid;
      row.restarts = static_cast<std::int32_t>(host.host.life.value()) - 1;
      for (const auto& worker : host.workers)
        row.models.push_back(to_string(worker));
      out.processes.push_back(std::move(row));
    }
  for (const auto& [name, spent] : outcome.times)
    out.times.push_back({name, spent});
  out.directory = directory.path();
  out.restarts = outcome.restarts;
  out.way_on = way_on(outcome, directory);
  return out;
}

namespace {

console::failure_row make_failure_row(const protocol::error_report& x) {
  console::failure_row row;
  row.severity = level_name(x.level);
  row.model = x.model;
  if (x.replica.value() >= 0)
    row.replica = x.replica.value();
  if (x.rank.value() >= 0)
    row.rank = x.rank.value();
  if (x.node.value() >= 0)
    row.node = std::to_string(x.node.value());
  row.device = x.device;
  row.operation = x.operation;
  row.message = x.message;
  row.cause = to_string(x.code);
  return row;
}

std::vector<std::string> advice_for(const protocol::error_report& root) {
  if (root.operation == "process") {
    std::vector<std::string> out;
    out.emplace_back("Look at the end of the host's log for what it said last, "
                     "and for the stack if it crashed.");
    if (root.message.find("SIGKILL") != std::string::npos)
      out.emplace_back("A process killed by SIGKILL was often out of memory: "
                       "see dmesg.");
    return out;
  }
  switch (root.code) {
    case errc::failed:
      return {"The message is the module's own: look there first."};
    case errc::timed_out:
      return {"If the work really takes that long, raise the *_timeout_ms "
              "keys of the section runtime."};
    case errc::aborted:
      return {"It gave up because of another rank: if the message names one, "
              "look what that one was doing.",
              "If it only takes that long, raise collective_timeout_ms of the "
              "section runtime."};
    case errc::invalid:
      return {"The message says what to change; trying again cannot help."};
    case errc::exhausted:
      return {"Ask for less, or give the job more of what ran out."};
    default: return {};
  }
}

} // namespace

console::failure_report make_failure(const engine::run_outcome& outcome,
                                     const console::run_directory& directory) {
  console::failure_report out;
  out.run_name = directory.name();
  out.first = make_failure_row(outcome.verdict.root);
  for (const auto& x : outcome.verdict.consequences)
    out.consequences.push_back(make_failure_row(x));
  out.advice = advice_for(outcome.verdict.root);
  if (auto further = way_on(outcome, directory); !further.empty())
    out.advice.push_back(std::move(further));
  out.log_dir = directory.log_dir();
  if (outcome.verdict.root.node.value() >= 0)
    out.far_logs = engine::find_node_logs(directory.nodes_file(),
                                          outcome.verdict.root.node)
                     .value_or(std::string{});
  return out;
}

} // namespace troupe::app_command
