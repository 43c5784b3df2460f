// SPDX-License-Identifier: Apache-2.0
// Devices, their memory, and models that give it back.
#include <array>
#include <fstream>
#include <future>
#include <iterator>
#include <thread>

#include <boost/test/unit_test.hpp>

#include "actors/model/written_checkpoint.hpp"
#include "support/actor_fixture.hpp"
#include "support/inproc_job.hpp"
#include "support/one_channel.hpp"
#include "support/scratch.hpp"
#include "support/stub_device.hpp"
#include "troupe/actors/model/worker_state.hpp"
#include "troupe/actors/protocol/program_codec.hpp"
#include "troupe/actors/protocol/rendezvous.hpp"

using namespace troupe;
using model::worker_state;
using protocol::sync_action;

namespace {

using lines = std::vector<std::string>;

constexpr std::uint64_t own_bytes = 512;

/// What a greedy_module does and may do.
struct habits {
  lines calls;
  /// By its own account; false: it has none.
  bool tells = true;
  std::uint64_t claims = own_bytes;
  /// Keeps its memory where it should give it back.
  bool clings = false;
  bool fails_to_come_back = false;
  worker_context* ctx = nullptr;
  std::byte* where = nullptr;
};

/// Holds memory of its device; it cannot be used while it is away.
class greedy_module : public module {
public:
  explicit greedy_module(std::shared_ptr<habits> x) : habits_(std::move(x)) {
    // nop
  }

  void setup(worker_context& ctx) override {
    habits_->ctx = &ctx;
    note("setup");
    take();
  }

  parameter_list parameters() override {
    require_memory();
    note("parameters");
    parameter x{"weight", dtype::float32, {2}, memory_->memory().first(8)};
    x.arena = memory_;
    x.device = habits_->ctx->device();
    return {std::move(x)};
  }

  void on_sync(weight_version) override {
    require_memory();
    note("on_sync");
  }

  void save_checkpoint(checkpoint_writer&) override {
    require_memory();
    note("save");
  }

  void load_checkpoint(const checkpoint_reader&) override {
    require_memory();
    note("load");
  }

  void onload() override {
    note("onload");
    if (habits_->fails_to_come_back)
      throw std::runtime_error("CUDA out of memory. Tried to allocate 9 GiB");
    take();
  }

  void offload() override {
    note("offload");
    if (habits_->clings)
      kept_ = memory_;
    memory_.reset();
  }

  [[nodiscard]] std::optional<std::uint64_t> device_bytes() const override {
    if (!habits_->tells)
      return std::nullopt;
    return memory_ ? habits_->claims : 0;
  }

  batch echo(const batch& in) {
    require_memory();
    note("echo");
    return in;
  }

  batch throws(const batch&) { throw std::runtime_error("out of tea"); }

private:
  void note(std::string what) { habits_->calls.push_back(std::move(what)); }

  void require_memory() const {
    if (!memory_)
      throw std::logic_error("the memory is away");
  }

  void take() {
    auto made = habits_->ctx->allocate_shared(own_bytes);
    if (!made)
      throw std::runtime_error(made.error().message());
    memory_ = std::move(*made);
    habits_->where = memory_->memory().data();
  }

  std::shared_ptr<habits> habits_;
  std::shared_ptr<comm::shared_memory> memory_;
  std::shared_ptr<comm::shared_memory> kept_;
};

struct fixture {
  std::shared_ptr<habits> module = std::make_shared<habits>();
  module_registry models;
  process::batch_store store{{}};
  comm::inproc::hub hub;
  std::shared_ptr<test::stub_device>
    device = std::make_shared<test::stub_device>(3);
  std::shared_ptr<model::worker_probe> probe;
  std::unique_ptr<worker_state> worker;

  fixture() {
    device->figures = {1000, 4000};
    auto& model = models.add("policy", [this] {
      return std::make_unique<greedy_module>(module);
    });
    model.add_function<greedy_module>("echo", &greedy_module::echo);
    model.add_function<greedy_module>("throws", &greedy_module::throws);
  }

  ~fixture() { worker.reset(); }

  result<protocol::manifests> set_up(protocol::memory_rules rules,
                                     bool on_device = true) {
    comm::device_ptr here;
    if (on_device)
      here = device;
    probe = std::make_shared<model::worker_probe>(hub, nullptr,
                                                  protocol::host_name{},
                                                  std::string{}, here);
    protocol::worker_spec spec;
    spec.name = {"policy", replica_id{0}, rank_id{0}};
    spec.config = test::job_of("policy", 1, 1).config;
    spec.memory = rules;
    model::host_services services{{}, &models, &store, &hub, nullptr, {}, here};
    worker = std::make_unique<worker_state>(spec, services, probe);
    return worker->set_up();
  }

  result<protocol::invoked> call(const std::string& function) {
    protocol::invoke request;
    request.function = function;
    request.scope = 5;
    request.timeout_ms = 1000;
    request.input.parts.push_back(store.put(test::numbered(3), 5).value());
    return worker->invoke(request);
  }

  result<protocol::sync_standing> order(sync_action action,
                                        std::uint64_t version = 0,
                                        const std::string& sync = "t2p") {
    protocol::sync_order x;
    x.sync = x.program = sync;
    x.action = action;
    x.version = weight_version{version};
    x.items.push_back({worker->name()});
    auto out = worker->obey(x);
    if (!out)
      return fail(out.error());
    return out->items[0];
  }

  /// What the module has been asked since.
  lines calls() { return std::exchange(module->calls, {}); }
};

std::string text_of(const std::string& file) {
  std::ifstream in{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

constexpr protocol::memory_rules offload{true, 0};

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_worker_memory, fixture)

BOOST_AUTO_TEST_CASE(without_the_rule_nobody_is_asked_to_give_back) {
  BOOST_REQUIRE(set_up({}));
  BOOST_REQUIRE(call("echo"));
  BOOST_REQUIRE(order(sync_action::pin));
  BOOST_REQUIRE(order(sync_action::unpin));
  BOOST_TEST(calls() == (lines{"setup", "parameters", "echo", "parameters"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(memory_is_there_for_a_call_and_gone_when_it_has_ended) {
  auto made = set_up(offload);
  BOOST_REQUIRE(made);
  BOOST_TEST(made->items[0].device == device->uuid());
  BOOST_TEST(device->figures.used_bytes == 1000u);
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST(device->figures.used_bytes == 1000u);
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST(calls()
               == (lines{"setup", "parameters", "offload", "onload", "echo",
                         "offload", "onload", "echo", "offload"}),
             boost::test_tools::per_element());
  // Told from what the set-up saw: nothing is brought for that.
  BOOST_TEST(worker->manifest(0)->items[0].device == device->uuid());
  BOOST_TEST(calls().empty());
}

BOOST_AUTO_TEST_CASE(a_source_keeps_its_memory_until_it_is_not_read_any_more) {
  BOOST_REQUIRE(set_up(offload));
  BOOST_REQUIRE(order(sync_action::pin, 0, "p2a"));
  BOOST_REQUIRE(order(sync_action::pin, 0, "p2b"));
  BOOST_REQUIRE(order(sync_action::unpin, 0, "p2a"));
  BOOST_TEST(calls()
               == (lines{"setup", "parameters", "offload", "onload",
                         "parameters", "parameters"}),
             boost::test_tools::per_element());
  BOOST_REQUIRE(order(sync_action::unpin, 0, "p2b"));
  BOOST_TEST(calls() == (lines{"offload"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_destination_keeps_its_memory_until_the_commit) {
  BOOST_REQUIRE(set_up(offload));
  BOOST_REQUIRE(order(sync_action::enroll));
  calls();
  // Staged: it serves meanwhile, and the parameters must stay where they are.
  auto* where = module->where;
  BOOST_REQUIRE(call("echo"));
  BOOST_REQUIRE(order(sync_action::fence));
  BOOST_REQUIRE(order(sync_action::swap));
  BOOST_TEST(calls() == (lines{"echo"}), boost::test_tools::per_element());
  BOOST_TEST(module->where == where);
  BOOST_REQUIRE(order(sync_action::open, 1));
  BOOST_TEST(calls() == (lines{"on_sync", "offload"}),
             boost::test_tools::per_element());
}

// After a comparison, or a failure before the fence.
BOOST_AUTO_TEST_CASE(a_destination_that_was_only_looked_at_gives_back) {
  BOOST_REQUIRE(set_up(offload));
  for (auto i = 0; i < 3; ++i) {
    BOOST_REQUIRE(order(sync_action::enroll));
    calls();
    BOOST_REQUIRE(order(sync_action::unpin));
    BOOST_TEST(calls() == (lines{"offload"}), boost::test_tools::per_element());
    BOOST_TEST(device->figures.used_bytes == 1000u);
  }
  // Others that look at it are not concerned, nor is a fence.
  BOOST_REQUIRE(order(sync_action::enroll, 0, "p2a"));
  BOOST_REQUIRE(order(sync_action::enroll, 0, "p2b"));
  BOOST_REQUIRE(order(sync_action::fence, 0, "p2b"));
  calls();
  BOOST_REQUIRE(order(sync_action::unpin, 0, "p2a"));
  BOOST_REQUIRE(order(sync_action::unpin, 0, "p2b"));
  BOOST_TEST(calls().empty());
  BOOST_REQUIRE(order(sync_action::reopen, 0, "p2b"));
  BOOST_TEST(calls() == (lines{"offload"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_sync_that_is_given_up_ends_the_wait_too) {
  BOOST_REQUIRE(set_up(offload));
  BOOST_REQUIRE(order(sync_action::enroll));
  BOOST_REQUIRE(order(sync_action::fence));
  calls();
  BOOST_REQUIRE(order(sync_action::reopen));
  BOOST_TEST(calls() == (lines{"offload"}), boost::test_tools::per_element());
  // One that nobody could end: the run goes on without it.
  BOOST_REQUIRE(order(sync_action::enroll));
  BOOST_REQUIRE(worker->rejoin({5, 1000}));
  calls();
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST(calls() == (lines{"echo", "offload"}),
             boost::test_tools::per_element());
}

// Links that were opened while it was away were offered nothing.
BOOST_AUTO_TEST_CASE(a_sync_learns_that_memory_was_away_since_it_looked) {
  BOOST_REQUIRE(set_up(offload));
  for (const auto* sync : {"p2a", "p2b"})
    BOOST_TEST(order(sync_action::pin, 0, sync)->moved);
  for (const auto* sync : {"p2a", "p2b"}) {
    BOOST_TEST(!order(sync_action::pin, 0, sync)->moved);
    BOOST_REQUIRE(order(sync_action::unpin, 0, sync));
  }
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST(order(sync_action::pin, 0, "p2a")->moved);
}

BOOST_AUTO_TEST_CASE(a_model_that_stays_is_never_said_to_have_moved) {
  BOOST_REQUIRE(set_up({}));
  BOOST_TEST(!order(sync_action::pin)->moved);
  BOOST_REQUIRE(order(sync_action::unpin));
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST(!order(sync_action::pin)->moved);
}

// Peers read it in place.
BOOST_AUTO_TEST_CASE(memory_that_is_lent_stays_until_the_link_is_closed) {
  BOOST_REQUIRE(set_up(offload));
  auto seat = [&](const std::string& group) {
    protocol::open_groups x;
    x.items.push_back({worker->name(), group, "inproc",
                       protocol::seat_kind::sender, rank_id{0}, 2});
    return x;
  };
  // Nothing was there to be lent.
  BOOST_REQUIRE(worker->open(seat("early")));
  BOOST_REQUIRE(order(sync_action::pin));
  BOOST_REQUIRE(worker->open(seat("late")));
  calls();
  BOOST_REQUIRE(order(sync_action::unpin));
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST(calls() == (lines{"echo"}), boost::test_tools::per_element());
  protocol::close_groups x;
  x.items.push_back({worker->name(), "late"});
  BOOST_REQUIRE(worker->close(x));
  BOOST_TEST(calls() == (lines{"offload"}), boost::test_tools::per_element());
  // A call that comes before a failure's links are closed.
  BOOST_REQUIRE(order(sync_action::pin));
  BOOST_REQUIRE(worker->open(seat("lost")));
  BOOST_REQUIRE(worker->rejoin({5, 1000}));
  calls();
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST(calls() == (lines{"echo", "offload"}),
             boost::test_tools::per_element());
}

// Whoever gives a sync up closes its links while a rank may still read.
BOOST_AUTO_TEST_CASE(memory_that_is_read_stays_until_the_run_has_ended) {
  BOOST_REQUIRE(set_up(offload, false));
  protocol::install_programs programs;
  programs.program = "t2p";
  programs.buffer_bytes_max = programs.staging_bytes_max = 1 << 20;
  programs.items = protocol::encode(test::sending(2), worker->name());
  BOOST_REQUIRE(worker->install(programs));
  BOOST_REQUIRE(order(sync_action::pin));
  auto link = protocol::link_name("t2p", 1, rank_id{}, rank_id{});
  protocol::open_groups seats;
  seats.items.push_back({worker->name(), link, "inproc",
                         protocol::seat_kind::sender, rank_id{0}, 2});
  BOOST_REQUIRE(worker->open(seats));
  protocol::transfer request;
  request.program = "t2p";
  request.links = 1;
  request.timeout_ms = 60'000;
  auto seat = probe->syncs.find("t2p");
  BOOST_REQUIRE(seat);
  auto run = std::async(std::launch::async, [&] {
    return seat->run(request, probe->groups, worker->name()).has_value();
  });
  auto until = deadline::after(std::chrono::seconds{30});
  while (seat->progress().empty() && !until.passed())
    std::this_thread::yield();
  BOOST_TEST(probe->syncs.is_busy());
  calls();
  BOOST_REQUIRE(order(sync_action::unpin));
  auto leaves = protocol::leave(seats);
  BOOST_REQUIRE(worker->close(leaves));
  BOOST_TEST(calls().empty());
  seat->abort();
  BOOST_TEST(!run.get());
  BOOST_REQUIRE(worker->close(leaves));
  BOOST_TEST(calls() == (lines{"offload"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(checkpoints_find_the_memory_in_its_place) {
  test::scratch folder;
  BOOST_REQUIRE(set_up(offload));
  calls();
  auto request = test::written_checkpoint(*worker, folder);
  BOOST_REQUIRE(worker->load(request));
  BOOST_TEST(calls()
               == (lines{"onload", "save", "offload", "onload", "load",
                         "offload"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(memory_that_does_not_come_back_is_an_error_of_the_call) {
  BOOST_REQUIRE(set_up(offload));
  module->fails_to_come_back = true;
  auto got = call("echo");
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::exhausted));
  BOOST_TEST(got.error().message().find("Tried to allocate 9 GiB")
             != std::string::npos);
  BOOST_TEST(!order(sync_action::pin).has_value());
  BOOST_TEST(!worker->pinned());
  // It may be tried again.
  module->fails_to_come_back = false;
  BOOST_TEST(call("echo").has_value());
}

BOOST_AUTO_TEST_CASE(a_call_that_throws_is_told_as_it_is) {
  BOOST_REQUIRE(set_up(offload));
  auto got = call("throws");
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error() == error{errc::failed, "out of tea"}));
  BOOST_TEST(calls().back() == "offload");
}

BOOST_AUTO_TEST_CASE(a_model_on_the_cpu_may_be_offloaded_too) {
  BOOST_REQUIRE(set_up(offload, false));
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST(calls()
               == (lines{"setup", "parameters", "offload", "onload", "echo",
                         "offload"}),
             boost::test_tools::per_element());
  BOOST_TEST(probe->memory.read().total == 0u);
}

BOOST_AUTO_TEST_CASE(figures_are_those_of_the_device_and_the_models_own) {
  BOOST_REQUIRE(set_up({}));
  auto seen = probe->memory.read();
  BOOST_TEST(seen.used == 1000 + own_bytes);
  BOOST_TEST(seen.total == 4000u);
  BOOST_TEST(seen.own == own_bytes);
  // Another process takes some.
  device->figures.used_bytes += 100;
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST(probe->memory.read().used == 1100 + own_bytes);
  // Without an account of its own, its parameters count.
  module->tells = false;
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST(probe->memory.read().own == 8u);
}

BOOST_AUTO_TEST_CASE(a_model_that_is_away_holds_nothing) {
  module->tells = false;
  BOOST_REQUIRE(set_up(offload));
  BOOST_TEST(probe->memory.read().own == 0u);
  BOOST_TEST(probe->memory.read().used == 1000u);
}

BOOST_AUTO_TEST_CASE(a_device_that_does_not_tell_stops_nobody) {
  device->measuring = error{errc::failed, "no figures"};
  BOOST_REQUIRE(set_up(offload));
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST(probe->memory.read().total == 0u);
}

BOOST_AUTO_TEST_CASE(what_is_not_given_back_is_warned_of_and_no_more) {
  test::scratch folder;
  auto file = (folder.path() / "log").string();
  BOOST_REQUIRE(log::open({file, "test", log::level::info}));
  module->clings = true;
  BOOST_REQUIRE(set_up(offload));
  BOOST_REQUIRE(call("echo"));
  log::close();
  BOOST_TEST(text_of(file).find("offload gave 0 B back to the device, the "
                                "model says 512 B")
             != std::string::npos);
}

BOOST_AUTO_TEST_CASE(more_than_a_model_may_hold_is_warned_of_once) {
  test::scratch folder;
  auto file = (folder.path() / "log").string();
  BOOST_REQUIRE(log::open({file, "test", log::level::info}));
  BOOST_REQUIRE(set_up({false, own_bytes}));
  BOOST_REQUIRE(call("echo"));
  auto quiet = text_of(file);
  // It has an allocator of its own.
  module->claims = own_bytes + 1;
  BOOST_REQUIRE(call("echo"));
  BOOST_REQUIRE(call("echo"));
  log::close();
  BOOST_TEST(quiet.find("device_memory_max") == std::string::npos);
  auto text = text_of(file);
  auto at = text.find("holds 513 B of its device, more than device_memory_max "
                      "(512 B)");
  BOOST_TEST(at != std::string::npos);
  BOOST_TEST(text.find("device_memory_max", at + 60) == std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_troupe_hands_out_is_bounded) {
  auto refused = set_up({false, own_bytes - 1});
  BOOST_REQUIRE(!refused);
  BOOST_TEST(refused.error().message()
             == "policy/0/0 would hold 512 B of its device, device_memory_max "
                "allows 511 B");
  BOOST_REQUIRE(set_up({false, own_bytes + 100}));
  BOOST_TEST(module->ctx->device_bytes_max() == own_bytes + 100);
  BOOST_TEST(!module->ctx->allocate_shared(101).has_value());
  // What is gone does not count.
  BOOST_TEST(module->ctx->allocate_shared(100).has_value());
  BOOST_TEST(module->ctx->allocate_shared(100).has_value());
}

BOOST_AUTO_TEST_CASE(bytes_are_put_and_got_wherever_they_are) {
  for (auto on_device : {false, true}) {
    BOOST_REQUIRE(set_up({}, on_device));
    auto* ctx = module->ctx;
    auto memory = ctx->allocate_shared(64).value()->memory();
    BOOST_TEST(memory.size() >= 64u);
    std::array<std::byte, 4> in{std::byte{1}, std::byte{2}, std::byte{3},
                                std::byte{4}};
    std::array<std::byte, 4> out{};
    BOOST_REQUIRE(ctx->put(module->where + 2, in));
    BOOST_REQUIRE(ctx->get(out, module->where + 2));
    BOOST_TEST((in == out));
    BOOST_TEST(device->copies == (on_device ? 2 : 0));
  }
}

BOOST_AUTO_TEST_SUITE_END()
