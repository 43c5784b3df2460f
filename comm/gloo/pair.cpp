// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/gloo/pair.hpp"

#include <array>
#include <cerrno>
#include <exception>
#include <mutex>
#include <utility>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace troupe::comm::gloo {

pair::pair(vendor::Context* context, vendor::Device* device, int peer,
           pair_observer& observer)
  : vendor::Pair(context, device, peer, ::gloo::kNoTimeout),
    peer_rank_(peer),
    observer_(observer) {
  // nop
}

pair::~pair() {
  // Gloo's thread must be out of our overrides before they are gone.
  std::lock_guard<std::mutex> lock{m_};
  if (state_ != CLOSED)
    changeState(CLOSED);
}

void pair::adopt(socket connection) {
  std::lock_guard<std::mutex> lock{m_};
  device_->unregisterDescriptor(fd_, this);
  ::close(fd_);
  fd_ = connection.release();
  adopted_ = true;
  try {
    handleConnected();
  } catch (...) {
    // The peer has reset the connection already, so it has no address to ask
    // for. Gloo believes that it still listens, and when the pair is destroyed
    // takes the descriptor out of its loop: it must be in there, or that throws
    // where nothing may be thrown.
    adopted_ = false;
    device_->registerDescriptor(fd_, EPOLLIN, this);
    throw;
  }
}

void pair::sever() noexcept {
  std::lock_guard<std::mutex> lock{m_};
  if (state_ == CONNECTED)
    ::shutdown(fd_, SHUT_RDWR);
}

void pair::handleEvents(int events) {
  if (adopted_)
    vendor::Pair::handleEvents(events);
}

void pair::handleReadWrite(int events) {
  try {
    vendor::Pair::handleReadWrite(events);
  } catch (const std::exception&) {
    // What the peer sent is not the protocol: it is as good as gone.
    if (state_ != CLOSED)
      signalException(std::current_exception());
  }
}

/// Gloo's own, but without SIGPIPE.
bool pair::write(vendor::Op& op) {
  if (state_ == CLOSED)
    return false;
  ::gloo::NonOwningPtr<vendor::UnboundBuffer> buffer;
  auto opcode = op.getOpcode();
  if (opcode == vendor::Op::SEND_UNBOUND_BUFFER) {
    buffer = ::gloo::NonOwningPtr<vendor::UnboundBuffer>(op.ubuf);
    if (!buffer)
      return false;
  }
  for (;;) {
    std::array<struct iovec, 2> parts{};
    auto count = 0;
    auto left = prepareWrite(op, buffer, parts.data(), count);
    struct msghdr message {};
    message.msg_iov = parts.data();
    message.msg_iovlen = static_cast<std::size_t>(count);
    auto written = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (written == -1) {
      if (errno == EINTR)
        continue;
      // The rest is sent when the socket has room. If the peer is gone, what
      // it sent before is still to be read, and reading meets the end.
      if (errno == EAGAIN || errno == EPIPE || errno == ECONNRESET)
        return false;
      signalException("sendmsg failed");
      return false;
    }
    op.nwritten += static_cast<std::size_t>(written);
    if (written == left)
      break;
  }
  writeComplete(op, buffer, opcode);
  return true;
}

void pair::changeState(state next) noexcept {
  vendor::Pair::changeState(next);
  if (next == CLOSED)
    observer_.closed(peer_rank_);
}

context::context(std::shared_ptr<vendor::Device> device, int rank, int size,
                 pair_observer& observer)
  : vendor::Context(device, rank, size),
    raw_device_(device.get()),
    observer_(observer),
    ours_(static_cast<std::size_t>(size)) {
  // nop
}

context::~context() {
  // Before this part of the object, which they call, is gone.
  pairs_.clear();
}

std::unique_ptr<::gloo::transport::Pair>& context::createPair(int rank) {
  auto made = std::make_unique<pair>(this, raw_device_, rank, observer_);
  auto index = static_cast<std::size_t>(rank);
  ours_[index] = made.get();
  pairs_[index] = std::move(made);
  return pairs_[index];
}

void context::connect(int peer, socket connection) {
  createPair(peer);
  ours_[static_cast<std::size_t>(peer)]->adopt(std::move(connection));
}

void context::sever() noexcept {
  for (auto* x : ours_)
    if (x)
      x->sever();
}

} // namespace troupe::comm::gloo
