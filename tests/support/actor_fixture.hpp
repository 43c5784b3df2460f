// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>

#include "support/random_seed.hpp"
#include "troupe/actors/node/system_config.hpp"
#include "troupe/actors/protocol/register.hpp"
#include "troupe/core/error.hpp"

namespace troupe::test {

/// What came back for a question; filled while the scheduler runs. Copies share
/// what they hold.
template <class T>
class answer {
public:
  void set(result<T> x) const { got_->push_back(std::move(x)); }

  /// How often it was answered: once is right.
  [[nodiscard]] std::size_t count() const { return got_->size(); }

  [[nodiscard]] bool ready() const { return !got_->empty(); }

  /// The answer; fails the test if there is none.
  [[nodiscard]] const result<T>& get() const {
    BOOST_REQUIRE_MESSAGE(got_->size() == 1,
                          "answers to the question: " << got_->size());
    return got_->front();
  }

  /// The value; fails the test if there is none.
  const T& value() const {
    if (!get())
      BOOST_FAIL("an error was answered: " << to_string(get().error()));
    return *get();
  }

  [[nodiscard]] const error& failure() const {
    BOOST_REQUIRE_MESSAGE(!get(), "a value was answered, not an error");
    return get().error();
  }

private:
  std::shared_ptr<std::vector<result<T>>>
    got_ = std::make_shared<std::vector<result<T>>>();
};

/// Asks on behalf of the test.
class asker : public caf::event_based_actor {
public:
  explicit asker(caf::actor_config& config) : caf::event_based_actor(config) {
    // nop
  }

  const char* name() const override { return "asker"; }

  caf::behavior make_behavior() override {
    return {[](caf::unit_t) {}};
  }
};

/// An actor system in which nothing runs unless the test says so and time
/// stands still unless it is advanced: one thread, no sleeps.
///
/// Whatever was spawned through the fixture is ended with it. An actor that
/// does not end fails the test instead of hanging it.
class actor_fixture {
public:
  actor_fixture()
    : system_(std::make_unique<caf::actor_system>(prepare(config_))),
      sched(
        dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler())) {
    // A clock at zero looks to CAF as if it had not been started.
    sched.clock().current_time += std::chrono::hours{1};
    asker_ = spawn<asker>();
    run_jobs();
  }

  actor_fixture(const actor_fixture&) = delete;
  actor_fixture& operator=(const actor_fixture&) = delete;

  virtual ~actor_fixture() {
    shuffle_ = nullptr;
    for (const auto& x : spawned_)
      caf::anon_send_exit(x, caf::exit_reason::kill);
    run_jobs();
    asker_ = nullptr;
    spawned_.clear();
    run_jobs();
    auto left = system_->registry().running();
    BOOST_CHECK_MESSAGE(left == 0, left << " actors did not end");
    // Its destructor would wait for them for ever.
    if (left != 0)
      static_cast<void>(system_.release());
  }

  [[nodiscard]] caf::actor_system& system() noexcept { return *system_; }

  template <class T, class... Ts>
  caf::infer_handle_from_class_t<T> spawn(Ts&&... xs) {
    auto x = system_->spawn<T>(std::forward<Ts>(xs)...);
    spawned_.push_back(caf::actor_cast<caf::actor>(x));
    return x;
  }

  /// The object behind a handle: tests look into actors, others must not.
  template <class T, class Handle>
  static T& object_of(const Handle& x) {
    return dynamic_cast<T&>(*caf::actor_cast<caf::abstract_actor*>(x));
  }

  /// Sends a request; the answer comes while jobs run.
  template <class Reply, class Handle, class Message>
  answer<Reply> ask(const Handle& target, Message message) {
    answer<Reply> out;
    object_of<asker>(asker_)
      // The test ends when no job is left.
      .request(target, caf::infinite, // tidy: allow timeouts: see above
               std::move(message))
      .then([out](Reply& x) { out.set(std::move(x)); },
            [out](caf::error& x) { out.set(fail(protocol::from_caf(x))); });
    return out;
  }

  /// Asks and runs until nobody has anything to do.
  template <class Reply, class Handle, class Message>
  answer<Reply> ask_and_run(const Handle& target, Message message) {
    auto out = ask<Reply>(target, std::move(message));
    run_jobs();
    return out;
  }

  template <class Handle, class Message>
  void tell(const Handle& target, Message message) {
    caf::anon_send(target, std::move(message));
    run_jobs();
  }

  template <class Handle>
  void kill(const Handle& target) {
    caf::anon_send_exit(target, caf::exit_reason::kill);
    run_jobs();
  }

  /// Runs until nobody has anything to do; fires no timeout.
  void run_jobs() {
    for (std::size_t count = 0; sched.has_job(); ++count) {
      BOOST_REQUIRE_MESSAGE(count < 1'000'000, "the actors never come to rest");
      if (shuffle_)
        std::shuffle(sched.jobs.begin(), sched.jobs.end(), *shuffle_);
      run_one();
    }
  }

  /// Runs the next actor for one message.
  void run_one() {
    auto* next = dynamic_cast<caf::scheduled_actor*>(sched.jobs.front());
    caf::strong_actor_ptr alive{next ? next->ctrl() : nullptr};
    sched.try_run_once();
    // CAF leaves a pointer to its own stack behind, which would be followed
    // when the test itself sends in the actor's name.
    if (next)
      next->context(nullptr);
  }

  /// Lets time pass, fires the timeouts that fall into it, and runs.
  void advance_time(caf::timespan by) {
    sched.advance_time(by);
    run_jobs();
  }

  /// From now on a random actor runs next, one message at a time.
  void shuffle_jobs(std::mt19937_64& random) { shuffle_ = &random; }

private:
  static caf::actor_system_config& prepare(caf::actor_system_config& config) {
    config.set("scheduler.policy", caf::atom("testing"));
    return config;
  }

  node::system_config config_{false};
  std::unique_ptr<caf::actor_system> system_;

public:
  caf::scheduler::test_coordinator& sched;

private:
  std::vector<caf::actor> spawned_;
  caf::actor asker_;
  std::mt19937_64* shuffle_ = nullptr;
};

} // namespace troupe::test
