#include "dept/train/alike.h"

#include <set>

#include "dept/base/digest.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/dist/ranks.h"

namespace dept {
namespace {

Json hello(const RunIdentity& run) {
  return {{"program", sampled_sha256("/proc/self/exe")},
          {"options", Json::parse(run.options.dump())},
          {"contents", Json::parse(run.contents.dump())}};
}

std::set<std::string> keys_of(const Json& a, const Json& b) {
  std::set<std::string> keys;
  for (const Json* each : {&a, &b})
    for (const auto& [key, value] : each->items()) keys.insert(key);
  return keys;
}

std::string shown(const Json& options, const std::string& name) {
  return options.contains(name) ? quote(options[name].dump(), 100) : "nothing";
}

// What differs in their files: all names of files of an option, or those that have other bytes.
void note_contents(const std::string& option, const Json& first, const Json& other, std::vector<std::string>& found) {
  for (const std::string& file : keys_of(first, other)) {
    const std::string name = str(option, ": ", file);
    if (!first.contains(file) || !other.contains(file))
      found.push_back(str(name, ", which rank 0 has ", first.contains(file) ? "and it lacks" : "not"));
    else if (first[file] != other[file])
      found.push_back(name + " with other contents");
  }
}

std::vector<std::string> differences(const Json& first, const Json& other) {
  std::vector<std::string> found;
  if (first["program"] != other["program"]) found.emplace_back("another build of dept");
  for (const std::string& name : keys_of(first["options"], other["options"]))
    if (const std::string mine = shown(other["options"], name), its = shown(first["options"], name); mine != its)
      found.push_back(str(name, " ", mine, " (rank 0: ", its, ")"));
  const Json &files = first["contents"], &other_files = other["contents"];
  for (const std::string& option : keys_of(files, other_files))
    note_contents(option, files.value(option, Json::object()), other_files.value(option, Json::object()), found);
  return found;
}

}  // namespace

void require_alike(Collective* group, const RunIdentity& run) {
  if (group == nullptr) return;
  const std::vector<std::string> hellos = gather(group, hello(run).dump(-1, ' ', false, Json::error_handler_t::replace));
  for (size_t rank = 1; rank < hellos.size(); ++rank) {
    if (hellos[rank] == hellos[0]) continue;
    const std::vector<std::string> found = differences(Json::parse(hellos[0]), Json::parse(hellos[rank]));
    fail(Code::usage, "ranks", "the same program, options, data and model on all", str("of rank ", rank, " ", join(found, "; ")));
  }
}

}  // namespace dept
