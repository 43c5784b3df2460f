// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/gloo/transfer.hpp"

#include <exception>

#include <fmt/core.h>

#include "troupe/comm/gloo/transport.hpp"

namespace troupe::comm::gloo {

waitable_buffer::waitable_buffer(
  const std::shared_ptr<vendor::Context>& context, void* data, std::size_t size)
  : vendor::UnboundBuffer(context, data, size) {
  // nop
}

result<void> waitable_buffer::start(direction way, int peer,
                                    std::uint64_t slot) {
  try {
    if (way == direction::sending)
      send(peer, slot, 0, size);
    else
      recv(peer, slot, 0, size);
    return {};
  } catch (const ::gloo::IoException& e) {
    return fail(errc::lost, fmt::format("rank {} is gone: {}", peer, e.what()));
  } catch (const std::exception& e) {
    return fail(errc::internal, e.what());
  }
}

waitable_buffer::outcome waitable_buffer::wait(direction way, deadline until) {
  auto receiving = way == direction::receiving;
  auto& wake = receiving ? recvCv_ : sendCv_;
  auto& completions = receiving ? recvCompletions_ : sendCompletions_;
  auto& stopped = receiving ? abortWaitRecv_ : abortWaitSend_;
  std::unique_lock<std::mutex> lock{m_};
  wake.wait_for(lock, until.left(),
                [&] { return completions > 0 || stopped || ex_ != nullptr; });
  if (completions > 0)
    return outcome::moved;
  if (stopped)
    return outcome::stopped;
  return ex_ != nullptr ? outcome::broken : outcome::late;
}

bool waitable_buffer::received() noexcept {
  std::unique_lock<std::mutex> lock{m_};
  return recvCompletions_ > 0;
}

void waitable_buffer::stop() noexcept {
  abortWaitRecv();
  abortWaitSend();
}

std::string waitable_buffer::reason() {
  std::unique_lock<std::mutex> lock{m_};
  try {
    throwIfException();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "no reason given";
}

transfer::transfer(gloo_transport& home,
                   const std::shared_ptr<vendor::Context>& context,
                   direction way, void* data, std::size_t size, rank_id peer)
  : home_(home),
    way_(way),
    peer_(peer),
    buffer_(context, data, size) {
  // nop
}

transfer::~transfer() {
  home_.forget(this);
}

result<void> transfer::wait(deadline until) {
  using outcome = waitable_buffer::outcome;
  switch (buffer_.wait(way_, until)) {
    case outcome::moved: return {};
    case outcome::late:
      return fail(errc::timed_out,
                  fmt::format("waited in vain for rank {}", peer_.value()));
    case outcome::broken:
      return fail(errc::lost, fmt::format("rank {} is gone: {}", peer_.value(),
                                          buffer_.reason()));
    case outcome::stopped: break;
  }
  return fail(home_.why_stopped(peer_));
}

} // namespace troupe::comm::gloo
