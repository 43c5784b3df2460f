// SPDX-License-Identifier: Apache-2.0
// Modules that say nothing of checkpoints.
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/inproc_job.hpp"
#include "support/scratch.hpp"
#include "support/stub_device.hpp"
#include "support/why.hpp"
#include "troupe/actors/checkpoint/batch_file.hpp"
#include "troupe/actors/model/worker_state.hpp"

using namespace troupe;
using model::worker_state;

namespace {

using floats = std::vector<float>;
using lines = std::vector<std::string>;

/// A module with parameters and nothing else.
class plain_module : public module {
public:
  plain_module(floats& values, dlpack::device where, floats& derived)
    : values_(values),
      where_(where),
      derived_(derived) {
    // nop
  }

  void on_sync(weight_version) override { derived_ = values_; }

  parameter_list parameters() override {
    parameter x;
    x.name = "weight";
    x.extents = {static_cast<std::int64_t>(values_.size())};
    x.memory = std::as_writable_bytes(std::span{values_});
    x.device = where_;
    return {std::move(x)};
  }

private:
  floats& values_;
  dlpack::device where_;
  floats& derived_;
};

/// One that counts besides.
class counting_plain_module : public plain_module {
public:
  counting_plain_module(floats& values, floats& derived, std::int64_t& count)
    : plain_module(values, {}, derived),
      count_(count) {
    // nop
  }

  void save_checkpoint(checkpoint_writer& to) override {
    plain_module::save_checkpoint(to);
    batch more;
    more.set_meta("count", count_);
    to.write("counter", std::move(more));
  }

  void load_checkpoint(const checkpoint_reader& from) override {
    plain_module::load_checkpoint(from);
    count_ = static_cast<std::int64_t>(
      from.read("counter").meta_number("count"));
  }

private:
  std::int64_t& count_;
};

struct fixture {
  floats values{1, 2};
  /// What a module has made of them.
  floats derived;
  std::int64_t count = 7;
  dlpack::device where;
  module_registry models;
  model_declaration* plain = nullptr;
  process::batch_store store{{}};
  comm::inproc::hub hub;
  test::scratch folder;
  std::shared_ptr<model::worker_probe> probe;
  std::unique_ptr<worker_state> worker;

  fixture() {
    plain = &models.add("plain", [this] {
      return std::make_unique<plain_module>(values, where, derived);
    });
    models.add("counting", [this] {
      return std::make_unique<counting_plain_module>(values, derived, count);
    });
  }

  static protocol::worker_spec spec_of(const std::string& model) {
    protocol::worker_spec x;
    x.name = {model, replica_id{0}, rank_id{0}};
    x.config = test::job_of(model, 1, 1).config;
    return x;
  }

  void set_up(const protocol::worker_spec& spec,
              const comm::device_ptr& device = {}) {
    worker.reset();
    probe = std::make_shared<model::worker_probe>(hub, nullptr,
                                                  protocol::host_name{},
                                                  std::string{}, device);
    model::host_services services{{},      &models, &store, &hub,
                                  nullptr, {},      device};
    worker = std::make_unique<worker_state>(spec, services, probe);
    auto made = worker->set_up();
    BOOST_REQUIRE_MESSAGE(made, test::why(made));
  }

  /// Saves to the disk; gives the files' names.
  lines save() const {
    auto files = worker->save({false, folder.path().string(), 1000});
    BOOST_REQUIRE_MESSAGE(files, test::why(files));
    lines out;
    for (const auto& [file, content] : *files) {
      BOOST_REQUIRE(checkpoint::write_batch(file, content));
      out.push_back(file.filename().string());
    }
    return out;
  }

  result<protocol::ack> load() const {
    return worker->load({true, folder.path().string(), 1000});
  }

  static bool says(const result<protocol::ack>& x, const std::string& part) {
    BOOST_REQUIRE(!x);
    BOOST_TEST_MESSAGE(x.error().message());
    return x.error().message().find(part) != std::string::npos;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_worker_checkpoint, fixture)

BOOST_AUTO_TEST_CASE(a_module_that_overrides_nothing_gets_its_parameters_back) {
  set_up(spec_of("plain"));
  BOOST_TEST(save() == (lines{"parameters.rank0", "troupe.rank0"}),
             boost::test_tools::per_element());
  values = {3, 4};
  auto loaded = load();
  BOOST_REQUIRE_MESSAGE(loaded, test::why(loaded));
  BOOST_TEST(values == (floats{1, 2}), boost::test_tools::per_element());
  BOOST_TEST(derived == (floats{1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_module_adds_what_it_has_besides) {
  set_up(spec_of("counting"));
  BOOST_TEST(save()
               == (lines{"parameters.rank0", "counter.rank0", "troupe.rank0"}),
             boost::test_tools::per_element());
  values = {3, 4};
  count = 0;
  auto loaded = load();
  BOOST_REQUIRE_MESSAGE(loaded, test::why(loaded));
  BOOST_TEST(values == (floats{1, 2}), boost::test_tools::per_element());
  BOOST_TEST(count == 7);
}

BOOST_AUTO_TEST_CASE(weights_that_a_sync_brings_are_not_saved) {
  auto spec = spec_of("plain");
  spec.weights_return = true;
  set_up(spec);
  BOOST_TEST(save() == (lines{"troupe.rank0"}),
             boost::test_tools::per_element());
  auto loaded = load();
  BOOST_REQUIRE_MESSAGE(loaded, test::why(loaded));
  // Whoever needs them from there is told that they are not.
  set_up(spec_of("plain"));
  BOOST_TEST(says(load(), "plain/0/parameters.rank0"));
  BOOST_TEST((load().error().code() == errc::invalid));
}

BOOST_AUTO_TEST_CASE(saved_parameters_of_another_shape_are_not_loaded) {
  set_up(spec_of("plain"));
  save();
  values = {3, 4, 5};
  BOOST_TEST(says(load(), "the model needs float32[3]"));
  BOOST_TEST(values == (floats{3, 4, 5}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(parameters_of_a_device_go_through_it) {
  auto device = std::make_shared<test::stub_device>(3);
  where = device->where();
  set_up(spec_of("plain"), device);
  save();
  BOOST_TEST(device->copies == 1);
  values = {3, 4};
  auto loaded = load();
  BOOST_REQUIRE_MESSAGE(loaded, test::why(loaded));
  BOOST_TEST(device->copies == 2);
  BOOST_TEST(values == (floats{1, 2}), boost::test_tools::per_element());
}

// A run may go on with more data ranks than it was saved with.
BOOST_AUTO_TEST_CASE(a_data_rank_that_was_not_saved_loads_what_its_peer_was) {
  set_up(spec_of("plain"));
  save();
  auto second = spec_of("plain");
  second.name.rank = rank_id{1};
  second.data = 2;
  set_up(second);
  values = {3, 4};
  BOOST_TEST(says(load(), "troupe.rank1"));
  BOOST_TEST(values == (floats{3, 4}), boost::test_tools::per_element());
  plain->set_same_on_data_ranks();
  auto loaded = load();
  BOOST_REQUIRE_MESSAGE(loaded, test::why(loaded));
  BOOST_TEST(values == (floats{1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
