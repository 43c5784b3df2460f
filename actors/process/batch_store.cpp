// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/batch_store.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include <fmt/format.h>

#include "troupe/actors/process/memory_file.hpp"

namespace troupe::process {

namespace {

/// What a buffer's file begins with. The batch follows at an offset that keeps
/// its tensors aligned.
struct file_header {
  std::uint64_t magic = 0;
  std::uint64_t buffer = 0;
  std::uint64_t bytes = 0;
  std::int32_t slot = 0;
  std::uint32_t incarnation = 0;
  std::int32_t node = 0;
  std::uint32_t reserved = 0;

  bool operator==(const file_header&) const = default;
};

/// Bytes that the shares of a small batch may carry together as they are.
constexpr std::uint64_t split_inline_bytes_max = 1 * mib;

constexpr std::uint64_t file_magic = 0x32'48'43'54'41'42'52'54; // "TRBATCH2"
constexpr std::size_t header_bytes = buffer::alignment;
static_assert(sizeof(file_header) <= header_bytes);

file_header header_of(const batch_part& x) {
  return {file_magic, x.buffer.value(),      x.bytes,
          x.slot,     x.incarnation.value(), x.node.value(),
          0};
}

/// The batch in a mapped file, whose tensors share the mapping.
result<batch> read_file(const buffer& file, const batch_part& x) {
  file_header found;
  if (file.size() < header_bytes || file.size() - header_bytes != x.bytes)
    return fail(errc::corrupt, "a batch file of another size");
  std::memcpy(&found, file.data(), sizeof(found));
  if (found != header_of(x))
    return fail(errc::corrupt, "a file that is not the batch asked for");
  return decode_batch(file.slice(header_bytes, x.bytes));
}

} // namespace

struct batch_store::impl {
  struct entry {
    std::shared_ptr<const unique_fd> file;
    std::uint64_t size = 0;
    std::uint64_t scope = 0;
    time_point expires;
    /// Made by the first reader in this process.
    buffer mapped;
  };

  store_settings config;
  peer_mesh* mesh = nullptr;
  remote_stores* remote = nullptr;

  mutable std::mutex mutex;
  std::map<buffer_id, entry> entries;
  buffer_id last;
  // Room promised to batches that are being encoded.
  std::uint64_t reserved = 0;
  store_stats figures;

  // -- leases (mutex held) ----------------------------------------------------

  template <class Predicate>
  std::vector<entry> take_if(Predicate gone) {
    std::vector<entry> out;
    for (auto i = entries.begin(); i != entries.end();) {
      if (gone(i->second)) {
        figures.bytes -= i->second.size;
        out.push_back(std::move(i->second));
        i = entries.erase(i);
      } else {
        ++i;
      }
    }
    figures.buffers = entries.size();
    return out;
  }

  std::vector<entry> take_expired() {
    auto now = config.clock->now();
    auto out = take_if([now](const entry& x) { return x.expires <= now; });
    figures.expired += out.size();
    return out;
  }

  /// Removes entries and gives their memory back after the lock: unmapping
  /// gigabytes takes its time.
  template <class Predicate>
  std::size_t release_if(Predicate gone) {
    std::vector<entry> out;
    {
      std::lock_guard guard{mutex};
      out = take_if(gone);
    }
    return out.size();
  }

  // -- storing ----------------------------------------------------------------

  result<void> reserve(std::uint64_t size) {
    std::vector<entry> expired;
    std::lock_guard guard{mutex};
    if (figures.bytes + reserved + size > config.bytes_max)
      expired = take_expired();
    if (figures.bytes + reserved + size > config.bytes_max)
      return fail(errc::exhausted,
                  fmt::format("a batch of {} does not fit into the batch store "
                              "of slot {}: {} of {} are taken by {} batches; "
                              "raise store_bytes_max",
                              format_bytes(size), config.slot,
                              format_bytes(figures.bytes + reserved),
                              format_bytes(config.bytes_max), entries.size()));
    reserved += size;
    return {};
  }

  result<batch_part> put(const batch& x, std::uint64_t scope,
                         weight_version version) {
    auto rows = x.rows();
    if (!rows)
      return fail(rows.error());
    batch_part part;
    part.node = config.node;
    part.slot = config.slot;
    part.incarnation = config.incarnation;
    part.row_end = *rows;
    part.rows_total = *rows;
    part.bytes = encoded_size(x);
    part.version = version;
    if (part.bytes <= inline_bytes_max) {
      auto encoded = encode(x);
      auto* first = reinterpret_cast<const std::uint8_t*>(encoded.data());
      part.payload.assign(first, first + encoded.size());
      return part;
    }
    auto size = part.bytes + header_bytes;
    if (auto ok = reserve(size); !ok)
      return fail(ok.error());
    {
      std::lock_guard guard{mutex};
      last = last.next();
      part.buffer = last;
    }
    auto file = make_sealed_file(size, [&](std::span<std::byte> out) {
      auto header = header_of(part);
      std::memcpy(out.data(), &header, sizeof(header));
      encode_into(x, out.subspan(header_bytes));
    });
    std::lock_guard guard{mutex};
    reserved -= size;
    if (!file)
      return fail(file.error());
    entries.emplace(part.buffer,
                    entry{std::make_shared<unique_fd>(std::move(*file)),
                          size,
                          scope,
                          config.clock->now() + config.lease,
                          {}});
    figures.bytes += size;
    figures.bytes_peak = std::max(figures.bytes_peak, figures.bytes);
    figures.buffers = entries.size();
    return part;
  }

  // -- fetching ---------------------------------------------------------------

  error unknown(buffer_id id) const {
    return error{errc::unavailable,
                 fmt::format("slot {} holds no batch {} (any more)",
                             config.slot, id.value())};
  }

  result<exported_file> export_file(buffer_id id) const {
    std::lock_guard guard{mutex};
    auto i = entries.find(id);
    if (i == entries.end())
      return fail(unknown(id));
    return exported_file{i->second.file, i->second.size};
  }

  /// Our own buffer, mapped once for all who read it here.
  result<buffer> map_own(buffer_id id) {
    std::shared_ptr<const unique_fd> file;
    std::uint64_t size = 0;
    {
      std::lock_guard guard{mutex};
      auto i = entries.find(id);
      if (i == entries.end())
        return fail(unknown(id));
      if (!i->second.mapped.empty())
        return i->second.mapped;
      file = i->second.file;
      size = i->second.size;
    }
    // Without the lock: peers are served meanwhile.
    auto mapped = map_sealed_file(*file, size);
    if (!mapped)
      return mapped;
    std::lock_guard guard{mutex};
    auto i = entries.find(id);
    if (i == entries.end())
      return mapped;
    if (i->second.mapped.empty())
      i->second.mapped = std::move(*mapped);
    return i->second.mapped;
  }

  result<buffer> map_remote(const batch_part& x, deadline until) {
    if (!remote)
      return fail(errc::unavailable,
                  fmt::format("slot {} has no way to the batches of node {}",
                              config.slot, x.node.value()));
    auto fetched = remote->fetch(x, x.bytes + header_bytes, until);
    if (!fetched)
      return fail(fetched.error());
    return map_sealed_file(fetched->file, fetched->size);
  }

  result<buffer> map_peers(const batch_part& x, deadline until) {
    if (!mesh)
      return fail(errc::unavailable,
                  fmt::format("slot {} has no way to the batches of slot {}",
                              config.slot, x.slot));
    auto fetched = mesh->fetch(x.slot, x.incarnation, x.buffer, until);
    if (!fetched)
      return fail(fetched.error());
    return map_sealed_file(fetched->file, fetched->size);
  }

  result<batch> whole(const batch_part& x, deadline until) {
    if (x.is_inline())
      return decode_batch(buffer::copy_of(std::as_bytes(std::span{x.payload})));
    if (x.node != config.node) {
      auto file = map_remote(x, until);
      if (!file)
        return fail(file.error());
      return read_file(*file, x);
    }
    if (x.slot == config.slot && x.incarnation != config.incarnation)
      return fail(errc::lost,
                  fmt::format("batch {} was held by incarnation {} of slot {}, "
                              "which is gone",
                              x.buffer.value(), x.incarnation.value(), x.slot));
    auto file = x.slot == config.slot ? map_own(x.buffer) : map_peers(x, until);
    if (!file)
      return fail(file.error());
    return read_file(*file, x);
  }

  result<batch> get(const batch_part& x, deadline until) {
    if (auto ok = x.check(); !ok)
      return fail(ok.error());
    auto all = whole(x, until);
    if (!all)
      return all;
    auto rows = all->rows();
    if (!rows || *rows != x.rows_total)
      return fail(errc::corrupt,
                  fmt::format("batch {} has not the {} rows it should have",
                              x.buffer.value(), x.rows_total));
    return slice_rows(*all, x.row_begin, x.row_end);
  }
};

batch_store::batch_store(store_settings config, peer_mesh* mesh,
                         remote_stores* remote)
  : impl_(std::make_unique<impl>()) {
  impl_->config = config;
  impl_->mesh = mesh;
  impl_->remote = remote;
  if (mesh)
    mesh->serve(
      [state = impl_.get()](buffer_id id) { return state->export_file(id); });
}

batch_store::~batch_store() {
  if (impl_->mesh)
    impl_->mesh->serve({});
}

result<batch_part> batch_store::put(const batch& x, std::uint64_t scope,
                                    weight_version version) {
  return impl_->put(x, scope, version);
}

result<batch_ref> batch_store::settle(batch_ref x, std::uint64_t scope,
                                      deadline until) {
  if (x.inline_bytes() <= inline_bytes_max)
    return x;
  auto all = get(x, until);
  if (!all)
    return fail(all.error());
  auto oldest = x.parts.front().version;
  for (const auto& part : x.parts)
    oldest = std::min(oldest, part.version);
  auto part = put(*all, scope, oldest);
  if (!part)
    return fail(part.error());
  return batch_ref{{std::move(*part)}};
}

result<std::vector<batch_ref>> batch_store::split(const batch_ref& x,
                                                  std::size_t n,
                                                  std::uint64_t scope,
                                                  deadline until) {
  // Each share of a batch inside a message carries all of it.
  if (x.parts.size() != 1 || x.inline_bytes() * n <= split_inline_bytes_max)
    return x.split(n);
  auto all = get(x, until);
  if (!all)
    return fail(all.error());
  std::vector<batch_ref> out;
  out.reserve(n);
  for (const auto& range : split_rows(x.rows(), n)) {
    auto rows = slice_rows(*all, range.begin, range.end);
    if (!rows)
      return fail(rows.error());
    auto part = put(*rows, scope, x.parts.front().version);
    if (!part)
      return fail(part.error());
    out.push_back({{std::move(*part)}});
  }
  return out;
}

result<batch> batch_store::get(const batch_part& x, deadline until) {
  return impl_->get(x, until);
}

result<batch> batch_store::get(const batch_ref& x, deadline until) {
  std::vector<batch> parts;
  parts.reserve(x.parts.size());
  for (const auto& part : x.parts) {
    auto fetched = get(part, until);
    if (!fetched)
      return fetched;
    parts.push_back(std::move(*fetched));
  }
  return batch::concat(parts);
}

result<exported_file> batch_store::export_file(buffer_id id) const {
  return impl_->export_file(id);
}

std::size_t batch_store::release(std::uint64_t scope) {
  return impl_->release_if(
    [scope](const impl::entry& x) { return x.scope == scope; });
}

std::size_t batch_store::release_before(std::uint64_t scope) {
  return impl_->release_if(
    [scope](const impl::entry& x) { return x.scope < scope; });
}

std::size_t batch_store::sweep() {
  std::vector<impl::entry> expired;
  {
    std::lock_guard guard{impl_->mutex};
    expired = impl_->take_expired();
  }
  return expired.size();
}

store_stats batch_store::stats() const {
  std::lock_guard guard{impl_->mutex};
  return impl_->figures;
}

} // namespace troupe::process
