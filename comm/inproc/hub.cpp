// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/inproc/hub.hpp"

#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/inproc/factory.hpp"
#include "troupe/comm/inproc/transport.hpp"
#include "troupe/comm/transport_communicator.hpp"

namespace troupe::comm::inproc {

namespace {

/// First bytes of every address: who made it.
constexpr std::uint32_t magic = 0x31504e49;

/// The ranks that connect with the same addresses.
struct meeting {
  explicit meeting(std::int32_t size)
    : shared(std::make_shared<group>(size)),
      seated(static_cast<std::size_t>(size)) {
    // nop
  }

  std::shared_ptr<group> shared;
  std::vector<bool> seated;
  std::int32_t arrived = 0;
  bool failed = false;
};

/// Who holds the ends of a link that was asked for by name.
struct named_link {
  link_end first_end;
  std::weak_ptr<link> first;
  /// The other end, until somebody asks for it.
  link_ptr other;
  std::weak_ptr<link> second;

  bool dead() const { return first.expired() || (!other && second.expired()); }
};

std::uint64_t random_word() {
  std::random_device source;
  return (std::uint64_t{source()} << 32) | source();
}

} // namespace

struct hub_state {
  /// Keeps addresses of other hubs, also of other processes, from matching.
  const std::uint64_t nonce = random_word();
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t endpoints = 0;
  std::map<std::string, std::weak_ptr<meeting>> meetings;
  std::map<std::string, named_link, std::less<>> links;
};

namespace {

struct parsed_address {
  std::uint32_t magic = 0;
  std::uint64_t nonce = 0;
  std::string group;
  std::int32_t rank = 0;
  std::int32_t size = 0;
  std::uint64_t id = 0;
};

bytes encode(const parsed_address& x) {
  bytes out;
  encoder to{out};
  to.put(x.magic);
  to.put(x.nonce);
  to.put(x.group);
  to.put(x.rank);
  to.put(x.size);
  to.put(x.id);
  return out;
}

bool decode(const bytes& in, parsed_address& x) {
  decoder from{in};
  return from.get(x.magic) && from.get(x.nonce) && from.get(x.group)
         && from.get(x.rank) && from.get(x.size) && from.get(x.id)
         && from.left() == 0 && x.magic == magic;
}

} // namespace

/// Keeps the hub's state alive, not the hub.
class hub_endpoint final : public endpoint {
public:
  hub_endpoint(std::shared_ptr<hub_state> home, parsed_address self,
               const collective_options& options)
    : home_(std::move(home)),
      self_(std::move(self)),
      address_(encode(self_)),
      options_(options) {
    // nop
  }

  const bytes& address() const noexcept override { return address_; }

  result<communicator_ptr> connect(const std::vector<bytes>& addresses,
                                   deadline until) override {
    if (auto good = check(addresses); !good)
      return fail(good.error());
    std::string key;
    for (const auto& x : addresses)
      key.append(reinterpret_cast<const char*>(x.data()), x.size());
    std::unique_lock lock{home_->mutex};
    if (connected_)
      return fail(errc::invalid, "an endpoint connects once");
    connected_ = true;
    auto ours = join(key);
    home_->changed.notify_all();
    home_->changed.wait_for(lock, until.left(), [&] {
      return ours->arrived == self_.size || ours->failed || aborted_;
    });
    if (ours->arrived == self_.size)
      return std::make_shared<
        transport_communicator>(std::make_unique<group_transport>(ours->shared,
                                                                  rank_id{
                                                                    self_
                                                                      .rank}),
                                options_);
    // A group with a seat missing never comes to be: nobody waits in vain.
    auto failed_before = std::exchange(ours->failed, true);
    home_->changed.notify_all();
    if (aborted_)
      return fail(errc::aborted, "the rendezvous was aborted");
    if (failed_before)
      return fail(errc::lost,
                  fmt::format("a rank of group {} gave up", self_.group));
    return fail(errc::timed_out,
                fmt::format("{} of {} ranks of group {} arrived", ours->arrived,
                            self_.size, self_.group));
  }

  void abort() noexcept override {
    std::unique_lock lock{home_->mutex};
    aborted_ = true;
    home_->changed.notify_all();
  }

private:
  result<void> check(const std::vector<bytes>& addresses) const {
    if (addresses.size() != static_cast<std::size_t>(self_.size))
      return fail(errc::invalid, fmt::format("{} addresses for a group of {}",
                                             addresses.size(), self_.size));
    for (std::size_t rank = 0; rank < addresses.size(); ++rank) {
      parsed_address x;
      if (!decode(addresses[rank], x))
        return fail(errc::invalid,
                    fmt::format("rank {}: not an inproc address", rank));
      if (x.nonce != home_->nonce)
        return fail(errc::invalid,
                    fmt::format("rank {} lives in another process", rank));
      if (x.group != self_.group || x.size != self_.size
          || x.rank != static_cast<std::int32_t>(rank))
        return fail(errc::invalid,
                    fmt::format("address {} is rank {} of {} of group {}, "
                                "not of {} of group {}",
                                rank, x.rank, x.size, x.group, self_.size,
                                self_.group));
    }
    if (addresses[static_cast<std::size_t>(self_.rank)] != address_)
      return fail(errc::invalid, "our own address is not in the list");
    return {};
  }

  /// Takes our seat; the caller holds the lock.
  std::shared_ptr<meeting> join(const std::string& key) {
    auto& meetings = home_->meetings;
    for (auto it = meetings.begin(); it != meetings.end();)
      it = it->second.expired() ? meetings.erase(it) : std::next(it);
    auto ours = meetings[key].lock();
    if (!ours) {
      ours = std::make_shared<meeting>(self_.size);
      meetings[key] = ours;
    }
    auto seat = static_cast<std::size_t>(self_.rank);
    if (!ours->seated[seat]) {
      ours->seated[seat] = true;
      ++ours->arrived;
    }
    return ours;
  }

  std::shared_ptr<hub_state> home_;
  parsed_address self_;
  bytes address_;
  collective_options options_;
  // Guarded by the hub's mutex.
  bool connected_ = false;
  bool aborted_ = false;
};

hub::hub() : state_(std::make_shared<hub_state>()) {
  // nop
}

hub::~hub() = default;

result<endpoint_ptr> hub::make_endpoint(std::string_view group_name,
                                        rank_id rank, std::int32_t size,
                                        const collective_options& options) {
  if (rank.value() < 0 || rank.value() >= size)
    return fail(errc::invalid, fmt::format("rank {} is not in a group of {}",
                                           rank.value(), size));
  parsed_address self;
  self.magic = magic;
  self.nonce = state_->nonce;
  self.group = std::string{group_name};
  self.rank = rank.value();
  self.size = size;
  {
    std::unique_lock lock{state_->mutex};
    self.id = state_->endpoints++;
  }
  return std::make_shared<hub_endpoint>(state_, std::move(self), options);
}

result<link_ptr> hub::make_link(std::string_view name, link_end end) {
  std::unique_lock lock{state_->mutex};
  auto& links = state_->links;
  for (auto it = links.begin(); it != links.end();)
    it = it->second.dead() ? links.erase(it) : std::next(it);
  auto found = links.find(name);
  if (found == links.end()) {
    auto ends = inproc::make_link();
    if (end == link_end::receiver)
      std::swap(ends.first, ends.second);
    links.emplace(std::string{name},
                  named_link{end, ends.first, std::move(ends.second), {}});
    return ends.first;
  }
  auto& entry = found->second;
  if (end == entry.first_end || !entry.other)
    return fail(errc::refused,
                fmt::format("this end of link {} is taken", name));
  entry.second = entry.other;
  return std::exchange(entry.other, nullptr);
}

} // namespace troupe::comm::inproc
