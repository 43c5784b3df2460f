// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/checkpoint/checkpoint_folder.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>

#include "troupe/actors/checkpoint/batch_file.hpp"
#include "troupe/actors/checkpoint/file_io.hpp"
#include "troupe/core/digest.hpp"

namespace troupe::checkpoint {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view prefix = "episode-";
constexpr const char* manifest_name = "MANIFEST";
constexpr std::string_view state_name = "troupe.engine";
static_assert(state_name.starts_with(own_prefix));
constexpr std::size_t piece_bytes = std::size_t{4} << 20;

using bytes_view = std::span<const std::byte>;

/// What a manifest says of a file.
struct file_facts {
  std::string sum;
  std::uint64_t bytes = 0;

  bool operator==(const file_facts&) const = default;
};

/// By path, relative to the checkpoint.
using manifest = std::map<std::string, file_facts>;

/// Also for folders: their entries are what is brought to the disk.
result<void> bring_to_disk(const fs::path& path) {
  open_file file{path, O_RDONLY};
  auto code = file.get() < 0 ? errno : sync_to_disk(file.get());
  if (code != 0)
    return fail(file_error(code, "write", path));
  return {};
}

/// Hands the file's bytes to `f`, a piece at a time.
result<void> for_each_piece(const fs::path& path,
                            const std::function<void(bytes_view)>& f) {
  open_file file{path, O_RDONLY};
  if (file.get() < 0)
    return fail(file_error(errno, "read", path));
  auto chunk = std::make_unique<std::byte[]>(piece_bytes);
  auto count = piece_bytes;
  while (count == piece_bytes) {
    auto code = read_full(file.get(), {chunk.get(), piece_bytes}, count);
    if (code != 0)
      return fail(file_error(code, "read", path));
    f({chunk.get(), count});
  }
  return {};
}

result<file_facts> look_at(const fs::path& path) {
  file_facts out;
  digest sum;
  auto read = for_each_piece(path, [&](bytes_view piece) {
    sum += digest_of(piece, 0, out.bytes);
    out.bytes += piece.size();
  });
  if (!read)
    return fail(read.error());
  out.sum = to_string(sum);
  return out;
}

/// What lies in a checkpoint, but for the manifest itself. Brings folders to
/// the disk if `durable`, and files too.
result<manifest> take_stock(const fs::path& directory, bool durable) {
  manifest out;
  std::error_code problem;
  fs::recursive_directory_iterator i{directory, problem};
  for (; !problem && i != fs::recursive_directory_iterator{};
       i.increment(problem)) {
    auto name = i->path().lexically_relative(directory).string();
    if (name == manifest_name)
      continue;
    if (durable)
      if (auto done = bring_to_disk(i->path()); !done)
        return fail(done.error());
    auto folder = i->is_directory(problem);
    if (problem)
      return fail(file_error(problem.value(), "read", i->path()));
    if (folder)
      continue;
    auto facts = look_at(i->path());
    if (!facts)
      return fail(facts.error());
    out.emplace(std::move(name), std::move(*facts));
  }
  if (problem)
    return fail(file_error(problem.value(), "read", directory));
  return out;
}

std::string to_text(const manifest& x) {
  std::string out;
  for (const auto& [name, facts] : x)
    out += fmt::format("{} {} {}\n", facts.sum, facts.bytes, name);
  return out;
}

/// The lines of a manifest by the names in them.
std::map<std::string, std::string> lines_of(std::string_view text) {
  std::map<std::string, std::string> out;
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n') + 1);
    if (line.empty())
      line = text;
    text.remove_prefix(line.size());
    // SUM BYTES NAME
    auto name = line.substr(0, line.find('\n'));
    for (auto i = 0; i < 2; ++i)
      name.remove_prefix(std::min(name.size(), name.find(' ') + 1));
    out.emplace(name, line);
  }
  return out;
}

result<std::string> read_text(const fs::path& path) {
  std::string out;
  auto read = for_each_piece(path, [&](bytes_view piece) {
    out.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  if (!read)
    return fail(read.error());
  return out;
}

result<void> write_manifest(const fs::path& path, const manifest& x) {
  auto text = to_text(x);
  open_file file{path, O_CREAT | O_TRUNC | O_WRONLY};
  auto code = file.get() < 0
                ? errno
                : write_all(file.get(), std::as_bytes(std::span{text}));
  if (code == 0)
    code = sync_to_disk(file.get());
  if (code != 0)
    return fail(file_error(code, "write", path));
  return {};
}

/// Nothing if the files are those of the manifest, else what is wrong.
std::optional<std::string> find_damage(const fs::path& directory) {
  auto written = read_text(directory / manifest_name);
  if (!written)
    return written.error().message();
  auto found = take_stock(directory, false);
  if (!found)
    return found.error().message();
  if (to_text(*found) == *written)
    return std::nullopt;
  auto named = [&](const std::string& name, std::string_view what) {
    return fmt::format("{} {}", (directory / name).string(), what);
  };
  // Of a file that was cut inside a line, no other is to be blamed.
  if (written->empty() || written->back() != '\n')
    return named(manifest_name, "is cut off");
  for (const auto& [name, line] : lines_of(*written)) {
    auto i = found->find(name);
    if (i == found->end())
      return named(name, "is missing");
    if (to_text({*i}) != line)
      return named(name, "is not what was saved");
    found->erase(i);
  }
  if (found->empty())
    return named(manifest_name, "is not what was saved");
  return named(found->begin()->first, "does not belong there");
}

/// Gives `draft` the name `directory`. What has that name already is of a run
/// that went on from an earlier episode: it is there until the new one is, and
/// then goes. Returns 0, or the error number.
int replace_folder(const fs::path& draft, const fs::path& directory) {
  std::error_code problem;
  // Nothing is there as a rule, or nothing but an empty folder.
  if (::rename(draft.c_str(), directory.c_str()) == 0)
    return 0;
  if (errno != ENOTEMPTY && errno != EEXIST)
    return errno;
  if (::renameat2(AT_FDCWD, draft.c_str(), AT_FDCWD, directory.c_str(),
                  RENAME_EXCHANGE)
      == 0) {
    fs::remove_all(draft, problem);
    return 0;
  }
  // A file system that cannot: there is a moment without either.
  auto older = directory;
  older += fmt::format(".older{}", unfinished_suffix);
  if (::rename(directory.c_str(), older.c_str()) != 0)
    return errno;
  if (::rename(draft.c_str(), directory.c_str()) != 0) {
    auto code = errno;
    fs::rename(older, directory, problem);
    return code;
  }
  fs::remove_all(older, problem);
  return 0;
}

} // namespace

checkpoint_folder::checkpoint_folder(fs::path folder)
  : folder_(std::move(folder)) {
  // nop
}

fs::path checkpoint_folder::directory_of(std::int64_t episode) const {
  return folder_ / fmt::format("{}{:08}", prefix, episode);
}

std::vector<std::int64_t> checkpoint_folder::episodes() const {
  std::vector<std::int64_t> out;
  std::error_code problem;
  fs::directory_iterator i{folder_, problem};
  for (; !problem && i != fs::directory_iterator{}; i.increment(problem)) {
    auto name = i->path().filename().string();
    if (!name.starts_with(prefix))
      continue;
    std::int64_t episode = -1;
    const auto* last = name.data() + name.size();
    auto [end, code] = std::from_chars(name.data() + prefix.size(), last,
                                       episode);
    if (code == std::errc{} && end == last && episode >= 0)
      out.push_back(episode);
  }
  std::ranges::sort(out, std::greater{});
  return out;
}

result<fs::path> checkpoint_folder::begin(std::int64_t episode) const {
  std::error_code problem;
  fs::create_directories(folder_, problem);
  if (problem)
    return fail(file_error(problem.value(), "make the folder", folder_));
  // What a killed run left half written.
  std::error_code ignored;
  fs::directory_iterator i{folder_, ignored};
  for (; !ignored && i != fs::directory_iterator{}; i.increment(ignored))
    if (i->path().extension() == unfinished_suffix)
      fs::remove_all(i->path(), problem);
  auto directory = directory_of(episode);
  directory += unfinished_suffix;
  fs::create_directory(directory, problem);
  if (problem)
    return fail(file_error(problem.value(), "make the folder", directory));
  return directory;
}

result<void> checkpoint_folder::commit(std::int64_t episode,
                                       const batch& state) const {
  auto directory = directory_of(episode);
  auto draft = directory;
  draft += unfinished_suffix;
  if (auto done = write_batch(draft / state_name, state); !done)
    return done;
  auto stock = take_stock(draft, true);
  if (!stock)
    return fail(stock.error());
  if (auto done = write_manifest(draft / manifest_name, *stock); !done)
    return done;
  if (auto done = bring_to_disk(draft); !done)
    return done;
  if (auto code = replace_folder(draft, directory); code != 0)
    return fail(file_error(code, "rename", draft));
  return bring_to_disk(folder_);
}

bool checkpoint_folder::holds_state(std::int64_t episode,
                                    const std::string& model) const {
  std::error_code problem;
  fs::recursive_directory_iterator i{directory_of(episode) / model, problem};
  for (; !problem && i != fs::recursive_directory_iterator{};
       i.increment(problem)) {
    auto ours = i->path().filename().string().starts_with(own_prefix);
    auto folder = i->is_directory(problem);
    if (problem || (!ours && !folder))
      return true;
  }
  return static_cast<bool>(problem);
}

void checkpoint_folder::prune(std::int64_t episode, std::size_t count) const {
  for (auto x : episodes()) {
    if (x <= episode && count > 0) {
      --count;
      continue;
    }
    // First the name, so that nothing half removed looks complete.
    auto directory = directory_of(x);
    auto doomed = directory;
    doomed += unfinished_suffix;
    std::error_code ignored;
    fs::rename(directory, doomed, ignored);
    fs::remove_all(doomed, ignored);
  }
}

result<saved> checkpoint_folder::latest() const {
  saved out;
  for (auto episode : episodes()) {
    out.episode = episode;
    out.directory = directory_of(episode);
    auto damage = find_damage(out.directory);
    if (!damage) {
      auto state = read_batch(out.directory / state_name);
      if (state) {
        out.state = std::move(*state);
        return out;
      }
      damage = state.error().message();
    }
    out.passed_over.push_back(std::move(*damage));
  }
  auto text = fmt::format("there is no complete checkpoint in {}",
                          folder_.string());
  for (const auto& line : out.passed_over)
    text += "; " + line;
  return fail(errc::invalid, std::move(text));
}

} // namespace troupe::checkpoint
