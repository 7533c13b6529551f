#include "text/tokenizer_class.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

struct OfModel {
  std::string_view model_type, class_name;  // no name: tokenizer.json as it is
};

// What transformers registers for a model_type. Of the classes that are not known here enough are listed to be refused.
constexpr OfModel of_models[] = {{"albert", "AlbertTokenizer"},
                                 {"bart", "RobertaTokenizer"},
                                 {"bert", "BertTokenizer"},
                                 {"camembert", "CamembertTokenizer"},
                                 {"clip", "CLIPTokenizer"},
                                 {"codegen", "GPT2Tokenizer"},
                                 {"cohere", "CohereTokenizer"},
                                 {"cohere2", "CohereTokenizer"},
                                 {"deberta", "DebertaTokenizer"},
                                 {"deberta-v2", "DebertaV2Tokenizer"},
                                 {"deepseek_v2", ""},
                                 {"deepseek_v3", ""},
                                 {"distilbert", "BertTokenizer"},
                                 {"electra", "BertTokenizer"},
                                 {"falcon_mamba", "GPTNeoXTokenizer"},
                                 {"gemma", "GemmaTokenizer"},
                                 {"gemma2", "GemmaTokenizer"},
                                 {"gemma3", "GemmaTokenizer"},
                                 {"gemma3_text", "GemmaTokenizer"},
                                 {"glm", ""},
                                 {"glm4", ""},
                                 {"gpt2", "GPT2Tokenizer"},
                                 {"gpt_bigcode", ""},
                                 {"gpt_neo", "GPT2Tokenizer"},
                                 {"gpt_neox", "GPTNeoXTokenizer"},
                                 {"gptj", "GPT2Tokenizer"},
                                 {"granite", ""},
                                 {"internlm2", ""},
                                 {"layoutlm", "BertTokenizer"},
                                 {"led", "RobertaTokenizer"},
                                 {"longformer", "RobertaTokenizer"},
                                 {"mamba", "GPTNeoXTokenizer"},
                                 {"mbart", "MBartTokenizer"},
                                 {"megatron-bert", "BertTokenizer"},
                                 {"ministral", ""},
                                 {"mistral", ""},
                                 {"mixtral", ""},
                                 {"mobilebert", "BertTokenizer"},
                                 {"modernbert", ""},
                                 {"mpnet", "MPNetTokenizer"},
                                 {"mpt", "GPTNeoXTokenizer"},
                                 {"mt5", "T5Tokenizer"},
                                 {"nemotron", ""},
                                 {"nomic_bert", "BertTokenizer"},
                                 {"olmo", "GPTNeoXTokenizer"},
                                 {"olmo2", ""},
                                 {"olmoe", "GPTNeoXTokenizer"},
                                 {"opt", "GPT2Tokenizer"},
                                 {"pegasus", "PegasusTokenizer"},
                                 {"phi", "GPT2Tokenizer"},
                                 {"phi3", ""},
                                 {"phimoe", ""},
                                 {"qwen2", "Qwen2Tokenizer"},
                                 {"qwen2_moe", "Qwen2Tokenizer"},
                                 {"qwen3", "Qwen2Tokenizer"},
                                 {"qwen3_moe", "Qwen2Tokenizer"},
                                 {"qwen3_5_text", "Qwen3_5Tokenizer"},
                                 {"rembert", "RemBertTokenizer"},
                                 {"roberta", "RobertaTokenizer"},
                                 {"roberta-prelayernorm", "RobertaTokenizer"},
                                 {"roformer", "RoFormerTokenizer"},
                                 {"rwkv", "GPTNeoXTokenizer"},
                                 {"squeezebert", "BertTokenizer"},
                                 {"stablelm", ""},
                                 {"starcoder2", "GPT2Tokenizer"},
                                 {"switch_transformers", "T5Tokenizer"},
                                 {"t5", "T5Tokenizer"},
                                 {"t5gemma", "GemmaTokenizer"},
                                 {"umt5", ""},
                                 {"visual_bert", "BertTokenizer"},
                                 {"xlm-roberta", "XLMRobertaTokenizer"},
                                 {"xlm-roberta-xl", ""},
                                 {"xlnet", "XLNetTokenizer"}};

// Of this model the files' own word is known to be wrong.
constexpr std::string_view always_of_model = "qwen2";

const OfModel* find_model(std::string_view model_type) {
  const auto found =
      std::find_if(std::begin(of_models), std::end(of_models), [&](const OfModel& m) { return m.model_type == model_type; });
  return found == std::end(of_models) ? nullptr : found;
}

// Other names of classes, and all classes of transformers that build a tokenizer and are not known here.
constexpr std::pair<std::string_view, std::string_view> aliases[] = {
    {"BartTokenizer", "RobertaTokenizer"},       {"DistilBertTokenizer", "BertTokenizer"},
    {"ElectraTokenizer", "BertTokenizer"},       {"LEDTokenizer", "RobertaTokenizer"},
    {"LongformerTokenizer", "RobertaTokenizer"}, {"LxmertTokenizer", "BertTokenizer"},
    {"MobileBertTokenizer", "BertTokenizer"},    {"MvpTokenizer", "RobertaTokenizer"},
    {"SqueezeBertTokenizer", "BertTokenizer"}};
constexpr std::string_view classes[] = {"AlbertTokenizer",
                                        "BarthezTokenizer",
                                        "BartphoTokenizer",
                                        "BertGenerationTokenizer",
                                        "BertJapaneseTokenizer",
                                        "BertTokenizer",
                                        "BertTokenizerLegacy",
                                        "BertweetTokenizer",
                                        "BigBirdTokenizer",
                                        "BioGptTokenizer",
                                        "BlenderbotSmallTokenizer",
                                        "BlenderbotTokenizer",
                                        "ByT5Tokenizer",
                                        "CLIPTokenizer",
                                        "CTRLTokenizer",
                                        "CamembertTokenizer",
                                        "CanineTokenizer",
                                        "ClvpTokenizer",
                                        "CodeGenTokenizer",
                                        "CodeLlamaTokenizer",
                                        "CohereTokenizer",
                                        "ConvBertTokenizer",
                                        "CpmAntTokenizer",
                                        "CpmTokenizer",
                                        "DPRContextEncoderTokenizer",
                                        "DPRQuestionEncoderTokenizer",
                                        "DPRReaderTokenizer",
                                        "DebertaTokenizer",
                                        "DebertaV2Tokenizer",
                                        "DiaTokenizer",
                                        "EsmTokenizer",
                                        "EsmcTokenizer",
                                        "FNetTokenizer",
                                        "FSMTTokenizer",
                                        "FastSpeech2ConformerTokenizer",
                                        "FlaubertTokenizer",
                                        "FunnelTokenizer",
                                        "GPT2Tokenizer",
                                        "GPTNeoXJapaneseTokenizer",
                                        "GPTNeoXTokenizer",
                                        "GPTSw3Tokenizer",
                                        "GemmaTokenizer",
                                        "HerbertTokenizer",
                                        "LasrTokenizer",
                                        "LayoutLMv2Tokenizer",
                                        "LayoutLMv3Tokenizer",
                                        "LayoutXLMTokenizer",
                                        "LlamaTokenizer",
                                        "LukeTokenizer",
                                        "M2M100Tokenizer",
                                        "MBart50Tokenizer",
                                        "MBartTokenizer",
                                        "MLukeTokenizer",
                                        "MPNetTokenizer",
                                        "MarianTokenizer",
                                        "MarkupLMTokenizer",
                                        "MgpstrTokenizer",
                                        "MistralCommonBackend",
                                        "MyT5Tokenizer",
                                        "NllbTokenizer",
                                        "NougatTokenizer",
                                        "OpenAIGPTTokenizer",
                                        "PLBartTokenizer",
                                        "ParakeetTokenizer",
                                        "PegasusTokenizer",
                                        "PerceiverTokenizer",
                                        "PhobertTokenizer",
                                        "ProphetNetTokenizer",
                                        "Qwen2Tokenizer",
                                        "Qwen3_5Tokenizer",
                                        "ReformerTokenizer",
                                        "RemBertTokenizer",
                                        "RoCBertTokenizer",
                                        "RoFormerTokenizer",
                                        "RobertaTokenizer",
                                        "SeamlessM4TTokenizer",
                                        "Siglip2Tokenizer",
                                        "SiglipTokenizer",
                                        "Speech2TextTokenizer",
                                        "SpeechT5Tokenizer",
                                        "SplinterTokenizer",
                                        "T5Tokenizer",
                                        "TapasTokenizer",
                                        "Tipsv2Tokenizer",
                                        "UdopTokenizer",
                                        "VideoPrismTokenizer",
                                        "VitsTokenizer",
                                        "Wav2Vec2CTCTokenizer",
                                        "Wav2Vec2PhonemeCTCTokenizer",
                                        "WhisperTokenizer",
                                        "XGLMTokenizer",
                                        "XLMRobertaTokenizer",
                                        "XLMTokenizer",
                                        "XLNetTokenizer"};

// Without "Fast", as transformers 5 knows no other; empty for a class that takes tokenizer.json as it is, as it does for a name
// that it does not know.
std::string plain_name(std::string name) {
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  for (const auto& [alias, known] : aliases)
    if (name == alias) return std::string(known);
  return std::find(std::begin(classes), std::end(classes), name) == std::end(classes) ? "" : name;
}

bool has_own_program(const Json& config) {
  const Json map = config.value("auto_map", Json());
  return map.is_array() || (map.is_object() && !map.value("AutoTokenizer", Json()).is_null());
}

}  // namespace

void choose_class(const fs::path& folder, TokenizerSettings& settings) {
  const fs::path path = folder / "config.json";
  if (fs::exists(path)) settings.model = read_json(path);
  const Json& model = settings.model;
  const std::string& where_model = settings.where_model = path.string();
  const auto own = value_or<std::string>(settings.config, "tokenizer_class", "", settings.where);
  const auto of_config = value_or<std::string>(model, "tokenizer_class", "", where_model);
  const auto model_type = value_or<std::string>(model, "model_type", "", where_model);
  const OfModel* registered = find_model(model_type);
  const std::string& stated = own.empty() ? of_config : own;
  if (stated.empty()) {
    settings.class_name = registered ? registered->class_name : "";
    settings.where_class = where_model + ": model_type";
  } else {
    const bool overruled = registered && (registered->class_name.empty() || model_type == always_of_model);
    settings.class_name = overruled ? std::string(registered->class_name) : plain_name(stated);
    settings.where_class = own.empty() ? where_model + ": tokenizer_class" : settings.where + ": tokenizer_class";
  }
  settings.says_class = !stated.empty() || registered;
  settings.class_in_config = settings.class_name == plain_name(own);
  if (settings.class_name.empty() && !registered && has_own_program(settings.config))
    fail(Code::bad_input, settings.where + ": auto_map", "a tokenizer without a program of its own",
         "one that names its class there");
}

}  // namespace dept
