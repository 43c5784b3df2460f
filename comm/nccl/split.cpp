// SPDX-License-Identifier: Apache-2.0
// Communicators out of communicators, and memory that one knows.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/nccl/communicator.hpp"
#include "troupe/comm/nccl/meeting.hpp"
#include "troupe/comm/nccl/running.hpp"
#include "troupe/comm/nccl/version.hpp"

namespace troupe::comm::nccl {

namespace {

/// What a rank tells the others about the sub-group it goes to.
constexpr std::size_t record_bytes = 256;

bytes record_of(std::int32_t color, std::int32_t key,
                const gloo::contact& who) {
  bytes out;
  encoder to{out};
  auto text = gloo::encode(who);
  to.put(color);
  to.put(key);
  to.put(static_cast<std::uint32_t>(text.size()));
  to.append(text.data(), text.size());
  out.resize(record_bytes);
  return out;
}

struct member {
  std::int32_t color = 0;
  std::int32_t key = 0;
  gloo::contact who;
};

result<member> read_record(std::span<const std::byte> in) {
  decoder from{in};
  member out;
  std::uint32_t length = 0;
  std::span<const std::byte> text;
  if (!from.get(out.color) || !from.get(out.key) || !from.get(length)
      || !from.view(length, text))
    return fail(errc::corrupt, "a rank's record of a split is damaged");
  auto who = gloo::decode_contact({text.begin(), text.end()});
  if (!who)
    return fail(who.error());
  out.who = *who;
  return out;
}

} // namespace

// -- split --------------------------------------------------------------------

result<std::shared_ptr<nccl_communicator>>
nccl_communicator::split(std::int32_t color, std::int32_t key, deadline until) {
  using made_type = result<std::shared_ptr<nccl_communicator>>;
  return run("split", [&]() -> made_type {
    auto place = meeting_point::make(config_);
    if (!place)
      return fail(place.error());
    auto mine = record_of(color, key, (*place)->self(rank_, size_));
    bytes all(mine.size() * static_cast<std::size_t>(size_));
    auto peers = next_collective();
    if (auto told = staged_gather(mine, all, peers, until); !told)
      return fail(told.error());
    std::vector<member> members;
    for (std::size_t r = 0; r < static_cast<std::size_t>(size_); ++r) {
      auto read = read_record(
        std::span{all}.subspan(r * record_bytes, record_bytes));
      if (!read)
        return fail(read.error().within(fmt::format("rank {}", r)));
      if (color >= 0 && read->color == color)
        members.push_back(*read);
    }
    std::stable_sort(members.begin(), members.end(),
                     [](const member& x, const member& y) {
                       return x.key < y.key;
                     });
    std::vector<gloo::contact> ranks;
    rank_id self;
    for (auto& x : members) {
      auto at = rank_id{static_cast<std::int32_t>(ranks.size())};
      if (x.who.rank == rank_)
        self = at;
      ranks.push_back(x.who);
      ranks.back().rank = at;
      ranks.back().size = static_cast<std::int32_t>(members.size());
    }
    // NCCL writes here from a thread of its own until it has settled or this
    // communicator has ended.
    auto raw = std::make_shared<comm_handle>(nullptr);
    comm_->keep(raw);
    auto code = comm_->with([&](comm_handle x) {
      return config_.library->split(x, color, key, *raw);
    });
    result<void> settled = fail(errc::aborted, "the communicator was aborted");
    if (code == codes::success || code == codes::in_progress)
      settled = settle("split", peers, until);
    else if (code)
      settled = fail(
        error_of(*config_.library, *code, comm_->words(), "split"));
    auto known = settled.has_value();
    if (!settled) {
      comm_->abort();
      known = comm_->await_end();
    }
    std::unique_ptr<owned_comm> part;
    if (known && *raw != nullptr)
      part = std::make_unique<owned_comm>(parts_of(config_, self,
                                                   static_cast<std::int32_t>(
                                                     ranks.size())),
                                          raw);
    if (!settled)
      return fail(settled.error());
    if (color < 0)
      return nullptr;
    if (!part)
      return fail(errc::internal, "NCCL made no communicator");
    auto beside = (*place)->meet(self, ranks, until);
    if (!beside)
      return fail(beside.error());
    auto chunks = staging::make(config_.runtime, config_.device,
                                staging_->chunk_bytes());
    if (!chunks)
      return fail(chunks.error());
    auto wanted_here = [this] { return wanted(); };
    if (auto ready = await_settled(*config_.library, *part, **beside, "split",
                                   wanted_here, until);
        !ready)
      return fail(ready.error());
    return std::make_shared<nccl_communicator>(config_, self,
                                               static_cast<std::int32_t>(
                                                 ranks.size()),
                                               std::move(part),
                                               std::move(*beside),
                                               std::move(*chunks));
  });
}

// -- shrink -------------------------------------------------------------------

namespace {

error ended_before() {
  return {errc::unavailable,
          "the communicator has ended: make a new group of the survivors; with "
          "keep_for_shrink the next failure leaves it for shrink"};
}

} // namespace

class shrink_endpoint final : public endpoint {
public:
  shrink_endpoint(std::shared_ptr<nccl_communicator> parent,
                  std::vector<std::int32_t> excluded, rank_id self,
                  std::int32_t size, std::unique_ptr<meeting_point> place)
    : parent_(std::move(parent)),
      excluded_(std::move(excluded)),
      self_(self),
      size_(size),
      place_(std::move(place)),
      address_(gloo::encode(place_->self(self, size))) {
    // nop
  }

  const bytes& address() const noexcept override { return address_; }

  result<communicator_ptr> connect(const std::vector<bytes>& addresses,
                                   deadline until) override {
    if (connected_.exchange(true))
      return fail(errc::invalid, "an endpoint connects once");
    auto ranks = read(addresses);
    if (!ranks)
      return fail(ranks.error());
    auto beside = place_->meet(self_, *ranks, until);
    if (!beside)
      return fail(beside.error());
    // Owned by `assemble` from then on, which is as long as it is needed here.
    auto& line = **beside;
    const auto& config = parent_->config_;
    auto wanted = [this]() -> result<void> {
      if (aborted_)
        return fail(errc::aborted, "the rendezvous was aborted");
      return {};
    };
    // NCCL writes the new one's handle from a thread of its own, until the old
    // one has settled or has ended; so it is known only then.
    auto begin = [&](const handle_place& out) {
      auto& old = *parent_->comm_;
      auto place = std::make_shared<comm_handle>(nullptr);
      old.keep(place);
      // Waits for the old one's kernels, which it ends first.
      auto code = old.with_bound("shrinking NCCL's communicator", until,
                                 [lib = config.library, gone = excluded_,
                                  place](comm_handle x) {
                                   return lib->shrink(x, gone, *place);
                                 });
      if (!code) {
        why_ = ended_before();
        return codes::invalid_usage;
      }
      if (*code != codes::success && *code != codes::in_progress) {
        why_ = error_of(*config.library, *code, old.words(),
                        "shrink; make a new group of the survivors instead");
      } else {
        auto check = [&]() -> result<void> {
          auto good = wanted();
          return good ? line.check() : good;
        };
        if (auto settled = await_settled(*config.library, old, line, "shrink",
                                         check, until);
            !settled) {
          why_ = settled.error();
          code = codes::internal_error;
        }
      }
      // A new one that was not finished is NCCL's to take along.
      if (end_parent())
        *out = *place;
      return *code;
    };
    auto made = assemble(config, self_, size_, std::move(*beside), begin,
                         wanted, until);
    if (!made)
      return fail(why_ ? *why_ : made.error());
    return communicator_ptr{std::move(*made)};
  }

  void abort() noexcept override {
    aborted_ = true;
    place_->stop();
  }

private:
  /// False: NCCL does not let go of it.
  bool end_parent() {
    (void) parent_->die(error{errc::aborted, "the communicator was shrunk"});
    parent_->comm_->abort();
    auto over = parent_->comm_->await_end();
    parent_->drain();
    return over;
  }

  result<std::vector<gloo::contact>>
  read(const std::vector<bytes>& addresses) const {
    if (addresses.size() != static_cast<std::size_t>(size_))
      return fail(errc::invalid, fmt::format("{} addresses for {} survivors",
                                             addresses.size(), size_));
    std::vector<gloo::contact> ranks;
    for (const auto& x : addresses) {
      auto rank = static_cast<std::int32_t>(ranks.size());
      auto who = gloo::decode_contact(x);
      if (!who)
        return fail(who.error().within(fmt::format("survivor {}", rank)));
      if (who->rank.value() != rank || who->size != size_)
        return fail(errc::invalid,
                    fmt::format("address {} is survivor {} of {}, not of {}",
                                rank, who->rank.value(), who->size, size_));
      ranks.push_back(*who);
    }
    if (addresses[static_cast<std::size_t>(self_.value())] != address_)
      return fail(errc::invalid, "our own address is not in the list");
    return ranks;
  }

  const std::shared_ptr<nccl_communicator> parent_;
  const std::vector<std::int32_t> excluded_;
  const rank_id self_;
  const std::int32_t size_;
  const std::unique_ptr<meeting_point> place_;
  const bytes address_;
  std::optional<error> why_;
  std::atomic<bool> connected_{false};
  std::atomic<bool> aborted_{false};
};

// Source of what NCCL refuses: ncclCommShrink and ncclCommEnsureReady of NCCL
// 2.27 to 2.30, also with NCCL_SHRINK_ABORT, which ends kernels and no errors.
result<void> nccl_communicator::shrinkable() {
  if (!config_.library->can_shrink())
    return fail(errc::unavailable,
                fmt::format("NCCL {} cannot shrink a communicator, 2.27 can: "
                            "make a new group of the survivors",
                            version_text(config_.library->version())));
  auto state = comm_->look();
  if (!state)
    return fail(ended_before());
  if (*state == codes::success)
    return {};
  if (*state == codes::in_progress || *state == codes::stuck)
    return fail(errc::unavailable,
                "NCCL does not shrink a communicator in the middle of a call: "
                "make a new group of the survivors");
  return fail(errc::unavailable,
              fmt::format("NCCL does not shrink a communicator that has an "
                          "error of its own ({}): make a new group of the "
                          "survivors",
                          config_.library->text_of(*state)));
}

result<endpoint_ptr>
nccl_communicator::shrink(const std::vector<rank_id>& excluded) {
  if (auto good = shrinkable(); !good)
    return fail(good.error());
  std::vector<std::int32_t> gone;
  for (auto x : excluded) {
    if (x.value() < 0 || x.value() >= size_)
      return fail(errc::invalid, fmt::format("rank {} is not in a group of {}",
                                             x.value(), size_));
    if (x == rank_)
      return fail(errc::invalid, "an excluded rank does not shrink its group");
    gone.push_back(x.value());
  }
  std::sort(gone.begin(), gone.end());
  gone.erase(std::unique(gone.begin(), gone.end()), gone.end());
  if (gone.empty())
    return fail(errc::invalid, "nobody is excluded");
  auto below = std::lower_bound(gone.begin(), gone.end(), rank_.value())
               - gone.begin();
  auto self = rank_id{rank_.value() - static_cast<std::int32_t>(below)};
  auto place = meeting_point::make(config_);
  if (!place)
    return fail(place.error());
  auto size = size_ - static_cast<std::int32_t>(gone.size());
  return std::make_shared<shrink_endpoint>(shared_from_this(), std::move(gone),
                                           self, size, std::move(*place));
}

// -- memory -------------------------------------------------------------------

result<registered_memory>
nccl_communicator::register_memory(std::span<std::byte> memory) {
  if (auto good = wanted(); !good)
    return fail(good.error());
  auto where = place_of(memory);
  if (!where)
    return fail(where.error());
  if (*where != place::device)
    return fail(errc::invalid, "only device memory can be registered");
  registration_handle made = nullptr;
  auto here = cuda::device_guard::enter(*config_.runtime, config_.device);
  if (!here)
    return fail(here.error());
  auto code = comm_->with([&](comm_handle x) {
    return config_.library->register_memory(x, memory.data(), memory.size(),
                                            made);
  });
  if (!code)
    return fail(errc::aborted, "the communicator was aborted");
  if (*code != codes::success)
    return fail(
      error_of(*config_.library, *code, comm_->words(), "registering memory"));
  return registered_memory{shared_from_this(), made};
}

void nccl_communicator::deregister(registration_handle what) noexcept {
  if (what == nullptr)
    return;
  auto here = cuda::device_guard::enter(*config_.runtime, config_.device);
  // One that has ended has forgotten its registrations.
  (void) comm_->with(
    [&](comm_handle x) { return config_.library->deregister(x, what); });
}

registered_memory::~registered_memory() {
  if (home_)
    home_->deregister(what_);
}

} // namespace troupe::comm::nccl
