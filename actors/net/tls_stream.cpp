// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/tls_stream.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string_view>

#include <fmt/format.h>
#include <sys/socket.h>

namespace troupe::net {

namespace {

/// What the functions below find behind a BIO.
struct wire {
  int fd = -1;
  bool ended = false;
};

// OpenSSL's own sockets write with write(2), which raises SIGPIPE; so there is
// one of ours, which does not.

int wire_write(BIO* bio, const char* data, int size) {
  auto* x = static_cast<wire*>(::BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  auto sent = ::send(x->fd, data, static_cast<std::size_t>(size),
                     MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR))
    BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int wire_read(BIO* bio, char* out, int size) {
  auto* x = static_cast<wire*>(::BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  auto got = ::recv(x->fd, out, static_cast<std::size_t>(size), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    BIO_set_retry_read(bio);
  x->ended = got == 0;
  return static_cast<int>(got);
}

long wire_control(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF:
      return static_cast<wire*>(::BIO_get_data(bio))->ended ? 1 : 0;
    default: return 0;
  }
}

/// Made once, by the first who asks, and kept.
const BIO_METHOD* wire_method() {
  static const BIO_METHOD* const method = [] {
    auto* x = ::BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
                             "troupe socket");
    if (x) {
      ::BIO_meth_set_write(x, wire_write);
      ::BIO_meth_set_read(x, wire_read);
      ::BIO_meth_set_ctrl(x, wire_control);
    }
    return x;
  }();
  return method;
}

/// What the other side's alerts say of our certificate.
bool is_refusal(int reason) {
  switch (reason) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: return true;
    default: return false;
  }
}

error refused(std::string_view what, std::string_view detail) {
  return error{errc::refused,
               fmt::format("{} ({}): all machines of a job need the "
                           "certificates of one `troupe certs DIR`",
                           what, detail)};
}

class tls_stream final : public stream {
public:
  tls_stream(process::unique_fd socket, ssl_handle ssl)
    : socket_(std::move(socket)),
      ssl_(std::move(ssl)) {
    wire_.fd = socket_.get();
  }

  /// False if there is no memory.
  bool attach(tls_role role) {
    auto* bio = wire_method() ? ::BIO_new(wire_method()) : nullptr;
    if (!bio)
      return false;
    ::BIO_set_data(bio, &wire_);
    ::BIO_set_init(bio, 1);
    // The one reference goes to both directions.
    ::SSL_set_bio(ssl_.get(), bio, bio);
    if (role == tls_role::server)
      ::SSL_set_accept_state(ssl_.get());
    else
      ::SSL_set_connect_state(ssl_.get());
    return true;
  }

  [[nodiscard]] int fd() const noexcept override { return wire_.fd; }

  [[nodiscard]] process::unique_fd release() noexcept override {
    return std::move(socket_);
  }

  [[nodiscard]] io_state handshake() override {
    prepare();
    auto status = ::SSL_do_handshake(ssl_.get());
    return status == 1 ? io_state::done : state_of(status);
  }

  [[nodiscard]] io_outcome read(std::span<std::byte> out) override {
    prepare();
    std::size_t got = 0;
    auto status = ::SSL_read_ex(ssl_.get(), out.data(), out.size(), &got);
    if (status == 1)
      return {io_state::done, got};
    return {state_of(status), 0};
  }

  [[nodiscard]] io_outcome write(std::span<const std::byte> in) override {
    prepare();
    std::size_t sent = 0;
    auto status = ::SSL_write_ex(ssl_.get(), in.data(), in.size(), &sent);
    if (status == 1)
      return {io_state::done, sent};
    return {state_of(status), 0};
  }

  [[nodiscard]] error failure() const override { return failure_; }

private:
  static void prepare() {
    // Errors of others on this thread must not be taken for ours.
    ::ERR_clear_error();
    errno = 0;
  }

  io_state state_of(int status) {
    auto number = errno;
    switch (::SSL_get_error(ssl_.get(), status)) {
      case SSL_ERROR_WANT_READ: return io_state::want_read;
      case SSL_ERROR_WANT_WRITE: return io_state::want_write;
      case SSL_ERROR_ZERO_RETURN: return io_state::closed;
      case SSL_ERROR_SYSCALL: return broken(number);
      default: return failed();
    }
  }

  io_state broken(int number) {
    if (number == 0)
      return io_state::closed;
    auto* text = ::strerrordesc_np(number);
    failure_ = error{errc::lost, text ? text : "unknown error"};
    return io_state::failed;
  }

  io_state failed() {
    auto reason = ERR_GET_REASON(::ERR_peek_error());
    // Who ends without a word of TLS has ended all the same: what travels here
    // says itself where it is complete.
    if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
      return io_state::closed;
    auto verified = ::SSL_get_verify_result(ssl_.get());
    auto text = openssl_reason();
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
      failure_ = refused("the other side shows no certificate", text);
    else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
      failure_ = refused("the other side's certificate is not accepted",
                         ::X509_verify_cert_error_string(verified));
    else if (is_refusal(reason))
      failure_ = refused("the other side does not accept our certificate",
                         text);
    else
      failure_ = error{errc::corrupt, fmt::format("TLS failed: {}", text)};
    return io_state::failed;
  }

  process::unique_fd socket_;
  wire wire_;
  error failure_;
  // Goes first: it may have a last look at the wire.
  ssl_handle ssl_;
};

} // namespace

std::unique_ptr<stream>
make_tls_stream(SSL_CTX* context, process::unique_fd socket, tls_role role) {
  ssl_handle ssl{::SSL_new(context)};
  if (!ssl)
    return nullptr;
  auto out = std::make_unique<tls_stream>(std::move(socket), std::move(ssl));
  if (!out->attach(role))
    return nullptr;
  return out;
}

} // namespace troupe::net
