// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/run_directory.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "troupe/apps/console/json_number.hpp"
#include "troupe/apps/console/text.hpp"
#include "troupe/apps/console/write_file.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::console {

namespace {

/// Runs that may begin in one second.
constexpr int max_attempts = 1000;

constexpr std::size_t max_name = 128;

/// How long somebody else may have the lock after whose end we have it: while
/// the run looks as if it went on, and while what a killed run has left is being
/// removed (see `process::sweeper`; hosts may be slow to end).
constexpr std::chrono::seconds end_max{2};
constexpr std::chrono::seconds sweep_max{15};

constexpr int look_interval_ms = 10;

std::string stamp(std::chrono::system_clock::time_point now) {
  auto seconds = std::chrono::system_clock::to_time_t(now);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}{:02}{:02}-{:02}{:02}{:02}", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                     utc.tm_sec);
}

result<void> check_name(std::string_view name) {
  std::string_view why;
  if (name.size() > max_name)
    why = "is longer than 128 bytes";
  else if (name.front() == '.' || name.front() == '-')
    why = "begins with a dot or a dash";
  else if (name.find('/') != std::string_view::npos)
    why = "contains a slash; the folder around it is runtime.output_dir";
  else if (printable(name) != name)
    why = "contains control characters";
  if (why.empty())
    return {};
  return fail(errc::invalid, fmt::format("run name '{}' {}; choose another",
                                         printable(name), why));
}

/// Makes all of `path`; names the part that failed.
result<void> make_parents(const std::filesystem::path& path) {
  std::filesystem::path made;
  for (const auto& part : path) {
    made /= part;
    if (::mkdir(made.c_str(), 0777) == 0)
      continue;
    auto code = errno;
    struct stat info {};
    if (::stat(made.c_str(), &info) != 0)
      return fail(file_error(code, "make the folder", made));
    if (!S_ISDIR(info.st_mode))
      return fail(file_error(ENOTDIR, "make a folder below", made));
  }
  return {};
}

} // namespace

struct run_directory::lock {
  explicit lock(int x) : fd(x) {
    // nop
  }

  ~lock() { ::close(fd); }

  lock(const lock&) = delete;
  lock& operator=(const lock&) = delete;

  int fd;
};

run_directory::run_directory(std::filesystem::path path, std::string name)
  : path_(std::move(path)),
    name_(std::move(name)) {
  // nop
}

result<run_directory>
run_directory::create(const std::filesystem::path& output_dir,
                      std::string_view name, std::string_view app,
                      std::chrono::system_clock::time_point now) {
  if (output_dir.empty())
    return fail(errc::invalid, "runtime.output_dir must not be empty");
  if (!name.empty())
    if (auto sound = check_name(name); !sound)
      return fail(sound.error());
  if (auto made = make_parents(output_dir); !made)
    return fail(made.error());
  auto base = name.empty() ? fmt::format("{}-{}", app, stamp(now))
                           : std::string{name};
  for (auto attempt = 1; attempt <= max_attempts; ++attempt) {
    auto chosen = attempt == 1 ? base : fmt::format("{}-{}", base, attempt);
    auto path = output_dir / chosen;
    if (::mkdir(path.c_str(), 0777) == 0) {
      run_directory out{path, std::move(chosen)};
      if (::mkdir(out.log_dir().c_str(), 0777) == 0) {
        if (auto ours = out.claim(false); !ours)
          return fail(ours.error());
        return out;
      }
      auto code = errno;
      ::rmdir(path.c_str());
      return fail(file_error(code, "make the folder", out.log_dir()));
    }
    if (errno != EEXIST)
      return fail(file_error(errno, "make the folder", path));
    if (!name.empty())
      return fail(errc::refused,
                  fmt::format("a run named '{}' exists already; choose another "
                              "runtime.run_name or remove {}",
                              name, path.string()));
  }
  return fail(errc::exhausted,
              fmt::format("no free name for a run in {}; give runtime.run_name",
                          output_dir.string()));
}

result<std::filesystem::path>
run_directory::find(const std::filesystem::path& output_dir,
                    std::string_view name) {
  auto path = name.find('/') == std::string_view::npos
                ? output_dir / name
                : std::filesystem::path{name};
  // `runs/first/` is `runs/first`.
  if (path.filename().empty())
    path = path.parent_path();
  std::error_code ignored;
  if (std::filesystem::exists(path / "config.yaml", ignored))
    return path;
  return fail(errc::invalid,
              fmt::format("there is no run '{}': {} is missing",
                          printable(name), (path / "config.yaml").string()));
}

result<run_directory> run_directory::reopen(const std::filesystem::path& path) {
  run_directory out{path, path.filename().string()};
  if (auto ours = out.claim(true); !ours)
    return fail(ours.error());
  if (::mkdir(out.log_dir().c_str(), 0777) != 0 && errno != EEXIST)
    return fail(file_error(errno, "make the folder", out.log_dir()));
  return out;
}

int run_directory::descriptor() const noexcept {
  return lock_ ? lock_->fd : -1;
}

result<void> run_directory::claim(bool patiently) {
  auto fd = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return fail(file_error(errno, "open the folder", path_));
  lock_ = std::make_shared<const lock>(fd);
  auto end = deadline::after(end_max);
  auto sweep = deadline::after(sweep_max);
  // File systems that know no locks have to do without.
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    // The socket is the first thing that is removed.
    std::error_code ignored;
    auto& until = std::filesystem::exists(orders_file(), ignored) ? end : sweep;
    if (!patiently || until.passed())
      return fail(errc::unavailable,
                  fmt::format("the run in {} is still going on, or about to "
                              "end; wait for its end or stop it",
                              path_.string()));
    // There is no event for this.
    ::poll(nullptr, 0, look_interval_ms);
  }
  return {};
}

namespace {

template <class Visitor>
void for_each_row(const std::filesystem::path& file, Visitor visit) {
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);) {
    auto row = nlohmann::ordered_json::parse(line, nullptr, false);
    if (row.is_object() && row.contains("episode")
        && row["episode"].is_number_integer())
      visit(std::move(row));
  }
}

/// The lines of `file` that are JSON objects of episodes up to `episode`.
std::vector<nlohmann::ordered_json>
rows_until(const std::filesystem::path& file, std::int64_t episode) {
  std::vector<nlohmann::ordered_json> out;
  for_each_row(file, [&](nlohmann::ordered_json&& row) {
    if (row["episode"].get<std::int64_t>() <= episode)
      out.push_back(std::move(row));
  });
  return out;
}

result<void> write_rows(const std::filesystem::path& file,
                        const std::vector<nlohmann::ordered_json>& rows) {
  std::string text;
  for (const auto& row : rows)
    text += json_text(row) + '\n';
  return write_file(file, text);
}

} // namespace

bool run_directory::finished() const {
  std::ifstream in{summary_file()};
  auto summary = nlohmann::ordered_json::parse(in, nullptr, false);
  return summary.is_object() && summary.contains("exit_reason")
         && summary["exit_reason"] == "finished";
}

result<void> run_directory::rewind(std::int64_t episode) const {
  std::error_code ignored;
  if (std::filesystem::exists(ledger_file(), ignored))
    if (auto done = write_rows(ledger_file(),
                               rows_until(ledger_file(), episode));
        !done)
      return done;
  if (auto done = write_rows(metrics_file(),
                             rows_until(metrics_file(), episode));
      !done)
    return done;
  // Last: a run that cannot go on, because the disk is full, keeps it.
  std::filesystem::remove(summary_file(), ignored);
  return {};
}

std::vector<episode_row> run_directory::rows() const {
  std::vector<episode_row> out;
  for_each_row(metrics_file(), [&](nlohmann::ordered_json&& row) {
    out.push_back(row_from_json(row));
  });
  return out;
}

std::vector<std::filesystem::path> run_directory::leftovers() {
  std::vector<std::filesystem::path> out{monitor_file_name, orders_file_name};
  run_directory here{{}, {}};
  for (auto draft :
       {here.config_file(), here.metrics_file(), here.ledger_file(),
        here.nodes_file(), here.summary_file(), here.plot_file()})
    out.push_back(draft += draft_suffix);
  return out;
}

void run_directory::discard() const {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

result<void> run_directory::write_config(std::string_view yaml) const {
  return write_file(config_file(), yaml);
}

result<void> run_directory::write_summary(const run_summary& summary) const {
  return write_file(summary_file(), json_text(to_json(summary), 2) + '\n');
}

line_writer::~line_writer() {
  close();
}

void line_writer::close() noexcept {
  std::lock_guard guard{mutex_};
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
}

result<void> line_writer::open(const std::filesystem::path& file) {
  std::lock_guard guard{mutex_};
  if (fd_ >= 0)
    return fail(errc::internal, "the file is open already");
  file_ = file;
  fd_ = ::open(file.c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0666);
  if (fd_ < 0)
    return fail(file_error(errno, "write", file));
  return {};
}

result<void> line_writer::write(const nlohmann::ordered_json& object) {
  if (!object.is_object())
    return fail(errc::internal, "a line must be a JSON object");
  auto line = json_text(object) + '\n';
  std::lock_guard guard{mutex_};
  if (fd_ < 0)
    return fail(errc::internal, "the file is not open");
  struct stat before {};
  auto known = ::fstat(fd_, &before) == 0 && S_ISREG(before.st_mode);
  auto code = write_all(fd_, line);
  if (code == 0)
    return {};
  // Half a line would spoil the next one too.
  if (known && ::ftruncate(fd_, before.st_size) != 0)
    code = errno;
  return fail(file_error(code, "write", file_));
}

result<void> line_writer::write(const episode_row& row) {
  return write(to_json(row));
}

} // namespace troupe::console
