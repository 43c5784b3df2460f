// SPDX-License-Identifier: Apache-2.0
#include "apps/fault_matrix/scene.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/support/run_files.hpp"

namespace fault_matrix {

namespace fs = std::filesystem;

using namespace std::chrono_literals;
using troupe::deadline;

namespace {

constexpr auto configuration = R"(app: faulty
models:
  trainer:
    num_gpu: 2
  policy:
    num_gpu: 2
  reward:
    num_cpu: 1
runtime:
  colocation: [[trainer, policy]]
  num_episode: 3
  sample_per_episode: 16
  save_episode_interval: 1
  # Nobody has to wait half a minute for a driver that is frozen.
  driver_grace_ms: 2000
  restart_backoff_ms: 10
  rejoin_timeout_ms: 500
  run_name: it
  output_dir: runs
)";

constexpr auto waits_text = "waiting for a job at";

/// Between two looks at something that gives no event.
constexpr auto look_interval_ms = 10;

void pause_a_moment() {
  ::poll(nullptr, 0, look_interval_ms);
}

/// A FIFO that is open for both: no worker waits for us, and we see no end.
int make_fifo(const fs::path& file) {
  auto fd = -1;
  if (::mkfifo(file.c_str(), 0600) == 0)
    fd = ::open(file.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0)
    throw std::runtime_error{"no FIFO for the test"};
  return fd;
}

std::string program_file() {
  // Beside the test's own program.
  return (fs::read_symlink("/proc/self/exe").parent_path() / "faulty_app")
    .string();
}

/// How often `part` occurs.
int count(std::string_view text, std::string_view part) {
  auto out = 0;
  for (auto at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + 1))
    ++out;
  return out;
}

} // namespace

scene::scene() {
  std::random_device random;
  mark_ = fmt::format("FAULT_MATRIX={}-{:08x}", ::getpid(), random());
  said_ = make_fifo(fifo());
  go_ = make_fifo(fifo().string() + ".go");
  order_ = make_fifo(order());
  fs::create_directory(path("tmp"));
  std::ofstream{path("faulty.yaml")} << configuration;
}

scene::~scene() {
  // What stands still would not end otherwise.
  for (const auto& x : troupe::test::processes_with(mark_))
    ::kill(x.pid, SIGKILL);
  driver_.reset();
  nodes_.clear();
  for (auto fd : {said_, go_, order_})
    ::close(fd);
}

// -- starting -----------------------------------------------------------------

bool scene::start_nodes() {
  for (auto i = 0; i < 2; ++i) {
    ports_.emplace_back();
    gates_.push_back(fmt::format("127.0.0.1:{}", ports_.back().number()));
    troupe::test::program_options options;
    options.folder = folder_.path();
    options.env = {mark_, "TMPDIR=" + path("tmp").string()};
    std::vector<std::string> words{program_file(), "node",
                                   "--listen",     gates_.back(),
                                   "--devices",    "cpu:1",
                                   "--log-dir",    fmt::format("node{}", i)};
    nodes_.push_back(std::make_unique<troupe::test::program>(words, options));
  }
  auto until = deadline::after(20s);
  auto up = [](const auto& x) { return count(x->output(), waits_text) > 0; };
  while (!std::ranges::all_of(nodes_, up)) {
    if (until.passed())
      return false;
    pause_a_moment();
  }
  return true;
}

void scene::start_run(const std::vector<std::string>& more,
                      const std::vector<std::string>& env) {
  std::vector<std::string> words{program_file(), "run", "faulty.yaml",
                                 "--plain"};
  if (gates_.empty())
    words.insert(words.end(), {"--devices", "cpu:2"});
  else
    words.insert(words.end(),
                 {"--nodes", fmt::format("{}", fmt::join(gates_, ","))});
  words.insert(words.end(), more.begin(), more.end());
  troupe::test::program_options options;
  options.folder = folder_.path();
  options.env = env;
  options.env.insert(options.env.end(),
                     {mark_, "TMPDIR=" + path("tmp").string()});
  driver_ = std::make_unique<troupe::test::program>(words, options);
}

// -- talking to workers -------------------------------------------------------

std::optional<said_line> scene::hear(deadline until) {
  while (heard_.find('\n') == std::string::npos) {
    if (until.passed() || driver_->wait(deadline::after(0ms)))
      return std::nullopt;
    auto soon = deadline::after(std::min<troupe::duration>(until.left(), 50ms));
    if (!troupe::test::wait_readable(said_, soon))
      continue;
    char text[256];
    auto got = ::read(said_, text, sizeof(text));
    if (got > 0)
      heard_.append(text, static_cast<std::size_t>(got));
  }
  auto end = heard_.find('\n');
  std::istringstream in{heard_.substr(0, end)};
  heard_.erase(0, end + 1);
  said_line out;
  in >> out.name >> out.phase >> out.pid;
  return out;
}

void scene::write_byte(int fd) {
  [[maybe_unused]] auto written = ::write(fd, "", 1);
}

// -- looking ------------------------------------------------------------------

std::vector<job_process> scene::processes() {
  std::vector<job_process> out;
  auto num_device = gates_.empty() ? 2 : 1;
  auto all = troupe::test::processes_with(mark_);
  auto belongs_to_node = [&](pid_t pid) {
    return std::ranges::any_of(nodes_,
                               [&](const auto& x) { return x->pid() == pid; });
  };
  auto parent_of = [&](pid_t pid) {
    auto i = std::ranges::find(all, pid, &troupe::test::process_entry::pid);
    return i == all.end() ? 0 : i->parent;
  };
  for (const auto& x : all) {
    auto entry = troupe::test::describe(x, num_device);
    if (x.pid == driver_->pid())
      entry.part = job_process::role::driver;
    if (!entry.job.empty())
      job_ids_.insert(entry.job);
    // A node waits for the next job with a process and a guard.
    auto waits = belongs_to_node(x.pid) || belongs_to_node(x.parent)
                 || (entry.part == job_process::role::guard
                     && belongs_to_node(parent_of(x.parent)));
    if (!waits)
      out.push_back(entry);
  }
  return out;
}

std::optional<pid_t>
scene::find(const std::function<bool(const job_process&)>& like,
            deadline until) {
  for (;;) {
    auto all = processes();
    std::erase_if(all, [&](const job_process& x) { return !like(x); });
    if (all.size() == 1)
      return all.front().pid;
    if (until.passed())
      return std::nullopt;
    pause_a_moment();
  }
}

namespace {

std::optional<pid_t> child_of(pid_t parent, const std::string& mark) {
  for (const auto& x : troupe::test::processes_with(mark))
    if (x.parent == parent)
      return x.pid;
  return std::nullopt;
}

} // namespace

std::optional<pid_t> scene::find_node_process() {
  return child_of(victim_node().pid(), mark_);
}

std::optional<pid_t> scene::find_node_guard() {
  auto process = find_node_process();
  // The hosts are the guard's children.
  return process ? child_of(*process, mark_) : std::nullopt;
}

bool scene::has_error() const {
  std::error_code none;
  auto size = fs::file_size(run() / "errors.jsonl", none);
  return !none && size > 0;
}

std::string scene::left_now(const std::set<pid_t>& spared) {
  std::vector<std::string> out;
  // What waits for the end of a driver that is there, if frozen, is its own; so
  // are its files.
  auto driver_is_there = spared.contains(driver_->pid());
  for (const auto& x : processes())
    if (spared.count(x.pid) == 0
        && !(driver_is_there && x.part == job_process::role::sweeper))
      out.push_back(fmt::format("process {} ({} {})", x.pid,
                                static_cast<int>(x.part), x.slot));
  std::error_code none;
  for (const auto& x : fs::directory_iterator{"/dev/shm", none})
    for (const auto& id : job_ids_)
      if (x.path().filename().string().starts_with("troupe." + id))
        out.push_back(x.path().string());
  for (const auto& x : fs::directory_iterator{path("tmp"), none})
    out.push_back(x.path().string());
  if (!driver_is_there)
    for (const auto& x : troupe::test::leftovers(run().parent_path()))
      out.push_back(x.string());
  return fmt::format("{}", fmt::join(out, ", "));
}

std::string scene::left(deadline until, const std::set<pid_t>& spared) {
  for (;;) {
    auto out = left_now(spared);
    if (out.empty() || until.passed())
      return out;
    pause_a_moment();
  }
}

bool scene::serves_again(deadline until) {
  while (count(victim_node().output(), waits_text) < 2) {
    if (until.passed())
      return false;
    pause_a_moment();
  }
  return true;
}

std::string scene::stop_nodes() {
  for (const auto& x : nodes_)
    x->signal(SIGTERM);
  for (const auto& x : nodes_)
    static_cast<void>(x->wait(deadline::after(5s)));
  std::vector<std::string> out;
  for (const auto& x : troupe::test::wait_gone(mark_, deadline::after(2s)))
    out.push_back(fmt::format("process {} ({})", x.pid, x.name));
  return fmt::format("{}", fmt::join(out, ", "));
}

} // namespace fault_matrix
