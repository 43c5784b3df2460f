// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/certificates.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "troupe/actors/net/openssl_handles.hpp"
#include "troupe/actors/net/peer_text.hpp"
#include "troupe/actors/process/message_socket.hpp"
#include "troupe/actors/process/unique_fd.hpp"

namespace troupe::net {

namespace {

namespace fs = std::filesystem;

// Clocks of machines differ.
constexpr std::time_t skew_s = 3600;

constexpr int serial_bits = 127;

constexpr std::size_t names_max = 4096;

struct extension {
  int kind;
  std::string value;
};

/// A certificate and its key.
struct issued {
  certificate_handle certificate;
  key_handle key;
};

tl::unexpected<error> openssl_failed() {
  return fail(errc::internal, fmt::format("a certificate could not be made: {}",
                                          openssl_reason()));
}

/// `DNS:node-a`, `IP:10.0.0.1`; the text comes from a user and ends in a list
/// with commas.
result<std::string> alternative_name(const std::string& x) {
  std::array<unsigned char, sizeof(in6_addr)> ignored;
  if (::inet_pton(AF_INET, x.c_str(), ignored.data()) == 1
      || ::inet_pton(AF_INET6, x.c_str(), ignored.data()) == 1)
    return "IP:" + x;
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  };
  if (x.empty() || x.size() > 253 || !std::all_of(x.begin(), x.end(), allowed))
    return fail(errc::invalid,
                fmt::format("'{}' is no name of a machine: write a DNS name or "
                            "an address without a port, e.g. node-a or "
                            "10.0.0.1",
                            printable(x.substr(0, 80))));
  return "DNS:" + x;
}

result<std::string> all_names(std::span<const std::string> names) {
  if (names.size() > names_max)
    return fail(errc::invalid, fmt::format("a certificate takes at most {} "
                                           "names",
                                           names_max));
  std::string out = "DNS:localhost,IP:127.0.0.1";
  for (const auto& x : names) {
    auto name = alternative_name(x);
    if (!name)
      return name;
    out += "," + *name;
  }
  return out;
}

bool set_serial(X509* x) {
  bignum_handle number{::BN_new()};
  return number
         && ::BN_rand(number.get(), serial_bits, BN_RAND_TOP_ANY,
                      BN_RAND_BOTTOM_ANY)
              == 1
         && ::BN_to_ASN1_INTEGER(number.get(), ::X509_get_serialNumber(x));
}

bool set_times(X509* x, duration lifetime) {
  auto now = std::time(nullptr);
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(lifetime)
                   .count();
  return ::ASN1_TIME_set(::X509_getm_notBefore(x), now - skew_s)
         && ::ASN1_TIME_set(::X509_getm_notAfter(x), now + seconds);
}

bool set_subject(X509* x, const std::string& name) {
  auto* raw = reinterpret_cast<const unsigned char*>(name.c_str());
  return ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(x), "CN",
                                      MBSTRING_ASC, raw, -1, -1, 0)
         == 1;
}

bool add_extensions(X509* x, X509* issuer,
                    std::span<const extension> extensions) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  ::X509V3_set_ctx(&context, issuer, x, nullptr, nullptr, 0);
  for (const auto& i : extensions) {
    extension_handle made{
      ::X509V3_EXT_conf_nid(nullptr, &context, i.kind, i.value.c_str())};
    if (!made || ::X509_add_ext(x, made.get(), -1) != 1)
      return false;
  }
  return true;
}

/// Signed by `by`, or by itself.
result<issued> issue(const std::string& subject, duration lifetime,
                     std::span<const extension> extensions, const issued* by) {
  issued out{certificate_handle{::X509_new()},
             key_handle{::EVP_EC_gen("P-256")}};
  auto* x = out.certificate.get();
  if (!x || !out.key)
    return openssl_failed();
  auto* issuer = by ? by->certificate.get() : x;
  auto* signer = by ? by->key.get() : out.key.get();
  if (::X509_set_version(x, X509_VERSION_3) != 1 || !set_serial(x)
      || !set_times(x, lifetime) || !set_subject(x, subject)
      || ::X509_set_issuer_name(x, ::X509_get_subject_name(issuer)) != 1
      || ::X509_set_pubkey(x, out.key.get()) != 1
      || !add_extensions(x, issuer, extensions)
      || ::X509_sign(x, signer, ::EVP_sha256()) == 0)
    return openssl_failed();
  return out;
}

// -- files --------------------------------------------------------------------

struct new_file {
  fs::path path;
  mode_t mode;
  std::string content;
};

std::string content_of(BIO* x) {
  char* data = nullptr;
  auto size = BIO_get_mem_data(x, &data);
  return {data, static_cast<std::size_t>(size)};
}

result<std::string> pem_of(X509* x) {
  bio_handle out{::BIO_new(::BIO_s_mem())};
  if (!out || ::PEM_write_bio_X509(out.get(), x) != 1)
    return openssl_failed();
  return content_of(out.get());
}

result<std::string> pem_of(EVP_PKEY* x) {
  // In memory that OpenSSL wipes.
  bio_handle out{::BIO_new(::BIO_s_secmem())};
  if (!out
      || ::PEM_write_bio_PrivateKey(out.get(), x, nullptr, nullptr, 0, nullptr,
                                    nullptr)
           != 1)
    return openssl_failed();
  return content_of(out.get());
}

result<void> write_new(const new_file& x) {
  // Never through a link or over what somebody else has put there.
  process::unique_fd file{
    ::open(x.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
           x.mode)};
  if (!file)
    return fail(
      process::system_error(errno == EEXIST ? errc::refused : errc::exhausted,
                            fmt::format("cannot write {}", x.path.string()),
                            errno));
  std::string_view left = x.content;
  while (!left.empty()) {
    auto written = ::write(file.get(), left.data(), left.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0) {
      auto number = errno;
      ::unlink(x.path.c_str());
      return fail(
        process::system_error(errc::exhausted,
                              fmt::format("cannot write {}", x.path.string()),
                              number));
    }
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

result<void> write_all(std::span<const new_file> files) {
  std::vector<fs::path> written;
  for (const auto& x : files) {
    auto done = write_new(x);
    if (!done) {
      for (const auto& path : written)
        ::unlink(path.c_str());
      return done;
    }
    written.push_back(x.path);
  }
  return {};
}

result<void> prepare_folder(const fs::path& folder) {
  std::error_code bad;
  fs::create_directories(folder, bad);
  if (bad)
    return fail(errc::invalid, fmt::format("cannot make the folder {}: {}",
                                           folder.string(), bad.message()));
  for (const auto* name :
       {ca_certificate_file, ca_key_file, node_certificate_file, node_key_file})
    if (fs::exists(fs::symlink_status(folder / name, bad)))
      return fail(errc::refused,
                  fmt::format("{} is there already and is not overwritten: a "
                              "job whose machines have it would break; choose "
                              "another folder",
                              (folder / name).string()));
  return {};
}

/// One that the authority has signed for machines of these names.
result<issued> issue_for_nodes(const std::string& names, duration lifetime,
                               const issued& ca) {
  const extension extensions[] = {{NID_basic_constraints, "critical,CA:FALSE"},
                                  {NID_key_usage, "critical,digitalSignature"},
                                  {NID_ext_key_usage, "serverAuth,clientAuth"},
                                  {NID_subject_key_identifier, "hash"},
                                  {NID_authority_key_identifier,
                                   "keyid:always"},
                                  {NID_subject_alt_name, names}};
  return issue("Troupe node", lifetime, extensions, &ca);
}

/// The authority of a folder.
result<issued> read_authority(const fs::path& folder) {
  auto open = [&](const char* name) {
    return bio_handle{::BIO_new_file((folder / name).c_str(), "r")};
  };
  auto pem = open(ca_certificate_file);
  auto key = open(ca_key_file);
  auto missing = !pem ? ca_certificate_file : !key ? ca_key_file : nullptr;
  if (missing)
    return fail(errc::invalid,
                fmt::format("cannot read {}: it takes the folder that 'certs' "
                            "has made, with the authority's key",
                            (folder / missing).string()));
  // Asked for a passphrase: there is nobody at a terminal here.
  auto none = [](char*, int, int, void*) { return 0; };
  issued out{certificate_handle{
               ::PEM_read_bio_X509(pem.get(), nullptr, none, nullptr)},
             key_handle{
               ::PEM_read_bio_PrivateKey(key.get(), nullptr, none, nullptr)}};
  if (!out.certificate || !out.key
      || ::X509_check_private_key(out.certificate.get(), out.key.get()) != 1)
    return fail(errc::invalid,
                fmt::format("{} and {} in {} are no authority and its key",
                            ca_certificate_file, ca_key_file, folder.string()));
  if (::X509_cmp_current_time(::X509_get0_notAfter(out.certificate.get())) <= 0)
    return fail(errc::invalid,
                fmt::format("{} has expired; make a new folder with 'certs'",
                            (folder / ca_certificate_file).string()));
  return out;
}

/// Writes PEM files: all of them or none.
class pem_folder {
public:
  explicit pem_folder(fs::path folder) : folder_(std::move(folder)) {
    // nop
  }

  template <class T>
  void add(const char* name, mode_t mode, T* x) {
    auto content = pem_of(x);
    if (!content)
      failed_ = true;
    else
      files_.push_back({folder_ / name, mode, std::move(*content)});
  }

  [[nodiscard]] result<void> write() const {
    if (failed_)
      return openssl_failed();
    return write_all(files_);
  }

private:
  fs::path folder_;
  std::vector<new_file> files_;
  bool failed_ = false;
};

} // namespace

result<void> make_certificates(const fs::path& folder,
                               std::span<const std::string> names,
                               certificate_lifetimes lifetimes) {
  auto alternatives = all_names(names);
  if (!alternatives)
    return fail(alternatives.error());
  if (auto ready = prepare_folder(folder); !ready)
    return ready;
  const extension for_ca[] = {{NID_basic_constraints,
                               "critical,CA:TRUE,pathlen:0"},
                              {NID_key_usage, "critical,keyCertSign,cRLSign"},
                              {NID_subject_key_identifier, "hash"}};
  auto ca = issue("Troupe job authority", lifetimes.ca, for_ca, nullptr);
  if (!ca)
    return fail(ca.error());
  auto node = issue_for_nodes(*alternatives, lifetimes.node, *ca);
  if (!node)
    return fail(node.error());
  pem_folder out{folder};
  out.add(ca_certificate_file, 0644, ca->certificate.get());
  out.add(ca_key_file, 0600, ca->key.get());
  out.add(node_certificate_file, 0644, node->certificate.get());
  out.add(node_key_file, 0600, node->key.get());
  return out.write();
}

result<void> sign_certificate(const fs::path& folder,
                              const std::string& machine,
                              std::span<const std::string> names,
                              certificate_lifetimes lifetimes) {
  std::vector<std::string> all{machine};
  all.insert(all.end(), names.begin(), names.end());
  auto alternatives = all_names(all);
  if (!alternatives)
    return fail(alternatives.error());
  // It is a folder's name too.
  if (machine.front() == '.')
    return fail(errc::invalid,
                fmt::format("'{}' is no name of a machine", machine));
  auto ca = read_authority(folder);
  if (!ca)
    return fail(ca.error());
  if (auto ready = prepare_folder(folder / machine); !ready)
    return ready;
  auto node = issue_for_nodes(*alternatives, lifetimes.node, *ca);
  if (!node)
    return fail(node.error());
  pem_folder out{folder / machine};
  out.add(ca_certificate_file, 0644, ca->certificate.get());
  out.add(node_certificate_file, 0644, node->certificate.get());
  out.add(node_key_file, 0600, node->key.get());
  return out.write();
}

} // namespace troupe::net
