// dept serve: one model and many adapters, answered over HTTP.
#include <map>

#include "cli/command.h"
#include "cli/frame.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/http/server.h"
#include "dept/process.h"
#include "dept/serve/engine.h"
#include "dept/train/options.h"
#include "dept/train/setup.h"

namespace dept {
namespace {

constexpr double day = 86400;

constexpr Usage usage{
    "Usage: dept serve --model_name_or_path DIR [--adapter NAME=DIR]... [--adapters_dir DIR] [--flags]\n"
    "Answers requests over HTTP in OpenAI's form, for one model and any number of adapters at once.\n",
    false, 0,
    "  dept serve --model_name_or_path MODEL --adapter reviews=runs/quickstart\n"
    "  dept serve --model_name_or_path MODEL --adapters_dir adapters --allow_adapter_updates\n"
    "  dept serve --model_name_or_path MODEL --host 0.0.0.0 --api_key_file key.txt\n"};

struct ServeOptions {
  ModelOptions model;
  std::vector<std::string> adapters;
  std::string adapters_dir, api_key_file;
  http::ServerOptions server;
  serve::EngineOptions engine;
};

void describe(ServeOptions& o, OptionSet& set) {
  describe(o.model, set);
  set.leave_out({"peft_model_id"}, {}, "dept serve takes adapters by --adapter NAME=DIR");
  set.section("Adapters");
  set.add("adapter", o.adapters, "a name and the adapter's folder, NAME=DIR; again for each further one").whole_values();
  set.add("adapters_dir", o.adapters_dir,
          "each whole folder in it is an adapter of the folder's name, also one that comes later");
  set.add("allow_adapter_updates", o.server.allow_adapter_updates,
          "adapters of --adapters_dir may be loaded and unloaded by request");
  set.section("Server");
  set.add("host", o.server.host, "address to listen on");
  set.add("port", o.server.port, "port to listen on").min(1).max(65535);
  set.add("api_key_file", o.api_key_file, "file whose first line every request but /health and /ready has to show as its key");
  set.add("insecure", o.server.insecure, "listen on an address that others reach without a key");
  set.add("max_body", o.server.max_body, "bytes of a request's body at most").min(1).max(1 << 30);
  set.add("header_timeout", o.server.header_timeout, "seconds for a request's header block").min(0.001).max(day);
  set.add("body_timeout", o.server.body_timeout, "seconds for a request's body").min(0.001).max(day);
  set.add("idle_timeout", o.server.idle_timeout, "seconds after which a connection without a request is closed")
      .min(0.001)
      .max(day);
  set.add("write_timeout", o.server.write_timeout, "seconds for a piece of an answer that the client does not read")
      .min(0.001)
      .max(day);
  set.add("drain_seconds", o.server.drain_seconds, "seconds that requests have to end after SIGTERM or SIGINT").min(0).max(day);
  set.section("Batching");
  set.add("max_running", o.engine.max_running, "sequences that are computed together").min(1).max(1 << 16);
  set.add("max_queue", o.engine.max_queue, "requests that wait; one more is told to come later (429)").min(1).max(1 << 20);
}

// The key is a file's first line: a command line can be read by others.
std::string read_key(const std::string& file) {
  const std::string text = read_file(file, 1 << 20);
  const std::string key(strip(std::string_view(text).substr(0, text.find('\n'))));
  if (key.empty()) fail(Code::bad_input, str("--api_key_file ", file), "a key in the first line", "none");
  return key;
}

using NamedFolders = std::vector<std::pair<std::string, fs::path>>;

NamedFolders named_folders(const std::vector<std::string>& given) {
  NamedFolders adapters;
  std::map<std::string, std::string> folders;
  for (const std::string& each : given) {
    const size_t equals = each.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == each.size())
      fail(Code::usage, "--adapter", "NAME=DIR", quote(each));
    const std::string name = each.substr(0, equals), folder = each.substr(equals + 1);
    if (!folders.emplace(name, folder).second) fail(Code::usage, "--adapter", "each name once", str(quote(name), " twice"));
    adapters.emplace_back(name, folder);
  }
  return adapters;
}

void require_folder(const fs::path& folder, const std::string& where) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) fail(Code::io, where, "a folder", quote(folder.string()));
}

// What can be said before the model is read.
NamedFolders checked(ServeOptions& o) {
  NamedFolders adapters;
  std::vector<std::function<void()>> checks = {[&] { adapters = named_folders(o.adapters); }};
  checks.emplace_back([&] {
    for (const auto& [name, folder] : adapters) require_folder(folder, str("--adapter ", name));
  });
  if (!o.adapters_dir.empty()) checks.emplace_back([&] { require_folder(o.adapters_dir, "--adapters_dir"); });
  if (!o.api_key_file.empty()) checks.emplace_back([&] { o.server.api_key = read_key(o.api_key_file); });
  check_all(checks);
  if (!o.adapters_dir.empty()) o.server.adapters_dir = o.adapters_dir;
  return adapters;
}

void add(serve::Engine& engine, const std::string& name, const fs::path& folder) {
  try {
    engine.add_adapter(name, folder);
  } catch (const Error& error) {
    throw Error(error.code(), str("[--adapter ", name, "=", folder.string(), "] ", error.what()));
  }
}

void run_server(ServeOptions& o) {
  const NamedFolders adapters = checked(o);
  configure_process(make_context(o.model).threads);
  http::Server server(o.server);
  finish_on_interrupt();
  serve::Engine engine(o.model, o.engine, server.observer());
  for (const auto& [name, folder] : adapters)
    if (!interrupted()) add(engine, name, folder);
  server.run(engine, interrupted);
}

}  // namespace

int run_serve(const std::vector<std::string>& arguments) {
  ServeOptions options;
  OptionSet set;
  describe(options, set);
  if (read_command_line(set, arguments, usage)) run_server(options);
  return 0;
}

}  // namespace dept
