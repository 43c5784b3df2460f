// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/worker_state.hpp"

#include <algorithm>
#include <locale>
#include <optional>
#include <random>
#include <sstream>
#include <system_error>

#include <fmt/core.h>

#include "troupe/actors/checkpoint/batch_file.hpp"
#include "troupe/actors/checkpoint/checkpoint_folder.hpp"
#include "troupe/actors/checkpoint/file_io.hpp"
#include "troupe/actors/model/module_failure.hpp"
#include "troupe/actors/model/parameter_listing.hpp"
#include "troupe/actors/model/timed_communicator.hpp"
#include "troupe/actors/model/version_key.hpp"
#include "troupe/core/log.hpp"
#include "troupe/core/units.hpp"
#include "troupe/planner/parallel_layout.hpp"

namespace troupe::model {

namespace {

using protocol::ack;
using std::chrono::milliseconds;

planner::parallel_sizes sizes_of(const protocol::worker_spec& spec) {
  planner::parallel_sizes x;
  x.tensor = spec.tensor;
  x.pipeline = spec.pipeline;
  x.data = spec.data;
  x.context = spec.context;
  x.expert = spec.expert;
  return x;
}

/// The layout of a replica; its sizes were checked by the planner.
planner::parallel_layout layout_of(const protocol::worker_spec& spec) {
  return planner::parallel_layout::make(sizes_of(spec),
                                        planner::rank_order::megatron)
    .value();
}

deadline within(std::uint32_t timeout_ms) {
  return deadline::after(milliseconds{timeout_ms});
}

std::uint64_t to_us(duration x) {
  return static_cast<std::uint64_t>(
    std::chrono::duration_cast<std::chrono::microseconds>(x).count());
}

/// The seed of one rank's generator: different for every rank of every model,
/// equal in every run with the same seed.
std::mt19937_64 make_generator(const protocol::worker_spec& spec) {
  std::vector<std::uint32_t> words{static_cast<std::uint32_t>(spec.seed),
                                   static_cast<std::uint32_t>(spec.seed >> 32),
                                   static_cast<std::uint32_t>(
                                     spec.name.replica.value()),
                                   static_cast<std::uint32_t>(
                                     spec.name.rank.value())};
  for (auto c : spec.name.model)
    words.push_back(static_cast<unsigned char>(c));
  std::seed_seq seed(words.begin(), words.end());
  return std::mt19937_64{seed};
}

/// The state of a generator in the form that the standard gives it.
std::string to_text(const std::mt19937_64& x) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << x;
  return std::move(out).str();
}

bool from_text(const std::string& text, std::mt19937_64& x) {
  std::istringstream in{text};
  in.imbue(std::locale::classic());
  return static_cast<bool>(in >> x);
}

/// As a rank's answer: it is not the rank that is gone or late, nor one of those
/// that were asked with it.
error of_the_input(const error& why) {
  auto out = why.within("fetching the input");
  if (out.code() == errc::lost || out.code() == errc::timed_out)
    return {errc::aborted, out.message()};
  return out;
}

} // namespace

std::string world_group(const protocol::worker_name& worker) {
  return fmt::format("{}/{}/world", worker.model, worker.replica.value());
}

std::string data_parallel_group(const protocol::worker_name& worker,
                                const protocol::worker_spec& spec) {
  auto layout = layout_of(spec);
  if (layout.size(planner::dimension::data) == layout.world())
    return world_group(worker);
  auto first = layout.first(planner::dimension::data, worker.rank);
  return fmt::format("{}/{}/dp{}", worker.model, worker.replica.value(),
                     first.value());
}

// -- the module's view ---------------------------------------------------------

class worker_state::context final : public worker_context {
public:
  context(const protocol::worker_spec& spec, comm::device_ptr device,
          worker_probe& probe, troupe::options config)
    : spec_(spec),
      device_(std::move(device)),
      probe_(probe),
      config_(std::move(config)),
      sizes_(sizes_of(spec)),
      generator_(make_generator(spec)),
      world_group_(world_group(spec.name)),
      data_parallel_group_(data_parallel_group(spec.name, spec)) {
    auto at = layout_of(spec).coordinates_of(spec.name.rank);
    data_parallel_rank_ = at.at(planner::dimension::data);
    stage_ = at.at(planner::dimension::pipeline);
  }

  const std::string& model() const noexcept override {
    return spec_.name.model;
  }

  replica_id replica() const noexcept override { return spec_.name.replica; }

  std::int32_t num_replica() const noexcept override {
    return spec_.num_replica;
  }

  rank_id rank() const noexcept override { return spec_.name.rank; }

  std::int32_t world_size() const noexcept override {
    return static_cast<std::int32_t>(sizes_.world());
  }

  const planner::parallel_sizes& parallel() const noexcept override {
    return sizes_;
  }

  std::int32_t data_parallel_rank() const noexcept override {
    return data_parallel_rank_;
  }

  std::int32_t data_parallel_size() const noexcept override {
    return sizes_.data;
  }

  bool weights_return() const noexcept override { return spec_.weights_return; }

  dlpack::device device() const noexcept override {
    return device_ ? device_->where()
                   : dlpack::device{dlpack::device_type::cpu, 0};
  }

  std::int32_t device_index() const noexcept override { return spec_.device; }

  std::uint64_t device_bytes_max() const noexcept override {
    return spec_.memory.bytes_max;
  }

  result<std::shared_ptr<comm::shared_memory>>
  allocate_shared(std::uint64_t bytes) override {
    if (!device_)
      return worker_context::allocate_shared(bytes);
    std::erase_if(allocated_, [](const auto& x) { return x.expired(); });
    auto held = bytes;
    for (const auto& x : allocated_)
      if (auto memory = x.lock())
        held += memory->memory().size();
    if (auto max = spec_.memory.bytes_max; max > 0 && held > max)
      return fail(errc::exhausted,
                  fmt::format("{} would hold {} of its device, "
                              "device_memory_max allows {}",
                              to_string(spec_.name), format_bytes(held),
                              format_bytes(max)));
    auto made = device_->allocate(bytes);
    if (made)
      allocated_.push_back(*made);
    return made;
  }

  result<void> put(std::byte* to, std::span<const std::byte> from) override {
    return device_ ? device_->put(to, from, collective_deadline())
                   : worker_context::put(to, from);
  }

  result<void> get(std::span<std::byte> to, const std::byte* from) override {
    return device_ ? device_->get(to, from, collective_deadline())
                   : worker_context::get(to, from);
  }

  comm::communicator* world() noexcept override {
    return timed(world_, world_group_);
  }

  comm::communicator* data_parallel() noexcept override {
    return sizes_.data == 1 ? nullptr
                            : timed(data_parallel_, data_parallel_group_);
  }

  void look_again() noexcept {
    static_cast<void>(world());
    static_cast<void>(data_parallel());
  }

  /// Pipeline stage of this rank.
  [[nodiscard]] std::int32_t stage() const noexcept { return stage_; }

  /// Time inside the operations of both groups so far.
  [[nodiscard]] std::chrono::nanoseconds group_time() const noexcept {
    return group_time_;
  }

  deadline collective_deadline() const override {
    return within(spec_.collective_timeout_ms);
  }

  const troupe::options& config() const noexcept override { return config_; }

  std::mt19937_64& generator() noexcept override { return generator_; }

  std::uint64_t seed() const noexcept override { return spec_.seed; }

  int num_threads() const noexcept override { return spec_.num_threads; }

private:
  comm::communicator* timed(std::optional<timed_communicator>& view,
                            const std::string& group) noexcept {
    auto* inner = probe_.groups.communicator(group);
    if (!inner)
      return nullptr;
    if (!view || view->inner() != inner)
      view.emplace(*inner, group_time_);
    return &*view;
  }

  const protocol::worker_spec& spec_;
  comm::device_ptr device_;
  /// What was allocated here and lives.
  std::vector<std::weak_ptr<comm::shared_memory>> allocated_;
  worker_probe& probe_;
  troupe::options config_;
  planner::parallel_sizes sizes_;
  std::mt19937_64 generator_;
  std::string world_group_;
  std::string data_parallel_group_;
  std::int32_t data_parallel_rank_ = 0;
  std::int32_t stage_ = 0;
  std::chrono::nanoseconds group_time_{};
  std::optional<timed_communicator> world_;
  std::optional<timed_communicator> data_parallel_;
};

// -- life ----------------------------------------------------------------------

worker_state::worker_state(protocol::worker_spec spec, host_services services,
                           std::shared_ptr<worker_probe> probe)
  : spec_(std::move(spec)),
    services_(services),
    probe_(std::move(probe)) {
  // nop
}

worker_state::~worker_state() {
  close();
}

const protocol::worker_name& worker_state::name() const noexcept {
  return spec_.name;
}

result<protocol::manifests> worker_state::set_up() {
  return guarded("set up", [&]() -> result<protocol::manifests> {
    model_ = services_.registry->find(spec_.name.model);
    if (!model_)
      return fail(errc::invalid, fmt::format("this program has no model '{}'",
                                             spec_.name.model));
    auto config = options::decode(protocol::as_bytes(spec_.config));
    if (!config)
      return fail(config.error());
    if (auto entered = enter_device(); !entered)
      return fail(entered.error());
    context_ = std::make_unique<context>(spec_, services_.device, *probe_,
                                         std::move(*config));
    auto fresh = model_->make();
    fresh->context_ = context_.get();
    fresh->setup(*context_);
    parameters_ = fresh->parameters();
    if (auto sound = check_parameters(parameters_); !sound)
      return fail(sound.error());
    if (services_.device)
      if (auto placed = check_places(parameters_, *services_.device); !placed)
        return fail(placed.error());
    told_ = describe_parameters(parameters_);
    probe_->groups.offer(arenas_of(parameters_),
                         private_device_memory(parameters_));
    // Only now: what failed half-way must not serve.
    module_ = std::move(fresh);
    log::info(to_string(spec_.name), "set up with {} parameters",
              parameters_.size());
    static_cast<void>(measure());
    auto out = manifest(0);
    if (auto given = give_back(); !given)
      return fail(given.error());
    return out;
  });
}

result<protocol::manifests>
worker_state::rejoin(const protocol::rejoin& request) {
  if (!module_)
    return fail(errc::unavailable, "the model is not set up");
  return guarded("rejoin", [&]() -> result<protocol::manifests> {
    probe_->syncs.clear();
    probe_->groups.clear();
    apart_ = sizes_of(spec_).world() > 1;
    // A sync that failed before it could say so.
    pins_.clear();
    enrolled_.clear();
    lent_.clear();
    if (request.reload)
      fences_.clear();
    writes_ = 0;
    if (scope_ == request.scope && scope_ > 0)
      context_->generator() = generator_before_;
    return manifest(0);
  });
}

void worker_state::close() noexcept {
  try {
    probe_->mark.set("closing");
    probe_->groups.abort();
    // Nobody reads the module's memory once it is gone.
    probe_->syncs.close();
    parameters_.clear();
    module_.reset();
    // Here, where it may take a while: the control actor has the table, too.
    probe_->groups.clear();
  } catch (const std::exception& x) {
    log::error(to_string(spec_.name), "closing failed: {}", x.what());
  }
}

// -- groups --------------------------------------------------------------------

result<protocol::group_addresses>
worker_state::open(const protocol::open_groups& request) {
  // Peers would only say that this one does not fit.
  if (!services_.device_failure.empty())
    return fail(errc::unavailable, services_.device_failure);
  protocol::group_addresses out;
  for (const auto& seat : request.items) {
    auto address = probe_->groups.open(seat);
    if (!address)
      return fail(address.error());
    if (spec_.memory.offload && !away_
        && seat.kind == protocol::seat_kind::sender)
      lent_.insert(seat.group);
    out.items.push_back(
      {spec_.name, seat.group, seat.rank, protocol::to_payload(*address)});
  }
  return out;
}

result<ack> worker_state::connect(const protocol::connect_groups& request) {
  auto until = within(request.timeout_ms);
  for (const auto& item : request.items) {
    operation_scope mark{probe_->mark, "connect " + item.group};
    std::vector<bytes> addresses;
    for (const auto& raw : item.addresses) {
      auto view = protocol::as_bytes(raw);
      addresses.emplace_back(view.begin(), view.end());
    }
    auto done = probe_->groups.connect(item.group, addresses, until);
    if (done)
      continue;
    auto why = as_answer(done.error(), services_.device.get());
    // Whoever has ranks join anew makes a replica anew that cannot.
    auto stays_lost = apart_ && done.error().code() == errc::lost
                      && why.code() == errc::aborted;
    return fail(stays_lost ? done.error() : why);
  }
  // What the module has kept of its communicators stands for the new ones.
  if (context_)
    context_->look_again();
  apart_ = false;
  return ack{};
}

result<ack> worker_state::close(const protocol::close_groups& request) {
  for (const auto& item : request.items) {
    for (const auto& seat : probe_->syncs.all())
      seat->leave(item.group);
    probe_->groups.close(item.group);
    lent_.erase(item.group);
  }
  if (auto given = give_back(); !given)
    return fail(given.error());
  return ack{};
}

// -- calls ---------------------------------------------------------------------

result<protocol::invoked>
worker_state::invoke(const protocol::invoke& request) {
  if (!module_)
    return fail(errc::unavailable, "the model is not set up");
  if (!fences_.empty())
    return fail(errc::unavailable,
                "the model's weights are being replaced; call again after the "
                "sync");
  if (pinned())
    return fail(errc::unavailable,
                "the model's weights are being read by a sync; call again "
                "after it");
  if (apart_)
    return fail(errc::unavailable, "its ranks are not joined again yet");
  auto* function = model_->find(request.function);
  if (!function)
    return fail(errc::invalid, fmt::format("model '{}' has no function '{}'",
                                           spec_.name.model, request.function));
  if (auto here = bring(); !here)
    return fail(here.error());
  auto done = guarded(request.function, [&]() -> result<protocol::invoked> {
    auto until = within(request.timeout_ms);
    auto input = services_.store->get(request.input, until);
    if (!input)
      return fail(of_the_input(input.error()));
    auto in_groups = context_->group_time();
    auto start = std::chrono::steady_clock::now();
    // Also a call that throws may have written.
    ++writes_;
    if (std::exchange(scope_, request.scope) != request.scope)
      generator_before_ = context_->generator();
    auto output = function->call(*module_, *input);
    output.set_meta(version_key(spec_.name.model),
                    static_cast<std::int64_t>(version_.value()));
    auto busy = std::chrono::steady_clock::now() - start;
    in_groups = context_->group_time() - in_groups;
    auto stored = services_.store->put(output, request.scope, version_);
    if (!stored)
      return fail(stored.error().within("storing the output"));
    protocol::invoked out;
    out.output.parts.push_back(std::move(*stored));
    out.version = version_;
    out.busy_us = to_us(busy);
    out.times.push_back({spec_.name, context_->stage(),
                         to_us(std::max(busy - in_groups, duration::zero())),
                         to_us(in_groups)});
    static_cast<void>(measure());
    return out;
  });
  // Before the answer: whoever is called next may need the room.
  if (auto given = give_back(); !given && done)
    return fail(given.error());
  return done;
}

// -- checkpoints ---------------------------------------------------------------

std::filesystem::path
worker_state::directory_in(const std::string& checkpoint) const {
  return std::filesystem::path{checkpoint} / spec_.name.model
         / std::to_string(spec_.name.replica.value());
}

std::filesystem::path
worker_state::own_file(const std::filesystem::path& directory,
                       rank_id rank) const {
  return directory
         / fmt::format("{}.rank{}", checkpoint::own_prefix, rank.value());
}

std::filesystem::path
worker_state::loaded_directory(const std::string& checkpoint) const {
  auto own = directory_in(checkpoint);
  std::error_code problem;
  if (std::filesystem::exists(own, problem))
    return own;
  std::optional<int> first;
  for (std::filesystem::directory_iterator i{own.parent_path(), problem}, end;
       !problem && i != end; i.increment(problem)) {
    auto name = i->path().filename().string();
    auto digits = !name.empty()
                  && name.find_first_not_of("0123456789") == std::string::npos
                  && name.size() < 9;
    if (digits && (!first || std::stoi(name) < *first))
      first = std::stoi(name);
  }
  return first ? own.parent_path() / std::to_string(*first) : own;
}

rank_id worker_state::loaded_rank(const protocol::run_checkpoint& x) const {
  auto own = spec_.name.rank;
  // Of a model that is the same on data ranks there may be more than were saved.
  if (!x.by_peers && !model_->same_on_data_ranks())
    return own;
  auto directory = loaded_directory(x.directory);
  auto there = [&](rank_id rank) {
    std::error_code problem;
    return std::filesystem::exists(own_file(directory, rank), problem);
  };
  if (there(own))
    return own;
  for (auto peer : layout_of(spec_).group_of(planner::dimension::data, own))
    if (there(peer))
      return peer;
  return own;
}

result<checkpoint_files>
worker_state::save(const protocol::run_checkpoint& request) {
  if (!module_)
    return fail(errc::unavailable, "the model is not set up");
  if (!fences_.empty())
    return fail(errc::unavailable,
                "the model's weights are being replaced; save again after the "
                "sync");
  if (auto here = bring(); !here)
    return fail(here.error());
  auto done = guarded("save checkpoint", [&]() -> result<checkpoint_files> {
    checkpoint_writer to{directory_in(request.directory), spec_.name.rank};
    std::error_code problem;
    std::filesystem::create_directories(to.directory(), problem);
    if (problem)
      return fail(checkpoint::file_error(problem.value(), "make the folder",
                                         to.directory()));
    module_->save_checkpoint(to);
    auto out = to.take();
    batch own;
    own.set_meta("generator", to_text(context_->generator()));
    out.emplace_back(own_file(to.directory(), spec_.name.rank), std::move(own));
    return out;
  });
  if (auto given = give_back(); !given && done)
    return fail(given.error());
  return done;
}

result<ack> worker_state::load(const protocol::run_checkpoint& request) {
  if (!module_)
    return fail(errc::unavailable, "the model is not set up");
  if (!fences_.empty())
    return fail(errc::unavailable,
                "the model's weights are being replaced; load again after the "
                "sync");
  if (pinned())
    return fail(errc::unavailable,
                "the model's weights are being read by a sync; call again "
                "after it");
  if (auto here = bring(); !here)
    return fail(here.error());
  // Also a load that throws may have written.
  ++writes_;
  auto done = guarded("load checkpoint", [&]() -> result<ack> {
    auto rank = loaded_rank(request);
    checkpoint_reader from{loaded_directory(request.directory), rank};
    auto file = own_file(from.directory(), rank);
    auto own = checkpoint::read_batch(file);
    if (!own)
      return fail(own.error());
    const auto* text = own->find_meta("generator");
    std::mt19937_64 generator;
    if (!text || !std::holds_alternative<std::string>(*text)
        || !from_text(std::get<std::string>(*text), generator))
      return fail(errc::corrupt, fmt::format("{} holds no state of a generator",
                                             file.string()));
    // Two that draw the same numbers would be of little use.
    auto is_own = rank == spec_.name.rank
                  && from.directory() == directory_in(request.directory);
    if (is_own)
      context_->generator() = generator;
    module_->load_checkpoint(from);
    // Ranks whose calls differed are in step again.
    writes_ = 0;
    return ack{};
  });
  if (auto given = give_back(); !given && done)
    return fail(given.error());
  return done;
}

} // namespace troupe::model
