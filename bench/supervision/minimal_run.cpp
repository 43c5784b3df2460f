// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/supervision/minimal_run.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace troupe::bench {

namespace fs = std::filesystem;

namespace {

constexpr const char* configuration = R"(app: minimal
models:
  trainer:
    num_gpu: 1
  policy:
    num_gpu: 2
  reward:
    num_cpu: 1
runtime:
  colocation: [[trainer, policy]]
  sample_per_episode: 64
)";

std::vector<std::int32_t> children_of(std::int32_t pid) {
  std::vector<std::int32_t> out;
  std::ifstream in{fmt::format("/proc/{0}/task/{0}/children", pid)};
  for (std::int32_t child = 0; in >> child;)
    out.push_back(child);
  return out;
}

} // namespace

result<std::unique_ptr<minimal_run>>
minimal_run::start(const fs::path& folder,
                   const std::vector<std::string>& settings) {
  std::error_code problem;
  fs::create_directories(folder, problem);
  auto config = folder / "minimal.yaml";
  std::ofstream{config} << configuration;
  auto program = fs::read_symlink("/proc/self/exe", problem).parent_path()
                 / "minimal";
  std::vector<std::string> words{program.string(), "run",
                                 config.string(),  "--plain",
                                 "--output-dir",   folder.string(),
                                 "--name",         "run"};
  for (const auto& x : settings)
    words.insert(words.end(), {"--set", "runtime." + x});
  std::vector<char*> argv;
  for (auto& x : words)
    argv.push_back(x.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  auto log = (folder / "output").string();
  for (auto stream : {STDOUT_FILENO, STDERR_FILENO})
    ::posix_spawn_file_actions_addopen(&files, stream, log.c_str(),
                                       O_CREAT | O_WRONLY | O_APPEND, 0666);
  pid_t pid = 0;
  auto code = ::posix_spawn(&pid, argv[0], &files, nullptr, argv.data(),
                            environ);
  ::posix_spawn_file_actions_destroy(&files);
  if (code != 0)
    return fail(errc::refused, fmt::format("cannot start {}; build it first",
                                           program.string()));
  return std::unique_ptr<minimal_run>{new minimal_run{folder / "run", pid}};
}

minimal_run::minimal_run(fs::path directory, std::int32_t pid)
  : directory_(std::move(directory)),
    pid_(pid) {
  // nop
}

minimal_run::~minimal_run() {
  if (ended_)
    return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::int64_t minimal_run::last_episode() const {
  std::ifstream in{directory_ / "metrics.jsonl"};
  // The last lines are enough, and one may be half written.
  in.seekg(0, std::ios::end);
  auto size = static_cast<std::int64_t>(in.tellg());
  in.seekg(std::max<std::int64_t>(0, size - 4096));
  std::int64_t out = 0;
  for (std::string line; std::getline(in, line);) {
    auto row = nlohmann::json::parse(line, nullptr, false);
    if (row.is_object() && row.contains("episode"))
      out = row["episode"].get<std::int64_t>();
  }
  return out;
}

std::uintmax_t minimal_run::errors_bytes() const {
  std::error_code none;
  auto out = fs::file_size(directory_ / "errors.jsonl", none);
  return none ? 0 : out;
}

std::uint64_t minimal_run::resident_bytes() const {
  std::ifstream in{fmt::format("/proc/{}/statm", pid_)};
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  in >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::vector<std::int32_t> minimal_run::hosts() const {
  // The guard is the driver's only child.
  auto guard = children_of(pid_);
  return guard.empty() ? std::vector<std::int32_t>{} : children_of(guard[0]);
}

bool minimal_run::ended() {
  ended_ = ended_ || ::waitpid(pid_, nullptr, WNOHANG) == pid_;
  return ended_;
}

} // namespace troupe::bench
