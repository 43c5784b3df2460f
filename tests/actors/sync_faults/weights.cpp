// SPDX-License-Identifier: Apache-2.0
#include "actors/sync_faults/weights.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sync_faults {

namespace {

/// The one trap of this process, for the signal handler.
struct trap {
  std::byte* page = nullptr;
  std::size_t bytes = 0;
  std::int32_t target = 0;
  std::int32_t signal = 0;
  const rank_page* told = nullptr;
};

trap armed;

void take_trap_away() {
  if (armed.page)
    ::mprotect(armed.page, armed.bytes, PROT_READ | PROT_WRITE);
  armed = {};
}

void on_fault(int, siginfo_t* info, void*) {
  auto* at = static_cast<std::byte*>(info->si_addr);
  if (!armed.page || at < armed.page || at >= armed.page + armed.bytes) {
    // A fault of somebody else's: die of it.
    std::signal(SIGSEGV, SIG_DFL);
    return;
  }
  ::mprotect(armed.page, armed.bytes, PROT_READ | PROT_WRITE);
  armed.page = nullptr;
  // The trap is for one sync, not for what comes after it.
  if (armed.told->signal != disarm)
    ::kill(armed.target, armed.signal);
}

} // namespace

shared_page* map_page(const std::filesystem::path& file) {
  auto fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, sizeof(shared_page)) != 0)
    return nullptr;
  auto* at = ::mmap(nullptr, sizeof(shared_page), PROT_READ | PROT_WRITE,
                    MAP_SHARED, fd, 0);
  ::close(fd);
  return at == MAP_FAILED ? nullptr : static_cast<shared_page*>(at);
}

weights::~weights() {
  if (memory_)
    ::munmap(memory_, tensor_bytes);
}

std::span<float> weights::values() const {
  return {reinterpret_cast<float*>(memory_), tensor_bytes / sizeof(float)};
}

void weights::setup(troupe::worker_context& ctx) {
  auto* page = map_page(ctx.config().string("page"));
  auto* at = ::mmap(nullptr, tensor_bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!page || at == MAP_FAILED)
    throw std::runtime_error("no memory to share");
  memory_ = static_cast<std::byte*>(at);
  auto source = ctx.model() == "trainer";
  auto index = source ? ctx.rank().value() : 2 + ctx.replica().value();
  page_ = &page->ranks[static_cast<std::size_t>(index)];
  page_->pid = ::getpid();
  page_->served = page_->violations = page_->version = 0;
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSEGV, &action, nullptr);
}

troupe::parameter_list weights::parameters() {
  troupe::parameter x;
  x.name = "w";
  x.extents = {static_cast<std::int64_t>(values().size())};
  x.memory = {memory_, tensor_bytes};
  return {x};
}

void weights::on_sync(troupe::weight_version version) {
  committed_ = values().front();
  page_->version = version.value();
}

troupe::batch weights::fill(const troupe::batch& in) {
  std::ranges::fill(values(), static_cast<float>(in.meta_number("value")));
  return {};
}

troupe::batch weights::look(const troupe::batch&) {
  if (page_->signal == disarm)
    take_trap_away();
  // A trap is for the sync.
  if (armed.page)
    return {};
  // All elements are equal if each is equal to the next.
  auto right = values().front() == committed_
               && std::memcmp(memory_, memory_ + sizeof(float),
                              tensor_bytes - sizeof(float))
                    == 0;
  if (!right)
    ++page_->violations;
  ++page_->served;
  return {};
}

troupe::batch weights::arm(const troupe::batch&) {
  take_trap_away();
  auto signal = page_->signal.exchange(0);
  if (signal <= 0)
    return {};
  auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  auto at = page_->trap_at.load() / size * size;
  armed = {memory_ + at, size, page_->target, signal, page_};
  ::mprotect(armed.page, size, PROT_NONE);
  return {};
}

void declare(troupe::module_registry& models) {
  for (const auto* name : {"trainer", "policy"}) {
    auto& model = models.add(name, [] { return std::make_unique<weights>(); });
    model.add_option({"page", std::string{}, "memory shared with the test"});
    model.add_function<weights>("fill", &weights::fill);
    model.add_function<weights>("look", &weights::look);
    model.add_function<weights>("arm", &weights::arm);
  }
}

} // namespace sync_faults
