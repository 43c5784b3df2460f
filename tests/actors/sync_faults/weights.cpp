// SPDX-License-Identifier: Apache-2.0
#include "actors/sync_faults/weights.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/core.h>
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
  rank_page* told = nullptr;
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
  if (armed.told->signal == disarm)
    return;
  armed.told->fired = true;
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
  // Something else may lie there soon.
  if (armed.page >= memory_ && armed.page < memory_ + num_bytes())
    take_trap_away();
  if (memory_ && !arena_)
    ::munmap(memory_, num_bytes());
}

std::size_t weights::num_bytes() const noexcept {
  return num_elements * troupe::size_of(type_);
}

float weights::first() const {
  if (type_ == troupe::dtype::bfloat16) {
    troupe::bfloat16 x;
    std::memcpy(&x, memory_, sizeof(x));
    return static_cast<float>(x);
  }
  float x = 0;
  std::memcpy(&x, memory_, sizeof(x));
  return x;
}

void weights::setup(troupe::worker_context& ctx) {
  const auto& config = ctx.config();
  num_tensors_ = config.integer("tensors");
  auto* page = map_page(config.string("page"));
  if (!page || !troupe::from_string(config.string("type"), type_))
    throw std::runtime_error("no memory to share, or no such type");
  if (config.boolean("arena")) {
    auto made = troupe::comm::shm::arena::create(num_bytes());
    if (!made)
      throw std::runtime_error(to_string(made.error()));
    arena_ = std::move(*made);
    memory_ = arena_->memory().data();
  } else {
    auto* at = ::mmap(nullptr, num_bytes(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
      throw std::runtime_error("no memory");
    memory_ = static_cast<std::byte*>(at);
  }
  // Of a rank and its replica one number is 0 in every topology.
  auto index = ctx.rank().value()
               + (ctx.model() == "trainer" ? 0 : 2 + ctx.replica().value());
  page_ = &page->ranks[static_cast<std::size_t>(index)];
  page_->pid = ::getpid();
  page_->served = page_->violations = page_->version = 0;
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSEGV, &action, nullptr);
}

troupe::parameter_list weights::parameters() {
  troupe::parameter_list out;
  auto count = static_cast<std::int64_t>(num_elements) / num_tensors_;
  auto bytes = static_cast<std::size_t>(count) * troupe::size_of(type_);
  for (std::int64_t i = 0; i < num_tensors_; ++i) {
    troupe::parameter x;
    x.name = fmt::format("w{}", i);
    x.type = type_;
    x.extents = {count};
    x.memory = {memory_ + static_cast<std::size_t>(i) * bytes, bytes};
    x.arena = arena_;
    out.push_back(std::move(x));
  }
  return out;
}

void weights::on_sync(troupe::weight_version version) {
  committed_ = first();
  page_->version = version.value();
}

troupe::batch weights::fill(const troupe::batch& in) {
  if (type_ != troupe::dtype::float32)
    throw std::runtime_error("only a source is filled");
  std::span all{reinterpret_cast<float*>(memory_), num_elements};
  std::ranges::fill(all, static_cast<float>(in.meta_number("value")));
  return {};
}

troupe::batch weights::look(const troupe::batch& in) {
  if (page_->signal == disarm)
    take_trap_away();
  // A trap is for the sync.
  if (armed.page)
    return {};
  // All elements are equal if each is equal to the next.
  auto element = troupe::size_of(type_);
  auto right = first() == committed_
               && std::memcmp(memory_, memory_ + element, num_bytes() - element)
                    == 0;
  if (!right)
    ++page_->violations;
  auto call = static_cast<std::uint64_t>(in.meta_number("value"));
  page_->calls[call % num_calls] = served_call{call, page_->version}.pack();
  ++page_->served;
  return {};
}

troupe::batch weights::arm(const troupe::batch&) {
  take_trap_away();
  auto signal = page_->signal.exchange(0);
  if (signal <= 0)
    return {};
  auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  auto at = page_->trap_at.load() * troupe::size_of(type_) / size * size;
  armed = {memory_ + at, size, page_->target, signal, page_};
  ::mprotect(armed.page, size, PROT_NONE);
  return {};
}

void declare(troupe::module_registry& models) {
  for (const auto* name : {"trainer", "policy"}) {
    auto& model = models.add(name, [] { return std::make_unique<weights>(); });
    model.add_option({"page", std::string{}, "memory shared with the test"});
    model.add_option({"arena", false, "others may read the weights in place"});
    model.add_option({"type", std::string{"float32"}, "of the elements"});
    model.add_option({"tensors", std::int64_t{1}, "that they are cut into"});
    model.add_function<weights>("fill", &weights::fill);
    model.add_function<weights>("look", &weights::look);
    model.add_function<weights>("arm", &weights::arm);
  }
}

} // namespace sync_faults
