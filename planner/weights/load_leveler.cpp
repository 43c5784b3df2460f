// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/load_leveler.hpp"

#include <algorithm>

namespace troupe::planner::weights {

namespace {

/// A box is not cut for the sake of fewer bytes.
constexpr std::uint64_t min_cut_bytes = 256;
/// Nor for less than such a part of what a source sends.
constexpr std::uint64_t slack_part = 64;

std::uint64_t bytes_of(const box& where, std::uint64_t element_bytes) {
  return static_cast<std::uint64_t>(where.size()) * element_bytes;
}

/// The first dimension along which a box can be cut, or the number of them.
std::size_t cut_dim(const box& x) {
  std::size_t dim = 0;
  while (dim < x.dims() && x[dim].size() == 1)
    ++dim;
  return dim;
}

} // namespace

/// Fills one source after the other.
class load_leveler::filler {
public:
  filler(std::vector<std::uint64_t>& loads,
         std::span<const std::uint32_t> candidates, std::uint64_t total,
         const visitor& visit)
    : loads_(loads),
      sources_(candidates.begin(), candidates.end()),
      visit_(visit),
      rest_(total) {
    std::ranges::stable_sort(sources_, {}, [&](auto r) { return loads_[r]; });
    // How many of the emptiest rise.
    std::size_t rising = 0;
    while (rising < sources_.size()
           && (rising == 0
               || loads_[sources_[rising]] < (total + waiting_) / rising)) {
      waiting_ += loads_[sources_[rising]];
      ++rising;
    }
    sources_.resize(rising);
    slack_ = std::max(min_cut_bytes, total / rising / slack_part);
    begin_source();
  }

  void place(std::size_t item, const level_item& x) {
    place(item, x.where, x.element_bytes, 0, x.destinations);
  }

private:
  [[nodiscard]] bool last() const noexcept {
    return at_ + 1 == sources_.size();
  }

  [[nodiscard]] std::uint64_t room() const noexcept {
    auto load = loads_[sources_[at_]];
    return load < level_ ? level_ - load : 0;
  }

  /// How far this source and those behind it rise with what is left: what one
  /// took too much or too little of is shared by the others.
  void begin_source() {
    auto count = sources_.size() - at_;
    level_ = (rest_ + waiting_ + count - 1) / count;
    waiting_ -= loads_[sources_[at_]];
  }

  void next_source() {
    ++at_;
    begin_source();
  }

  void give(std::size_t item, const box& where, std::uint64_t bytes,
            std::size_t first, std::size_t count) {
    loads_[sources_[at_]] += bytes * count;
    rest_ -= bytes * count;
    visit_(sources_[at_], item, where, first, count);
  }

  void place(std::size_t item, const box& where, std::uint64_t element_bytes,
             std::size_t first, std::size_t count) {
    auto bytes = bytes_of(where, element_bytes);
    while (count > 0) {
      auto fits = last()
                    ? count
                    : std::min<std::uint64_t>(count, (room() + slack_) / bytes);
      if (fits > 0) {
        give(item, where, bytes, first, fits);
        first += fits;
        count -= fits;
        continue;
      }
      auto dim = cut_dim(where);
      if (dim == where.dims() || room() < min_cut_bytes) {
        next_source();
        continue;
      }
      auto row = bytes / static_cast<std::uint64_t>(where[dim].size());
      auto rows = static_cast<std::int64_t>(room() / row);
      if (rows == 0 && row <= slack_) {
        next_source();
        continue;
      }
      // What is left of one destination's box goes to the next sources; a row
      // that is too large by itself is cut inside.
      auto cut = where[dim].begin + std::max<std::int64_t>(rows, 1);
      auto head = where.part(dim, {where[dim].begin, cut});
      if (rows > 0)
        give(item, head, row * static_cast<std::uint64_t>(rows), first, 1);
      else
        place(item, head, element_bytes, first, 1);
      place(item, where.part(dim, {cut, where[dim].end}), element_bytes, first,
            1);
      ++first;
      --count;
    }
  }

  std::vector<std::uint64_t>& loads_;
  std::vector<std::uint32_t> sources_;
  const visitor& visit_;
  /// Bytes that nobody has got yet.
  std::uint64_t rest_;
  /// What the sources behind this one send already.
  std::uint64_t waiting_ = 0;
  std::size_t at_ = 0;
  std::uint64_t level_ = 0;
  std::uint64_t slack_ = 0;
};

void load_leveler::assign(std::span<const std::uint32_t> candidates,
                          std::span<const level_item> items,
                          const visitor& visit) {
  std::uint64_t total = 0;
  for (const auto& x : items)
    total += bytes_of(x.where, x.element_bytes) * x.destinations;
  filler out{loads_, candidates, total, visit};
  for (std::size_t i = 0; i < items.size(); ++i)
    out.place(i, items[i]);
}

} // namespace troupe::planner::weights
