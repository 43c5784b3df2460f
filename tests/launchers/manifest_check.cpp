// SPDX-License-Identifier: Apache-2.0
// manifest_check MANIFEST FOLDER: reads a Kubernetes manifest of nodes and a
// driver, checks that its objects fit each other, writes the files of its
// config maps into the folder, and prints the command of every container,
// quoted for a shell:
//
//     container OBJECT NAME COPIES WORD...
//
// Ends with 1 and a sentence for each thing that does not fit.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <yaml-cpp/yaml.h>

namespace {

using labels = std::map<std::string, std::string>;

int problems = 0;

void check(bool holds, const std::string& what) {
  if (holds)
    return;
  fmt::print(stderr, "manifest: {}\n", what);
  ++problems;
}

std::string text(const YAML::Node& x) {
  return x && x.IsScalar() ? x.as<std::string>() : std::string{};
}

/// What lies behind the keys; an empty node if one is missing.
YAML::Node at(YAML::Node x, std::initializer_list<const char*> keys) {
  for (const auto* key : keys) {
    const auto& map = x;
    if (!map.IsMap())
      return {};
    auto next = map[key];
    if (!next)
      return {};
    x.reset(next);
  }
  return x;
}

YAML::Node first(const YAML::Node& x) {
  return x.IsSequence() && x.size() > 0 ? x[0] : YAML::Node{};
}

labels labels_of(const YAML::Node& x) {
  return x && x.IsMap() ? x.as<labels>() : labels{};
}

/// An empty selector is a mistake here, though Kubernetes takes it for all.
bool selects(const labels& selector, const labels& pod) {
  return !selector.empty()
         && std::includes(pod.begin(), pod.end(), selector.begin(),
                          selector.end());
}

std::string quoted(const std::string& x) {
  std::string out{'\''};
  for (auto c : x)
    out += c == '\'' ? std::string{"'\\''"} : std::string{c};
  return out + '\'';
}

class manifest {
public:
  explicit manifest(const std::string& file)
    : documents_(YAML::LoadAllFromFile(file)) {
    for (const auto& x : documents_) {
      auto name = fmt::format("{} {}", text(at(x, {"kind"})),
                              text(at(x, {"metadata", "name"})));
      check(!text(at(x, {"apiVersion"})).empty() && name.front() != ' '
              && name.back() != ' ',
            fmt::format("'{}' lacks apiVersion, kind or name", name));
      check(objects_.emplace(name, x).second, name + " is there twice");
    }
  }

  void run(const std::filesystem::path& folder) {
    auto nodes = only("StatefulSet");
    auto driver = only("Job");
    auto service = only("Service");
    auto policy = only("NetworkPolicy");
    if (problems > 0)
      return;
    for (const auto& owner : {nodes, driver}) {
      check_pod(owner);
      check(selects(labels_of(
                      at(policy, {"spec", "podSelector", "matchLabels"})),
                    pod_labels(owner)),
            name_of(owner) + ": the network policy leaves its pods out");
    }
    check(text(at(service, {"spec", "clusterIP"})) == "None",
          "the service has an address of its own");
    check(selects(labels_of(at(service, {"spec", "selector"})),
                  pod_labels(nodes)),
          "the service selects no node");
    check(selects(labels_of(at(nodes, {"spec", "selector", "matchLabels"})),
                  pod_labels(nodes)),
          "the StatefulSet does not select its own pods");
    check(text(at(nodes, {"spec", "serviceName"})) == name_of(service),
          "the StatefulSet is of another service");
    check_addresses(nodes, driver,
                    text(at(first(at(service, {"spec", "ports"})), {"port"})));
    write_files(folder);
    print(nodes, text(at(nodes, {"spec", "replicas"})));
    print(driver, "1");
  }

private:
  static std::string name_of(const YAML::Node& x) {
    return text(at(x, {"metadata", "name"}));
  }

  static YAML::Node pod(const YAML::Node& owner) {
    return at(owner, {"spec", "template", "spec"});
  }

  static labels pod_labels(const YAML::Node& owner) {
    return labels_of(at(owner, {"spec", "template", "metadata", "labels"}));
  }

  static std::vector<std::string> words(const YAML::Node& container) {
    std::vector<std::string> out;
    for (const auto* key : {"command", "args"})
      for (const auto& x : at(container, {key}))
        out.push_back(text(x));
    return out;
  }

  YAML::Node only(const std::string& kind) {
    YAML::Node out;
    auto count = 0;
    for (const auto& x : documents_)
      if (text(at(x, {"kind"})) == kind) {
        out.reset(x);
        ++count;
      }
    check(count == 1, fmt::format("{} objects of kind {}", count, kind));
    return out;
  }

  /// What a pod mounts is there, secrets and config maps by the names that the
  /// rest of the manifest has for them.
  void check_pod(const YAML::Node& owner) {
    auto name = name_of(owner);
    auto spec = pod(owner);
    check(!text(at(spec, {"terminationGracePeriodSeconds"})).empty(),
          name + ": no terminationGracePeriodSeconds");
    std::map<std::string, YAML::Node> volumes;
    for (const auto& x : at(spec, {"volumes"}))
      volumes.emplace(text(at(x, {"name"})), x);
    for (const auto& [volume, x] : volumes) {
      auto map = text(at(x, {"configMap", "name"}));
      check(map.empty() || objects_.contains("ConfigMap " + map),
            fmt::format("{}: there is no config map {}", name, map));
      auto secret = text(at(x, {"secret", "secretName"}));
      if (!secret.empty() && secret_.empty())
        secret_ = secret;
      check(secret.empty() || secret == secret_,
            name + ": certificates of another secret");
    }
    for (const auto* kind : {"initContainers", "containers"})
      for (const auto& container : at(spec, {kind}))
        for (const auto& x : at(container, {"volumeMounts"})) {
          auto volume = volumes.find(text(at(x, {"name"})));
          if (volume == volumes.end()) {
            check(false,
                  fmt::format("{}: no volume {}", name, text(at(x, {"name"}))));
            continue;
          }
          if (text(at(x, {"mountPath"})) == "/dev/shm")
            check(text(at(volume->second, {"emptyDir", "medium"})) == "Memory",
                  name + ": /dev/shm is not memory");
        }
  }

  /// The driver's nodes are the pods of the StatefulSet, at the port where they
  /// listen.
  static void check_addresses(const YAML::Node& nodes, const YAML::Node& driver,
                              const std::string& port) {
    auto container = first(at(pod(nodes), {"containers"}));
    check(text(at(first(at(container, {"ports"})), {"containerPort"})) == port,
          "the nodes' port is not the service's");
    std::string expected;
    for (auto i = 0; i < at(nodes, {"spec", "replicas"}).as<int>(); ++i)
      expected += fmt::format("{}{}-{}.{}:{}", i == 0 ? "" : ",",
                              name_of(nodes), i,
                              text(at(nodes, {"spec", "serviceName"})), port);
    auto all = words(first(at(pod(driver), {"containers"})));
    auto found = std::find(all.begin(), all.end(), "--nodes");
    check(all.end() - found > 1 && found[1] == expected,
          "the driver's --nodes are not " + expected);
  }

  void write_files(const std::filesystem::path& folder) {
    for (const auto& [name, x] : objects_)
      if (name.starts_with("ConfigMap "))
        for (const auto& file : at(x, {"data"})) {
          std::ofstream out{folder / text(file.first)};
          out << text(file.second);
          check(bool(out.flush()), "cannot write " + text(file.first));
        }
  }

  static void print(const YAML::Node& owner, const std::string& copies) {
    for (const auto* kind : {"initContainers", "containers"})
      for (const auto& container : at(pod(owner), {kind})) {
        std::string line = fmt::format("container {} {} {}", name_of(owner),
                                       text(at(container, {"name"})), copies);
        for (const auto& x : words(container))
          line += ' ' + quoted(x);
        fmt::print("{}\n", line);
      }
  }

  std::vector<YAML::Node> documents_;
  std::map<std::string, YAML::Node> objects_;
  std::string secret_;
};

} // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: manifest_check MANIFEST FOLDER\n");
    return 2;
  }
  try {
    manifest{argv[1]}.run(argv[2]);
  } catch (const std::exception& x) {
    check(false, x.what());
  }
  return problems == 0 ? 0 : 1;
}
