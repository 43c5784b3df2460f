// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace troupe::model {

/// Who has which devices, and who waits for them in which order. A state
/// machine for the one actor that is asked (`device_desk`).
///
/// A lease begins when nobody else has one of its devices and nobody who asked
/// earlier waits for one. One that is `first` passes those who wait and are not,
/// and all who wait if its owner has all of its devices already.
///
/// Why nobody waits for ever: a lease has all of its devices or none, so the one
/// at the head waits for holders alone, and holders wait for nobody
/// (`call::device_lease`).
class lease_book {
public:
  /// False if the number is in use.
  bool ask(std::uint64_t number, std::string owner,
           std::set<std::string> devices, bool first = false);

  /// Of one that holds or waits; unknown numbers are ignored.
  void end(std::uint64_t number);

  /// Those that begin now, in the order in which they asked.
  [[nodiscard]] std::vector<std::uint64_t> begin();

  /// Owners that this one waits for, each once, in the order of their turns.
  /// None for one that holds, or is unknown.
  [[nodiscard]] std::vector<std::string> blockers(std::uint64_t number) const;

  /// Who has or wants something.
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

private:
  struct entry {
    std::uint64_t number = 0;
    std::string owner;
    std::set<std::string> devices;
    bool first = false;
    bool holds = false;
  };

  using position = std::list<entry>::const_iterator;

  /// Who keeps it waiting, in order.
  [[nodiscard]] std::vector<position> blockers_of(position x) const;

  /// In the order of their turns.
  std::list<entry> entries_;
};

} // namespace troupe::model
