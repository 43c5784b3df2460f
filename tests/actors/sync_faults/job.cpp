// SPDX-License-Identifier: Apache-2.0
#include "actors/sync_faults/job.hpp"

#include <stdexcept>

#include <caf/io/middleman.hpp>

#include "troupe/actors/config/options.hpp"
#include "troupe/actors/model/dist_model.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/node/node.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/actors/sync/sync_group.hpp"

namespace sync_faults {

using namespace troupe;
using std::chrono::milliseconds;

namespace {

constexpr auto setup_timeout = milliseconds{10'000};

/// By then every step of a sync has run into its deadline.
milliseconds hopeless(std::uint32_t timeout_ms) {
  return milliseconds{timeout_ms} * 12 + setup_timeout;
}

/// Hands everything on, and says so first.
class tap : public protocol::dist_model_actor::base {
public:
  tap(caf::actor_config& config, protocol::dist_model_actor model,
      std::shared_ptr<ears> all)
    : protocol::dist_model_actor::base(config),
      model_(std::move(model)),
      ears_(std::move(all)) {
    // nop
  }

  void on_exit() override { model_ = protocol::dist_model_actor{}; }

protected:
  behavior_type make_behavior() override {
    using namespace protocol;
    return {[this](const set_up& x) { return delegate(model_, x); },
            [this](const open_groups& x) {
              tell("open links", x);
              return delegate(model_, x);
            },
            [this](const connect_groups& x) {
              tell("connect", x);
              return delegate(model_, x);
            },
            [this](const close_groups& x) { return delegate(model_, x); },
            [this](const invoke& x) { return delegate(model_, x); },
            [this](const get_parameters& x) { return delegate(model_, x); },
            [this](const install_programs& x) {
              tell("install", x);
              return delegate(model_, x);
            },
            [this](const sync_order& x) {
              tell(std::string{to_string(x.action)}, x);
              return delegate(model_, x);
            },
            [this](const transfer& x) {
              tell(x.warm_up                          ? "warm up"
                   : x.mode == transfer_mode::compare ? "compare"
                                                      : "transfer",
                   x);
              return delegate(model_, x);
            },
            [this](const get_operations& x) { return delegate(model_, x); },
            [this](const run_checkpoint& x) { return delegate(model_, x); },
            [this](const close_model& x) { return delegate(model_, x); },
            [this](const repair_model& x) { return delegate(model_, x); },
            [this](const change_replicas& x) { return delegate(model_, x); }};
  }

private:
  template <class Message>
  void tell(const std::string& step, const Message& x) {
    std::lock_guard guard{ears_->mutex};
    if (ears_->who)
      for (const auto& item : x.items)
        ears_->who(step, item.to);
  }

  protocol::dist_model_actor model_;
  std::shared_ptr<ears> ears_;
};

/// Several make one bucket.
constexpr std::int64_t packed_tensors = 32;

options options_of(bool source, const topology& how,
                   const std::filesystem::path& page) {
  options x;
  x.set("page", page.string());
  x.set("arena", source && how.arena);
  x.set("type", std::string{!source && how.packed ? "bfloat16" : "float32"});
  x.set("tensors", how.packed ? packed_tensors : std::int64_t{1});
  return x;
}

model::model_job job_of(const std::string& name, int replicas, int ranks,
                        int first_device, const options& own) {
  model::model_job x;
  x.spec.name = name;
  x.spec.num_gpu = replicas * ranks;
  x.spec.num_replica = replicas;
  x.spec.parallel.data = ranks;
  x.place.name = name;
  auto device = first_device;
  for (auto i = 0; i < replicas; ++i) {
    planner::replica_place replica;
    for (auto rank = 0; rank < ranks; ++rank)
      replica.ranks.push_back({node_id{0}, {device_id{device++}}});
    x.place.replicas.push_back(std::move(replica));
  }
  bytes encoded;
  own.encode(encoded);
  x.config = protocol::to_payload(encoded);
  x.collective_timeout = setup_timeout;
  return x;
}

} // namespace

job::job(std::filesystem::path folder)
  : folder_(std::move(folder)),
    page_(map_page(folder_ / "page")),
    id_(node::make_job_id()),
    mesh_(process::node_slot),
    store_({}, &mesh_) {
  if (!page_)
    throw std::runtime_error("cannot map " + folder_.string());
  process::guard_settings settings;
  settings.job_id = id_;
  auto guard = process::guard_client::start(settings);
  if (!guard)
    throw std::runtime_error(to_string(guard.error()));
  guard_ = std::move(*guard);
  system_ = std::make_unique<caf::actor_system>(config_);
  self_ = std::make_unique<caf::scoped_actor>(*system_);
  errors_ = system_->spawn<monitor::error_signal>();
  node::node_settings x;
  x.job = id_;
  x.num_device = static_cast<std::int32_t>(num_ranks);
  x.device_kind = "cpu";
  node::host_arguments common;
  common.app = "sync_faults";
  common.job = id_;
  common.store_bytes_max = std::uint64_t{64} << 20;
  common.log_level = "error";
  auto launcher = std::make_shared<node::guarded_launcher>(*guard_, mesh_,
                                                           common, folder_);
  node_ = system_->spawn<node::node>(x, launcher, errors_);
  auto port = system_->middleman().publish(node_, 0, "127.0.0.1");
  if (!port)
    throw std::runtime_error("no port for the node");
  launcher->report_to(node_, *port);
}

job::~job() {
  end_models();
  guard_->close(deadline::after(milliseconds{2000}));
  self_.reset();
  // Actors that wait for dead processes need not be waited for.
  static_cast<void>(system_.release());
}

void job::end_models() {
  for (const auto& x : {trainer_, policy_})
    if (x)
      (*self_)
        // Who is dead is not waited for; who is starved must hear it, or its
        // worker outlives its model.
        ->request(x, 2 * setup_timeout,
                  protocol::close_model{
                    static_cast<std::uint32_t>(setup_timeout.count())})
        .receive([](protocol::ack) {}, [](caf::error&) {});
  for (const auto& x : {trainer_, policy_})
    if (x)
      caf::anon_send_exit(x, caf::exit_reason::kill);
  if (sync_)
    caf::anon_send_exit(sync_, caf::exit_reason::kill);
  trainer_ = policy_ = protocol::dist_model_actor{};
  sync_ = protocol::sync_group_actor{};
}

result<void> job::make(const topology& how) {
  result<void> made;
  // A host that was killed a moment ago may not be missed yet, and on a busy
  // machine an old worker may still be closing.
  auto until = deadline::after(2 * setup_timeout);
  do {
    end_models();
    made = try_make(how);
  } while (!made && !until.passed());
  return made;
}

result<void> job::try_make(const topology& how) {
  model::model_surroundings around{{node_},
                                   errors_,
                                   {static_cast<std::int32_t>(num_ranks)},
                                   &store_};
  pair_ = how.pair;
  auto page = folder_ / "page";
  trainer_ = system_->spawn<model::dist_model>(job_of("trainer", 1, 2, 0,
                                                      options_of(true, how,
                                                                 page)),
                                               around);
  policy_ = system_->spawn<model::dist_model>(job_of("policy", pair_ ? 1 : 2,
                                                     pair_ ? 2 : 1, 2,
                                                     options_of(false, how,
                                                                page)),
                                              around);
  preparation_ = {};
  result<void> made;
  auto set_up = [&](const auto& model, protocol::manifests& into) {
    (*self_)
      ->request(model, 2 * setup_timeout,
                protocol::set_up{
                  static_cast<std::uint32_t>(setup_timeout.count())})
      .receive([&](protocol::manifests& x) { into = std::move(x); },
               [&](caf::error& x) { made = fail(protocol::from_caf(x)); });
  };
  set_up(trainer_, preparation_.source);
  set_up(policy_, preparation_.destination);
  if (!made)
    return made;
  sync_ = system_->spawn<sync::sync_group>("t2p",
                                           system_->spawn<tap>(trainer_, ears_),
                                           system_->spawn<tap>(policy_, ears_));
  preparation_.options = how.options;
  return prepare(static_cast<std::uint32_t>(setup_timeout.count()), false);
}

result<void> job::prepare(std::uint32_t timeout_ms, bool pestered) {
  result<void> made;
  preparation_.timeout_ms = timeout_ms;
  auto pending = (*self_)->request(sync_, hopeless(timeout_ms), preparation_);
  if (pestered)
    pester(timeout_ms);
  pending.receive([](protocol::sync_plan&) {},
                  [&](caf::error& x) { made = fail(protocol::from_caf(x)); });
  return made;
}

result<void> job::prepare_again(std::uint32_t timeout_ms) {
  return prepare(timeout_ms, true);
}

void job::listen(listener x) {
  std::lock_guard guard{ears_->mutex};
  ears_->who = std::move(x);
}

namespace {

protocol::invoke call_of(const std::string& function,
                         process::batch_store& store, double value,
                         std::uint32_t timeout_ms) {
  protocol::invoke x;
  x.function = function;
  batch in;
  in.set_meta("value", value);
  x.input.parts.push_back(store.put(in, 1).value());
  x.scope = 1;
  x.timeout_ms = timeout_ms;
  return x;
}

} // namespace

result<void> job::call(const std::string& model, const std::string& function,
                       double value) {
  result<void> done;
  auto timeout_ms = std::uint32_t{1000};
  (*self_)
    ->request(model == "trainer" ? trainer_ : policy_,
              milliseconds{timeout_ms} * 3,
              call_of(function, store_, value, timeout_ms))
    .receive([](protocol::invoked&) {},
             [&](caf::error& x) { done = fail(protocol::from_caf(x)); });
  return done;
}

protocol::invoke job::next_look(std::uint32_t timeout_ms) {
  return call_of("look", store_, static_cast<double>(next_call_++), timeout_ms);
}

void job::pester(std::uint32_t timeout_ms) {
  for (auto i = 0; i < 20; ++i)
    caf::anon_send(policy_, next_look(timeout_ms));
}

bool job::look(const std::vector<std::size_t>& ranks) {
  auto timeout_ms = std::uint32_t{300};
  auto answer = (*self_)->request(policy_, milliseconds{timeout_ms} * 5,
                                  next_look(timeout_ms));
  // A rank that answers this has done with the call before it.
  protocol::sync_order roll;
  roll.sync = roll.program = "t2p";
  roll.action = protocol::sync_action::enroll;
  roll.timeout_ms = static_cast<std::uint32_t>(setup_timeout.count());
  for (auto i : ranks) {
    auto at = static_cast<std::int32_t>(i) - 2;
    roll.items.push_back(
      {{"policy", replica_id{pair_ ? 0 : at}, rank_id{pair_ ? at : 0}}});
  }
  (*self_)
    ->request(policy_, 2 * setup_timeout, roll)
    .receive([](protocol::sync_standings&) {}, [](caf::error&) {});
  auto answered = false;
  answer.receive([&](protocol::invoked&) { answered = true; },
                 [](caf::error&) {});
  return answered;
}

result<protocol::sync_report> job::sync(std::uint32_t timeout_ms,
                                        bool validate) {
  result<protocol::sync_report> out = fail(errc::internal, "no answer");
  auto pending = (*self_)->request(sync_, hopeless(timeout_ms),
                                   protocol::run_sync{validate, false,
                                                      timeout_ms});
  pester(timeout_ms);
  pending.receive([&](protocol::sync_report& x) { out = std::move(x); },
                  [&](caf::error& x) { out = fail(protocol::from_caf(x)); });
  return out;
}

} // namespace sync_faults
