// SPDX-License-Identifier: Apache-2.0
#include "apps/run/job.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>

#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace run_test {

namespace fs = std::filesystem;

namespace {

constexpr const char* configuration = R"(app: faulty
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
  output_dir: runs
  # Who has no processor for a while is neither frozen nor slow: tests of those
  # ask for less.
  pulse_timeout_ms: 10000
  straggler_min_ms: 30000
)";

} // namespace

troupe::deadline soon() {
  return within(soon_time);
}

std::string faulty_app() {
  // Beside the test's own program.
  return (fs::read_symlink("/proc/self/exe").parent_path() / "faulty_app")
    .string();
}

// -- job_fixture --------------------------------------------------------------

job_fixture::job_fixture() {
  auto folder = (fs::temp_directory_path() / "troupe-run-XXXXXX").string();
  if (!::mkdtemp(folder.data()))
    throw std::runtime_error{"no folder for the test"};
  folder_ = folder;
  std::random_device random;
  mark_ = fmt::format("FAULTY_TEST={}-{:08x}", ::getpid(), random());
  write("faulty.yaml", configuration);
  BOOST_REQUIRE(::mkfifo(fifo().c_str(), 0600) == 0);
  // For both: a worker need not wait for us, and we see no end of file.
  fifo_ = ::open(fifo().c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  BOOST_REQUIRE(fifo_ >= 0);
}

job_fixture::~job_fixture() {
  // Programs have ended: their guards have ended before them, sweepers end soon.
  BOOST_TEST(left_after(within(std::chrono::milliseconds{0})) == "");
  for (const auto& x : fs::directory_iterator{"/dev/shm"})
    for (const auto& id : job_ids_)
      BOOST_TEST(!x.path().filename().string().starts_with("troupe." + id));
  for (const auto& x : troupe::test::processes_with(mark_))
    ::kill(x.pid, SIGKILL);
  ::close(fifo_);
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

fs::path job_fixture::write(const std::string& name,
                            std::string_view text) const {
  std::ofstream out{folder_ / name, std::ios::binary};
  out << text;
  return folder_ / name;
}

fs::path job_fixture::only_run() const {
  std::vector<fs::path> found;
  std::error_code none;
  for (const auto& x : fs::directory_iterator{runs(), none})
    found.push_back(x.path());
  BOOST_REQUIRE_EQUAL(found.size(), 1u);
  return found.front();
}

std::vector<std::string>
job_fixture::checkpoints(const std::string& name) const {
  std::vector<std::string> out;
  std::error_code none;
  for (const auto& x :
       fs::directory_iterator{runs() / name / "checkpoints", none})
    out.push_back(x.path().filename().string());
  std::ranges::sort(out);
  return out;
}

bool job_fixture::has_complete_checkpoint(const std::string& name) const {
  return std::ranges::any_of(checkpoints(name), [](const auto& x) {
    return x.starts_with("episode-") && !x.ends_with(".partial");
  });
}

std::vector<std::string>
job_fixture::run_command(const std::vector<std::string>& more) const {
  std::vector<std::string> out{"run", config().string(), "--devices",
                               fmt::format("cpu:{}", num_device)};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

std::vector<std::string>
job_fixture::fault_options(const wanted_fault& x) const {
  auto set = [&](std::string_view key, const auto& value) {
    return fmt::format("models.{}.fault_{}={}", x.model, key, value);
  };
  return {"--set", set("phase", x.phase),
          "--set", set("action", x.action),
          "--set", set("replica", x.replica),
          "--set", set("rank", x.rank),
          "--set", set("fifo", fifo().string())};
}

std::unique_ptr<program> job_fixture::start(std::vector<std::string> words,
                                            program_options options) const {
  words.insert(words.begin(), faulty_app());
  options.env.push_back(mark_);
  if (options.folder.empty())
    options.folder = folder_;
  return std::make_unique<program>(words, options);
}

held_worker job_fixture::wait_held() {
  auto until = soon();
  while (heard_.find('\n') == std::string::npos) {
    BOOST_REQUIRE_MESSAGE(troupe::test::wait_readable(fifo_, until),
                          "no worker was held");
    char text[256];
    auto got = ::read(fifo_, text, sizeof(text));
    if (got > 0)
      heard_.append(text, static_cast<std::size_t>(got));
  }
  auto end = heard_.find('\n');
  std::istringstream in{heard_.substr(0, end)};
  heard_.erase(0, end + 1);
  held_worker out;
  in >> out.name >> out.phase >> out.pid;
  BOOST_REQUIRE(out.pid > 0);
  return out;
}

std::vector<job_process> job_fixture::processes(const program& driver) {
  std::vector<job_process> out;
  for (const auto& x : troupe::test::processes_with(mark_)) {
    auto entry = troupe::test::describe(x, num_device);
    if (x.pid == driver.pid())
      entry.part = job_process::role::driver;
    if (!entry.job.empty())
      job_ids_.insert(entry.job);
    out.push_back(entry);
  }
  return out;
}

job_process job_fixture::find(const program& driver, job_process::role part,
                              int slot) {
  // One that has just been forked has no part yet.
  constexpr auto look_interval_ms = 10;
  auto until = soon();
  for (;;) {
    auto found = processes(driver);
    std::erase_if(found, [&](const job_process& x) {
      return x.part != part || (slot >= 0 && x.slot != slot);
    });
    if (found.size() == 1)
      return found.front();
    BOOST_REQUIRE_MESSAGE(!until.passed(),
                          fmt::format("{} such processes", found.size()));
    ::poll(nullptr, 0, look_interval_ms);
  }
}

std::string
job_fixture::left_after(troupe::deadline until,
                        std::chrono::milliseconds sweeping_max) const {
  std::vector<std::string> out;
  auto name = [&](const troupe::test::process_entry& x) {
    out.push_back(
      fmt::format("{} {} ({})", x.pid, x.name, fmt::join(x.argv, " ")));
  };
  for (const auto& x : troupe::test::wait_gone(mark_, until))
    if (describe(x, num_device).part != job_process::role::sweeper)
      name(x);
  if (out.empty()) {
    // It ends after everybody else, and then no file is left.
    auto sweeping = within(sweeping_max);
    for (const auto& x : troupe::test::wait_gone(mark_, sweeping))
      name(x);
    for (const auto& x : troupe::test::leftovers(runs()))
      out.push_back(x.string());
  }
  return fmt::format("{}", fmt::join(out, ", "));
}

} // namespace run_test
