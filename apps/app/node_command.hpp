// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace troupe::app_command {

/// What `node` was given on the command line.
struct node_arguments {
  std::string listen = "127.0.0.1:4100";
  std::string devices = "cpu:2";
  /// Where `troupe certs` has put this machine's certificate; empty: no TLS.
  std::string certs;
  std::string log_dir = "node-logs";
  /// Ends after one job.
  bool once = false;
  bool debug = false;
};

/// Offers this machine to jobs, one after the other, until it is told to end.
/// Each job gets a process of its own, so that nothing of one can meet another
/// and a node that crashes is back at once. Returns the exit code: 0, or 2 if it
/// could not begin. Call before any thread exists, with signals held.
int run_node(const node_arguments& args);

/// What `certs` was given on the command line.
struct certs_arguments {
  std::string folder;
  /// Of the machines, for other programs to check.
  std::vector<std::string> names;
  /// A machine that gets a certificate of its own from the folder's authority;
  /// empty: all is made anew.
  std::string sign;
};

/// Makes the certificates of a job, or one more. Returns the exit code: 0, or 2 if they could
/// not be made.
int make_certs(const certs_arguments& args);

} // namespace troupe::app_command
