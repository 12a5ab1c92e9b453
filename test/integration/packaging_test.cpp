// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Installs the library as it was built, moves it elsewhere, and builds and runs the README's first program with it in
// the ways that the README names.

#include "support/process.hpp"
#include "support/scripted_server.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <ostream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

using namespace cocp::test;
using namespace std::chrono_literals;
namespace data = boost::unit_test::data;
namespace fs = std::filesystem;

namespace {

const char* argument(int index) {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  BOOST_TEST_REQUIRE(suite.argc == 5, "build directory, sources, prefix and library directory are wanted after `--`");
  return suite.argv[index];
}

/// Of the words in the environment's COCP_COMPILERS, or else of g++ and clang++-19, those that there are and that begin
/// with COCP_COMPILER: one program for each of them takes half the time.
std::vector<std::string> compilers() {
  const char* const own = std::getenv("COCP_COMPILER");
  const char* const wanted = std::getenv("COCP_COMPILERS");
  std::istringstream words(wanted ? wanted : "g++ clang++-19");
  std::vector<std::string> found;
  for (std::string word; words >> word;) {
    if (!word.starts_with(own ? own : "")) continue;
    if (process({"sh", "-c", "command -v " + word}, "/dev/null").wait(-1ms) == 0) found.push_back(word);
  }
  return found;
}

struct outcome {
  int status;
  std::string output;
};

std::ostream& operator<<(std::ostream& out, const outcome& o) {
  return out << "exit status " << o.status << "\n" << o.output;
}

/// Where all is built, and the server that the programs talk to.
class workshop {
 public:
  workshop() {
    sources_ = argument(2);
    library_directory_ = argument(4);
    const std::string stage = path("stage");
    run("meson install -C " + std::string(argument(1)) + " --no-rebuild --tags runtime,devel --destdir " + stage);
    // Moved, so that whatever still looks at the place for which it was configured fails.
    fs::rename(stage + argument(3), path("both"));
    run("cp -a " + path("both") + " " + path("static") + "; rm " + libraries("static") + "/libcocp.so*");
  }

  /// Runs a shell script, which stops at the first failure, until it ends; meanwhile the server answers.
  outcome attempt(const std::string& script) {
    const std::string output = path("output" + std::to_string(++runs_));
    process shell({"sh", "-euc", script}, output);
    std::optional<int> status;
    while (!(status = shell.wait(0ms))) io_.run_for(20ms);
    std::ifstream file(output);
    return {*status, script + "\n" + std::string{std::istreambuf_iterator<char>(file), {}}};
  }

  std::string run(const std::string& script) {
    const outcome result = attempt(script);
    BOOST_TEST_REQUIRE((result.status == 0), result);
    return result.output;
  }

  /// Has the program, run in an `environment`, exchange something with the server; it must be linked to the shared
  /// library, or must not.
  void check(const std::string& program, bool shared, const std::string& environment = {}) {
    const std::string needed = run("readelf -d " + program);
    BOOST_TEST((needed.find("[libcocp.so.0.1]") != std::string::npos) == shared, needed);
    const std::string said = run(environment + " timeout 20 " + program + " " + server_.address());
    BOOST_TEST(said.find("\nhello, world\n") != std::string::npos, said);
  }

  /// A name in the directory to work in.
  std::string path(const std::string& name) const { return directory_.path() / name; }
  /// A name that is new.
  std::string new_path() { return path("work" + std::to_string(++runs_)); }
  std::string libraries(const std::string& prefix) const { return path(prefix) + "/" + library_directory_; }
  /// Shell words with the flags for a compiler.
  std::string flags(const std::string& prefix, const std::string& which = "--cflags --libs") const {
    return "$(PKG_CONFIG_PATH=" + libraries(prefix) + "/pkgconfig pkg-config " + which +
           " --define-variable=prefix=" + path(prefix) + (prefix == "both" ? "" : " --static") + " cocp)";
  }
  std::string first_program() const { return sources_ + "/test/example/readme_first.cpp"; }
  const std::string& sources() const { return sources_; }

 private:
  temporary_directory directory_;
  boost::asio::io_context io_;
  scripted_server server_{io_.get_executor()};
  std::string sources_;
  std::string library_directory_;
  int runs_ = 0;
};

workshop& shop() {
  static workshop only;
  return only;
}

void write(const std::string& name, std::string_view text) { std::ofstream(name) << text; }

// What is installed in which prefix of the workshop.
const std::vector<std::string> kinds{"both", "static"};

BOOST_AUTO_TEST_SUITE(packaging)

/// The first program, compiled once with the flags of pkg-config: linking differs.
std::string first_object(const std::string& compiler) {
  const std::string name = shop().path(compiler + "_first.o");
  if (!fs::exists(name)) {
    shop().run(compiler + " -std=c++20 -c " + shop().first_program() + " " + shop().flags("both", "--cflags") + " -o " +
               name);
  }
  return name;
}

BOOST_DATA_TEST_CASE(a_program_is_built_with_the_flags_of_pkg_config, data::make(compilers()) * data::make(kinds),
                     compiler, installed) {
  const std::string program = shop().new_path();
  shop().run(compiler + " " + first_object(compiler) + " " + shop().flags(installed) + " -o " + program);
  shop().check(program, installed == "both", "LD_LIBRARY_PATH=" + shop().libraries("both"));
}

// Such a program has type information of its own, and its sanitizer compares that with the library's.
BOOST_DATA_TEST_CASE(a_program_with_hidden_symbols_and_under_a_sanitizer_is_built_without_a_warning,
                     data::make(compilers()), compiler) {
  const std::string program = shop().new_path();
  shop().run(compiler + " -std=c++20 -fvisibility=hidden -fvisibility-inlines-hidden -Wall -Wextra -Werror " +
             "-fsanitize=undefined -fno-sanitize-recover=all " + shop().first_program() + " " + shop().flags("both") +
             " -o " + program);
  shop().check(program, true, "LD_LIBRARY_PATH=" + shop().libraries("both"));
}

/// The directory of a project of CMake with these lines in it.
std::string cmake_project(const std::string& lines) {
  const std::string directory = shop().new_path();
  fs::create_directory(directory);
  write(directory + "/CMakeLists.txt", "cmake_minimum_required(VERSION 3.16)\nproject(first CXX)\n" + lines);
  return directory;
}

/// What `lines` find or fetch, the first program, or its object, is linked with.
std::string build_with_cmake(const std::string& lines, const std::string& compiler, const std::string& options,
                             const std::string& program = shop().first_program()) {
  const std::string directory = cmake_project(lines + "add_executable(first " + program +
                                              ")\nset_target_properties(first PROPERTIES LINKER_LANGUAGE CXX)\n" +
                                              "target_link_libraries(first cocp::cocp)\n");
  shop().run("cd " + directory + "; cmake -B . -DCMAKE_CXX_COMPILER=" + compiler + " " + options + "; cmake --build .");
  return directory + "/first";
}

BOOST_DATA_TEST_CASE(a_program_is_built_with_cmake, data::make(compilers()) * data::make(kinds), compiler, installed) {
  const bool shared = installed == "both";
  const std::string program =
      build_with_cmake("find_package(cocp 0.1 REQUIRED)\n", compiler, "-DCMAKE_PREFIX_PATH=" + shop().path(installed),
                       shared ? shop().first_program() : first_object(compiler));
  shop().check(program, shared);
}

BOOST_AUTO_TEST_CASE(cmake_accepts_the_versions_of_the_same_series_and_links_the_static_library_when_asked) {
  const std::string directory = cmake_project(
      "set(cocp_USE_STATIC_LIBS ON)\n"
      "set(accepted)\n"
      "foreach(version 0.0 0.1 0.1.0 0.1.99 0.2 1.0 1.1)\n"
      "  find_package(cocp ${version} QUIET)\n"
      "  if(cocp_FOUND)\n"
      "    list(APPEND accepted ${version})\n"
      "  endif()\n"
      "endforeach()\n"
      "message(STATUS \"accepted: ${accepted}\")\n"
      "get_target_property(location cocp::cocp IMPORTED_LOCATION)\n"
      "message(STATUS \"location: ${location}\")\n");
  const std::string said = shop().run("cd " + directory + "; cmake -B . -DCMAKE_PREFIX_PATH=" + shop().path("both"));
  BOOST_TEST(said.find("accepted: 0.1;0.1.0\n") != std::string::npos, said);
  BOOST_TEST(said.find("location: " + shop().libraries("both") + "/libcocp.a\n") != std::string::npos, said);
}

/// What a file of the sources says.
std::string text_of(const std::string& file) {
  std::ifstream in(shop().sources() + "/" + file);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The first parts of what matches `pattern` in it, one after the other.
std::set<std::string> found_in(const std::string& file, const std::string& pattern) {
  const std::string text = text_of(file);
  const std::regex form(pattern);
  return {std::sregex_token_iterator(text.begin(), text.end(), form, 1), std::sregex_token_iterator()};
}

BOOST_AUTO_TEST_CASE(cmake_and_meson_compile_the_same_sources) {
  const std::string name = "([a-z_]+/[a-z_]+\\.cpp)";
  const std::set<std::string> sources = found_in("lib/CMakeLists.txt", name);
  BOOST_TEST(sources.size() > 50u);
  BOOST_TEST(sources == found_in("lib/meson.build", name), boost::test_tools::per_element());
}

// With one of the compilers, since it is the whole library again; without TLS.
BOOST_DATA_TEST_CASE(a_program_is_built_with_the_library_by_cmakes_fetch_content, data::make(compilers()), compiler) {
  if (compiler == "g++") return;
  const std::string fetch = "include(FetchContent)\nFetchContent_Declare(cocp SOURCE_DIR " + shop().sources() +
                            " SOURCE_SUBDIR lib)\nFetchContent_MakeAvailable(cocp)\n";
  shop().check(build_with_cmake(fetch, compiler, "-DCMAKE_UNITY_BUILD=ON -DCOCP_TLS=OFF"), false);
}

// The same; without run-time type information.
BOOST_DATA_TEST_CASE(a_program_is_built_as_the_superproject_of_a_meson_subproject, data::make(compilers()), compiler) {
  if (compiler == "g++") return;
  const std::string directory = shop().new_path();
  fs::create_directories(directory + "/subprojects");
  fs::create_directory_symlink(shop().sources(), directory + "/subprojects/cocp");
  // Which says that a dependency of that name is here.
  fs::copy_file(shop().sources() + "/lib/packaging/meson/cocp.wrap", directory + "/subprojects/cocp.wrap");
  fs::copy_file(shop().first_program(), directory + "/first.cpp");
  write(directory + "/meson.build",
        "project('first', 'cpp', default_options: ['cpp_std=c++20', 'optimization=0', 'debug=false'])\n"
        "executable('first', 'first.cpp', dependencies: dependency('cocp'))\n");
  // Meson 1.0 takes one group too many where their size divides the number of sources.
  shop().run("cd " + directory + "; CXX=" + compiler + " meson setup build --wrap-mode=forcefallback --prefix=/ " +
             "--libdir=lib -Dunity=on -Dunity_size=40 -Dcocp:default_library=static -Dcpp_rtti=false; " +
             "ninja -C build -j2");
  shop().check(directory + "/build/first", false);

  // A program may then have it, or not, as the one that was built.
  shop().run("meson install -C " + directory + "/build --destdir " + directory + "/installed");
  const std::string program = directory + "/program";
  shop().run(compiler + " -std=c++20 " + shop().first_program() + " $(PKG_CONFIG_PATH=" + directory +
             "/installed/lib/pkgconfig pkg-config --cflags --libs --static --define-variable=prefix=" + directory +
             "/installed cocp) -o " + program);
  shop().check(program, false);
}

BOOST_AUTO_TEST_CASE(all_packages_are_of_this_version) {
  const std::set<std::string> here = found_in("meson.build", "\n  version: '([0-9.]+)'");
  BOOST_TEST_REQUIRE(here.size() == 1u);
  const auto check = [&](const std::string& file, const std::string& pattern) {
    BOOST_TEST(found_in(file, pattern) == here, file);
  };
  check("lib/CMakeLists.txt", "project\\(cocp VERSION ([0-9.]+)");
  check("lib/packaging/meson/cocp.wrap", "revision = v([0-9.]+)");
  check("lib/packaging/vcpkg/vcpkg.json", "\"version\": \"([0-9.]+)\"");
  // Of its entries the first is the newest.
  const std::string changelog = text_of("lib/packaging/debian/changelog");
  BOOST_TEST(changelog.starts_with("cocp (" + *here.begin() + "-"), changelog);
  // Its package is named after the series.
  const std::string series = here.begin()->substr(0, here.begin()->rfind('.'));
  BOOST_TEST(found_in("lib/packaging/debian/control", "\nPackage: libcocp([0-9.]+)") == std::set{series});
  BOOST_TEST(fs::exists(shop().sources() + "/lib/packaging/debian/libcocp" + series + ".install"));
}

// What of them no test runs, lib/packaging/README.md says.
BOOST_AUTO_TEST_CASE(packages_set_options_that_there_are) {
  const std::set<std::string> there_are = found_in("meson_options.txt", "option\\('([a-z_]+)'");
  std::set<std::string> set = found_in("lib/packaging/debian/rules", "-D((?!b_|unity)[a-z_]+)=");
  set.merge(found_in("lib/packaging/vcpkg/portfile.cmake", "-D([a-z_]+)="));
  set.merge(found_in("lib/packaging/conan/conanfile.py", "project_options\\[\"([a-z_]+)\"\\]"));
  set.merge(found_in("lib/packaging/conan/conanfile.py", "for option in \\(\"([a-z_]+)\""));
  BOOST_TEST(set.contains("tests"));
  BOOST_TEST(set.contains("tls"));
  for (const std::string& option : set) BOOST_TEST(there_are.contains(option), option);
}

BOOST_AUTO_TEST_CASE(the_recipes_can_be_read) {
  const std::string packaging = shop().sources() + "/lib/packaging";
  shop().run("python3 -m json.tool " + packaging + "/vcpkg/vcpkg.json");
  shop().run("for recipe in " + packaging + "/conan/conanfile.py " + packaging +
             "/conan/test_package/conanfile.py; do " +
             "python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' $recipe; done");
}

// From a repository, which is here that of these sources, if they are in one.
BOOST_AUTO_TEST_CASE(a_wrap_fetches_the_sources) {
  if (!fs::exists(shop().sources() + "/.git")) return;
  const std::string directory = shop().new_path();
  fs::create_directories(directory + "/subprojects");
  write(directory + "/meson.build", "project('first', 'cpp')\n");
  const std::string wrap =
      std::regex_replace(text_of("lib/packaging/meson/cocp.wrap"), std::regex("(url|revision) = .*"), "");
  write(directory + "/subprojects/cocp.wrap",
        std::regex_replace(wrap, std::regex("\\[provide\\]"),
                           "url = file://" + shop().sources() + "\nrevision = HEAD\n\n[provide]"));
  shop().run("cd " + directory + "; meson subprojects download cocp");
  BOOST_TEST(fs::exists(directory + "/subprojects/cocp/meson.build"));
}

/// How a program may be compiled otherwise than its library, and what it is then told to miss.
struct difference {
  const char* option;
  const char* missing;

  friend std::ostream& operator<<(std::ostream& out, const difference& d) { return out << d.option; }
};

const difference differences[] = {
    {"-fno-rtti", "library_without_rtti"},
    {"-DBOOST_ASIO_DISABLE_THREADS", "library_with_BOOST_ASIO_DISABLE_THREADS"},
    {"-DBOOST_ASIO_DISABLE_EPOLL", "library_with_BOOST_ASIO_DISABLE_EPOLL"},
    {"-DBOOST_ASIO_ENABLE_HANDLER_TRACKING", "library_with_BOOST_ASIO_ENABLE_HANDLER_TRACKING"},
    {"-DBOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT", "library_with_BOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT"},
};

// Asio's own parts have another form then, and the program would crash, or hang.
BOOST_DATA_TEST_CASE(a_program_with_another_asio_does_not_link, data::make(compilers()) * data::make(differences),
                     compiler, difference) {
  const std::string source = shop().new_path() + ".cpp";
  write(source, "#include <cocp/export.hpp>\nint main() {}\n");
  const outcome linked = shop().attempt(compiler + " -std=c++20 " + difference.option + " " + source + " " +
                                        shop().flags("both") + " -o " + shop().new_path());
  BOOST_TEST((linked.status != 0));
  BOOST_TEST(linked.output.find(difference.missing) != std::string::npos, linked);
}

// Whichever the linker sees first.
BOOST_DATA_TEST_CASE(one_source_with_another_asio_does_not_link_with_the_others, data::make(compilers()), compiler) {
  const std::string same = shop().new_path();
  const std::string other = shop().new_path();
  write(same + ".cpp", "#include <cocp/export.hpp>\nint main() {}\n");
  write(other + ".cpp", "#include <cocp/export.hpp>\n");
  const std::string compile = compiler + " -std=c++20 -I" + shop().sources() + "/include -c ";
  shop().run(compile + same + ".cpp -o " + same + ".o");
  shop().run(compile + "-DBOOST_ASIO_DISABLE_THREADS " + other + ".cpp -o " + other + ".o");
  for (const std::string& sources : {same + ".o " + other + ".o ", other + ".o " + same + ".o "}) {
    const outcome linked = shop().attempt(compiler + " " + sources + shop().flags("both") + " -o " + shop().new_path());
    BOOST_TEST((linked.status != 0));
    BOOST_TEST(linked.output.find("library_with_BOOST_ASIO_DISABLE_THREADS") != std::string::npos, linked);
  }
}

// It is compiled with the program's macros, whatever they are; with one of the compilers, since it is the whole
// library.
BOOST_DATA_TEST_CASE(a_program_may_compile_the_library_itself, data::make(compilers()), compiler) {
  if (compiler != "g++") return;
  const std::string source = shop().new_path() + ".cpp";
  const std::string program = shop().new_path();
  write(source, "#include <cocp/src.hpp>\n#include \"" + shop().first_program() + "\"\n");
  shop().run(compiler + " -std=c++20 -Wall -Wextra -Wpedantic -Werror -DBOOST_ASIO_DISABLE_EPOLL " + source + " -I" +
             shop().path("both") + "/include $(pkg-config --libs openssl) -pthread -o " + program);
  shop().check(program, false);
}

/// What a program cannot be compiled with, and a word of the first error.
const difference obstacles[] = {{"-std=c++17", "cocp needs C++20"},
                                {"-std=c++20 -fno-exceptions", "cocp needs exceptions"}};

BOOST_DATA_TEST_CASE(what_cocp_needs_is_the_first_error, data::make(compilers()) * data::make(obstacles), compiler,
                     obstacle) {
  const std::string source = shop().new_path() + ".cpp";
  write(source, "#include <cocp.hpp>\n");
  const outcome compiled = shop().attempt(compiler + " -Wfatal-errors " + obstacle.option + " -I" + shop().sources() +
                                          "/include -fsyntax-only " + source + " 2>&1 | grep -m1 error; false");
  BOOST_TEST(compiled.output.find(obstacle.missing) != std::string::npos, compiled);
}

/// A line of a user's program, and how many lines a compiler may say about it.
struct line {
  const char* text;
  int most;

  friend std::ostream& operator<<(std::ostream& out, const line& l) { return out << l.text; }
};

const line lines[] = {
    {"cocp::pool p(io, \"db:4000\");", 0},
    {"cocp::pool p(io, {.address = \"db:4000\", .on_connect = log_in}, {.size = 10});", 0},
    {"cocp::pool p(io, \"db:4000\", \"10\");", 60},
    {"cocp::pool p(io, {.address = \"db:4000\"}, \"10\");", 60},
    {"cocp::pool p(io, 4000);", 60},
    {"cocp::pool p(io, {.address = \"db:4000\", .on_connect = [](cocp::connection&) {}});", 60},
    {"cocp::connection_options o; o.on_connect = [](cocp::connection&) {};", 80},
    {"cocp::connection c(io, {.address = \"db:4000\"}); (void)c.write(\"hello\");", 60},
};

/// The name of a header with what those lines need, which is compiled once.
std::string headers(const std::string& compiler) {
  const std::string name = shop().path(compiler + "_headers.hpp");
  if (fs::exists(name)) return name;
  write(name,
        "#include <cocp.hpp>\n"
        "#include <boost/asio/io_context.hpp>\n"
        "boost::asio::awaitable<void> log_in(cocp::connection&);\n");
  shop().run(compiler + " -std=c++20 -x c++-header " + name + " -I" + shop().sources() + "/include -o " + name +
             (compiler == "g++" ? ".gch" : ".pch"));
  return name;
}

BOOST_DATA_TEST_CASE(an_everyday_mistake_is_a_short_error, data::make(compilers()) * data::make(lines), compiler,
                     line) {
  const std::string program = shop().new_path() + ".cpp";
  write(program, std::string("void use(boost::asio::io_context& io) { ") + line.text + " }\n");
  const outcome compiled =
      shop().attempt(compiler + " -std=c++20 -fsyntax-only -include " + headers(compiler) + " " + program + " 2>&1");
  // The command is one of them.
  const auto said = std::count(compiled.output.begin(), compiled.output.end(), '\n') - 1;
  BOOST_TEST((compiled.status == 0) == (line.most == 0), compiled);
  BOOST_TEST(said <= line.most, compiled);
}

// A shared library's own names are those of the committed list, whichever compiler has made it. A new one is added to
// the list; one that goes, or changes, makes another series of versions (lib/packaging/README.md, "Between versions").
BOOST_AUTO_TEST_CASE(the_shared_library_shows_the_names_that_are_listed) {
  const std::string shown = shop().new_path();
  const outcome compared =
      shop().attempt(shop().sources() + "/test/exported " + shop().libraries("both") + "/libcocp.so >" + shown +
                     "; diff " + shop().sources() + "/lib/abi/exported_names " + shown);
  BOOST_TEST((compared.status == 0), compared);
}

/// Type information of what both sides know, which is weak.
const std::regex shown_type(
    R"((vtable|typeinfo|typeinfo name) for (std::enable_shared_from_this<)?cocp::)"
    R"((connection|detail::(channel|channel_waiter|pool_waiter|session_node|stream|stream_waiter|waiter|wait_owner))>?)");

BOOST_AUTO_TEST_CASE(the_shared_library_shows_of_others_only_what_they_mark) {
  std::istringstream symbols(shop().run("nm -DC --defined-only " + shop().libraries("both") + "/libcocp.so"));
  std::string line;
  std::getline(symbols, line);  // the command
  unsigned functions = 0;
  const std::regex form("[0-9a-f]+ (.) (.*)");
  while (std::getline(symbols, line)) {
    std::smatch part;
    BOOST_TEST_REQUIRE(std::regex_match(line, part, form), line);
    const std::string kind = part[1];
    const std::string name = part[2];
    if (kind == "W") {
      ++functions;
    } else if (kind == "V" || kind == "u") {
      // Objects of which a process must have one: they mark them themselves. Boost does so with what it makes of an
      // executor too, and be it one of ours.
      const bool is_an_executors = name.find("strand<cocp::detail::patient_executor<") != std::string::npos;
      const bool is_others = name.find("cocp::") == std::string::npos;
      BOOST_TEST((is_others || is_an_executors || std::regex_match(name, shown_type)), line);
    } else {
      // It is in the list, or type information of what has a part here alone.
      BOOST_TEST((name.starts_with("cocp::") || std::regex_match(name, shown_type)), line);
    }
  }
  // Templates that are not inline, and functions of classes that Boost marks. It would be more than 400 if the inline
  // functions of headers were seen.
  BOOST_TEST(functions < 100U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
