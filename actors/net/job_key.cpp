// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/job_key.hpp"

#include <cerrno>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "troupe/actors/process/message_socket.hpp"

namespace troupe::net {

namespace {

constexpr std::string_view digits = "0123456789abcdef";

/// -1 if it is no hexadecimal digit.
int digit_value(char c) {
  if (c >= 'A' && c <= 'F')
    c = static_cast<char>(c - 'A' + 'a');
  auto at = digits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

} // namespace

result<secret_bytes> random_secret() {
  secret_bytes out;
  std::size_t have = 0;
  while (have < out.size()) {
    auto got = ::getrandom(out.data() + have, out.size() - have, 0);
    if (got < 0 && errno != EINTR)
      return fail(
        process::system_error(errc::unavailable, "no random bytes", errno));
    if (got > 0)
      have += static_cast<std::size_t>(got);
  }
  return out;
}

bool same_bytes(std::span<const std::byte> a,
                std::span<const std::byte> b) noexcept {
  return a.size() == b.size()
         && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

result<job_key> job_key::make() {
  auto bytes = random_secret();
  if (!bytes)
    return fail(bytes.error());
  return job_key{*bytes};
}

result<job_key> job_key::from_hex(std::string_view text) {
  secret_bytes out;
  if (text.size() != 2 * out.size())
    return fail(errc::invalid, "a job's key has 64 hexadecimal digits");
  for (std::size_t i = 0; i < out.size(); ++i) {
    auto high = digit_value(text[2 * i]);
    auto low = digit_value(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return fail(errc::invalid, "a job's key has 64 hexadecimal digits");
    out[i] = static_cast<std::byte>(high * 16 + low);
  }
  return job_key{out};
}

job_key::~job_key() {
  ::OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

std::string job_key::hex() const {
  std::string out;
  out.reserve(2 * bytes_.size());
  for (auto x : bytes_) {
    out += digits[static_cast<unsigned>(x) / 16];
    out += digits[static_cast<unsigned>(x) % 16];
  }
  return out;
}

mac_bytes job_key::mac(std::span<const std::byte> data) const {
  mac_bytes out{};
  unsigned size = out.size();
  ::HMAC(::EVP_sha256(), bytes_.data(), static_cast<int>(bytes_.size()),
         reinterpret_cast<const unsigned char*>(data.data()), data.size(),
         reinterpret_cast<unsigned char*>(out.data()), &size);
  return out;
}

bool job_key::operator==(const job_key& other) const noexcept {
  return same_bytes(bytes_, other.bytes_);
}

} // namespace troupe::net
