// dept model show: what a weight file, a model's folder or an adapter's folder holds.
#include <algorithm>
#include <fstream>

#include "cli/command.h"
#include "cli/frame.h"
#include "dept/adapter/adapter_file.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/models/backbone.h"
#include "dept/tensorio/gguf.h"
#include "dept/train/model_source.h"

namespace dept {
namespace {

constexpr std::string_view show_usage =
    "Usage: dept model show PATH|NAME [--json] [--tensors [--hash]]\n"
    "Shows what a safetensors, GGUF or PyTorch file, a model's folder, an adapter's folder or a model on the hub holds.\n";
constexpr std::string_view fetch_usage =
    "Usage: dept model fetch NAME [--revision R] [--cache_dir DIR]\n"
    "Brings config, tokenizer and weights of a model on the hub into the cache, of ORG/REPO:FILE.gguf that file or all shards of "
    "its\n"
    "model; what is there is not fetched again.\n"
    "Prints one JSON object: name, revision, path (what --model_name_or_path takes) and files.\n";

int64_t element_count(const TensorInfo& info) {
  int64_t count = 1;
  for (const int64_t size : info.shape) count *= size;
  return count;
}

bool begins_with(const fs::path& path, std::string_view magic) {
  std::string front(magic.size(), '\0');
  std::ifstream(path, std::ios::binary).read(front.data(), static_cast<std::streamsize>(front.size()));
  return front == magic;
}

// The first of `names` that the configuration has; model families name the same things differently.
OrderedJson first_of(const Json& config, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const auto found = config.find(name); found != config.end()) return *found;
  return nullptr;
}

void describe_config(const Json& config, OrderedJson& summary) {
  summary["model_type"] = first_of(config, {"model_type"});
  summary["hidden_size"] = first_of(config, {"hidden_size", "d_model", "n_embd"});
  summary["num_hidden_layers"] = first_of(config, {"num_hidden_layers", "num_layers", "n_layer"});
  summary["vocab_size"] = first_of(config, {"vocab_size"});
}

// The tokens that the model can take, prompt and answer among them; null where nothing limits them (T5) or nobody knows.
OrderedJson context_length(const fs::path& path, const Json& config) {
  try {
    const int64_t positions = read_model_info(path).max_positions;
    return positions > 0 ? OrderedJson(positions) : OrderedJson();
  } catch (const Error&) {  // of no family that runs here
    return first_of(config, {"max_position_embeddings", "n_positions"});
  }
}

void describe_gguf(const GgufFile& file, OrderedJson& summary) {
  const std::string& architecture = file.string("general.architecture");
  const auto integer = [&](const std::string& key) -> OrderedJson {
    if (!file.has(key)) return nullptr;
    return file.integer(key);
  };
  summary["model_type"] = architecture;
  if (file.has("general.name")) summary["name"] = file.string("general.name");
  summary["hidden_size"] = integer(architecture + ".embedding_length");
  summary["num_hidden_layers"] = integer(architecture + ".block_count");
  summary["context_length"] = integer(architecture + ".context_length");
  summary["vocab_size"] = integer(architecture + ".vocab_size");
  if (summary["vocab_size"].is_null() && file.has("tokenizer.ggml.tokens"))
    summary["vocab_size"] = file.strings("tokenizer.ggml.tokens").size();
}

void describe_adapter(const AdapterConfig& config, OrderedJson& summary) {
  summary["peft_type"] = config.method->peft_type;
  summary["task_type"] = config.task_type;
  summary["num_virtual_tokens"] = config.num_virtual_tokens;
  summary["num_transformer_submodules"] = config.num_transformer_submodules;
  summary["r"] = config.r;
  summary["max_length"] = config.max_length;
  summary["token_dim"] = config.token_dim;
  summary["lora_alpha"] = config.lora_alpha;
  summary["base_model_name_or_path"] = config.base_model_name_or_path;
}

void describe_tensors(const TensorSource& source, OrderedJson& summary) {
  int64_t parameters = 0;
  uint64_t bytes = 0;
  OrderedJson types = OrderedJson::object();
  for (const TensorInfo& info : source.tensors()) {
    OrderedJson& type = types[info.type];
    if (type.is_null()) type = {{"tensors", 0}, {"parameters", 0}, {"bytes", 0}};
    type["tensors"] = type["tensors"].get<int64_t>() + 1;
    type["parameters"] = type["parameters"].get<int64_t>() + element_count(info);
    type["bytes"] = type["bytes"].get<uint64_t>() + info.bytes;
    parameters += element_count(info);
    bytes += info.bytes;
  }
  summary["tensors"] = source.tensors().size();
  summary["parameters"] = parameters;
  summary["bytes"] = bytes;
  summary["by_dtype"] = std::move(types);
}

struct Opened {
  std::unique_ptr<TensorSource> weights;
  OrderedJson summary;
};

Opened open(const fs::path& path) {
  Opened opened;
  OrderedJson& summary = opened.summary;
  summary["path"] = path.string();
  if (fs::is_regular_file(path / "adapter_config.json")) {
    summary["kind"] = "adapter";
    describe_adapter(read_adapter_config(path), summary);
    opened.weights = open_adapter_weights(path);
  } else if (fs::is_directory(path)) {
    summary["kind"] = "model";
    if (fs::exists(path / "config.json")) {
      const Json config = read_json(path / "config.json");
      describe_config(config, summary);
      summary["context_length"] = context_length(path, config);
    }
    opened.weights = open_weights(path);
  } else if (path.extension() == ".gguf" || begins_with(path, "GGUF")) {
    summary["kind"] = "gguf";
    auto file = open_gguf(path);
    describe_gguf(*file, summary);
    opened.weights = std::move(file);
  } else {
    opened.weights = open_weights(path);
    summary["kind"] = begins_with(path, "PK") ? "pytorch" : "safetensors";
  }
  describe_tensors(*opened.weights, summary);
  return opened;
}

// Of the values as little-endian fp32, in the file's order.
std::string hash_of(const TensorSource& weights, const TensorInfo& info) {
  const at::Tensor values = weights.read(info.name).to(at::kFloat);
  weights.drop_pages();
  return sha256_hex({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
}

void print_tensors(const TensorSource& weights, bool with_hash) {
  for (const TensorInfo& info : weights.tensors()) {
    OrderedJson line{{"name", info.name}, {"dtype", info.type}, {"shape", info.shape}};
    if (with_hash) line["sha256"] = hash_of(weights, info);
    write_stdout(line.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
  }
}

// 1234567 -> "1,234,567"
std::string grouped(uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

// Files may hold anything: nothing of it is to steer the terminal.
std::string printable(const std::string& text) {
  const std::string quoted = quote(text, 200);
  return quoted.substr(1, quoted.size() - 2);
}

std::string model_table(const OrderedJson& summary) {
  size_t width = 0;
  for (const auto& [key, value] : summary.items()) width = std::max(width, key.size());
  std::string out;
  const auto row = [&](std::string name, const std::string& value) {
    name.resize(width, ' ');
    out += str(name, "  ", value, "\n");
  };
  for (const auto& [key, value] : summary.items()) {
    if (key == "by_dtype") {
      for (const auto& [type, counts] : value.items())
        row(type, str(grouped(counts["parameters"]), " in ", grouped(counts["tensors"]),
                      counts["tensors"] == 1 ? " tensor, " : " tensors, ", grouped(counts["bytes"]), " bytes"));
    } else if (value.is_string()) {
      row(key, printable(value));
    } else if (!value.is_null()) {
      row(key, value.is_number_unsigned() || (value.is_number_integer() && value >= 0) ? grouped(value) : value.dump());
    }
  }
  return out;
}

int show(const std::vector<std::string>& arguments) {
  bool as_json = false, tensors = false, hash = false;
  HubFlags hub;
  OptionSet set;
  describe(hub, set);
  set.add("json", as_json, "one JSON object");
  set.add("tensors", tensors, "one JSON line a tensor: name, dtype, shape");
  set.add("hash", hash, "with --tensors: the sha256 of the values as little-endian fp32, in the file's order");
  const auto paths = read_command_line(
      set, arguments, {show_usage, false, 1, "  dept model show runs/mine\n  dept model show MODEL --tensors --hash\n"});
  if (!paths) return 0;
  if (paths->empty()) fail(Code::usage, "command line", "a file or a folder: dept model show PATH", "none");
  if (hash && !tensors) fail(Code::usage, "--hash", "--tensors with it", "--hash alone");
  const Opened opened = open(place_on_disk(paths->front(), hub, ModelPart::all));
  if (tensors) {
    print_tensors(*opened.weights, hash);
  } else {
    write_stdout(as_json ? opened.summary.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n"
                         : model_table(opened.summary));
  }
  return 0;
}

// A folder's files, or a .gguf file and the other shards of its model, NAME-00001-of-00003.gguf and so on.
std::vector<std::string> files_of(const fs::path& path) {
  const bool folder = fs::is_directory(path);
  const std::string file = path.filename().string();
  const size_t total = file.rfind("-of-"), number = total == file.npos || total < 5 ? 0 : total - 5;
  const auto belongs = [&](const std::string& name) {
    return name == file || (number > 0 && name.size() == file.size() && name.compare(0, number, file, 0, number) == 0 &&
                            name.compare(total, name.npos, file, total) == 0);
  };
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder ? path : path.parent_path()))
    if (const std::string name = entry.path().filename().string(); folder || belongs(name)) files.push_back(name);
  std::sort(files.begin(), files.end());
  return files;
}

int fetch(const std::vector<std::string>& arguments) {
  HubFlags hub;
  OptionSet set;
  describe(hub, set);
  const auto names = read_command_line(
      set, arguments, {fetch_usage, false, 1, "  dept model fetch t5-base\n  dept model fetch ORG/REPO:FILE.gguf\n"});
  if (!names) return 0;
  if (names->empty()) fail(Code::usage, "command line", "a name on the hub: dept model fetch NAME", "none");
  const fs::path path = fetch_model(hub_options(hub.cache_dir), names->front(), hub.revision);
  const OrderedJson fetched{
      {"name", names->front()}, {"revision", hub.revision}, {"path", path.string()}, {"files", files_of(path)}};
  write_stdout(fetched.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
  return 0;
}

}  // namespace

int run_model(const std::vector<std::string>& arguments) {
  const std::string action = arguments.empty() ? "" : arguments.front();
  if (action == "show") return show({arguments.begin() + 1, arguments.end()});
  if (action == "fetch") return fetch({arguments.begin() + 1, arguments.end()});
  if (action == "--help" || action == "-h") return write_stdout(str(show_usage, "\n", fetch_usage)), 0;
  fail(Code::usage, "dept model", "show or fetch", action.empty() ? "nothing" : quote(action));
}

}  // namespace dept
