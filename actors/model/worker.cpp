// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/worker.hpp"

#include <caf/result.hpp>

#include "troupe/actors/call/exceptions.hpp"

namespace troupe::model {

namespace {

template <class T>
caf::result<T> answer(result<T> x) {
  if (x)
    return std::move(*x);
  return protocol::to_caf(x.error());
}

/// Whoever calls more while a sync reads is refused.
constexpr std::size_t waiting_calls_max = 1024;

} // namespace

worker::worker(caf::actor_config& config, protocol::worker_spec spec,
               host_services services, std::shared_ptr<worker_probe> probe,
               worker_threads threads)
  : protocol::worker_actor::base(config),
    state_(std::make_unique<worker_state>(std::move(spec), services,
                                          std::move(probe))),
    threads_(threads) {
  call::tell_exceptions(this);
}

const char* worker::name() const {
  return "worker";
}

void worker::invoke(const protocol::invoke& request,
                    const call::reply<protocol::invoked>& out) {
  if (state_->pinned()) {
    using std::chrono::milliseconds;
    if (waiting_.size() >= waiting_calls_max)
      return out.deliver(fail(errc::exhausted,
                              "too many calls wait for a sync that reads the "
                              "weights"));
    waiting_.push_back(
      {request, out, deadline::after(milliseconds{request.timeout_ms})});
    return;
  }
  out.deliver(state_->invoke(request));
}

void worker::run_waiting() {
  auto waiting = std::exchange(waiting_, {});
  for (auto& x : waiting) {
    if (x.until.passed())
      x.out.deliver(fail(errc::timed_out,
                         "the call waited for a sync that reads the weights"));
    else
      invoke(x.request, x.out);
  }
}

caf::result<protocol::ack>
worker::run(const protocol::run_checkpoint& request) {
  if (request.load)
    return answer(state_->load(request));
  using std::chrono::milliseconds;
  auto until = deadline::after(milliseconds{request.timeout_ms});
  auto files = state_->save(request);
  if (!files)
    return protocol::to_caf(files.error());
  if (!scribe_)
    scribe_ = threads_ == worker_threads::own
                ? home_system().spawn<scribe, caf::detached>()
                : home_system().spawn<scribe>();
  return delegate(scribe_, write_files{std::move(*files), until});
}

result<protocol::manifests> worker::rejoin(const protocol::rejoin& request) {
  // Whoever asked for those has given them up.
  for (auto& x : std::exchange(waiting_, {}))
    x.out.deliver(fail(errc::aborted, "the run goes on without this call"));
  return state_->rejoin(request);
}

void worker::on_exit() {
  if (scribe_)
    send_exit(scribe_, caf::exit_reason::user_shutdown);
  scribe_ = scribe_actor{};
  waiting_.clear();
  state_.reset();
}

worker::behavior_type worker::make_behavior() {
  using namespace protocol;
  return {
    [this](const protocol::set_up&) { return answer(state_->set_up()); },
    [this](const protocol::rejoin& x) { return answer(rejoin(x)); },
    [this](const open_groups& x) { return answer(state_->open(x)); },
    [this](const connect_groups& x) { return answer(state_->connect(x)); },
    [this](const close_groups& x) { return answer(state_->close(x)); },
    [this](const protocol::invoke& x) {
      call::reply<invoked> out{make_response_promise<invoked>()};
      invoke(x, out);
      return out.promise();
    },
    [this](const get_parameters& x) {
      return answer(
        state_->manifest(x.items.empty() ? 0 : x.items.front().first));
    },
    [this](const install_programs& x) { return answer(state_->install(x)); },
    [this](const sync_order& x) {
      call::reply<sync_standings> out{make_response_promise<sync_standings>()};
      out.deliver(state_->obey(x));
      if (!state_->pinned())
        run_waiting();
      return out.promise();
    },
    // The mover's.
    [](const transfer&) -> caf::result<transfer_reports> {
      return to_caf({errc::internal, "a worker moves no weights itself"});
    },
    // The host's.
    [](const get_operations&) { return operations{}; },
    [this](const run_checkpoint& x) { return run(x); },
    [this](const close_model&) -> caf::result<ack> {
      state_->close();
      quit();
      return ack{};
    },
  };
}

} // namespace troupe::model
