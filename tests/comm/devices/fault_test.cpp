// SPDX-License-Identifier: Apache-2.0
// Syncs in which something goes wrong. TROUPE_SEED repeats the faults of a run
// that was printed.
#include <boost/test/unit_test.hpp>

#include <algorithm>

#include "comm/devices/fault_play.hpp"
#include "comm/devices/stand_in_beds.hpp"
#include "support/cuda/host_kernel.hpp"
#include "support/random_seed.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// Goes by the kernels that a stand-in runs.
class stand_in_faults final
  : public device_faults,
    public std::enable_shared_from_this<stand_in_faults> {
public:
  static std::shared_ptr<stand_in_faults>
  on(const std::shared_ptr<stand_in_runtime>& runtime) {
    auto out = std::make_shared<stand_in_faults>();
    out->runtime_ = runtime.get();
    runtime->execute_with([out](const comm::cuda::copy_launch& what) {
      host_kernel(what);
      out->one_more();
    });
    return out;
  }

  std::uint64_t kernels() const override { return kernels_; }

  void arm(const fault& what, std::uint64_t kernels) override {
    if (what.kind == fault_kind::refuse) {
      constexpr const char* calls[] = {"launch", "copy", "record", "query",
                                       "synchronize_device"};
      call_ = calls[what.which % std::size(calls)];
      calls_before_ = runtime_->calls(call_);
      runtime_->fail_next(call_, comm::cuda::codes::invalid_value);
      return;
    }
    kind_ = what.kind;
    at_ = kernels_ + 1 + what.at % std::max<std::uint64_t>(kernels, 1);
    armed_ = true;
  }

  void limit(std::uint64_t bytes) override {
    runtime_->out_of_memory_above(bytes);
  }

  void resume() override { runtime_->resume(); }

  bool fired() const override {
    return fired_ || (!call_.empty() && runtime_->calls(call_) > calls_before_);
  }

private:
  void one_more() {
    if (++kernels_ != at_ || !armed_)
      return;
    fired_ = true;
    if (kind_ == fault_kind::die)
      runtime_->fail_async(comm::cuda::codes::launch_failure);
    else
      runtime_->hang();
  }

  /// Which has us.
  stand_in_runtime* runtime_ = nullptr;
  std::string call_;
  std::uint64_t calls_before_ = 0;
  std::atomic<std::uint64_t> kernels_ = 0;
  std::atomic<std::uint64_t> at_ = 0;
  std::atomic<fault_kind> kind_ = fault_kind::none;
  std::atomic<bool> armed_ = false;
  std::atomic<bool> fired_ = false;
};

using bed_maker = std::function<device_bed(const devices_ptr&)>;

/// Everything new for each: a device that died is dead.
void check_fault(const bed_maker& make, const fault& what, bool& fired) {
  auto devices = std::make_shared<stand_in_devices>(2);
  auto here = stand_in_faults::on(devices->runtime);
  auto there = stand_in_faults::on(devices->other);
  play_result seen;
  {
    auto bed = make(devices);
    auto shared = bed.destination.runtime == bed.source.runtime;
    seen = play_both(bed, here, shared ? here : there, what);
  }
  fired = seen.fired;
  BOOST_CHECK_MESSAGE(seen.wrong.empty(), what.text() << ": " << seen.wrong);
  for (const auto& x : devices->finish())
    BOOST_ERROR(what.text() << ": " << x);
}

constexpr std::size_t at_least = 20;

/// Half as many more, because not all of them find their moment.
void check_faults(const bed_maker& make, const std::vector<fault_kind>& kinds) {
  auto seed = random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::size_t fired = 0;
  for (const auto& what : make_faults(seed, at_least * 3 / 2, kinds)) {
    BOOST_TEST_MESSAGE(what.text());
    auto found = false;
    check_fault(make, what, found);
    fired += found ? 1 : 0;
  }
  BOOST_CHECK_MESSAGE(fired >= at_least, fired << " faults");
}

bed_maker over_ipc(ipc_memory memory) {
  return [memory](const devices_ptr& on) { return cuda_ipc_bed(on, memory); };
}

const std::vector<fault_kind>
  in_place{fault_kind::abort,  fault_kind::drop, fault_kind::stall,
           fault_kind::write,  fault_kind::die,  fault_kind::refuse,
           fault_kind::starve, fault_kind::hang, fault_kind::starve_early};

const std::vector<fault_kind>
  packed{fault_kind::abort,   fault_kind::drop, fault_kind::stall,
         fault_kind::corrupt, fault_kind::die,  fault_kind::refuse,
         fault_kind::starve,  fault_kind::hang, fault_kind::starve_early};

} // namespace

BOOST_AUTO_TEST_SUITE(devices_fault)

BOOST_AUTO_TEST_CASE(on_one_device) {
  check_faults(cuda_bed, in_place);
}

BOOST_AUTO_TEST_CASE(over_ipc_from_exported_memory) {
  check_faults(over_ipc(ipc_memory::exported), in_place);
}

BOOST_AUTO_TEST_CASE(over_ipc_from_packed_memory) {
  check_faults(over_ipc(ipc_memory::unnamed), packed);
}

BOOST_AUTO_TEST_CASE(over_nccl) {
  check_faults(nccl_bed, packed);
}

// An executor leaves after a while what never ends. Not over NCCL: its own
// kernels wait behind what hangs, and so does its abort; what ends that is the
// end of the process.
BOOST_AUTO_TEST_CASE(a_device_that_hangs_on_does_not_keep_anybody) {
  for (const auto& make : {bed_maker{cuda_bed}, over_ipc(ipc_memory::unnamed)})
    for (const auto& what : make_faults(7, 1, {fault_kind::hang_longer})) {
      auto fired = false;
      check_fault(make, what, fired);
      BOOST_CHECK(fired);
    }
}

BOOST_AUTO_TEST_SUITE_END()
