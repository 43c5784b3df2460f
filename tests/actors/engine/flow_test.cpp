// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/flow.hpp"

#include <boost/test/unit_test.hpp>

#include <stdexcept>

#include "support/inproc_job.hpp"

using namespace troupe;
using test::counting_module;

namespace {

class stranger : public module {
public:
  batch dance(const batch& in) { return in; }
};

struct fixture {
  module_registry models;

  fixture() {
    auto notes = std::make_shared<test::module_notes>();
    test::declare(models, "policy", notes);
    test::declare(models, "reference", notes);
  }

  /// The text of what `f` throws.
  template <class F>
  std::string refusal(F f) {
    try {
      flow x{models};
      f(x);
    } catch (const std::invalid_argument& problem) {
      return problem.what();
    }
    BOOST_FAIL("nothing was thrown");
    return {};
  }
};

bool says(const std::string& text, std::initializer_list<const char*> words) {
  for (auto* word : words)
    if (text.find(word) == std::string::npos) {
      BOOST_TEST_MESSAGE("'" << word << "' is missing in: " << text);
      return false;
    }
  return true;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(engine_flow, fixture)

BOOST_AUTO_TEST_CASE(an_unknown_model_is_refused_with_the_names_there_are) {
  auto text = refusal(
    [](flow& x) { x.call("polcy", &counting_module::echo, x.input()); });
  BOOST_TEST(says(text, {"'polcy'", "policy", "reference"}));
}

BOOST_AUTO_TEST_CASE(an_undeclared_function_is_refused_with_the_declared) {
  auto text = refusal(
    [](flow& x) { x.call("policy", &stranger::dance, x.input()); });
  BOOST_TEST(says(text, {"'policy'", "echo", "grow"}));
}

BOOST_AUTO_TEST_CASE(every_node_stands_after_its_inputs) {
  flow x{models};
  auto a = x.call("policy", &counting_module::echo, x.input());
  auto b = x.call("reference", &counting_module::grow, a);
  auto c = x.merge({a, b});
  auto d = x.apply(
    "last", [](const batch& in) { return in; }, c);
  auto graph = std::move(x).finish(d);
  BOOST_REQUIRE(graph.nodes.size() == 5u);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    names.push_back(graph.nodes[i].name);
    for (auto input : graph.nodes[i].inputs)
      BOOST_TEST(input < i);
  }
  BOOST_TEST(names
               == (std::vector<std::string>{"input", "policy.echo",
                                            "reference.grow", "merge", "last"}),
             boost::test_tools::per_element());
  BOOST_TEST((graph.nodes[2].what == flow_node::kind::call));
  BOOST_TEST(graph.nodes[2].model == "reference");
  BOOST_TEST(graph.nodes[2].function == "grow");
  BOOST_TEST(graph.nodes[3].inputs == (std::vector<std::size_t>{1, 2}),
             boost::test_tools::per_element());
  BOOST_TEST(graph.output == 4u);
}

BOOST_AUTO_TEST_CASE(the_result_may_be_any_node_and_is_else_the_last) {
  flow x{models};
  auto a = x.call("policy", &counting_module::echo, x.input());
  x.call("reference", &counting_module::echo, a);
  BOOST_TEST(std::move(x).finish(a).output == 1u);
  flow y{models};
  y.call("policy", &counting_module::echo, y.input());
  BOOST_TEST(std::move(y).finish().output == 1u);
}

BOOST_AUTO_TEST_CASE(a_flow_may_do_nothing) {
  flow x{models};
  auto in = x.input();
  auto graph = std::move(x).finish(in);
  BOOST_TEST(graph.nodes.size() == 1u);
  BOOST_TEST(!graph.empty());
  BOOST_TEST(flow_graph{}.empty());
}

BOOST_AUTO_TEST_CASE(a_merge_puts_tensors_side_by_side_the_later_one_wins) {
  flow x{models};
  auto in = x.input();
  auto graph = std::move(x).finish(x.merge({in, in}));
  batch first = test::numbered(2);
  first.set_meta("n", std::int64_t{1});
  batch second = test::numbered(2, 10);
  second.set("y", tensor{dtype::uint8, {2}});
  auto out = graph.nodes.back().plain({first, second});
  BOOST_TEST(test::numbers_of(out) == (std::vector<std::int64_t>{10, 11}),
             boost::test_tools::per_element());
  BOOST_TEST(out.find("y") != nullptr);
  BOOST_TEST(out.meta_number("n") == 1);
}

BOOST_AUTO_TEST_SUITE_END()
